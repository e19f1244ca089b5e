-- SPDX-License-Identifier: MIT
-- A server with 1,000 jobs that fail and 1,000 that succeed: a program of its own, seen from outside.
local cjson = require "cjson"
local env = require "helper.env"
local program = require "helper.program"

-- Takes orders over HTTP. Each starts a job that nobody waits for; every second job raises an error.
local server <const> = [[
local cjson = require "cjson"
local omni = require "omni"
local done, failed = 0, {}
omni.on_error(function(problem)
  local job = problem.message:match "job (%d+)"
  failed[job] = (failed[job] or 0) + 1
  print(tostring(problem.traceback):find("spoil", 1, true) and "failed" or "failed without a traceback")
end)
local function spoil(job)
  omni.sleep(0)
  error(job % 4 == 1 and ("job %d"):format(job) or setmetatable({}, { __tostring = function() return ("job %d"):format(job) end }))
end
omni.run(function()
  local quit = omni.spawn(omni.loop.park)
  local server <close> = assert(omni.serve({}, function(request)
    local place, job = request:path():match "^/(%l+)/?(%d*)$"
    job = tonumber(job)
    if place == "jobs" then
      omni.background(function()
        if job % 2 == 1 then spoil(job) end
        omni.sleep(0)
        done = done + 1
      end)
      return 202
    elseif place == "state" then
      collectgarbage() collectgarbage()
      return 200, nil, cjson.encode { done = done, failed = failed, memory = collectgarbage "count" }
    end
    quit:cancel()
    return 200
  end))
  print("listening at " .. server.url)
  io.stdout:flush()
  pcall(quit.join, quit)
end)
print "the end"
]]

describe("a server whose jobs fail", function()
  it("reports each of 1,000 errors once, and its memory stays flat", function()
    local child = program.start({ "lua", "-" }, { input = server })
    local url = child:wait_for("^listening at "):match "http://%S+"
    local function state() return cjson.decode(env.output("curl -s " .. url .. "/state")) end
    local function send(first, last) -- over one connection
      env.output(("curl -s -o /dev/null '%s/jobs/[%d-%d]'"):format(url, first, last))
    end

    send(1, 400)
    local early = state().memory
    send(401, 2000)
    local last = state()
    env.output("curl -s " .. url .. "/quit")
    local result = child:finish()

    assert.equal(1000, last.done)
    for job = 1, 2000 do assert.equal(job % 2 == 1 and 1 or nil, last.failed[tostring(job)]) end
    assert.is_true(last.memory - early < 150, ("%.0f KB after 400 jobs, %.0f KB after 2,000"):format(early, last.memory))
    assert.equal("", result.err)
    local lines = {}
    for _, line in ipairs(result.lines) do lines[line] = (lines[line] or 0) + 1 end
    assert.same({ ["listening at " .. url] = 1, failed = 1000, ["the end"] = 1 }, lines)
    assert.equal(0, result.code)
  end)
end)
