-- SPDX-License-Identifier: MIT
-- What `omni run` may spend: its questions, and its refusals before any spending.
local answers = require "helper.answers"
local env = require "helper.env"
local omni = require "omni"
local program = require "helper.program"
local scripted = require "helper.scripted"

local events_of = program.events_of

local BOARD = [[
return storyboard {
  title = "Night",
  defaults = { duration = 4 },
  scene "good" { prompt = "good" },
  scene "bad" { prompt = "bad" },
}
]]

describe("omni run", function()
  local files, board, out, service

  before_each(function()
    files = env.directory()
    board, out = files:file "board.lua", files:file "out"
    env.write(board, BOARD)
  end)
  after_each(function()
    if service then service.stop() end
    service = nil
    files:close()
  end)

  local function serve(...) service = program.service { ... } end
  local function words(...) return { "run", board, "--out", out, ... } end
  local function run(...) return program.run(words(...), { environment = service and service.environment }) end

  it("spends nothing at the real service without consent: without a terminal and --yes it exits with 3", function()
    serve()
    local result = program.run(words(), { environment = service.environment, input = "y\n" })
    assert.equal(3, result.code)
    assert.matches("2 to submit: about 80 sandbox credits", result.out) -- it shows the plan nevertheless
    assert.matches("^omni: nothing was submitted: .*about 80 sandbox credits.*10000.*\n.*%-%-yes.*%-%-budget", result.err)
    assert.equal(0, service.submits())
    assert.equal(0, run("--yes").code)
    assert.equal(2, service.submits())
    assert.equal(0, run().code) -- there is nothing left to pay
  end)

  it("asks on a terminal after it has shown the plan and its price; only a yes counts as consent", function()
    serve()
    for _, answer in ipairs { "n\n", "\n", "yss\n", "y es\n", "yy\n" } do
      local result = program.on_terminal(words(), { environment = service.environment, input = answer })
      assert.equal(3, result.code, answer)
      assert.matches("%+ submit .* good  40 sandbox credits  new", result.out)
      assert.matches("2 scenes, about 80 sandbox credits; the account has 10000 sandbox credits. Submit%? %[y/N%]", result.out)
    end
    assert.equal(0, service.submits())
    assert.equal(0, program.on_terminal(words(), { environment = service.environment, input = " YES \n" }).code)
    assert.equal(2, service.submits())
    local again = program.on_terminal(words(), { environment = service.environment, input = "" })
    assert.equal(0, again.code)
    assert.not_matches("Submit%?", again.out)
  end)

  it("needs consent at any price, even 0 or an invalid one, like omni submit and omni.run_storyboard", function()
    local estimate
    scripted.open(function(target)
      if target:find "EstimateTask" then return answers.envelope(('{"estimated_credits":%s,"balance":1000}'):format(estimate)) end
      if target:find "balance" then return { balance = 1000 } end
      return target:find "TaskInfo" and {} or nil
    end, function(client, asked, server)
      local options = { environment = { CRUN_BASE_URL = server.url, CRUN_API_KEY = answers.KEY, PATH = program.tools.PATH } }
      local loaded = assert(omni.load_storyboard(board))
      for _, value in ipairs { "0", "-1", '"0"', "null", "1e999", "-1e999", "{}" } do
        estimate = value
        for _, given in ipairs { words(), { "submit", "--prompt", "x" } } do
          local result = program.run_in_loop(given, options)
          assert.equal(3, result.code, value)
          assert.matches("nothing was submitted: .*" .. (value == "0" and "about 0 credits" or "unknown price"), result.err)
          assert.matches("no terminal to ask on", result.err)
        end
        local _, problem = omni.run_storyboard(loaded, { client = client, directory = files:file "other" })
        assert.equal("no_consent", problem.code)
        assert.matches(value == "0" and "about 0 credits" or "an unknown price", problem.message)
        if value ~= "0" then
          _, problem = omni.run_storyboard(loaded, { client = client, directory = files:file "other", budget = 1000 })
          assert.equal("price_unknown", problem.code)
        end
      end
      for _, line in ipairs(asked) do assert.not_matches("CreateTask", line) end
    end, { ledger = files:file "ledger.db" })
  end)

  it("takes a budget as consent, and refuses a plan whose price is higher or unknown", function()
    serve()
    local result = run("--budget", "79")
    assert.equal(3, result.code)
    assert.matches("costs about 80 sandbox credits, the budget is 79", result.err)
    assert.equal(0, service.submits())
    assert.equal(0, run("--budget", "80").code)
    assert.equal(2, service.submits())
    service.stop()

    serve("--fault", "status-505:on=estimate")
    out = files:file "another"
    result = run("--budget", "1000", "--json")
    local done = events_of(result)[#result.lines]
    assert.same({ 3, "done", 3, "price_unknown" }, { result.code, done.event, done.exit, done.error.code })
    assert.equal(0, service.submits())
  end)

  it("takes the board's own budget as consent, for all runs of the board together", function()
    serve()
    env.write(board, (BOARD:gsub('title', 'budget = 100, title')))
    assert.equal(0, run().code)
    assert.equal(2, service.submits())
    local result = run("--redo", "good")
    assert.equal(3, result.code)
    assert.matches("costs about 40 sandbox credits, 80 are spent, and the board's budget is 100", result.err)
    assert.equal(2, service.submits())
  end)

  it("refuses before it spends if the balance is too low, the key is invalid, or files can't be written", function()
    serve("--credits", "79")
    local result = run("--yes")
    assert.equal(3, result.code)
    assert.matches("about 80 sandbox credits; the account has 79", result.err)
    result = program.run({ "run", board, "--yes", "--out", "/proc/nowhere" }, { environment = service.environment })
    assert.equal(3, result.code)
    service.environment.CRUN_API_KEY = "ak_another"
    out = files:file "another"
    service.environment.OMNI_LEDGER = files:file "ledger.db"
    result = run("--yes")
    assert.equal(3, result.code)
    assert.matches("the key is missing or not valid", result.err)
    assert.equal(0, service.submits())
  end)

  it("refuses the whole run if a scene can't be made, and says which scene and why", function()
    serve()
    env.write(board, (BOARD:gsub('prompt = "bad"', 'prompt = "bad", references = file "lost.png"')))
    local result = run("--yes")
    assert.equal(3, result.code)
    assert.matches("  ! invalid  bad +.*lost.png", result.out)
    assert.matches('^omni: nothing was submitted: .*board.lua:%d+: scene "bad": .*lost.png', result.err)
    assert.equal(0, service.submits())
  end)
end)
