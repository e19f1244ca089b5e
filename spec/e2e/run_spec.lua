-- SPDX-License-Identifier: MIT
-- One `omni run`: its output and its end. For consent see consent_spec.lua, for later runs again_spec.lua.
local env = require "helper.env"
local program = require "helper.program"

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

  it("rehearses a board without a key: prints the plan, each state, the files, the film, the report and the cost", function()
    local result = program.run({ "run", board, "--sandbox", "--seconds", "0.05" }, { environment = program.tools })
    assert.same({ 0, "" }, { result.code, result.err })
    for _, line in ipairs { "  %+ submit   good  40 sandbox credits  new", "2 to submit: about 80 sandbox credits", "good: submitting",
      "good: pending %(task [%x-]+%)", "bad: fetched: 40 sandbox credits, .*/media/bad%-%x+.mp4", "film: cutting", "film: .*/film.mp4",
      "Night: 2 of 2 scenes done, 80 sandbox credits", "  good  40 sandbox credits  .*/media/good%-%x+.mp4",
      "film    .*/film.mp4 %(8 s%)", "report  .*/report.html", "the board has cost 80 sandbox credits so far" } do
      assert.matches("\n" .. line, "\n" .. result.out)
    end
    -- The output is beside the board, in a folder of its own, so that a rehearsal never touches paid results.
    assert.same({ "sandbox" }, env.lines("ls -A " .. env.quote(files:file "board.omni")))
    assert.equal("ftyp", env.read(files:file "board.omni/sandbox/film.mp4"):sub(5, 8))
    assert.matches("</html>", env.read(files:file "board.omni/sandbox/report.html"))
    assert.is_truthy(env.read(files:file "board.omni/sandbox/ledger.db"))
  end)

  it("puts everything beside the board, and the ledger at the given path", function()
    serve()
    local ledger = files:file "a/b/ledger.db"
    assert.equal(0, program.run({ "run", board, "--yes", "--ledger", ledger }, { environment = service.environment }).code)
    assert.same({ "film.mp4", "media", "report.html" }, env.lines("ls -A " .. env.quote(files:file "board.omni")))
    assert.equal("SQLite", env.read(ledger):sub(1, 6))
    assert.equal("-rw-------", env.output("ls -l " .. env.quote(ledger)):sub(1, 10))
  end)

  it("with --json prints one event a line, from the plan to the end", function()
    serve("--fault", "fail:match=bad")
    local result = run("--yes", "--json")
    local events = events_of(result)
    local plan, done = events[1], events[#events]
    assert.same({ "plan", "Night", true, 80, out, 10000, true, 0 },
      { plan.event, plan.title, plan.sandbox, plan.credits, plan.directory, plan.balance, plan.affordable, plan.spent })
    assert.same({ scene = "good", index = 1, model = "google/gemini-omni", action = "submit", why = "new", selected = true, pays = true,
      take = 1, credits = 40 }, plan.scenes[1])
    assert.same({ "done", 1, 80, 80, false }, { done.event, done.exit, done.credits, done.spent, done.interrupted })
    assert.matches("/media/good%-%x+.mp4$", done.scenes[1].file)
    assert.same({ "failed", "generation_failed" }, { done.scenes[2].status, done.scenes[2].error.code })
    assert.equal("film_incomplete", done.film_error.code)
    assert.equal(out .. "/report.html", done.report)
    local seen = {}
    for _, event in ipairs(events) do
      assert.is_number(event.time)
      if event.scene == "good" then seen[#seen + 1] = event.event end
    end
    assert.same({ "submitting", "pending" }, { seen[1], seen[2] })
    assert.equal("fetched", seen[#seen])
    assert.same({ 1, "" }, { result.code, result.err })
  end)

  it("with --json also prints events for the cut, the film and the report", function()
    serve()
    local result = run("--yes", "--json")
    local events, by_name = events_of(result), {}
    for _, event in ipairs(events) do by_name[event.event] = event end
    local done = by_name.done
    assert.same({ 0, out .. "/film.mp4" }, { result.code, by_name.cutting.file })
    assert.is_number(by_name.cutting.fraction)
    assert.same({ file = out .. "/film.mp4", seconds = by_name.film.seconds, made = true }, done.film)
    assert.is_true(done.film.seconds > 0)
    assert.same({ out .. "/report.html", done.report }, { by_name.report.file, out .. "/report.html" })
  end)

  it("continues after a failed scene, says why it failed and what to do, and exits with 1", function()
    serve("--fault", "fail:match=bad,reason=too dark")
    local result = run("--yes")
    assert.equal(1, result.code)
    assert.matches("\n  bad   failed  .*too dark.*40 sandbox credits\n +change the prompt", result.out)
    assert.matches("1 of 2 scenes done", result.out)
    assert.matches('\nfilm    the film wasn\'t cut: missing scenes: "bad"', result.out)
  end)

  it("with --fail-fast submits nothing more after a scene has failed; --keep-going overrides that", function()
    env.write(board, (BOARD:gsub('scene "good".-\n', "") :gsub("\n}\n", '\nscene "good" { prompt = "good" },\n}\n')))
    serve("--fault", "fail:match=bad")
    local result = run("--yes", "--jobs", "1", "--fail-fast")
    assert.equal(1, result.code)
    assert.equal(1, service.submits())
    assert.matches('\n  good  refused  not submitted, because scene "bad" failed', result.out)
    result = run("--yes", "--jobs", "1", "--keep-going")
    assert.equal(1, result.code)
    assert.matches("\n  good  40 sandbox credits", result.out)
  end)

  it("refuses an invalid board with exit code 2, lists all its errors, and sends nothing", function()
    serve()
    for message, text in pairs {
      [":2: "] = "\nreturn storyboard {{",
      ["at least one scene"] = "return storyboard {}",
      ["instead of a storyboard"] = "return 1",
      [':2: scene "a": the name is already used at .*:1'] = 'return storyboard { scene "a" { prompt = "x" },\n'
        .. 'scene "a" { prompt = "x" } }',
      ["did you mean 'duration'"] = 'return storyboard { scene "a" { prompt = "x", durtion = 4 } }',
      [':2: scene "b": duration.*\nomni: .*:3: scene "c": aspect_ratio'] = 'return storyboard { scene "a" { prompt = "x" },\n'
        .. 'scene "b" { prompt = "x", duration = 5 },\nscene "c" { prompt = "x", aspect_ratio = "4:3" } }',
    } do
      env.write(board, text)
      local result = run("--yes")
      assert.same({ 2, "" }, { result.code, result.out }, message)
      assert.equal(1, (result.err:find("omni: " .. board .. ":", 1, true)), result.err)
      assert.matches(message, result.err)
    end
    assert.equal(2, program.run({ "run", files:file "missing.lua" }).code)
    assert.equal(0, service.submits())
  end)

  it("refuses unknown scenes with exit code 2, suggests the most similar names, and submits nothing", function()
    serve()
    for _, option in ipairs { "--only", "--redo", "--resubmit" } do
      local result = run("--yes", option, "goood")
      assert.equal(2, result.code)
      assert.matches("^omni: " .. option:gsub("%-", "%%-") .. ": the board has no scene \"goood\"; did you mean 'good'%?", result.err)
    end
    local result = run("--yes", "--adopt", "goood", "t")
    assert.equal(2, result.code)
    assert.matches("^omni: %-%-adopt: the board has no scene \"goood\"; did you mean 'good'%?", result.err)
    assert.equal(0, service.submits())
  end)

  it("refuses to start without a key or with an invalid base URL, with exit code 2", function()
    local result = run("--yes")
    assert.equal(2, result.code)
    assert.matches("CRUN_API_KEY", result.err)
    result = program.run(words("--yes", "--base-url", "http://me:secret@127.0.0.1:1"), { environment = { CRUN_API_KEY = "ak_x" } })
    assert.equal(2, result.code)
    assert.is_nil((result.out .. result.err):find("secret", 1, true))
  end)

  it("at Ctrl-C submits nothing more, prints the tasks in flight and how to continue, and exits with 130", function()
    serve("--seconds", "100")
    local child = program.start(words("--yes", "--jobs", "1"), { environment = service.environment })
    local id = child:wait_for("good: pending"):match("task ([%x-]+)")
    child:signal("INT")
    local result = child:finish()
    assert.equal(130, result.code)
    assert.is_truthy(result.out:find("  good  interrupted  task " .. id, 1, true))
    assert.matches("\n  bad   not submitted", result.out)
    assert.is_nil(result.out:find("bad: ", 1, true))
    assert.is_truthy(result.out:find("nothing is paid for twice:\n  omni run " .. board .. " --out " .. out, 1, true), result.out)
  end)

  it("at Ctrl-C waits for the response to a sent submit; at the second Ctrl-C ends at once", function()
    serve("--fault", "slow:on=submit,delay=3600", "--seconds", "1000000")
    local child = program.start(words("--yes", "--jobs", "1", "--json"), { environment = service.environment })
    child:wait_for('"submitting"')
    repeat until service.submits() == 1
    child:signal("INT")
    service.advance(3600)
    local result = child:finish()
    assert.equal(130, result.code)
    assert.is_string(events_of(result)[#result.lines].scenes[1].task_id)
    child = program.start(words("--yes", "--jobs", "2", "--json"), { environment = service.environment })
    repeat until service.submits() == 2 -- of the other scene; the run resumes this one
    child:signal("INT")
    child:signal("TERM")
    result = child:finish()
    assert.equal(130, result.code)
    assert.is_nil(result.out:find('"done"', 1, true))
  end)

  it("at Ctrl-C before the first submit says that nothing was submitted", function()
    serve("--fault", "slow:on=estimate,delay=60")
    local child = program.start(words("--yes"), { environment = service.environment })
    local connected = (":%04X 01 "):format(service.url:match("%d+$")) -- remote port, state ESTABLISHED
    repeat until env.read("/proc/net/tcp"):find(connected, 1, true)
    child:signal("INT")
    local result = child:finish()
    assert.same({ 130, "omni: interrupted: nothing was submitted\n" }, { result.code, result.err })
  end)

  it("draws on a terminal, in colours unless NO_COLOR is set, and passes no control characters of a board on", function()
    env.write(board, (BOARD:gsub('"Night"', '"Night\\27[2J\\27]0;x\\7"')))
    serve()
    local function shown(more, ...)
      local environment = { NO_COLOR = "", TERM = "xterm" }
      for name, value in pairs(service.environment) do environment[name] = value end
      for name, value in pairs(more) do environment[name] = value end
      return program.on_terminal(words("--yes", ...), { columns = 40, environment = environment })
    end
    local coloured = shown {}
    assert.equal(0, coloured.code)
    assert.matches("good +fetched", (coloured.out:gsub("\27%[[%d;]*m", "")))
    assert.matches("2 of 2 scenes done", coloured.out)
    assert.is_truthy(coloured.out:find("\27[32m", 1, true))
    assert.is_nil(coloured.out:find("\27[2J", 1, true))
    assert.is_nil(coloured.out:find("\27]", 1, true))
    local plain = shown { NO_COLOR = "1" }
    assert.is_nil(plain.out:find("\27%[[%d;]*m"))
    assert.is_truthy(plain.out:find("\27[J", 1, true))
    local dumb = shown({ TERM = "dumb" }, "--redo", "good")
    assert.is_nil(dumb.out:find("\27", 1, true))
  end)

  it("runs the boards among the examples", function()
    serve()
    for _, name in ipairs { "lighthouse", "seasons" } do
      local result = program.run({ "run", ("examples/%s.lua"):format(name), "--yes", "--jobs", "8", "--out", out .. name },
        { environment = service.environment })
      assert.same({ 0, "" }, { result.code, result.err })
      local done, all = result.out:match("(%d+) of (%d+) scenes done")
      assert.equal(all, done)
      assert.is_true(tonumber(all) >= 5)
    end
  end)
end)
