-- SPDX-License-Identifier: MIT
-- A client's ledger: it records the whole life of each submit, and a submit that can't be recorded isn't sent.

local answers = require "helper.answers"
local asked = require "helper.ledger"
local core = require "omni.core"
local env = require "helper.env"
local hostile = require "helper.hostile"
local loop = require "omni.loop"
local omni = require "omni"
local omni_error = require "omni.error"
local scheduler = require "omni.loop.scheduler"

local KEY = "ak_" .. ("0123456789abcdef"):rep(2)

describe("a client's ledger", function()
  local folder, path

  before_each(function()
    folder = env.directory()
    path = folder:file "ledger.db"
  end)
  after_each(function() folder:close() end)

  local function rows()
    return assert((asked.once(path, "row", { id = 1 })))
  end
  local function client_of(url, more)
    local options = { base_url = url, api_key = KEY, ledger = path, retry_for = 0.3, retry_min = 0.01, poll_min = 0.02, poll_max = 0.02 }
    for name, value in pairs(more or {}) do options[name] = value end
    return assert(omni.client(options))
  end

  it("has the submit's task before submit returns, then its result, its cost, and its files with their SHA-256", function()
    local sandbox <close> = assert(omni.sandbox { key = KEY, seconds = 0.1, clips = "builtin" })
    local client <close> = client_of(sandbox.url)
    local task = assert(client:submit({ prompt = "x", duration = 4 }))
    local row = rows()[1]
    assert.same({ "accepted", task.id, "google/gemini-omni" }, { row.state, row.task_id, row.model })
    assert.same({ prompt = "x", duration = 4 }, core.json.decode(row.input))
    assert(task:await())
    local file = folder:file "x.mp4"
    assert(task:save(file))
    client:close()
    row = rows()[1]
    assert.same({ "success", 40 }, { row.state, row.credits })
    assert.is_number(row.completed_at)
    local files = asked.once(path, "files", { submit = 1 })
    assert.equal(core.real_path(file), files[1].path)
    assert.equal(core.sha256(env.read(file)), files[1].sha256)
  end)

  it("records a task id later if the ledger failed; meanwhile nobody takes the submit for one that was given up", function()
    local sandbox <close> = assert(omni.sandbox { key = KEY, seconds = 0.1, clips = "builtin" })
    local client <close> = client_of(sandbox.url)
    local ledger, sleep, failures = assert(client:ledger()), loop.sleep, 5
    local ask = ledger.ask
    loop.sleep = function() sleep(0) end
    ledger.ask = function(self, verb, ...)
      if verb ~= "accept" or failures == 0 then return ask(self, verb, ...) end
      failures = failures - 1
      if failures == 0 then assert.equal("intended", self:settle_abandoned(assert(self:row("row", { id = 1 }))).state) end
      return nil, omni_error.new { code = "ledger_failed", message = "the disk is full" }
    end
    local task, problem = client:submit { prompt = "x", duration = 4 }
    assert.is_nil(task)
    assert.equal("ledger_failed", problem.code)
    local row
    repeat
      omni.sleep(0.005)
      row = ledger:row("row", { id = 1 })
    until row.state ~= "intended"
    loop.sleep = sleep
    assert.same({ "accepted", problem.task_id }, { row.state, row.task_id })
  end)

  it("takes an intent whose submit has ended without an outcome for an unknown outcome", function()
    local client <close> = client_of "http://127.0.0.1:1"
    local ledger = assert(client:ledger())
    local id = assert(ledger:ask("intend", { account = "a", model = "m", input = "{}", identity = "i" }))[1].id
    assert.equal("unknown", ledger:settle_abandoned(assert(ledger:row("row", { id = id }))).state)
  end)

  it("records refusals and unknown outcomes, with the balance afterwards", function()
    local faults = { "drop-after:on=submit,match=lost" }
    local sandbox <close> = assert(omni.sandbox { key = KEY, credits = 50, faults = faults, clips = "builtin" })
    local client <close> = client_of(sandbox.url)
    assert.equal("insufficient_credits", select(2, client:submit { prompt = "x", duration = 10 }).code)
    assert.equal("submit_unknown", select(2, client:submit { prompt = "lost", duration = 4 }).code)
    client:close()
    local refused, unknown = asked.once(path, "row", { id = 1 })[1], asked.once(path, "row", { id = 2 })[1]
    assert.same({ "refused", "insufficient_credits" }, { refused.state, refused.error })
    assert.same({ "unknown", "submit_unknown", 10 }, { unknown.state, unknown.error, unknown.balance_after })
  end)

  it("is opened once, also by submits that can be stopped, like those of a script", function()
    local sandbox <close> = assert(omni.sandbox { key = KEY, clips = "builtin" })
    local client <close> = client_of(sandbox.url)
    local opened
    for i = 1, 2 do
      assert(omni.run(client.submit, client, { prompt = "x" .. i }, { stop = {} }))
      opened = opened or client.own_ledger
      assert.is_truthy(client.own_ledger)
      assert.equal(opened, client.own_ledger)
    end
  end)

  it("that has lost a row gives an error with the task id, instead of continuing as if the row were written", function()
    local sandbox <close> = assert(omni.sandbox { key = KEY, faults = { "slow:on=submit,delay=0.5" }, clips = "builtin" })
    local client <close> = client_of(sandbox.url)
    omni.run(function()
      local fiber = omni.spawn(function() return select(2, client:submit { prompt = "x" }) end)
      repeat omni.sleep(0.02) until sandbox:ledger().submits == 1
      asked.sqlite3(path, "DELETE FROM submit")
      local err = fiber:join()
      assert.same({ "ledger_failed", sandbox:ledger().tasks[1].task_id }, { err.code, err.task_id })
    end)
  end)

  it("has one row for a submit that is tried again", function()
    local sandbox <close> = assert(omni.sandbox { key = KEY, faults = { "status-429:on=submit,first=3,retry_after=0" }, clips = "builtin" })
    local client <close> = client_of(sandbox.url, { retry_for = 20 })
    local task = assert(client:submit { prompt = "x" })
    client:close()
    assert.same({ "accepted", task.id }, { rows()[1].state, rows()[1].task_id })
    assert.same({}, asked.once(path, "row", { id = 2 }))
  end)

  it("records an unknown outcome for a submit that was given up on its way", function()
    local server <close> = hostile.start()
    server:script { POST = { { hostile.hang() } } }
    local client <close> = client_of(server.url)
    omni.run(function()
      local fiber = omni.spawn(function() return client:submit { prompt = "x" } end)
      repeat omni.sleep(0.01) until server:posts() == 1
      fiber:cancel()
    end)
    client:close()
    assert.same({ "unknown", "cancelled" }, { rows()[1].state, rows()[1].error })
  end)

  -- Calls `look` in each turn of the loop, before the fibers that something wakes in that turn, until it returns true.
  local function every_turn(look)
    local done
    local function again()
      done = look()
      if not done then omni.spawn(again) end
    end
    omni.spawn(again)
    while not done do omni.sleep(0) end
  end

  -- Cancels `fiber` the `count`th time that it has been woken and hasn't run yet; false when it ended before.
  local function cancel_when_woken(fiber, count)
    local cancelled, begun = false, false
    every_turn(function()
      if fiber:done() then return true end
      if not scheduler.is_parked(fiber) and begun then count = count - 1 end
      begun = true
      cancelled = count == 0
      if cancelled then fiber:cancel() end
      return cancelled
    end)
    return cancelled
  end

  it("records the outcome that a submit had before it was cancelled, at any moment", function()
    local sandbox <close> = assert(omni.sandbox { key = KEY, seconds = 1000, clips = "builtin" })
    local client <close> = client_of(sandbox.url, { schemas = false })
    local seen, count, submit = {}, 0, nil
    omni.run(function()
      local records = assert(client:ledger())
      repeat
        count = count + 1
        local about = { identity = "id" .. count, scene = "s", board = "b" }
        submit = omni.spawn(function() return client:submit({ prompt = "x" .. count }, { about = about }) end)
        local cancelled = cancel_when_woken(submit, count)
        local row
        local looks = 0
        repeat
          omni.sleep(0)
          row, looks = records:row("by_identity", { identity = about.identity, service = client.service }), looks + 1
        until not row or row.state ~= "intended" or looks == 1000
        seen[row and row.state or "none"] = true
        assert.is_true(not row or row.state == "refused" or row.state == "accepted", row and row.state)
        local tasks = sandbox:ledger().tasks
        if row and row.state == "accepted" then assert.equal(tasks[#tasks].task_id, row.task_id) end
      until not cancelled
      local accepted = 0
      for _, row in ipairs(records:ask "open") do
        if row.state == "accepted" then accepted = accepted + 1 end
      end
      assert.equal(sandbox:ledger().submits, accepted)
    end)
    assert.same({ none = true, refused = true, accepted = true }, seen)
  end)

  it("records the answer that had come when the client was closed", function()
    local sandbox <close> = assert(omni.sandbox { key = KEY, seconds = 1000, clips = "builtin" })
    local client <close> = client_of(sandbox.url, { schemas = false })
    omni.run(function()
      local submit = omni.spawn(function() return client:submit { prompt = "x" } end)
      every_turn(function() -- until it was answered and its fiber hasn't run yet
        return next(client.all_keys[1].transport.submits) and not scheduler.is_parked(submit)
      end)
      client:close()
      assert.equal(sandbox:ledger().tasks[1].task_id, submit:join().id)
    end)
    assert.same({ "accepted", sandbox:ledger().tasks[1].task_id }, { rows()[1].state, rows()[1].task_id })
  end)

  it("that can't be written prevents every submit", function()
    local server <close> = hostile.start()
    server:script { POST = { { answers.accepted() } } }
    for _, wrong in ipairs { "/proc/nowhere/ledger.db", folder.path, env.write(folder:file "open.db", "") } do
      local client <close> = client_of(server.url, { ledger = wrong })
      local task, err = client:submit { prompt = "x" }
      assert.is_nil(task)
      assert.equal("ledger_failed", err.code)
    end
    assert.equal(0, server:posts())
  end)

  it("never contains the key", function()
    local sandbox <close> = assert(omni.sandbox { key = KEY, clips = "builtin" })
    local client <close> = client_of(sandbox.url)
    assert(client:submit { prompt = "x" })
    client:close()
    assert.is_nil((os.execute(("grep -rqF %s %s"):format(KEY:sub(4), env.quote(folder.path)))))
    assert.equal(sandbox.url .. " " .. core.sha256(KEY):sub(1, 12), rows()[1].account)
  end)

  -- What a program of its own does with what the environment says; answers the names in `folder`.
  local function child(environment, options)
    local sandbox <close> = assert(omni.sandbox { key = options.key or KEY, clips = "builtin" })
    local script = ("local omni = require 'omni' local client = assert(omni.client { base_url = %q, api_key = %q%s }) "
      .. "assert(client:submit { prompt = 'x' }) client:close()"):format(sandbox.url, options.key or KEY, options.more or "")
    local words = {}
    for name, value in pairs(environment) do words[#words + 1] = env.quote(name .. "=" .. value) end
    omni.run(function()
      local result = assert(omni.process({ "sh", "-c", ("exec env -u OMNI_LEDGER -u XDG_STATE_HOME %s %s -e %s"):format(
        table.concat(words, " "), env.lua, env.quote(script)) }))
      assert.equal(0, result.exit, result.stderr)
    end)
    return env.output("cd " .. env.quote(folder.path) .. " && find . -name '*.db' | sort")
  end

  it("is at OMNI_LEDGER, else in XDG_STATE_HOME, else in ~/.local/state; only its owner can read the folder", function()
    assert.equal("./a/mine.db\n", child({ HOME = folder.path, OMNI_LEDGER = folder:file "a/mine.db" }, {}))
    assert.equal("./a/mine.db\n./b/omni/ledger.db\n", child({ HOME = folder.path, XDG_STATE_HOME = folder:file "b" }, {}))
    assert.matches("%./%.local/state/omni/ledger%.db", child({ HOME = folder.path }, {}))
    assert.equal("drwx------", env.output("stat -c %A " .. env.quote(folder:file ".local/state/omni")):sub(1, 10))
  end)

  it("doesn't exist with `ledger = false`, nor with a sandbox key", function()
    assert.equal("", child({ HOME = folder.path }, { more = ", ledger = false" }))
    assert.equal("", child({ HOME = folder.path }, { key = "ak_sandboxsandbox0123456789abcdef01" }))
  end)
end)
