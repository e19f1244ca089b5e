-- SPDX-License-Identifier: MIT
-- The client and its tasks against the sandbox, over a real socket.
local answers = require "helper.answers"
local core = require "omni.core"
local env = require "helper.env"
local json = require "omni.json"
local omni = require "omni"
local studio = require "helper.studio"

local sandbox, client
local INPUT <const> = { prompt = "A lighthouse at dusk.", duration = 4 }

local function open(faults, options, seconds)
  sandbox = assert(omni.sandbox { seconds = seconds or 0.2, clips = "builtin", faults = faults })
  options = options or {}
  options.base_url, options.api_key = sandbox.url, sandbox.key
  options.poll_min, options.retry_min = options.poll_min or 0.02, options.retry_min or 0.01
  client = assert(omni.client(options))
end

after_each(function()
  if client then client:close() end
  if sandbox then sandbox:close() end
  client, sandbox = nil, nil
end)

describe("a submitted task", function()
  it("can be awaited outside and inside of omni.run, and has all its fields", function()
    open()
    local task = assert(client:submit(INPUT))
    assert.equal("pending", task.status)
    assert.equal("google/gemini-omni", task.model)
    local seen = {}
    assert.equal(task, assert(task:await { on_status = function(t) seen[#seen + 1] = t.status end }))
    assert.equal("pending", seen[1])
    assert.equal("success", seen[#seen])
    assert.is_true(task:done())
    assert.equal("integer", math.type(task.created_at))
    assert.is_true(task.completed_at >= task.created_at)
    assert.is_number(task.duration)
    assert.equal(sandbox:ledger().tasks[1].credits, task.credits)
    assert.equal(1, #task.media)
    assert.is_nil(task.error)
    assert.equal("Google", task.raw.provider)
    assert.equal(INPUT.prompt, task.raw.param.input.prompt)
  end)

  it("is passed to on_status once for each status", function()
    open()
    local task, seen = assert(client:submit(INPUT)), {}
    task:await { on_status = function(t) seen[t.status] = (seen[t.status] or 0) + 1 end }
    for status, count in pairs(seen) do assert.equal(1, count, status) end
  end)

  it("is saved completely, under its name and no other", function()
    open()
    local directory <close> = env.directory()
    local task = assert(assert(client:submit(INPUT)):await())
    local path, bytes = assert(task:save(directory:file "dawn.mp4"))
    assert.equal(directory:file "dawn.mp4", path)
    assert.equal(bytes, #env.read(path))
    assert.equal("ftyp", env.read(path):sub(5, 8))
    assert.same({ "dawn.mp4" }, directory:names())
  end)

  it("can't be saved before it is over, nor with the number of a file that it doesn't have", function()
    open()
    local task = assert(client:submit(INPUT))
    local _, early = task:save("/tmp/never.mp4")
    assert.equal("not_done", early.code)
    task:await()
    local _, wrong = task:save("/tmp/never.mp4", { index = 2 })
    assert.equal("invalid_input", wrong.code)
    assert.is_nil(core.stat("/tmp/never.mp4"))
  end)

  it("that fails has a reason and a cost, and awaiting it returns no error", function()
    open { "fail" }
    local task = assert(assert(client:submit(INPUT)):await())
    assert.equal("failed", task.status)
    assert.equal("generation_failed", task.error.code)
    assert.equal(task.id, task.error.task_id)
    assert.is_number(task.credits)
    local _, problem = task:save("/tmp/never.mp4")
    assert.equal("generation_failed", problem.code)
  end)

  it("that never ends gives an error with its id at the deadline, and can be awaited again", function()
    open({ "never:first=1" }, { poll_min = 0.01 })
    local task = assert(client:submit(INPUT))
    local started = core.now()
    local none, problem = task:await { timeout = 0.1 }
    assert.is_nil(none)
    assert.is_true(core.now() - started >= 0.1)
    assert.equal("timeout", problem.code)
    assert.equal(task.id, problem.task_id)
    assert.equal(task.status, problem.task_status)
    assert.matches("its last status was '" .. task.status, problem.message, 1, true)
    assert.truthy(tostring(problem):find(task.id, 1, true))
    local handle = assert(client:task(task.id))
    assert.equal(("task %s (not queried yet)"):format(task.id), tostring(handle))
    local again = assert(handle:refresh())
    assert.equal(("task %s (running)"):format(task.id), tostring(again))
    assert.equal("running", again.status)
    assert.equal(1, sandbox:ledger().submits)
  end)

  it("has reserved credits while it runs, and a cost when it is over", function()
    open({ "never:first=1" })
    local task = assert(assert(client:submit(INPUT)):refresh())
    assert.same({ nil, 40 }, { task.credits, task.reserved_credits })
    task = assert(assert(client:submit(INPUT)):await())
    assert.same({ 40, nil }, { task.credits, task.reserved_credits })
  end)

  it("gives each waiting fiber an error of its own", function()
    open({ "status-401:on=query" })
    local task, found = assert(client:submit(INPUT)), {}
    omni.run(function()
      for i = 1, 3 do
        omni.spawn(function()
          found[i] = select(2, task:await())
          found[i].hint = "mine " .. i
        end)
      end
    end)
    for i = 1, 3 do assert.same({ "unauthorized", "mine " .. i, task.id }, { found[i].code, found[i].hint, found[i].task_id }) end
    -- The same is true for joining a failed fiber, and for saving a failed task.
    local fiber = omni.spawn(function() error(found[1], 0) end)
    local first, second = select(2, pcall(fiber.join, fiber)), select(2, pcall(fiber.join, fiber))
    assert.equal(found[1], first)
    assert.are_not.equal(first, second)
    assert.same({ first.code, first.hint }, { second.code, second.hint })
  end)

  it("that failed gives each caller of save an error of its own", function()
    open { "fail" }
    local task = assert(assert(client:submit(INPUT)):await())
    local _, problem = task:save "/tmp/never.mp4"
    problem.message = "changed"
    assert.matches("^the generation failed: the sandbox was asked", task.error.message)
  end)

  it("that the account can't pay has the balance in its error", function()
    sandbox = assert(omni.sandbox { seconds = 0, clips = "builtin", credits = 12.5 })
    client = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key })
    local _, problem = client:submit(INPUT)
    assert.same({ "insufficient_credits", 12.5 }, { problem.code, problem.balance })
    assert.matches("the account has 12.50 credits", problem.hint, 1, true)
  end)

  it("is charged once, however often it is queried", function()
    open()
    omni.run(function()
      local task = assert(client:submit(INPUT))
      for _ = 1, 10 do omni.spawn(function() assert(task:await()) end) end
    end)
    assert.equal(1, sandbox:ledger().submits)
  end)
end)

describe("many tasks", function()
  it("are awaited at the same time", function()
    open(nil, { max_connections = 4 }, 3600)
    omni.run(function()
      local count = 0
      for _ = 1, 20 do
        omni.spawn(function()
          local task = assert(client:submit(INPUT))
          count = count + 1
          assert.equal("success", assert(task:await()).status)
        end)
      end
      studio.become(function() return count == 20 end) -- none of which has ended
      sandbox:advance(7200)
    end)
    assert.equal(20, sandbox:ledger().submits)
  end)
end)

describe("a fiber that is cancelled", function()
  it("aborts its request", function()
    open { "slow:on=query,delay=3600" }
    omni.run(function()
      local task = assert(client:submit(INPUT))
      local fiber = omni.spawn(function() task:refresh() end)
      omni.sleep(0.05)
      assert.is_true(client.all_keys[1].transport.http:busy())
      fiber:cancel()
      assert.is_false(client.all_keys[1].transport.http:busy())
    end)
  end)
end)

describe("a call that fails for the moment", function()
  it("is repeated: a query after 429, 455, 500, garbage and cut connections", function()
    open({ "status-429:on=query,first=1", "envelope-429:on=query,first=1", "envelope-500:on=query,first=1",
      "garbage:on=query,first=1", "drop-before:on=query,first=1", "cut:on=query,first=1" }, { retry_max = 0.05 })
    assert.equal("success", assert(assert(client:submit(INPUT)):await { timeout = env.seconds(20) }).status)
  end)

  it("is repeated: a submit that was refused for the moment, and it is charged once", function()
    open({ "status-429:on=submit,first=2", "envelope-429:on=submit,first=3" }, { retry_max = 0.05 })
    assert(client:submit(INPUT))
    assert.equal(1, sandbox:ledger().submits)
  end)

  it("returns its failure after retry_for seconds, with the wait that the service asked for", function()
    open({ "status-429:on=submit,retry_after=7" }, { retry_for = 0 })
    local task, problem = client:submit(INPUT)
    assert.is_nil(task)
    assert.equal("rate_limited", problem.code)
    assert.equal(429, problem.status)
    assert.equal(7, problem.retry_after)
    assert.equal("answered", problem.sent)
    assert.equal(0, sandbox:ledger().submits)
  end)

  it("counts a Retry-After that is a date from the answer's own Date, whatever this machine's clock says", function()
    local hostile = require "helper.hostile"
    local server <close> = hostile.start()
    local function asked(...)
      server:script { GET = { { hostile.answer("429 Slow", '{"code":429,"message":"no"}', { ... }) } } }
      local _, problem = answers.client(server.url, { pause_for = 0 }):call("GET", "/x")
      return problem.retry_after
    end
    local date = "Date: Mon, 05 Jan 2015 10:00:00 GMT"
    assert.equal(2, asked(date, "Retry-After: Mon, 05 Jan 2015 10:00:02 GMT"))
    assert.equal(3600, asked(date, "Retry-After: Monday, 05-Jan-15 11:00:00 GMT")) -- the older form of such dates
    assert.equal(0, asked(date, "Retry-After: Mon, 05 Jan 2015 09:00:00 GMT"))
    assert.equal(0, asked("Retry-After: Mon, 05 Jan 2015 10:00:02 GMT"))
    assert.equal(1.5, asked(date, "Retry-After: 1.5"))
    assert.equal(7, asked(date, "Retry-After: 7.0"))
    assert.equal("integer", math.type(asked("Retry-After: 7")))
    assert.equal(1e9, asked("Retry-After: " .. ("9"):rep(400)))
    for _, odd in ipairs { "soon", "-1", "1.2.3", "1,5", "0x10", "" } do assert.is_nil(asked(date, "Retry-After: " .. odd)) end
  end)

  it("obeys a Retry-After that is a date", function()
    open({ "status-429:on=balance,retry_after=date" }, { retry_for = 0 })
    local _, problem = client:balance()
    assert.is_true(problem.retry_after >= 0 and problem.retry_after < 60)
  end)

  it("waits at least as long as the service asks", function()
    open { "status-429:on=balance,first=1,retry_after=1" }
    local started = core.now()
    assert(client:balance())
    assert.is_true(core.now() - started >= 1)
  end)

  it("is never repeated if it is a submit with an unknown outcome", function()
    open { "drop-after:on=submit" }
    local task, problem = client:submit(INPUT)
    assert.is_nil(task)
    assert.equal("submit_unknown", problem.code)
    assert.equal("maybe", problem.sent)
    assert.equal(1, sandbox:ledger().submits)
  end)
end)

describe("a client", function()
  it("returns the balance and the price, and neither costs anything", function()
    open()
    local balance = assert(client:balance())
    local price = assert(client:estimate(INPUT))
    assert.equal(balance, price.balance)
    assert.is_true(price.affordable)
    assert.equal(balance, client:balance())
    assert(client:submit(INPUT))
    assert.equal(balance - price.credits, client:balance())
  end)

  it("makes any other call, but a submit only through submit, however its path is spelled", function()
    open()
    assert.is_number(assert(client:call("GET", "/api/v1/client/account/balance")).balance)
    local _, problem = client:call("GET", "/api/v1/client/no/such/thing")
    assert.equal("not_found", problem.code)
    for _, path in ipairs { "CreateTask", "createtask", "./CreateTask", "%43reateTask", "Create%54ask?x=1" } do
      assert.has_error(function() client:call("POST", "/api/v1/client/job/" .. path, {}) end)
    end
    assert.equal(0, sandbox:ledger().submits)
  end)

  it("returns whole numbers and empty tables of any other call as they came", function()
    local data = [[{"big":9007199254740993,"list":[],"object":{},"null":null,"half":0.5}]]
    omni.run(function()
      local server <close> = assert(omni.serve({}, function()
        return 200, { ["Content-Type"] = "application/json" }, answers.envelope(data)
      end))
      local other <close> = assert(omni.client { base_url = server.url, api_key = "ak_" .. ("0"):rep(32), ledger = false })
      local found = assert(other:call("GET", "/api/v1/client/numbers"))
      assert.equal("integer", math.type(found.big))
      assert.equal('{"big":9007199254740993,"half":0.5,"list":[],"null":null,"object":{}}', json.encode(found))
    end)
  end)

  it("returns an error for an unknown task", function()
    open()
    local _, problem = client:query("nobody")
    assert.equal("not_found", problem.code)
    assert.equal("nobody", problem.task_id)
  end)

  it("that is closed never opens a connection or a ledger again", function()
    local files <close> = env.directory()
    local ledger = files:file "ledger.db"
    open(nil, { ledger = ledger })
    local task = assert(assert(client:submit(INPUT)):await())
    client:close()
    local function assert_closed(value, problem)
      assert.is_nil(value)
      assert.equal("closed", problem.code)
    end
    env.output("mv " .. env.quote(ledger) .. " " .. env.quote(ledger .. ".moved"))
    local before = sandbox:ledger().queries
    assert_closed(task:save(files:file "clip.mp4"))
    assert_closed(task:refresh())
    assert_closed(client:ledger())
    assert_closed(client:board_ledger(files:file "board.omni"))
    assert.is_nil(client:media_transport())
    assert.same({ {} }, { (client:ledgers()) })
    assert.equal(before, sandbox:ledger().queries)
    assert.is_nil(core.stat(ledger))
    assert.is_nil(core.stat(files:file "clip.mp4"))
    assert.is_nil(core.stat(files:file "board.omni"))
    for name, argument in pairs { submit = {}, estimate = {}, upload = "x", task = "x", query = "x", models = {}, model = "x" } do
      assert_closed(client[name](client, argument))
    end
    assert_closed(client:balance())
    assert_closed(client:balances())
    assert_closed(client:call("GET", "/x"))
  end)

  it("that is closed returns errors instead of hanging", function()
    open { "slow:on=query,delay=3600" }
    local task = assert(client:submit(INPUT))
    client:close()
    local _, problem = task:refresh()
    assert.equal("closed", problem.code)
    assert.equal("closed", select(2, client:submit(INPUT)).code)
    client:close()
  end)

  it("can be collected when nothing is in flight", function()
    open()
    local weak = setmetatable({ assert(omni.client { base_url = sandbox.url, api_key = sandbox.key }) }, { __mode = "v" })
    weak[1]:balance()
    collectgarbage()
    collectgarbage()
    assert.is_nil(weak[1])
  end)
end)
