-- SPDX-License-Identifier: MIT
-- An error in on_warning ended the fiber that asks for the tasks: who waited for them waited until the deadline.
local answers = require "helper.answers"
local hostile = require "helper.hostile"

describe("an error in on_warning", function()
  it("is raised where the task is awaited, and the next wait works", function()
    local server <close> = hostile.start()
    local weird = hostile.json(answers.envelope(answers.task("weird")))
    server:script { GET = { { weird }, { answers.success(server.url .. "/a.mp4") } } }
    local client <close> = assert(answers.client(server.url, { on_warning = function() error("on_warning says no") end }))
    local task = assert(client:task(answers.ID))
    local fine, problem = pcall(task.await, task, { timeout = 20 })
    assert.is_false(fine)
    assert.matches("on_warning says no", tostring(problem))
    assert.equal("success", assert(task:await { timeout = 20 }).status)
  end)
end)
