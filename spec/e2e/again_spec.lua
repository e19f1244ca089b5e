-- SPDX-License-Identifier: MIT
-- Later runs of `omni run`: they keep paid files, make changed scenes, and continue interrupted work.
local asked = require "helper.ledger"
local cjson = require "cjson"
local core = require "omni.core"
local env = require "helper.env"
local program = require "helper.program"

describe("omni run, again", function()
  local files, board, out, service, ledger

  before_each(function()
    files = env.directory()
    board, out = files:file "board.lua", files:file "out"
    ledger = asked.new(out .. "/ledger.db")
  end)
  after_each(function()
    service.stop()
    files:close()
  end)

  local function write(dusk, more)
    env.write(board, ([[
return storyboard {
  title = "Night", defaults = { duration = 4 },%s
  scene "dusk" { prompt = "%s" },
  scene "dawn" { prompt = "dawn", continues = "dusk" },
  scene "sea" { prompt = "sea" },
}
]]):format(more or "", dusk))
  end
  local function serve(...) service = program.service { ... } end
  local function words(...)
    local list = { "run", board, "--yes", "--out", out, ... }
    if ledger ~= out .. "/ledger.db" then table.move({ "--ledger", ledger }, 1, 2, #list + 1, list) end
    return list
  end
  local function run(...)
    local result = program.run(words(...), { environment = service.environment })
    assert.same({ 0, "" }, { result.code, result.err }, result.out)
    return result
  end
  local function statuses(...)
    local result = run("--json", ...)
    local done, list = cjson.decode(result.lines[#result.lines]), {}
    for index, scene in ipairs(done.scenes) do list[index] = scene.status end
    return list, done
  end
  local function stamps()
    local all = {}
    for _, path in ipairs(env.lines("find " .. env.quote(out) .. " -name '*.mp4' -o -name '*.jpg'")) do
      all[path] = core.stat(path).stamp
    end
    return all
  end

  it("submits, downloads and cuts nothing if nothing has changed, and otherwise makes only the changed scenes", function()
    serve()
    write "dusk"
    run()
    local before = stamps()
    local again = run()
    assert.equal(3, service.submits())
    assert.same(before, stamps())
    for _, line in ipairs { "  = reuse    dusk\n", "3 to reuse: nothing to pay\n", "film: .-/film.mp4 %(as it was%)\n",
      "Night: 3 of 3 scenes done, 0 sandbox credits\n", "  dusk  reused  .-/media/dusk%-%x+.mp4\n",
      "the board has cost 120 sandbox credits so far" } do
      assert.matches(line, again.out)
    end
    assert.not_matches("submitting", again.out)
    -- The board is written differently but means the same: nothing to do.
    env.write(board, 'return storyboard { scene "sea" { duration = 4, prompt = "sea" },\n'
      .. '-- renamed\nscene "evening" { prompt = "dusk", duration = 4 },\n'
      .. 'scene "dawn" { prompt = "dawn", continues = "evening", duration = 4 } }')
    assert.same({ "reused", "reused", "reused" }, (statuses()))
    assert.equal(3, service.submits())

    -- One prompt has changed: the run makes that scene, the scenes that build on it, and a new film.
    write "dusk, later"
    local list, done = statuses()
    assert.same({ "fetched", "fetched", "reused" }, list)
    assert.same({ 5, 80, 200 }, { service.submits(), done.credits, done.spent })
    assert.is_string(done.film.file)
  end)

  it("with --only makes only that scene and the scenes on which it builds", function()
    serve()
    write "dusk"
    local result = run("--only", "dawn")
    assert.equal(2, service.submits())
    assert.matches("\n  %- left     1 scene", result.out)
    assert.matches("2 of 2 scenes done, 80 sandbox credits\n", result.out)
    assert.matches("\n  1 scene not among %-%-only\n", result.out)
    assert.matches('\nfilm    the film wasn\'t cut: missing scenes: "sea"\n', result.out)
    assert.is_nil(env.read(out .. "/film.mp4"))
    run("--only", "dusk", "--only", "sea")
    assert.equal(3, service.submits())
    assert.is_truthy(env.read(out .. "/film.mp4")) -- now all scenes are complete
  end)

  it("with --redo makes the next take and the scenes that build on it, and keeps the first take's file", function()
    serve()
    write "dusk"
    run()
    local before = stamps()
    local list, done = statuses("--redo", "dusk")
    assert.same({ "fetched", "fetched", "reused" }, list)
    assert.equal(5, service.submits())
    for path, stamp in pairs(before) do
      if path:find("/media/") then assert.equal(stamp, stamps()[path]) end
    end
    assert.same({ "reused", "reused", "reused" }, (statuses())) -- the scene is its latest take
    assert.is_nil(before[done.scenes[1].file])
  end)

  it("continues after Ctrl-C where it stopped, and pays for nothing twice", function()
    serve("--seconds", "0.6")
    write "dusk"
    local child = program.start(words("--json"), { environment = service.environment })
    child:wait_for('"event":"pending".*"sea"')
    child:signal("INT")
    assert.equal(130, child:finish().code)
    local result = run()
    assert.equal(3, service.submits())
    assert.matches("\n  ~ resume   sea", result.out)
    assert.matches("3 of 3 scenes done", result.out)
  end)

  it("continues with the take that an interrupted --redo has begun: the same command pays for one take", function()
    serve("--seconds", "0.6")
    env.write(board, 'return storyboard { scene "dusk" { prompt = "dusk" } }')
    run()
    local child = program.start(words("--redo", "dusk"), { environment = service.environment })
    child:wait_for("dusk: pending")
    child:signal("INT")
    local result = child:finish()
    assert.equal(130, result.code)
    assert.not_matches("%-%-redo", result.out) -- --redo isn't needed, either
    run("--redo", "dusk")
    assert.equal(2, service.submits())
  end)

  it("downloads a deleted clip again; a rehearsal whose sandbox is closed makes the clip again", function()
    serve()
    env.write(board, 'return storyboard { scene "dusk" { prompt = "dusk" } }')
    local function delete() os.execute("rm " .. env.quote(out) .. "/media/dusk-*.mp4") end
    run()
    delete()
    assert.matches("~ fetch    dusk .*mp4 is missing; the service keeps it until", run().out)
    assert.equal(1, service.submits())

    local port = service.url:match("%d+$")
    service.stop()
    serve("--port", port) -- a new sandbox without the old tasks
    delete()
    local result = program.run(words(), { environment = service.environment })
    assert.equal(1, result.code)
    assert.matches("\n  dusk  failed  no such task.*its sandbox is closed; the next sandbox run makes the scene again", result.out)
    assert.equal(0, service.submits())
    assert.matches("%+ submit   dusk  40 sandbox credits  its sandbox is closed", run().out)
    assert.equal(1, service.submits())
  end)

  it("doesn't look for the clip of a rehearsal in a sandbox that is closed", function()
    serve()
    env.write(board, 'return storyboard { scene "dusk" { prompt = "dusk" } }')
    run()
    service.stop()
    serve()
    os.execute("rm " .. env.quote(out) .. "/media/dusk-*.mp4")
    assert.matches("%+ submit   dusk  40 sandbox credits  .*mp4 is missing, and its sandbox is closed", run().out)
    assert.equal(1, service.submits())
  end)

  it("continues after Ctrl-C during the cut", function()
    serve()
    write("dusk", ' cut = { transition = "fade" },')
    local child = program.start(words(), { environment = service.environment })
    child:wait_for("^film: cutting")
    child:signal("INT")
    local result = child:finish()
    assert.equal(130, result.code)
    assert.matches("3 of 3 scenes done.*\ninterrupted\n", result.out)
    assert.is_nil(env.read(out .. "/film.mp4"))
    result = run()
    assert.matches("\nfilm    .*/film.mp4 %(%d", result.out)
    assert.equal(3, service.submits())
  end)

  it("waits for another run in the same folder, says so, and can be interrupted while it waits", function()
    serve("--seconds", "100")
    write "dusk"
    local first = program.start(words(), { environment = service.environment })
    first:wait_for("submitting")
    local second = program.start(words(), { environment = service.environment })
    local said = "omni: another omni run uses " .. out .. "; waiting for it\n"
    repeat until second:errors() == said
    second:signal("INT")
    local result = second:finish()
    assert.same({ 130, "", said .. "omni: interrupted: nothing was submitted\n" }, { result.code, result.out, result.err })
    first:signal("INT")
    assert.equal(130, first:finish().code)
  end)

  it("shows how long similar scenes take once three of them have been made", function()
    serve("--seconds", "0.65")
    local function write_three(first)
      local text = 'return storyboard { defaults = { duration = 4 }, scene "a" { prompt = "%s" }, scene "b" { prompt = "b" }, scene "c" {'
      env.write(board, text:format(first) .. ' prompt = "c" } }')
    end
    write_three "a"
    run()
    write_three "another"
    local planned = program.events_of(program.run({ "plan", board, "--out", out, "--json" }, { environment = service.environment }))[1]
    assert.same({ 3, true }, { planned.scenes[1].usual_tasks, planned.scenes[1].usual_seconds >= 0 })
    local shown = program.on_terminal(words(), { environment = service.environment, columns = 120 })
    assert.equal(0, shown.code)
    assert.matches("a scene usually takes 0:0%d, judging by 3 finished tasks like it in the ledger", shown.out)
    assert.matches("0:0%d of about 0:0%d", shown.out)
  end)
end)
