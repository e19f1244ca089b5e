-- SPDX-License-Identifier: MIT
-- An application finds its submits again after a restart: by tag, or because they have no end yet.
local answers = require "helper.answers"
local asked = require "helper.ledger"
local env = require "helper.env"
local hostile = require "helper.hostile"
local omni = require "omni"

-- Calls `body(open, path, server)` with a server that accepts each submit as another task.
local function with_orders(body)
  local directory <close> = env.directory()
  local server <close> = hostile.start()
  local turns = {}
  for i = 1, 9 do turns[i] = { answers.accepted("task-" .. i) } end
  turns[4] = { hostile.close() }
  turns[5] = { hostile.json(answers.envelope("null", 422, "no, sorry")) }
  server:script { POST = turns, GET = { { answers.running() } } }
  local path, clients = directory:file "orders.db", {}
  body(function()
    clients[#clients + 1] = assert(answers.client(server.url, { ledger = path }))
    return clients[#clients]
  end, path, server)
  for _, client in ipairs(clients) do client:close() end
end

local function states(entries)
  local found = {}
  for i, entry in ipairs(entries) do found[i] = entry.state end
  return found
end

local function unfinished(client)
  local found = {}
  for entry in client:unfinished() do found[#found + 1] = entry end
  return found
end

describe("client:find", function()
  it("returns all submits with a tag, with their state, task, error and input, also after a restart", function()
    with_orders(function(open)
      local client = open()
      for i = 1, 5 do client:submit({ prompt = "part " .. i, duration = 4 }, { tag = i ~= 2 and "order 17" or "order 18" }) end
      client:close()
      client = open()
      local found = assert(client:find { tag = "order 17" })
      assert.same({ "accepted", "accepted", "unknown", "refused" }, states(found))
      assert.equal("task-1", found[1].task.id)
      assert.same({ prompt = "part 1", duration = 4 }, found[1].input)
      assert.equal("integer", math.type(found[1].input.duration))
      assert.same({ 1, "google/gemini-omni", "order 17" }, { found[1].row, found[1].model, found[1].tag })
      assert.is_true(math.abs(found[1].at - os.time()) < env.seconds(60))
      assert.same({ "submit_unknown", 4 }, { found[3].error.code, found[3].error.row })
      assert.is_nil(found[3].task)
      assert.equal("invalid_request", found[4].error.code)
      assert.same({}, client:find { tag = "order 19" })
    end)
  end)

  it("returns the submits with an idempotency key", function()
    with_orders(function(open)
      local client = open()
      assert(client:submit({ prompt = "a" }, { tag = "order 17", idempotency_key = "order-17" }))
      local found = assert(client:find { idempotency_key = "order-17" })
      assert.same({ "order 17", "order-17", "task-1" }, { found[1].tag, found[1].idempotency_key, found[1].task.id })
      assert.is_nil(found[2])
    end)
  end)

  it("raises at the caller's line unless it gets one of both, and without a ledger", function()
    with_orders(function(open)
      local client = open()
      local none <close> = assert(answers.client("http://127.0.0.1:9", { ledger = false }))
      local function misuse(pattern, of, ...)
        local given = table.pack(...)
        local fine, problem = pcall(function() of:find(table.unpack(given, 1, given.n)) end)
        assert.is_false(fine)
        assert.matches("^spec/client/ledger_search_spec.lua:%d+: client:find" .. pattern, problem)
      end
      misuse(": expected one of 'tag' and 'idempotency_key'", client)
      misuse(": expected one of", client, { tag = "a", idempotency_key = "b" })
      misuse(": unknown option 'tags'", client, { tags = "a" })
      misuse(": option 'tag' must be", client, { tag = 17 })
      misuse(" needs a ledger", none, { tag = "a" })
    end)
  end)
end)

describe("client:unfinished", function()
  it("iterates over the tasks in flight and the unknown outcomes of programs, not of boards", function()
    with_orders(function(open, path, server)
      local client = open()
      for i = 1, 6 do client:submit { prompt = "part " .. i } end
      local function board(state, more)
        local params = { account = "a", model = "m", input = "{}", service = server.url, identity = state, board = "/b.lua" }
        for name, value in pairs(more or {}) do params[name] = value end
        return asked.once(path, "intend", params)
      end
      board "of a board"
      assert(asked.once(path, "finish", { service = server.url, task_id = "task-2", state = "success", status = "success" }))
      assert.same({ "accepted", "accepted", "unknown", "accepted" }, states(unfinished(client)))
      client:close()

      local found = unfinished(open())
      assert.same({ 1, 3, 4, 6 }, { found[1].row, found[2].row, found[3].row, found[4].row })
      assert.equal("task-6", found[4].task.id)
    end)
  end)

  it("reads the ledger a page at a time, and may await each task on the way", function()
    with_orders(function(open, path, server)
      local rows = asked.once(path)
      assert.truthy(rows)
      asked.sqlite3(path, ([[
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250)
        INSERT INTO submit (account, service, model, input, state, session, task_id, intended_at)
        SELECT 'a', '%s', 'm', '{"prompt":"' || i || '"}', 'accepted', 0, 't' || i, 0 FROM n]]):format(server.url))
      omni.run(function()
        local count = 0
        for entry in open():unfinished() do
          count = count + 1
          assert.equal(tostring(count), entry.input.prompt)
          if count % 50 == 0 then omni.sleep(0) end
        end
        assert.equal(250, count)
      end)
    end)
  end)

  it("raises an error value when the ledger can't be read", function()
    local directory <close> = env.directory()
    local path = env.write(directory:file "l.db", "this is no database, but it is long enough to be taken for one")
    env.output("chmod 600 " .. env.quote(path))
    local client <close> = assert(answers.client("http://127.0.0.1:9", { ledger = path }))
    local fine, problem = pcall(function()
      for _ in client:unfinished() do error "none" end
    end)
    assert.is_false(fine)
    assert.is_true(omni.is_error(problem))
    assert.equal("ledger_failed", problem.code)
  end)
end)
