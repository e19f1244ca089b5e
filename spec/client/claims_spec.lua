-- SPDX-License-Identifier: MIT
-- Two programs that share a ledger in PostgreSQL await the same tasks: only one of them queries a task, and another one takes over when
-- that program ends, stalls, gives up, or can't reach the service. No task is submitted again.

local env = require "helper.env"
local omni = require "omni"
local postgresql = require "helper.postgresql"
local studio = require "helper.studio"

if not postgresql.is_there then
  return describe("PostgreSQL", function() it("isn't installed", function() pending "nothing was tried" end) end)
end

local become = studio.become

local INPUT <const> = { prompt = "p", duration = 4 }

-- Opens a client that counts its queries: `queries` of the returned table.
local function counting(s, address, more)
  local count = { queries = 0 }
  local given = { ledger = address, poll_min = 0.05, poll_max = 0.1, on_event = function(event)
    if event.event == "request_begun" and event.kind == "query" then count.queries = count.queries + 1 end
  end }
  for name, value in pairs(more or {}) do given[name] = value end
  return s:new_client(given), count
end

-- Makes other programs read the claims at once instead of after at most 15 seconds.
local function hurry(address) postgresql.sql(address, "SELECT pg_notify('omni', 'claims')") end

-- Ends a program's lease in the ledger, as if a minute had passed.
local function let_lease_end(address, task_id)
  postgresql.sql(address, ("UPDATE omni.session SET claims_until = 0 WHERE number = (SELECT waiter FROM omni.submit WHERE task_id = '%s')")
    :format(task_id))
  hurry(address)
end

local function waiter(address, task_id)
  return postgresql.sql(address, ("SELECT waiter FROM omni.submit WHERE task_id = '%s'"):format(task_id))
end

-- Opens a sandbox, a client, and a task of this client. The task runs until the sandbox is told to end it.
local function open(body)
  studio.open({ seconds = 1000 }, function(s)
    local address = postgresql.database()
    local one <close>, count = counting(s, address)
    local task = assert(one:submit(INPUT))
    body(s, address, one, count, task)
    assert.equal(1, s:submits())
  end)
end

local function await(task) return omni.spawn(function() return assert(task:await()) end) end

-- Awaits a task with a client that has claimed it, once it has done so.
local function await_claimed(address, task, count)
  local fiber = await(task)
  become(function() return waiter(address, task.id) ~= "" and count.queries > 0 end)
  return fiber
end

local PROGRAM <const> = [[
  local omni = require "omni"
  local url, key, address, id = ...
  io.stdout:setvbuf "line"
  print("pid " .. io.open("/proc/self/stat"):read("n"))
  local client <close> = assert(omni.client { base_url = url, api_key = key, ledger = address, poll_min = 0.05, poll_max = 0.1,
    on_event = function(event) if event.event == "request_begun" and event.kind == "query" then print "query" end end })
  print("ended " .. assert(client:task(id):await()).status)
]]

-- Starts another program that awaits a task. Returns a table with its `pid`, the count of its `queries`, and how its wait `ended`.
local function program(s, address, id)
  local seen = { queries = 0 }
  local directory = env.directory()
  local file = env.write(directory:file "program.lua", PROGRAM)
  seen.fiber = omni.background(function()
    omni.process({ env.lua, file, s.sandbox.url, s.sandbox.key, address, id }, { on_output = function(text)
      for line in text:gmatch "[^\n]+" do
        seen.pid = seen.pid or line:match "^pid (%d+)"
        if line == "query" then seen.queries = seen.queries + 1 end
        seen.ended = seen.ended or line:match "^ended (.+)"
      end
    end })
    directory:close()
  end)
  become(function() return seen.queries >= 2 and waiter(address, id) ~= "" end)
  return seen
end

local function signal(seen, name) assert(os.execute(("kill -%s %s"):format(name, seen.pid))) end

