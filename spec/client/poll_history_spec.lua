-- SPDX-License-Identifier: MIT
-- How long earlier tasks took, according to the ledger and to this program's own tasks, and how that changes the poll schedule.
local answers = require "helper.answers"
local asked = require "helper.ledger"
local core = require "omni.core"
local env = require "helper.env"
local history = require "omni.client.poll_history"
local hostile = require "helper.hostile"
local omni = require "omni"
local polling = require "omni.client.poll_schedule"
local records = require "omni.ledger"
local studio = require "helper.studio"

local INPUT <const> = { duration = 8, resolution = "720p" }

-- Writes a task that has ended into the ledger: `more` is what the service said of it.
local function ended(handle, input, more)
  local id = asked.intend(handle, nil, { input = input })
  asked.ask(handle, "accept", { id = id, task_id = "t" .. id })
  local params = { id = id, state = "success" }
  for name, value in pairs(more) do params[name] = value end
  assert(asked.ask(handle, "finish", params)[1])
end

-- A ledger with these tasks of the model "m": { input (JSON), what the service said }.
local function ledger_of(directory, list)
  local path = directory:file "l.db"
  local handle <close> = require("omni.ledger_sqlite").open(path)
  for _, one in ipairs(list) do ended(handle, one[1], one[2]) end
  return path
end

-- Calls `body(history)` in the loop, with this ledger.
local function opened(path, body)
  omni.run(function()
    local book <close> = assert(records.open(path))
    body(history.new { poll_min = 2, poll_max = 30, own_ledger = book }, book)
  end)
end

-- Turns the loop until the ledger has answered what was asked before.
local function settled(book)
  omni.sleep(0) -- until it was asked
  assert(book:ask "version")
end

local function first_wait(past, kind)
  return polling.next_query(0, past:plan { submitted = kind }, 0.5)
end

