-- SPDX-License-Identifier: MIT
local cjson = require "cjson"
local env = require "helper.env"
local program = require "helper.program"

local BOARD = [[
return storyboard {
  title = "Night", defaults = { duration = 4 },
  scene "dusk" { prompt = "dusk" },
  scene "dawn" { prompt = "dawn", first_frame = last_frame "dusk" },
}
]]

describe("omni plan", function()
  local files, board, service

  before_each(function()
    files = env.directory()
    board = env.write(files:file "board.lua", BOARD)
  end)
  after_each(function()
    if service then service.stop() end
    service = nil
    files:close()
  end)

  local function serve(...) service = program.service { ... } end
  local function plan(...) return program.run({ "plan", board, ... }, { environment = service and service.environment }) end
  local function run(...) return program.run({ "run", board, "--yes", ... }, { environment = service.environment }) end
  local function planned(...)
    local result = plan("--json", ...)
    assert.equal(1, #result.lines, result.err)
    local event = cjson.decode(result.lines[1])
    assert.equal(result.code, event.exit)
    return event, result
  end

  it("prints what a run would do and cost, submits nothing, and leaves nothing behind", function()
    serve()
    service.environment.TMPDIR = files.path
    local result = plan()
    assert.same({ 0, "" }, { result.code, result.err })
    assert.equal('Night\n  + submit   dusk  40 sandbox credits  new\n  > wait     dawn  40 sandbox credits  new; after "dusk"\n'
      .. "1 to submit, 1 to submit after others: about 80 sandbox credits\n"
      .. "the account has 10000 sandbox credits, enough; the board has cost 0 sandbox credits so far\n"
      .. "how long a scene usually takes isn't known yet: that needs 3 finished tasks like it in the ledger", result.out)
    assert.equal(0, service.submits())
    assert.same({ "board.lua" }, files:names())
  end)

  it("leaves nothing behind at Ctrl-C", function()
    serve("--fault", "slow:on=estimate,delay=60")
    service.environment.TMPDIR = files.path
    local child = program.start({ "plan", board }, { environment = service.environment })
    local connected = (":%04X 01 "):format(service.url:match("%d+$")) -- remote port, state ESTABLISHED
    repeat until env.read("/proc/net/tcp"):find(connected, 1, true)
    child:signal("INT")
    assert.same({ 130, "" }, { child:finish().code, service:errors() })
    assert.same({ "board.lua" }, files:names())
  end)

  it("plans a rehearsal without a key", function()
    local result = plan("--sandbox", "--credits", "50")
    assert.equal(3, result.code)
    assert.matches("about 80 sandbox credits\nthe account has 50 sandbox credits, not enough", result.out)
    assert.matches("\na run would be refused: the plan costs about 80 sandbox credits; the account has 50\n", result.out)
    assert.same({ "board.lua" }, files:names())
  end)

  it("after a run prints what it would reuse, which field has changed, and what the board has cost", function()
    serve()
    assert.equal(0, run().code)
    local result = plan()
    assert.equal("Night\n  = reuse    dusk\n  = reuse    dawn\n2 to reuse: nothing to pay\n"
      .. "the board has cost 80 sandbox credits so far", result.out)
    env.write(board, (BOARD:gsub("defaults = { duration = 4 }", "defaults = { duration = 6 }")))
    result = plan()
    assert.matches('\n  %+ submit   dusk  60 sandbox credits  duration: 4 → 6\n  > wait     dawn  60 sandbox credits  .*after "dusk"\n',
      result.out)
    assert.equal(2, service.submits())
  end)

  it("shows the take that --redo would make, and leaves out scenes that --only doesn't name", function()
    serve()
    assert.equal(0, run("--only", "dusk").code)
    local result = plan("--redo", "dusk", "--only", "dusk")
    assert.equal(0, result.code)
    assert.matches("\n  %+ submit   dusk +40 sandbox credits  take 2\n  %- left     1 scene", result.out)
    assert.matches("\n1 to submit, 1 not among %-%-only: about 40 sandbox credits\n", result.out)
    result = plan("--redo", "dawn", "--only", "du*")
    assert.same({ 2, "omni: --redo: scene \"dawn\" isn't among those of 'only' (name it in both, or leave one of them out)" },
      { result.code, (result.err:gsub("%s+$", ""):gsub("\n%s*(.+)$", " (%1)")) })
    result = plan("--only", "dsk")
    assert.equal(2, result.code)
    assert.matches("^omni: %-%-only: the board has no scene \"dsk\"; did you mean 'dusk'%?", result.err)
  end)

  it("with --json prints one object with stable fields", function()
    serve()
    assert.equal(0, run("--only", "dusk").code)
    local event = planned("--budget", "100")
    assert.same({ "plan", "Night", true, 40, true, 9960, true, 100, 40, 0 }, { event.event, event.title, event.sandbox, event.credits,
      event.complete, event.balance, event.affordable, event.budget, event.spent, event.exit })
    assert.equal(files:file "board.omni", event.directory)
    local dusk, dawn = event.scenes[1], event.scenes[2]
    assert.matches("/media/dusk%-%x+.mp4$", dusk.files[1])
    assert.is_string(dusk.task_id)
    dusk.files, dusk.task_id = nil, nil
    assert.same({ scene = "dusk", index = 1, model = "google/gemini-omni", action = "reuse", selected = true, pays = false, take = 1,
      submit = 1 }, dusk)
    assert.same({ scene = "dawn", index = 2, model = "google/gemini-omni", action = "submit", why = "new", selected = true, pays = true,
      take = 1, credits = 40 }, dawn)
  end)

  it("prints all errors of a board, as text and as JSON, and so does a run", function()
    env.write(board, 'return storyboard {\n  budget = -1,\n  scene "a" { prompt = "x", duration = 5, take = 0 },\n}')
    local result = plan "--sandbox"
    assert.equal(2, result.code)
    assert.equal(("omni: %s:2: field 'budget' must be a number of credits, 0 or more, not -1\n"
      .. "omni: %s:3: scene \"a\": field 'take' must be a whole number, 1 or more\n"
      .. "omni: %s:3: scene \"a\": duration: must be 4, 6, 8 or 10, not 5\n"):format(board, board, board), result.err)
    local event = planned "--sandbox"
    assert.same({ "plan", 2, "invalid_board", 3 }, { event.event, event.exit, event.error.code, #event.error.problems })
    assert.same({ code = "invalid_board", message = board .. ":2: field 'budget' must be a number of credits, 0 or more, not -1",
      file = board, line = 2, field = "budget" }, event.error.problems[1])
    assert.same({ board, 3, "a", "take" }, { event.error.problems[2].file, event.error.problems[2].line, event.error.problems[2].scene,
      event.error.problems[2].field })
    result = program.run { "run", board, "--sandbox", "--json" }
    assert.equal(2, result.code)
    event = cjson.decode(result.lines[1])
    assert.same({ "done", 2, 3, true }, { event.event, event.exit, #event.error.problems, event.sandbox })
  end)

  it("prints all missing files and all warnings, as text and as JSON", function()
    env.write(board, [[return storyboard {
  defaults = { mode = "pro" },
  scene "a" { prompt = "x", references = file "one.png" },
  scene "b" { prompt = "x", references = file "two.png", model = "kling/v3" },
  cut = false,
}]])
    env.write(board, (env.read(board):gsub('model = "kling/v3"', 'model = "kling/v3", references = false, image_url = file "two.png"')))
    local result = plan "--sandbox"
    assert.equal(3, result.code)
    local here = files.path:gsub("%p", "%%%0")
    assert.matches("\nwarning: " .. here .. "/board.lua:2: defaults: mode isn't a field of google/gemini%-omni; scene \"a\" ignores it\n",
      result.out)
    assert.matches('\na run would be refused: ' .. here .. '/board.lua:3: scene "a": references: .-one.png: can\'t be read: [^\n]*\n'
      .. here .. '/board.lua:4: scene "b": image_url: .-two.png: can\'t be read: [^\n]*', result.out)
    local event = planned "--sandbox"
    assert.same({ { file = board, line = 2, field = "mode",
      message = 'defaults: mode isn\'t a field of google/gemini-omni; scene "a" ignores it' } }, event.notices)
    assert.same({ "io", 3, "a" }, { event.error.problems[1].code, event.error.problems[1].line, event.error.problems[1].scene })
    assert.same({ "io", 4, "b" }, { event.error.problems[2].code, event.error.problems[2].line, event.error.problems[2].scene })
    result = program.run { "run", board, "--sandbox" }
    assert.equal(3, result.code)
    assert.matches('^omni: nothing was submitted: .-board.lua:3: scene "a": .-\nomni: .-board.lua:4: scene "b": ', result.err)
  end)

  it("looks at a film once, also in the next plan, and says so where there is no ffprobe", function()
    local programs, calls = files:file "bin", files:file "calls"
    os.execute("mkdir " .. env.quote(programs))
    env.output(("ln -s \"$(command -v ffmpeg)\" %s"):format(env.quote(programs .. "/ffmpeg")))
    env.write(files:file "walk.mp4", env.read(require("helper.clips").make { seconds = 6 }))
    env.write(board, [[return storyboard { cut = false,
  scene "a" { prompt = "x", video = { file "walk.mp4", from = 7, to = 9 } },
  scene "b" { prompt = "x", video = { file "walk.mp4", from = 0, to = 9 } },
}]])
    local environment = { PATH = programs, XDG_CACHE_HOME = files:file "cache" }
    local function once()
      return program.run({ "plan", board, "--sandbox", "--clips", "builtin" }, { environment = environment })
    end
    local result = once()
    assert.equal(0, result.code, result.err)
    assert.matches("\nwarning: there is no ffprobe, so omni didn't check the length of films and sounds\n  install ffmpeg", result.out)
    env.output("chmod +x " .. env.quote(env.write(programs .. "/ffprobe", ('#!/bin/sh\necho x >>%s\nexec %s "$@"\n'):format(calls,
      env.output "command -v ffprobe":gsub("\n", "")))))
    for _ = 1, 2 do
      result = once()
      assert.equal(3, result.code)
      assert.matches('scene "a": video: the window begins at 7 s, and "walk.mp4" lasts 6 s', result.out)
      assert.matches('warning: [^\n]*scene "b": video: the window ends at 9 s, and "walk.mp4" lasts 6 s', result.out)
    end
    assert.equal("x\n", env.read(calls))
  end)

  it("exits with 3 if a run would be refused: too expensive, an unknown price, an invalid scene, an invalid key", function()
    serve()
    local event = planned("--budget", "79")
    assert.same({ 3, "over_budget" }, { event.exit, event.error.code })
    assert.matches("a run would be refused: the plan costs about 80 sandbox credits, the budget is 79\n", plan("--budget", "79").out)
    env.write(board, (BOARD:gsub('prompt = "dusk"', 'prompt = "dusk", references = file "lost.png"')))
    event = planned()
    assert.same({ 3, "io", "invalid", "invalid" }, { event.exit, event.error.code, event.scenes[1].action, event.scenes[2].action })
    env.write(board, BOARD)
    service.environment.CRUN_API_KEY = "ak_another"
    event = planned()
    assert.same({ 3, "unauthorized", false }, { event.exit, event.error.code, event.complete })
    service.stop()
    serve("--fault", "status-505:on=estimate")
    event = planned("--budget", "1000")
    assert.same({ 3, "price_unknown" }, { event.exit, event.error.code })
    assert.equal(0, planned().exit)
  end)

  it("exits with 2 if the board can't be used", function()
    env.write(board, "return storyboard {")
    local result = plan()
    assert.same({ 2, "" }, { result.code, result.out })
    assert.matches("^omni: .*board.lua:1: ", result.err)
  end)

  it("fits the terminal", function()
    serve()
    env.write(board, (BOARD:gsub('"dusk"', '"黎明の灯台の長い影がのびる朝の海"')))
    for _, columns in ipairs { 60, 200 } do
      local shown = program.on_terminal({ "plan", board }, { environment = service.environment, columns = columns })
      assert.equal(0, shown.code)
      local below = shown.out:gsub("\27%[[%d;]*m", ""):find('\n            new; after "黎明', 1, true) ~= nil
      assert.equal(columns == 60, below, shown.out)
    end
  end)

  it("wraps messages at words on a terminal, but no command", function()
    local shown = program.on_terminal({ "plan", board }, { columns = 50 }).out:gsub("\r", "")
    assert.matches("\n  set the environment variable CRUN_API_KEY, or\n  write CRUN_API_KEY=ak_", shown)
    assert.is_truthy(shown:find("\n  to rehearse without a key: omni run " .. board .. " --sandbox\n", 1, true), shown)
  end)

  it("gives hints with the options of the command line", function()
    local without_key = program.run({ "plan", board }, { directory = files.path })
    assert.equal(2, without_key.code)
    assert.matches("there is no API key\n.*\n  to rehearse without a key: omni run [^\n]*board.lua %-%-sandbox\n$", without_key.err)

    local there = program.run({ "plan", (board:gsub("%.lua$", "")) }, { directory = files.path })
    assert.matches("No such file or directory\n  did you mean .*board%.lua%?\n", there.err)

    env.write(files:file "unknown.lua", 'return storyboard { scene "a" { model = "google/gemini-omno", prompt = "a" } }')
    local wrong = program.run({ "plan", "unknown.lua", "--sandbox" }, { directory = files.path })
    assert.equal(2, wrong.code)
    assert.matches("\n  omni models lists the models\n$", wrong.err)
  end)
end)
