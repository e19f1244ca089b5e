-- SPDX-License-Identifier: MIT
-- A program awaits a task; another program with the same ledger gets the task's callback. Both are clients in this process, each with its
-- own handle of the ledger.

local asked = require "helper.ledger"
local env = require "helper.env"
local omni = require "omni"
local studio = require "helper.studio"

local become = studio.become

for _, backend in ipairs(asked.backends) do describe("in " .. backend.name .. ": a fiber that awaits a task", function()

if backend.missing then return it("nothing was tried", function() pending(backend.missing) end) end

-- Two clients with a new ledger. The callbacks of the first client's submits go to the second one's receiver, and both hardly poll.
local function open(given, body, public_url)
  studio.open(given, function(s)
    local directory <close> = env.directory()
    local name = backend.new(directory)
    local more = { ledger = name, poll_min = 900, poll_max = 900 }
    local one <close> = s:new_client(more)
    local other <close> = s:new_client(more)
    local there <close> = assert(omni.callbacks { client = other, listen = "127.0.0.1:0", poll = 900 })
    local here <close> = assert(omni.callbacks { client = one, listen = false, public_url = public_url or there.url, poll = 900 }) -- luacheck: ignore
    body(s, one, other, there, name)
  end)
end

local LOST <const> = "http://127.0.0.1:9/lost" -- a URL that no callback reaches
local INPUT <const> = { prompt = "p", duration = 4 }

it("is woken when another program has got the callback and confirmed it", function()
  open({ seconds = 1 }, function(s, one, _, there)
    local task = assert(one:submit(INPUT))
    assert.equal("success", assert(task:await()).status)
    assert.is_string(task.media[1])
    assert.equal(1, there.counts.confirmed)
    assert.equal(1, s:submits())
  end)
end)

it("is woken although no notification came, since the ledger is read each second", function()
  open({ seconds = 1 }, function(s, one, _, _, name)
    local task = assert(one:submit(INPUT))
    local fiber = omni.spawn(function() return assert(task:await()) end)
    become(function() return s.sandbox:ledger().tasks[1].status == "success" end)
    assert.is_false(fiber:done())
    -- plain SQL, which sends no notification
    backend.sql(name, ("UPDATE submit SET state = 'success', ended_at = intended_at + 1 WHERE task_id = '%s'"):format(task.id))
    assert.equal("success", fiber:join().status)
  end, LOST)
end)

it("is woken at once if the end was recorded before it began to wait", function()
  open({ seconds = 1 }, function(_, one, other)
    local task = assert(one:submit(INPUT))
    become(function()
      local row = other:ledger():row("row", { id = task.row })
      return row.state == "success"
    end)
    assert.equal("success", assert(task:await()).status)
  end)
end)

it("isn't woken by the end of another task, and the watch ends with the last wait", function()
  open({ seconds = 1 }, function(s, one)
    local first = assert(one:submit(INPUT))
    local fiber = omni.spawn(function() return first:await { timeout = 900 } end)
    become(function() return one.ledger_watch.fiber end)
    assert(one:ledger():ask("finish", { id = assert(one:submit(INPUT)).row, state = "success" }))
    become(function() return s.sandbox:ledger().tasks[2].status == "success" end)
    fiber:cancel()
    become(function() return one.ledger_watch.fiber == nil end)
  end, LOST)
end)

end) end
