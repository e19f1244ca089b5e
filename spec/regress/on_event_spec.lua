-- SPDX-License-Identifier: MIT
-- An error in the client's hook ended the fiber that queries the tasks, so whoever awaited them waited until the deadline.
local answers = require "helper.answers"
local hostile = require "helper.hostile"
local omni = require "omni"

describe("an error in on_event", function()
  it("doesn't end the wait for a task, and surfaces like that of a coroutine that nobody joins", function()
    local server <close> = hostile.start()
    local weird = hostile.json(answers.envelope(answers.task("weird")))
    server:script { GET = { { weird }, { answers.success(server.url .. "/a.mp4") } } }
    local client <close> = assert(answers.client(server.url, { on_event = answers.on_warning(function() error("on_event says no") end) }))
    local task = assert(client:task(answers.ID))
    local problem
    local before = omni.on_error(function(raised) problem = raised end)
    omni.run(task.await, task, { timeout = 20 })
    omni.on_error(before)
    assert.matches("on_event says no", tostring(problem))
    assert.matches("on_event_spec.lua:12", problem.traceback)
    assert.equal("success", task.status)
  end)
end)
