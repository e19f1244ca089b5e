-- SPDX-License-Identifier: MIT
-- Tasks whose program has ended or stalled are awaited by another program, which submits nothing.

local asked = require "helper.ledger"
local env = require "helper.env"
local omni = require "omni"
local orphans = require "omni.client.orphans"
local studio = require "helper.studio"

local become = studio.become

for _, backend in ipairs(asked.backends) do describe("in " .. backend.name .. ": orphaned tasks", function()

if backend.missing then return it("nothing was tried", function() pending(backend.missing) end) end

-- Opens a sandbox with slow tasks, a client whose tasks become orphans, and one that takes them over; `events` lists what it reports.
local function open(body)
  studio.open({ seconds = 1000 }, function(s)
    local directory <close> = env.directory()
    local name = backend.new(directory)
    local one <close> = s:new_client { ledger = name }
    local other <close> = s:new_client { ledger = name }
    local events = {}
    local function watch()
      return omni.background(orphans.watch, other, assert(other:ledger()), function(event) events[#events + 1] = event end)
    end
    body(s, one, other, watch, events, name)
  end)
end

local function submit(client) return assert(client:submit { prompt = "p", duration = 4 }) end

it("are awaited, and their ends are recorded", function()
  open(function(s, one, other, watch, events)
    local task = submit(one)
    local own = submit(other)
    one:close()
    local fiber <close> = watch() -- luacheck: ignore 211
    become(function() return #events > 0 end)
    s.sandbox:advance(2000)
    become(function() return #events > 1 end)
    assert.same({ { event = "taken_over", task_id = task.id }, { event = "recorded", task_id = task.id, state = "success" } }, events)
    local row = other:ledger():row("row", { id = task.row })
    assert.equal("success", row.state)
    assert.is_true(row.credits > 0)
    assert.equal("accepted", other:ledger():row("row", { id = own.row }).state) -- it belongs to a program that runs
    assert.equal(2, s:submits())
  end)
end)

it("that can't be queried are reported once, with the reason, and stay as they are", function()
  open(function(s, one, other, watch, events, name)
    local task = submit(one)
    backend.sql(name, "UPDATE submit SET task_id = '00000000-0000-0000-0000-000000000000'")
    one:close()
    local fiber <close> = watch() -- luacheck: ignore 211
    become(function() return #events > 1 end)
    assert.same({ "taken_over", "not_recorded", "not_found" }, { events[1].event, events[2].event, events[2].error.code })
    assert.equal("accepted", other:ledger():row("row", { id = task.row }).state)
    assert.equal(1, s:submits())
  end)
end)

if backend.name == "PostgreSQL" then
  it("include those of a program that has stalled, but none that another program awaits", function()
    open(function(s, one, other, watch, events, name)
      local tasks = { submit(one), submit(one) }
      for i, task in ipairs(tasks) do
        omni.spawn(function() task:await() end) -- until the client is closed
        become(function() return backend.sql(name, "SELECT waiter IS NOT NULL FROM submit WHERE id = " .. i) == "t" end)
      end
      local fiber <close> = watch() -- luacheck: ignore 211
      become(function() return other:ledger():row "version" end)
      assert.same({}, events)
      fiber:cancel()
      -- The first one's program has stalled for a minute, and the second one's has not.
      backend.sql(name, "UPDATE submit SET waiter = 1 WHERE id = 1")
      backend.sql(name, "INSERT INTO session (number, host, process, since) VALUES (1, 'h', 1, 0)")
      local again <close> = watch() -- luacheck: ignore 211
      become(function() return #events > 0 end)
      assert.same({ { event = "taken_over", task_id = tasks[1].id } }, events)
      s.sandbox:advance(2000)
      become(function() return #events > 1 end)
      assert.same({ event = "recorded", task_id = tasks[1].id, state = "success" }, events[2])
      assert.equal(2, s:submits())
    end)
  end)
end

end) end