describe("the history of a kind of task", function()
  it("comes from the ledger, for the same model, length and resolution only", function()
    local directory <close> = env.directory()
    local list = {}
    for i = 1, 12 do list[i] = { '{"prompt":"a","duration":8,"resolution":"720p"}', { created_at = 1000, completed_at = 1007 + i % 3 } } end
    list[13] = { '{"duration":4,"resolution":"720p"}', { created_at = 1000, completed_at = 1200 } }
    list[14] = { '{"duration":8}', { created_at = 1000, completed_at = 1200 } }
    opened(ledger_of(directory, list), function(past, book)
      local kind, longer = past:kind("m", INPUT), past:kind("m", { duration = 4, resolution = "720p" })
      local other, bare = past:kind("other", INPUT), past:kind("m", { duration = 8 })
      local before = first_wait(past, kind) -- until the ledger has answered nothing is known
      assert.equal(first_wait(past, nil), before)
      settled(book)
      assert.equal(12, #kind.seconds)
      assert.same({ 200 }, longer.seconds)
      assert.same({ 200 }, bare.seconds)
      assert.same({}, other.seconds)
      assert.is_true(first_wait(past, kind) < 10 and before > 15)
      assert.equal(before, first_wait(past, other))
    end)
  end)

  it("is read once, however many such tasks there are", function()
    local directory <close> = env.directory()
    local path = ledger_of(directory, { { '{"duration":8,"resolution":"720p"}', { created_at = 1000, completed_at = 1090 } } })
    opened(path, function(past, book)
      local kind = past:kind("m", INPUT)
      for _ = 1, 10 do assert.equal(kind, past:kind("m", { duration = 8, resolution = "720p", prompt = "another" })) end
      settled(book)
      assert.same({ 90 }, kind.seconds)
    end)
  end)

  it("is the service's time from creation to end, else its duration; nonsense and failures don't count", function()
    local directory <close> = env.directory()
    local path = ledger_of(directory, {
      { "{}", { created_at = 1000, completed_at = 1090, seconds = 70 } },
      { "{}", { seconds = 50 } },
      { "{}", { created_at = 1000, completed_at = 900 } },
      { "{}", { created_at = 0, completed_at = 1768900378 } },
      { "{}", {} },
      { "{}", { state = "failed", seconds = 3 } },
    })
    opened(path, function(past, book)
      local kind = past:kind("m", {})
      settled(book)
      assert.same({ 90, 50 }, kind.seconds)
    end)
  end)

  it("is the last hundred tasks", function()
    local directory <close> = env.directory()
    local path = ledger_of(directory, { { "{}", { seconds = 1 } } })
    asked.sqlite3(path, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150)"
      .. " INSERT INTO submit (account, model, input, state, session, intended_at, seconds)"
      .. " SELECT account, model, input, state, session, intended_at, 100 + i FROM submit, n")
    opened(path, function(past, book)
      local kind = past:kind("m", {})
      settled(book)
      assert.equal(100, #kind.seconds)
      assert.equal(250, kind.seconds[100])
      past:learn { submitted = kind, status = "success", duration = 7, since = core.now() - 60 }
      assert.equal(100, #kind.seconds)
      assert.equal(7, kind.seconds[1]) -- in place of the oldest
      assert.equal(152, kind.seconds[2])
    end)
  end)

  it("accepts inputs of any shape", function()
    local past = history.new { poll_min = 2, poll_max = 30 }
    local odd = past:kind("m", { duration = { 1 }, resolution = true })
    assert.equal(odd, past:kind("m", {}))
    assert.not_equal(past:kind("m", { duration = "8" }), past:kind("m", { resolution = "8" }))
  end)
end)

describe("a task of this program", function()
  it("adds to the history when it has succeeded, and not before", function()
    local past = history.new { poll_min = 2, poll_max = 30 }
    local kind = past:kind("m", INPUT)
    local before = first_wait(past, kind)
    local function note(task)
      task.submitted, task.since = kind, core.now() - 1000
      past:learn(task)
    end
    note { status = "running", created_at = 1000, completed_at = 1008 }
    note { status = "failed", created_at = 1000, completed_at = 1008 }
    note { status = "success" }
    note { status = "success", created_at = 1008, completed_at = 1000 }
    past:learn { status = "success", created_at = 1000, completed_at = 1008, since = core.now() } -- taken up by its id
    assert.same({}, kind.seconds)
    for _ = 1, 5 do note { status = "success", created_at = 1000, completed_at = 1008 } end
    note { status = "success", duration = 9 }
    assert.same({ 8, 8, 8, 8, 8, 9 }, kind.seconds)
    assert.is_true(first_wait(past, kind) < before - 5)
  end)

  it("counts no longer than it is known, whatever the service's clock says", function()
    local past = history.new { poll_min = 2, poll_max = 30 }
    local kind = past:kind("m", {})
    past:learn { submitted = kind, status = "success", created_at = 0, completed_at = 3600, since = core.now() - 5 }
    assert.is_true(kind.seconds[1] < 6)
  end)

  it("adds to the history once, also in a client without a ledger", function()
    studio.open({ seconds = 0.05 }, function(s)
      local client <close> = s:new_client { ledger = false }
      local task = assert(client:submit { prompt = "a", duration = 8, resolution = "720p" })
      assert(task:await())
      assert(task:refresh())
      local again = assert(client:task(task.id))
      assert(again:await())
      assert.equal(1, #task.submitted.seconds)
      local second = assert(client:submit { prompt = "b", duration = 8, resolution = "720p" })
      assert.equal(task.submitted, second.submitted)
      assert.is_nil(again.submitted)
    end)
  end)

  it("isn't queried while no such task was ever ready so early", function()
    local directory <close> = env.directory()
    local list = {}
    for i = 1, 60 do list[i] = { '{"duration":8}', { created_at = 1000, completed_at = 1085 + i % 11 } } end
    local path = ledger_of(directory, list)
    asked.sqlite3(path, "UPDATE submit SET model = 'google/gemini-omni'")
    local server <close> = hostile.start()
    server:script { POST = { { answers.accepted() }, { answers.accepted "another" } }, GET = { { answers.running() } } }
    local client <close> = assert(answers.client(server.url, { ledger = path, poll_min = 2, poll_max = 30 }))
    omni.run(function()
      local short = assert(client:submit { prompt = "a", duration = 4 })
      local long = assert(client:submit { prompt = "b", duration = 8 })
      short.since, long.since = short.since - 25, long.since - 25
      local waiting = omni.spawn(long.await, long)
      assert.equal("timeout", select(2, short:await { timeout = 0.3 }).code)
      waiting:cancel()
    end)
    local queries = server:requests "GET"
    assert.equal(1, #queries)
    assert.is_truthy(queries[1].target:find(answers.ID, 1, true)) -- of the kind of which nothing is known
  end)

  it("is queried at once if it is awaited after the time of its next query", function()
    local server <close> = hostile.start()
    server:script { POST = { { answers.accepted() } }, GET = { { answers.running() } } }
    local client <close> = assert(answers.client(server.url, { ledger = false, poll_min = 5, poll_max = 30 }))
    local task = assert(client:submit { prompt = "a" })
    task.since = task.since - 100
    local problem = select(2, pcall(task.await, task, { timeout = env.seconds(4), on_status = function(t)
      if t.status == "running" then error { seen = true } end
    end }))
    assert.is_table(problem)
    assert.equal(1, #server:requests "GET")
  end)
end)

describe("a task that was made from its id", function()
  it("has the age that the service reports", function()
    local server <close> = hostile.start()
    local function queries_within(body)
      server:script { GET = { { hostile.json(body) } } }
      local client <close> = assert(answers.client(server.url, { ledger = false, poll_min = 0.02, poll_max = 30 }))
      local task = assert(client:task(answers.ID))
      assert.equal("timeout", select(2, task:await { timeout = 0.3 }).code)
      return #server:requests "GET"
    end
    local old = answers.envelope(answers.task "running")
    assert.equal(1, queries_within(old))
    assert.is_true(queries_within((old:gsub('"create_at":%d+', '"create_at":null'))) > 1)
    assert.is_true(queries_within((old:gsub('"create_at":%d+', '"create_at":99999999999'))) > 1) -- its clock is wrong
  end)
end)
