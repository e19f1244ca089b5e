-- SPDX-License-Identifier: MIT
local cjson = require "cjson"
local env = require "helper.env"
local program = require "helper.program"

local BOARD = [[
return storyboard {
  title = "Night",
  defaults = { duration = 4 },
  scene "good" { prompt = "good" },
  scene "bad" { prompt = "bad" },
}
]]

describe("omni run", function()
  local files, board, out

  before_each(function()
    files = env.directory()
    board, out = files:file "board.lua", files:file "out"
    env.write(board, BOARD)
  end)
  after_each(function() files:close() end)

  local function words(arguments)
    return table.move(arguments, 1, #arguments, 2, { "run" })
  end
  local function run(arguments, options) return program.run(words(arguments), options) end
  local function rehearse(...) return run { board, "--sandbox", "--seconds", "0.05", ... } end

  local function events_of(result)
    local events = {}
    for i, line in ipairs(result.lines) do events[i] = cjson.decode(line) end
    return events
  end

  it("rehearses a board without a key: shows each state, fetches the films, says what they cost and where they are", function()
    local result = rehearse("--out", out)
    assert.same({ 0, "" }, { result.code, result.err })
    for _, line in ipairs { "good: submitting", "good: pending %(task [%x-]+%)", "bad: fetched: 40 sandbox credits, .*/bad.mp4",
      "Night: 2 of 2 scenes done, 80 sandbox credits", "  good  40 sandbox credits  .*/media/good.mp4" } do
      assert.matches("\n" .. line, "\n" .. result.out)
    end
    assert.equal("ftyp", env.read(out .. "/media/good.mp4"):sub(5, 8))
    assert.is_truthy(env.read(out .. "/media/bad.mp4"))
  end)

  it("puts the files beside the board, a rehearsal's where it can't touch what was paid for", function()
    assert.equal(0, rehearse().code)
    assert.is_truthy(env.read(files:file "board.omni/sandbox/media/good.mp4"))
    assert.is_nil(env.read(files:file "board.omni/media/good.mp4"))
    local service = program.service()
    assert.equal(0, run({ board, "--yes" }, { environment = service.environment }).code)
    assert.is_truthy(env.read(files:file "board.omni/media/good.mp4"))
    service.stop()
  end)

  it("with --json prints one event a line, from the plan to the end", function()
    local result = rehearse("--out", out, "--json", "--fault", "fail:match=bad")
    local events = events_of(result)
    local plan, done = events[1], events[#events]
    assert.same({ "plan", "Night", true, 80, out }, { plan.event, plan.title, plan.sandbox, plan.credits, plan.directory })
    assert.same({ scene = "good", model = "google/gemini-omni", credits = 40 }, plan.scenes[1])
    assert.same({ "done", 1, 80 }, { done.event, done.exit, done.credits })
    assert.equal(out .. "/media/good.mp4", done.scenes[1].file)
    assert.same({ "failed", "generation_failed" }, { done.scenes[2].status, done.scenes[2].error.code })
    local seen = {}
    for _, event in ipairs(events) do
      assert.is_number(event.time)
      if event.scene == "good" then seen[#seen + 1] = event.event end
    end
    assert.equal("submitting", seen[1])
    assert.equal("pending", seen[2])
    assert.equal("fetched", seen[#seen])
    assert.equal(1, result.code)
  end)

  it("goes on when a scene fails, says why and what to do, and exits with 1", function()
    local result = rehearse("--out", out, "--fault", "fail:match=bad,reason=too dark")
    assert.equal(1, result.code)
    assert.matches("\n  bad   failed  .*too dark.*status 501.*40 sandbox credits\n +change the prompt", result.out)
    assert.matches("1 of 2 scenes done", result.out)
  end)

  it("says when a submit's outcome is unknown, never repeats it, and exits with 4", function()
    local service = program.service { "--fault", "drop-after:on=submit,match=good" }
    local result = run({ board, "--yes", "--out", out }, { environment = service.environment })
    assert.equal(4, result.code)
    assert.matches("\n  good  unknown  .*\n.*about 40 credits may have been charged", result.out)
    assert.equal(2, service.submits())
    service.stop()
  end)

  it("refuses a bad board with exit code 2, names all that is wrong, and sends nothing", function()
    local service = program.service()
    for message, text in pairs {
      [":2: "] = "\nreturn storyboard {{",
      ["at least one scene"] = "return storyboard {}",
      ["instead of a storyboard"] = "return 1",
      [':2: scene "a": this name is taken already, at .*:1'] = 'return storyboard { scene "a" { prompt = "x" },\n'
        .. 'scene "a" { prompt = "x" } }',
      ["did you mean 'duration'"] = 'return storyboard { scene "a" { prompt = "x", durtion = 4 } }',
      [':2: scene "b": duration.*\nomni: .*:3: scene "c": aspect_ratio'] = 'return storyboard { scene "a" { prompt = "x" },\n'
        .. 'scene "b" { prompt = "x", duration = 5 },\nscene "c" { prompt = "x", aspect_ratio = "4:3" } }',
    } do
      env.write(board, text)
      local result = run({ board, "--yes" }, { environment = service.environment })
      assert.same({ 2, "" }, { result.code, result.out }, message)
      assert.equal(1, (result.err:find("omni: " .. board .. ":", 1, true)), result.err)
      assert.matches(message, result.err)
    end
    assert.equal(2, run { files:file "missing.lua" }.code)
    assert.equal(0, service.submits())
    service.stop()
  end)

  it("refuses to start without a key or with a bad base URL, with exit code 2", function()
    local result = run { board, "--yes" }
    assert.equal(2, result.code)
    assert.matches("CRUN_API_KEY", result.err)
    result = run({ board, "--yes", "--base-url", "http://me:secret@127.0.0.1:1" }, { environment = { CRUN_API_KEY = "ak_x" } })
    assert.equal(2, result.code)
    assert.is_nil((result.out .. result.err):find("secret", 1, true))
  end)

  it("spends nothing at the real service without consent: no terminal and no --yes is a refusal with exit code 3", function()
    local service = program.service()
    local result = run({ board, "--out", out }, { environment = service.environment, input = "y\n" })
    assert.same({ 3, "" }, { result.code, result.out })
    assert.matches("^omni: nothing was submitted: .*about 80 credits.*10000.*\n.*%-%-yes.*%-%-budget", result.err)
    assert.equal(0, service.submits())
    assert.equal(0, run({ board, "--out", out, "--yes" }, { environment = service.environment }).code)
    assert.equal(2, service.submits())
    service.stop()
  end)

  it("asks on a terminal, with the price; only a yes is a yes", function()
    local service = program.service()
    for _, answer in ipairs { "n\n", "\n", "yikes\n" } do
      local result = program.on_terminal({ "run", board, "--out", out }, { environment = service.environment, input = answer })
      assert.equal(3, result.code, answer)
      assert.matches("2 scenes, about 80 credits; the account has 10000 credits. Submit%? %[y/N%]", result.out)
    end
    assert.equal(0, service.submits())
    assert.equal(0, program.on_terminal({ "run", board, "--out", out }, { environment = service.environment, input = "yes\n" }).code)
    assert.equal(2, service.submits())
    service.stop()
  end)

  it("takes a budget as consent up to there, and refuses what costs more or has no known price", function()
    local service = program.service()
    local result = run({ board, "--out", out, "--budget", "79" }, { environment = service.environment })
    assert.equal(3, result.code)
    assert.matches("costs about 80 credits, the budget is 79 credits", result.err)
    assert.equal(0, service.submits())
    assert.equal(0, run({ board, "--out", out, "--budget", "80" }, { environment = service.environment }).code)
    assert.equal(2, service.submits())
    service.stop()

    service = program.service { "--fault", "status-505:on=estimate" }
    result = run({ board, "--out", out, "--budget", "1000", "--json" }, { environment = service.environment })
    local done = events_of(result)[#result.lines]
    assert.same({ 3, "done", 3, "price_unknown" }, { result.code, done.event, done.exit, done.error.code })
    assert.equal(0, service.submits())
    service.stop()
  end)

  it("refuses before spending when the account can't pay, the key isn't valid, or the files can't be written", function()
    local service = program.service { "--credits", "79" }
    local result = run({ board, "--yes", "--out", out }, { environment = service.environment })
    assert.equal(3, result.code)
    assert.matches("about 80 credits; the account has 79 credits", result.err)
    result = run({ board, "--yes", "--out", "/proc/nowhere" }, { environment = service.environment })
    assert.equal(3, result.code)
    service.environment.CRUN_API_KEY = "ak_another"
    result = run({ board, "--yes", "--out", out }, { environment = service.environment })
    assert.equal(3, result.code)
    assert.matches("status 401", result.err)
    assert.equal(0, service.submits())
    service.stop()
  end)

  it("at Ctrl-C submits nothing more, names what is in flight with its tasks, and exits with 130", function()
    local child = program.start { "run", board, "--sandbox", "--seconds", "100", "--jobs", "1", "--out", out }
    local id = child:wait_for("good: pending"):match("task ([%x-]+)")
    child:signal("INT")
    local result = child:finish()
    assert.equal(130, result.code)
    assert.is_truthy(result.out:find("  good  interrupted  task " .. id, 1, true))
    assert.matches("\n  bad   not submitted", result.out)
    assert.is_nil(result.out:find("bad: ", 1, true))
  end)

  it("at Ctrl-C hears out a submit that is on its way; at the second one leaves at once", function()
    local service = program.service { "--fault", "slow:on=submit,delay=0.4", "--seconds", "100" }
    local arguments = { "run", board, "--yes", "--jobs", "1", "--out", out, "--json" }
    local child = program.start(arguments, { environment = service.environment })
    child:wait_for('"submitting"')
    child:signal("INT")
    local result = child:finish()
    assert.equal(130, result.code)
    assert.is_string(events_of(result)[#result.lines].scenes[1].task_id)
    child = program.start(arguments, { environment = service.environment })
    child:wait_for('"submitting"')
    child:signal("INT")
    child:signal("TERM")
    result = child:finish()
    assert.equal(130, result.code)
    assert.is_nil(result.out:find('"done"', 1, true))
    service.stop()
  end)

  it("at Ctrl-C before anything was submitted says so", function()
    local service = program.service { "--fault", "slow:on=estimate,delay=60" }
    local child = program.start({ "run", board, "--yes", "--out", out }, { environment = service.environment })
    local connected = (":%04X 01 "):format(service.url:match("%d+$")) -- remote port, state ESTABLISHED
    repeat until env.read("/proc/net/tcp"):find(connected, 1, true)
    child:signal("INT")
    local result = child:finish()
    assert.same({ 130, "omni: interrupted: nothing was submitted\n" }, { result.code, result.err })
    service.stop()
  end)

  it("draws on a terminal, in colours unless NO_COLOR says no, and never what a board's text would do to it", function()
    env.write(board, (BOARD:gsub('"Night"', '"Night\\27[2J\\27]0;x\\7"')))
    local arguments = { "run", board, "--sandbox", "--seconds", "0.05", "--out", out }
    local shown = program.on_terminal(arguments, { columns = 40 })
    assert.equal(0, shown.code)
    assert.matches("good +fetching", (shown.out:gsub("\27%[[%d;]*m", "")))
    assert.matches("2 of 2 scenes done", shown.out)
    assert.is_truthy(shown.out:find("\27[32m", 1, true))
    assert.is_nil(shown.out:find("\27[2J", 1, true))
    assert.is_nil(shown.out:find("\27]", 1, true))
    local plain = program.on_terminal(arguments, { columns = 40, environment = { NO_COLOR = "1" } })
    assert.is_nil(plain.out:find("\27%[[%d;]*m"))
    assert.is_truthy(plain.out:find("\27[J", 1, true))
    local dumb = program.on_terminal(arguments, { environment = { TERM = "dumb" } })
    assert.is_nil(dumb.out:find("\27", 1, true))
  end)

  it("runs the boards among the examples", function()
    for _, name in ipairs { "lighthouse", "seasons" } do
      local result = run { ("examples/%s.lua"):format(name), "--sandbox", "--seconds", "0.05", "--jobs", "8", "--out", out .. name }
      assert.same({ 0, "" }, { result.code, result.err })
      local done, all = result.out:match("(%d+) of (%d+) scenes done")
      assert.equal(all, done)
      assert.is_true(tonumber(all) >= 5)
    end
  end)
end)
