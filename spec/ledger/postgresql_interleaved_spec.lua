-- SPDX-License-Identifier: MIT
-- Two programs use one ledger in PostgreSQL at the same moment: their statements run in every possible order. And the connection is lost
-- at every point of a verb.
local asked = require "helper.ledger"
local postgresql = require "helper.postgresql"

if not postgresql.is_there then
  return describe("PostgreSQL", function() it("isn't installed", function() pending "nothing was tried" end) end)
end

local core = require "omni.core"
local env = require "helper.env"
local proxies = require "helper.postgresql_proxy"

local ledger, once = asked.ledger, asked.once

-- Returns all orders of `a` steps of one program and `b` of another: lists of 1 and 2.
local function orders(a, b)
  if a == 0 and b == 0 then return { {} } end
  local found = {}
  for which, rest in ipairs { a > 0 and { a - 1, b } or false, b > 0 and { a, b - 1 } or false } do
    for _, order in ipairs(rest and orders(rest[1], rest[2]) or {}) do
      table.insert(order, 1, which)
      found[#found + 1] = order
    end
  end
  return found
end

-- A submit; `more` changes it.
local function submit(more)
  local params = { account = "key", model = "m", input = "{}", service = "https://s" }
  for name, value in pairs(more or {}) do params[name] = value end
  return params
end

-- Another attempt of the submit with the number 1.
local function attempt(more)
  local params = submit(more)
  params.id, params.model, params.input = 1, nil, nil
  return params
end

-- Empties the ledger's tables. Deleting a few rows is much quicker than TRUNCATE, which makes new files.
local EMPTY <const> = "DELETE FROM omni.file; DELETE FROM omni.submit; DELETE FROM omni.redo;"
  .. " DELETE FROM omni.job; SELECT setval('omni.submit_id_seq', 1, false)"

local function count(rows) return rows and #rows or 0 end

-- A verb of each program, what is in the ledger before, and a condition that must hold afterwards. `rows`: how many rows both may return.
local pairs_of_verbs <const> = {
  { "an equal scene", { "intend", submit { identity = "x" } }, { "intend", submit { identity = "x" } }, rows = 1 },
  { "the last of a budget", { "intend", submit { board = "b", budget = 10, estimate = 6, identity = "x" } },
    { "intend", submit { board = "b", budget = 10, estimate = 6, identity = "y" } }, rows = 1 },
  { "the last slot of a key", { "intend", submit { in_flight = 1 } }, { "intend", submit { in_flight = 1 } }, rows = 1 },
  { "an idempotency key", { "intend", submit { idempotency_key = "k" } }, { "intend", submit { idempotency_key = "k" } }, rows = 1 },
  { "a ledger that is new: a real submit and a rehearsal", { "intend", submit() }, { "intend", submit { sandbox = 1 } }, rows = 1 },
  { "a task that was lost", { "adopt_lost", submit { task_id = "t", identity = "x" } },
    { "adopt_lost", submit { task_id = "t", identity = "y" } }, rows = 1 },
  { "a scene: an attempt after a refusal, and a submit", { "retry", attempt { identity = "x" } },
    { "intend", submit { identity = "x" } }, rows = 1,
    before = { { "intend", submit { identity = "x" } }, { "refuse", { id = 1 } } } },
  { "a budget: an attempt after a refusal, and a submit",
    { "retry", attempt { identity = "x", board = "b", budget = 10, estimate = 6 } },
    { "intend", submit { identity = "y", board = "b", budget = 10, estimate = 6 } }, rows = 1,
    before = { { "intend", submit { identity = "x", board = "b", estimate = 6 } }, { "refuse", { id = 1 } } } },
  { "a submit with an unknown outcome, to replace it", { "intend", submit { identity = "x", instead_of = 1 } },
    { "intend", submit { identity = "x", instead_of = 1 } }, rows = 1,
    before = { { "intend", submit { identity = "x" } }, { "mark_unknown", { id = 1 } } } },
  { "a task, for two submits", { "adopt", { id = 1, task_id = "t" } }, { "adopt", { id = 2, task_id = "t" } }, rows = 1,
    before = { { "intend", submit() }, { "mark_unknown", { id = 1 } }, { "intend", submit() }, { "mark_unknown", { id = 2 } } } },
  -- The owner's answer always counts. If it came first, there is nothing to replace.
  { "a submit, to replace it and to record its answer", { "intend", submit { identity = "x", instead_of = 1 } },
    { "accept", { id = 1, task_id = "t" } }, rows = { 1, 2 },
    before = { { "intend", submit { identity = "x" } }, { "mark_unknown", { id = 1 } } },
    holds = function(handle, first, second)
      return count(second) == 1 and asked.ask(handle, "row", { id = 1 })[1].state == "accepted" and (first == nil or true)
    end },
}

describe("two programs that want", function()
  for _, case in ipairs(pairs_of_verbs) do
    local name, first, second = table.unpack(case)
    it(name .. ": one gets it, in whatever order their statements run", function()
      local tried, direct = 0, postgresql.database()
      local observer <close> = ledger.open(direct)
      assert(asked.ask(observer, "version"))
      local psql <close> = postgresql.session(direct)
      local proxy = proxies.open()
      local handles, connections, verbs = {}, {}, { first, second }
      for i = 1, 2 do
        handles[i] = ledger.open(proxy:address(direct))
        assert(proxy:ask(handles[i], "version"))
        connections[i] = proxy:latest()
      end
      local one <close> = handles[1] -- luacheck: ignore
      local two <close> = handles[2] -- luacheck: ignore
      local last <close> = proxy -- luacheck: ignore
      local function try(order)
        psql:sql(EMPTY)
        for _, verb in ipairs(case.before or {}) do assert(asked.ask(observer, verb[1], verb[2])) end
        for i = 1, 2 do
          connections[i].credit, connections[i].steps, connections[i].answered = 0, 0, 0
          handles[i]:start("me", verbs[i][1], verbs[i][2])
          proxy:wait(function() return connections[i].held[1] and connections[i].held[#connections[i].held]:sub(1, 1) == "S" end)
        end
        -- One step at a time; a step is over when PostgreSQL has answered it, or makes it wait for a lock.
        for _, which in ipairs(order) do
          local connection = connections[which]
          connection.credit = 1
          proxy:wait(function() return connection.steps > 0 and connection.credit == 0 end)
          local turn = 0
          proxy:wait(function()
            turn = turn + 1
            return connection.answered >= connection.steps
              or turn > 1 and psql:sql("SELECT wait_event_type FROM pg_stat_activity WHERE pid = " .. connection.pid) == "Lock"
          end)
        end
        local results = {}
        for i = 1, 2 do
          connections[i].credit = math.huge
          results[i] = proxy:wait(function() return proxy:finished(handles[i]) end)
          assert.is_nil(results[i].failure and results[i].failure.message)
        end
        local rows = count(results[1].rows) + count(results[2].rows)
        local allowed = type(case.rows) == "table" and case.rows or { case.rows, case.rows }
        assert.is_true(rows >= allowed[1] and rows <= allowed[2],
          ("%d rows in the order %s"):format(rows, table.concat(order)))
        if case.holds then assert.is_true(case.holds(observer, results[1].rows, results[2].rows)) end
        tried = tried + 1
      end
      -- A verb with limits has two statements or three, and the commit.
      local function steps(verb) return verb[1] == "accept" and 2 or verb[2].instead_of and 4 or 3 end
      for _, order in ipairs(orders(steps(first), steps(second))) do try(order) end
      assert.is_true(tried >= 15)
    end)
  end
end)

describe("a verb whose connection is lost", function()
  -- A submit's verbs. Each takes so many `steps`, after any of which its connection may be lost.
  local story <const> = {
    { "intend", submit { identity = "x", budget = 10, board = "b", in_flight = 2, estimate = 1 }, steps = 3 },
    { "refuse", { id = 1, error = "e" }, steps = 2 },
    { "retry", attempt { identity = "x", budget = 10, board = "b", in_flight = 2, estimate = 1 }, steps = 3 },
    { "accept", { id = 1, task_id = "t" }, steps = 2 },
    { "status", { id = 1, status = "running" }, steps = 3 },
    { "finish", { id = 1, state = "success", credits = 5, media = 1 }, steps = 2 },
    { "remember_file", { id = 1, number = 1, path = "/f", sha256 = "s", size = 3 }, steps = 2 },
    { "expire", { id = 1 }, steps = 2 },
    { "forget", { id = 1 }, steps = 2 },
    { "begin_redo", { board = "b", base = "c" }, steps = 2 },
    { "end_redo", { board = "b" }, steps = 2 },
    { "row", { id = 1 }, steps = 2 },
    { "add_job", { service = "s", board = "b", manifest = "{}", budget = 1 }, steps = 2 },
    { "take_job", { service = "s", worker = "w" }, steps = 2 },
    { "end_job", { job = true, state = "done", film = "f" }, steps = 2 },
  }
  -- All but numbers of rows, times and sessions. A transaction that was undone may have used up a number.
  local function rows_of(psql)
    return psql:sql [[SELECT state, task_id, status, credits, error FROM omni.submit;
      SELECT number, sha256 FROM omni.file; SELECT board FROM omni.redo;
      SELECT state, worker, film FROM omni.job]]
  end

  -- Runs the verbs one after the other. Every second one, beginning with the verb number `first`, loses its connection after `at` steps.
  local function tell(direct, psql, first, at, how)
    psql:sql(EMPTY)
    local proxy = proxies.open()
    local handle <close> = ledger.open(proxy:address(direct))
    local last <close> = proxy -- luacheck: ignore
    assert(proxy:ask(handle, "version"))
    local said, id, job = {}, nil, nil
    for i, verb in ipairs(story) do
      local params = {}
      for name, value in pairs(verb[2]) do params[name] = name == "id" and id or value end
      if params.job then params.job, params.id = nil, job end
      local connection = proxy:latest()
      if first and i % 2 == first % 2 and at <= verb.steps then
        connection.credit, connection.deaf = at, true -- what PostgreSQL answers is lost
        connection.answered = 0
        handle:start("me", verb[1], params)
        proxy:wait(function() return connection.credit == 0 and connection.answered >= at or connection.held[1] and at == 0 end)
        if how == "the server ends it" then
          psql:sql(("SELECT pg_terminate_backend(%d)"):format(connection.pid))
        elseif how == "it is cut" then
          connection:close()
        else -- only the client notices that; the server's end stays open
          connection.client:close()
          connection.closed = true
        end
      else
        handle:start("me", verb[1], params)
      end
      local result = proxy:wait(function() return proxy:finished(handle) end)
      assert.is_nil(result.failure and result.failure.message)
      id = id or result.rows[1].id
      if verb[1] == "add_job" then job = result.rows[1].id end
      said[i] = ("%s %s"):format(verb[1], result.rows[1] and result.rows[1].id == (job or id))
    end
    return table.concat(said, "\n") .. "\n" .. rows_of(psql)
  end

  for _, how in ipairs { "it is cut", "the server ends it", "only the client notices" } do
    it("has its effect once, and returns what it always returns, wherever that happens: " .. how, function()
      local direct = postgresql.database()
      once(direct)
      local psql <close> = postgresql.session(direct)
      local expected = tell(direct, psql)
      assert.matches("\nforgotten|t|", expected, 1, true)
      for at = 0, 3 do
        for first = 1, 2 do assert.equal(expected, tell(direct, psql, first, at, how), ("after %d steps"):format(at)) end
      end
    end)
  end

  it("leaves no intent behind when the ledger stays away for so long that the verb fails", function()
    for _, at in ipairs { 0, 3 } do -- before anything was sent, and after the commit
      local direct = postgresql.database()
      local proxy = proxies.open()
      local handle <close> = ledger.open(proxy:address(direct, 1))
      assert(proxy:ask(handle, "version"))
      local connection = proxy:latest()
      connection.credit, connection.answered, connection.deaf = at, 0, true
      handle:start("me", "intend", submit { identity = "x", in_flight = 9 })
      proxy:wait(function() return connection.credit == 0 and connection.answered >= at or connection.held[1] and at == 0 end)
      proxy:close() -- nobody listens there any longer
      local _, _, failure = asked.take(handle)
      assert.equal("ledger_failed", failure.code)
      assert.matches("can't be reached", failure.message, 1, true)
      local again <close> = proxies.open()
      assert.same({}, again:ask(handle, "open"))
      local row = again:ask(handle, "row", { id = 1 })[1]
      assert.is_true(row == nil or row.state == "refused")
      assert.equal(1, count(again:ask(handle, "intend", submit { identity = "x" })))
    end
  end)

  it("waits for the ledger if it records what has happened; other verbs fail meanwhile, and none overtakes it", function()
    local direct = postgresql.database()
    local proxy = proxies.open()
    local handle <close> = ledger.open(proxy:address(direct, 1))
    assert.equal(1, proxy:ask(handle, "intend", submit { identity = "x" })[1].id)
    proxy:close()
    handle:start("answer", "accept", { id = 1, task_id = "t" })
    handle:start("other", "intend", submit { identity = "y" })
    handle:start("end", "finish", { id = 1, state = "success", credits = 4 })
    local owner, _, failure = asked.take(handle)
    assert.equal("other", owner)
    assert.matches("can't be reached", failure.message, 1, true)
    assert.matches("can't be reached", handle:trouble().message, 1, true)
    assert.equal(2, handle:busy())
    local again <close> = proxies.open()
    for _, expected in ipairs { "answer", "end" } do
      local found = again:wait(function()
        handle:step()
        local who, rows = handle:finished()
        return who and { who, rows }
      end)
      assert.same({ expected, { { id = 1 } } }, found)
    end
    again:wait(function() return not handle:trouble() end)
    local row = again:ask(handle, "row", { id = 1 })[1]
    assert.same({ "success", "t", 4.0 }, { row.state, row.task_id, row.credits })
    assert.equal(1, #again:ask(handle, "by_identity", { identity = "x", service = "https://s" }))
  end)

  it("that waits fails at last when the ledger is closed", function()
    local direct = postgresql.database()
    local proxy = proxies.open()
    local handle = ledger.open(proxy:address(direct, 1))
    assert.equal(1, proxy:ask(handle, "intend", submit { identity = "x" })[1].id)
    proxy:close()
    handle:start("answer", "accept", { id = 1, task_id = "t" })
    handle:close()
    local owner, rows, failure = handle:finished()
    assert.same({ "answer", "ledger_failed" }, { owner, failure.code })
    assert.is_nil(rows)
  end)
end)

describe("a program whose connection was lost", function()
  it("counts as open again soon, without running a verb", function()
    local direct = postgresql.database()
    local observer <close> = ledger.open(direct)
    local handle <close> = ledger.open(direct .. "&connect_timeout=1")
    assert.equal(1, asked.intend(handle, "x"))
    postgresql.sql(direct, [[SELECT pg_terminate_backend(pid) FROM pg_locks
      JOIN omni.session ON classid::bigint << 32 | objid::bigint = number
      WHERE locktype = 'advisory' AND number = (SELECT session FROM omni.submit)]])
    local function state() return asked.ask(observer, "row", { id = 1 })[1].state end
    local deadline = core.now() + env.seconds(30)
    while state() ~= "intended" do assert(core.now() < deadline) end
    assert.same({ { id = 1 } }, asked.ask(handle, "accept", { id = 1, task_id = "t" }))
  end)

  it("records its answer all the same, although others took its submit for unknown", function()
    local direct = postgresql.database()
    local observer <close> = ledger.open(direct)
    local proxy = proxies.open()
    local handle <close> = ledger.open(proxy:address(direct))
    assert.equal(1, proxy:ask(handle, "intend", submit { identity = "x" })[1].id)
    proxy:close()
    local deadline = core.now() + env.seconds(30)
    while asked.ask(observer, "row", { id = 1 })[1].state ~= "unknown" do assert(core.now() < deadline) end
    assert.same({}, asked.ask(observer, "intend", submit { identity = "x" }))
    local again <close> = proxies.open()
    assert.same({ { id = 1 } }, again:ask(handle, "accept", { id = 1, task_id = "t" }))
    assert.equal("accepted", asked.ask(observer, "row", { id = 1 })[1].state)
  end)

  it("goes on after the server was restarted", function()
    for _, how in ipairs { "fast", "immediate" } do
      local direct = postgresql.database()
      local handle <close> = ledger.open(direct)
      assert.equal(1, asked.intend(handle, "x"))
      postgresql.stop(how)
      handle:start("answer", "accept", { id = 1, task_id = "t" })
      postgresql.start()
      local owner, rows = asked.take(handle)
      assert.same({ "answer", { { id = 1 } } }, { owner, rows })
      assert.equal("accepted", asked.ask(handle, "row", { id = 1 })[1].state)
      assert.is_nil(asked.intend(handle, "x"))
    end
  end)
end)