describe("a task that two programs await", function()
  it("is queried by one of them; the other one learns its status and its end from the ledger", function()
    open(function(s, address, _, count, task)
      local mine = await_claimed(address, task, count)
      local other <close>, theirs = counting(s, address)
      local statuses = {}
      local same = other:task(task.id)
      local fiber = omni.spawn(function()
        return assert(same:await { on_status = function(seen) statuses[#statuses + 1] = seen.status end })
      end)
      become(function() return statuses[1] == "pending" end)
      s.sandbox:advance(500)
      become(function() return task.status == "running" end)
      hurry(address)
      become(function() return statuses[2] == "running" end)
      local before = count.queries
      become(function() return count.queries > before + 20 end)
      assert.equal(0, theirs.queries)
      s.sandbox:advance(2000)
      assert.equal("success", mine:join().status)
      local ended = fiber:join()
      assert.is_string(ended.media[1])
      assert.same({ "pending", "running", "success" }, statuses)
      assert.equal(1, theirs.queries) -- for the URLs, which the ledger doesn't store
    end)
  end)

  it("is taken over at once when the program that queries it gives up", function()
    open(function(s, address, _, count, task)
      local mine = await_claimed(address, task, count)
      local other <close>, theirs = counting(s, address)
      local fiber = await(other:task(task.id))
      local claimed = waiter(address, task.id)
      become(function() return other.ledger_watch.claims.others[task.id] end)
      mine:cancel()
      become(function() return theirs.queries > 2 end)
      assert.not_equal(claimed, waiter(address, task.id))
      s.sandbox:advance(2000)
      assert.equal("success", fiber:join().status)
    end)
  end)

  it("is taken over when the program that queries it can't reach the service", function()
    open(function(s, address, one, count, task)
      local mine = await_claimed(address, task, count)
      local other <close>, theirs = counting(s, address)
      local fiber = await(other:task(task.id))
      become(function() return other.ledger_watch.claims.others[task.id] end)
      local transport = one.all_keys[1].transport
      local perform = transport.perform
      function transport.perform() return nil, { code = "network", message = "cut off", retry = true } end
      become(function() return theirs.queries > 2 end)
      transport.perform = perform
      become(function() return one.ledger_watch.claims.others[task.id] end) -- it works again, and leaves the task to the other program
      s.sandbox:advance(2000)
      assert.equal("success", fiber:join().status)
      assert.equal("success", mine:join().status)
    end)
  end)

  it("is queried by both while the ledger can't be used", function()
    open(function(s, address, _, count, task)
      local mine = await_claimed(address, task, count)
      local other <close>, theirs = counting(s, address)
      local fiber = await(other:task(task.id))
      become(function() return other.ledger_watch.claims.others[task.id] end)
      local ledger = other:ledger()
      local ask = ledger.ask
      function ledger.ask(self, verb, ...)
        if verb == "claim" then return nil, { code = "ledger_failed", message = "cut off" } end
        return ask(self, verb, ...)
      end
      hurry(address)
      become(function() return theirs.queries > 2 end)
      local before = count.queries
      become(function() return count.queries > before end)
      s.sandbox:advance(2000)
      assert.equal("success", mine:join().status)
      assert.equal("success", fiber:join().status)
    end)
  end)

  it("is taken over when the program that queries it is killed", function()
    open(function(s, address, one, count, task)
      local child = program(s, address, task.id)
      local fiber = await(task)
      become(function() return one.ledger_watch.claims.others[task.id] end)
      local before = child.queries
      become(function() return child.queries > before + 20 end)
      assert.equal(0, count.queries)
      signal(child, "KILL")
      hurry(address)
      become(function() return count.queries > 2 end)
      s.sandbox:advance(2000)
      assert.equal("success", fiber:join().status)
    end)
  end)

  it("is taken over when the program that queries it stalls, and that program continues later without harm", function()
    open(function(s, address, one, count, task)
      local child = program(s, address, task.id)
      local fiber = await(task)
      become(function() return one.ledger_watch.claims.others[task.id] end)
      signal(child, "STOP")
      let_lease_end(address, task.id)
      become(function() return count.queries > 2 end)
      signal(child, "CONT")
      -- It finds the new claim, and stops its queries.
      local last, since = child.queries, count.queries
      become(function()
        if child.queries > last then last, since = child.queries, count.queries end
        return count.queries > since + 50
      end)
      s.sandbox:advance(2000)
      assert.equal("success", fiber:join().status)
      become(function() return child.ended end)
      assert.equal("success", child.ended)
    end)
  end)
end)

describe("a key with a limit", function()
  it("doesn't make each program query the tasks of all others", function()
    studio.open({ seconds = 1000 }, function(s)
      local address = postgresql.database()
      local keys = { { key = s.sandbox.key, in_flight = 3 } }
      local one <close>, mine = counting(s, address, { keys = keys })
      local other <close>, theirs = counting(s, address, { keys = keys })
      for _ = 1, 2 do assert(one:submit(INPUT)) end
      become(function() return mine.queries > 10 end)
      assert(other:submit(INPUT)) -- it counts the tasks of the first program
      assert.equal(3, other:keys()[1].in_flight)
      local before = mine.queries
      become(function() return mine.queries > before + 100 and theirs.queries > 10 end)
      local rows = postgresql.sql(address, "SELECT count(DISTINCT waiter) FROM omni.submit WHERE id <= 2")
      assert.equal("1", rows)
      assert.equal(0, #other:ledger():ask("orphaned", { service = other.service, after = 0 }))
      local fourth = omni.spawn(function() return assert(other:submit(INPUT)) end)
      s.sandbox:advance(2000) -- their ends free the slots of both programs
      assert(fourth:join())
      assert.equal(4, s:submits())
    end)
  end)
end)
