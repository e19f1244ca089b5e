-- SPDX-License-Identifier: MIT
-- Why nothing moves: each command says what it waits for, on a terminal, in a pipe and with --json.
local env = require "helper.env"
local program = require "helper.program"

local events_of = program.events_of

local BOARD = [[return storyboard { cut = false, defaults = { duration = 4 }, scene "dusk" { prompt = "dusk" } }]]

-- Returns the first wait of this kind, and its end.
local function wait_of(result, kind)
  local wait
  for _, event in ipairs(events_of(result)) do
    if event.event == "wait" and event.kind == kind then wait = wait or event end
    if wait and event.event == "wait_over" and event.wait == wait.wait then return wait, event end
  end
  return wait
end

describe("a wait", function()
  local files, board, service

  before_each(function()
    files = env.directory()
    board = env.write(files:file "night.lua", BOARD)
  end)
  after_each(function()
    if service then service.stop() end
    service = nil
    files:close()
  end)

  local function serve(...) service = program.service { ... } end
  local function words(...) return { "run", board, "--out", files:file "out", ... } end

  it("for a pause of the service is one line in a pipe, and two events with --json", function()
    local messages = { ["429"] = "the service asks to wait, 0:%d%d left", ["455"] = "the service is under maintenance, 0:%d%d left" }
    for code, message in pairs(messages) do
      serve("--fault", ("status-%s:on=submit,first=1,retry_after=1"):format(code))
      local result = program.run({ "run", board, "--out", files:file(code), "--yes" }, { environment = service.environment })
      assert.matches("\n" .. message .. "\n", result.out)
      assert.equal("", result.err)
      service.stop()
      serve("--fault", ("status-%s:on=submit,first=1,retry_after=1"):format(code))
      result = program.run({ "run", board, "--out", files:file(code .. "-json"), "--yes", "--json" }, { environment = service.environment })
      local wait, over = wait_of(result, "pause")
      assert.is_true(wait.seconds >= 1)
      assert.matches(message, wait.message)
      assert.same({ "pause", true }, { over.kind, over.seconds > 0 })
      service.stop()
      service = nil
    end
  end)

  it("for a pause is a countdown on a terminal, in a run and in the commands for one task", function()
    serve("--fault", "status-429:on=submit,first=1,retry_after=2", "--fault", "status-429:on=balance,first=1,retry_after=2")
    local shown = program.on_terminal(words "--yes", { environment = service.environment })
    assert.equal(0, shown.code)
    assert.matches("the service asks to wait, 0:0[123] left", shown.out)
    shown = program.on_terminal({ "submit", "--prompt", "x", "--duration", "4" }, { environment = service.environment })
    assert.equal(0, shown.code, shown.out)
    service.stop()
    serve("--fault", "status-429:on=balance,first=1,retry_after=2")
    shown = program.on_terminal({ "credits" }, { environment = service.environment })
    assert.matches("the service asks to wait, 0:0[123] left", shown.out)
    assert.matches("10000 sandbox credits", shown.out)
  end)

  it("before a retry says why, before the plan too", function()
    serve("--fault", "status-500:on=estimate,first=1")
    local result = program.run({ "plan", board, "--json" }, { environment = service.environment })
    assert.matches("^omni: trying again in 0:0%d: .*500", result.err)
    assert.equal(1, #result.lines)
    service.stop()
    serve("--fault", "status-500:on=estimate,first=1")
    result = program.run(words("--yes", "--json"), { environment = service.environment })
    assert.equal(500, wait_of(result, "retry").error.status)
    assert.equal("", result.err)
    service.stop()
    serve("--fault", "status-500:on=balance,first=1")
    result = program.run({ "credits", "--json" }, { environment = service.environment })
    local events = events_of(result)
    assert.same({ 500, "balance" }, { wait_of(result, "retry").error.status, events[#events].event })
    assert.equal("", result.err)
  end)

  it("for another run in the same folder is told with --json, too", function()
    serve("--seconds", "100")
    local first = program.start(words "--yes", { environment = service.environment })
    first:wait_for "submitting"
    local second = program.start(words("--yes", "--json"), { environment = service.environment })
    assert.matches('"kind":"lock","message":"another omni run uses [^"]*out; waiting for it"', second:wait_for '"event":"wait"')
    first:signal "INT"
    first:finish()
    assert.matches('"kind":"lock","seconds":', second:wait_for '"event":"wait_over"')
    second:signal "INT"
    assert.equal(130, second:finish().code)
  end)

  it("for a slot that another program uses names the other board and scene", function()
    serve("--seconds", "100", "--keys", "1")
    local environment = { CRUN_BASE_URL = service.url, CRUN_API_KEYS = service.keys[1] .. "=1" }
    local ledger = files:file "ledger.db"
    local first = program.start(words("--yes", "--ledger", ledger), { environment = environment })
    first:wait_for "pending"
    local other = env.write(files:file "other.lua", (BOARD:gsub("dusk", "dawn")))
    local second = program.start({ "run", other, "--yes", "--ledger", ledger }, { environment = environment })
    second:wait_for "^no free slot for 0:%d%d: used by night.lua: dusk$"
    service.advance(1000)
    second:wait_for "pending"
    service.advance(1000)
    assert.same({ 0, 0 }, { first:finish().code, second:finish().code })
  end)

  it("for a response that doesn't come is told", function()
    serve("--fault", "slow:on=balance,delay=4")
    local shown = program.on_terminal({ "credits" }, { environment = service.environment })
    assert.matches("no response from the service for 0:0%d", shown.out)
  end)

  it("for the service's response to omni doctor is shown on a terminal", function()
    serve("--fault", "slow:on=balance,delay=3,first=1")
    local shown = program.on_terminal({ "doctor" }, { environment = service.environment })
    assert.matches("asking http://127.0.0.1:%d+ %.%.%. 0:0[123]", shown.out)
  end)

  it("for a callback names the scene whose submit has an unknown outcome", function()
    serve("--fault", "drop-after:on=submit", "--fault", "callback-never")
    local child = program.start(words("--yes", "--listen", "0"), { environment = service.environment })
    child:wait_for '^waiting for a callback for scene "dusk"$'
    child:signal "INT"
    child:finish()
  end)
end)
