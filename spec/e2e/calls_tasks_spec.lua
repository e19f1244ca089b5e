-- SPDX-License-Identifier: MIT
-- `omni query`, `omni wait`, `omni fetch`: tasks at the service.
local cjson = require "cjson"
local env = require "helper.env"
local hostile = require "helper.hostile"
local program = require "helper.program"
local screen = require "helper.screen"

local events_of = program.events_of

-- Returns what a terminal with so many columns shows at the end.
local function shown(result, columns)
  local term = screen.new(columns)
  term:feed((result.out:gsub("\r\n", "\n")))
  local lines = {}
  for row = 1, term.row do lines[row] = term:line(row) end
  return table.concat(lines, "\n")
end

describe("omni", function()
  local files, service

  before_each(function() files = env.directory() end)
  after_each(function()
    if service then service.stop() end
    service = nil
    files:close()
  end)

  local function serve(...) service = program.service { ... } end
  local function options() return { environment = service.environment, directory = files.path } end
  local function run(...) return program.run({ ... }, options()) end
  local function submit(prompt, ...) return run("submit", "--prompt", prompt, ...).lines[1] end
  local function on_terminal(arguments, columns, environment, steps)
    local all = { columns = columns, environment = environment or {}, steps = steps }
    for name, value in pairs(service.environment) do all.environment[name] = value end
    return program.on_terminal(arguments, all)
  end

  it("query prints the current state of a task, or as JSON everything that the service answered", function()
    serve("--seconds", "100")
    local id = submit("a boat", "--duration", "8")
    local result = run("query", id)
    assert.same({ 0, "" }, { result.code, result.err })
    assert.same({ "task      " .. id, "model     google/gemini-omni", "reserved  80 sandbox credits" },
      { result.lines[1], result.lines[3], result.lines[5] })
    assert.matches("^status    %l+$", result.lines[2])
    assert.matches("^created   %d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d$", result.lines[4])
    assert.equal(5, #result.lines)

    local event = events_of(run("query", id, "--json"))[1]
    assert.same({ "task", id, "google/gemini-omni", 80, "number" },
      { event.event, event.task_id, event.model, event.reserved_credits, type(event.created_at) })
    assert.same({ "a boat", 8, "Google" }, { event.raw.param.input.prompt, event.raw.param.input.duration, event.raw.provider })
  end)

  it("query hides the token of a callback URL, and reads an answer that begins with a byte order mark", function()
    local server <close> = hostile.start()
    local answer = '\xEF\xBB\xBF{"code":200,"data":{"task_id":"t-1","status":"running","credits":5,'
      .. '"param":{"model":"m","callback_url":"%s","input":{}}}}'
    local function raw(url)
      server:script { GET = { { hostile.json(answer:format(url)) } } }
      local result = program.run({ "query", "t-1", "--json" }, { environment = {
        CRUN_BASE_URL = server.url, CRUN_API_KEY = "ak_" .. ("x"):rep(32),
      } })
      assert.is_nil(result.out:find("5ec2e7", 1, true))
      return events_of(result)[1].raw.param.callback_url
    end
    assert.equal("https://omni.example:8787/...", raw "https://omni.example:8787/hook/5ec2e7")
    assert.equal("https://omni.example/...", raw "https://omni.example?token=5ec2e7")
    assert.equal("...", raw "5ec2e7")
  end)

  it("query prints unknown fields, without the service's control characters", function()
    local server <close> = hostile.start()
    local answer = [[{"code":200,"message":"success","data":{"task_id":"t-1","status":"run\u001b[2Jning","credits":0.5,]]
      .. [["list":[],"object":{},"result":{"message":"x"},"param":{"model":"a\u009b2Jb","input":{}}}}]]
    server:script { GET = { { hostile.json(answer) } } }
    local environment = { CRUN_BASE_URL = server.url, CRUN_API_KEY = "ak_" .. ("0"):rep(32) }
    local result = program.run({ "query", "t-1" }, { environment = environment })
    assert.equal(0, result.code)
    assert.not_matches("[\27\u{9b}]", result.out .. result.err)
    assert.matches("model +a%?2Jb\nreserved +0.5 credits", result.out)
    result = program.run({ "query", "t-1", "--json" }, { environment = environment })
    assert.matches('"list":%[%],"object":{}', result.out)
    assert.not_matches("\27", result.out)
  end)

  it("reports an unknown task and an invalid task id", function()
    serve()
    for _, command in ipairs { "query", "wait", "fetch" } do
      local result = run(command, "nowhere")
      assert.same({ 1, "" }, { result.code, result.out }, command)
      assert.matches("^omni: no such task.*status 404, task nowhere", result.err)
      local event = events_of(run(command, "--json", "--", "-odd"))[1]
      assert.same({ "error", "not_found", "-odd" }, { event.event, event.error.code, event.task_id })
      assert.equal(2, run(command, "two words").code)
      assert.matches("missing argument", run(command).err)
    end
  end)

  it("wait prints each task as soon as it is over, and each change of state, and exits with 1 if one failed", function()
    serve("--seconds", "0.3", "--fault", "fail:match=bad", "--fault", "never:match=long")
    local good, bad = submit "good", submit "bad"
    local result = run("wait", good, good)
    assert.equal(0, result.code)
    assert.matches("^task +" .. good:gsub("%-", "%%-") .. "\nstatus +success\n", result.out)
    assert.matches("\ntook +0:%d%d\ncost +40 sandbox credits\nmedia +http", result.out)

    result = run("wait", good, bad)
    assert.equal(1, result.code)
    assert.matches("status +success", result.out)
    assert.matches("status +failed.*error +the generation failed", result.out)

    local long = submit "long"
    result = run("wait", long, "--timeout", "3", "--json") -- enough for one query, also on a busy machine
    assert.equal(1, result.code)
    local events = events_of(result)
    local last = events[#events]
    assert.same({ "task", "error", "timeout", long }, { events[1].event, last.event, last.error.code, last.task_id })
    assert.matches("to continue: omni wait " .. long:gsub("%-", "%%-"), last.error.hint)
    events = events_of(run("wait", good, "--json"))
    assert.same({ 1, "success", 40 }, { #events, events[1].status, events[1].credits })
    assert.matches("^http", events[1].media[1])
  end)

  it("wait, interrupted, prints the command that waits for the remaining tasks", function()
    serve("--seconds", "0.1", "--fault", "never:match=long")
    local good, one, other = submit "good", submit "long 1", submit "long 2"
    local child = program.start({ "wait", one, good, other, "--base-url", service.url }, options())
    child:wait_for "status +success"
    child:signal "INT"
    local result = child:finish()
    assert.equal(130, result.code)
    assert.is_truthy(result.err:find(("they go on at the service. To continue with them:\n  omni wait %s %s --base-url %s\n")
      :format(one, other, service.url), 1, true), result.err)
  end)

  it("wait draws one line on a terminal and erases it at the end; elsewhere it prints a line for each change", function()
    serve("--seconds", "100")
    local id = submit "a"
    local pending = { "waiting", function() service.advance(20) end }
    local running = { "running", function() service.advance(200) end }
    local result = on_terminal({ "wait", id }, 60, {}, { pending, running })
    assert.equal(0, result.code)
    assert.matches(id:gsub("%-", "%%-") .. "  running  %d:%d%d", result.out)
    local left = shown(result, 60)
    assert.not_matches("running", left)
    assert.matches("^task     " .. id:gsub("%-", "%%-") .. "\nstatus   success\n", left)

    id = submit "b"
    service.advance(20)
    result = on_terminal({ "wait", id }, 60, { TERM = "dumb" }, { running })
    assert.not_matches("\27", result.out)
    assert.matches(id:gsub("%-", "%%-") .. "  running\r?\n", result.out)
  end)

  it("wait for several tasks draws how many are done, and in which states the others are", function()
    serve("--seconds", "0.1", "--fault", "never:match=long", "--fault", "fail:match=bad")
    local ids = { submit "good", submit "bad", submit "long 1", submit "long 2" }
    local result = on_terminal({ "wait", table.unpack(ids) }, 80, {}, {
      { "2 of 4 done, 1 fail%l*, 2 %l+  %d:%d%d", function(type_) type_ "\3" end },
    })
    assert.equal(130, result.code)
    assert.matches("^task     [%x-]+\nstatus   ", shown(result, 80))
  end)

  it("wait shows how long such tasks took, once the ledger knows that", function()
    serve("--seconds", "1", "--fault", "never:match=d")
    for _, prompt in ipairs { "a", "b", "c" } do run("submit", "--prompt", prompt, "--wait", "--ledger", "own.db") end
    local id = submit("d", "--ledger", "own.db")
    local words = { "wait", id, "--ledger", files:file "own.db" }
    local result = on_terminal(words, 80, {}, { { "running  %d+:%d%d of about 0:01", function(type_) type_ "\3" end } })
    assert.equal(130, result.code)
  end)

  it("colours a status on a terminal, unless NO_COLOR forbids it", function()
    serve()
    local id = submit "a"
    run("wait", id)
    assert.matches("\27%[32msuccess\27%[0m", on_terminal({ "query", id }, 80).out)
    assert.not_matches("\27", on_terminal({ "query", id }, 80, { NO_COLOR = "1" }).out)
    assert.not_matches("\27", run("query", id).out)
  end)

  it("fetch waits for the task, and names its file after the task", function()
    serve("--seconds", "100")
    local id = submit "a"
    local child = program.start({ "fetch", id, "--out", "deep/clips" }, options())
    child:wait_for_error "pending"
    service.advance(200)
    local result = child:finish()
    assert.equal(0, result.code, result.err)
    assert.equal(("deep/clips/%s.mp4"):format(id), result.out)
    assert.matches("success in %d:%d%d, 40 sandbox credits", result.err)
    assert.is_truthy(env.read(files:file(result.out)):find("ftyp", 1, true))
    local other = submit "b"
    service.advance(200)
    result = run("fetch", other)
    assert.matches("^[%x-]+%.mp4$", result.out)
    assert.is_truthy(env.read(files:file(result.out)))
    local event = events_of(run("fetch", id, "--json"))
    assert.same({ "fetched", id, 1, id .. ".mp4", true }, { event[#event].event, event[#event].task_id, event[#event].index,
      event[#event].file, event[#event].made })
    assert.equal(#env.read(files:file(id .. ".mp4")), event[#event].bytes)
  end)

  it("fetch with --no-wait refuses a task that isn't over", function()
    serve("--seconds", "100")
    local result = run("fetch", submit "a", "--no-wait")
    assert.same({ 1, "" }, { result.code, result.out })
    assert.matches("the task hasn't ended %(%l+%).*\n.*leave %-%-no%-wait out", result.err)
    assert.matches("can not be used together", run("fetch", "t-1", "--no-wait", "--timeout", "3").err)
  end)

  it("fetch keeps only one of two equal files, and never touches a different file with the same name", function()
    serve("--fault", "slow:on=media,delay=0.01")
    local id = submit "a"
    local name = id .. ".mp4"
    assert.equal(name, run("fetch", id).out)
    local clip = env.read(files:file(name))
    local again = run("fetch", id)
    assert.same({ 0, name }, { again.code, again.out })
    assert.matches("existed already", again.err)
    assert.same({ name }, files:names())

    env.write(files:file(name), "somebody's notes")
    local other = ("%s (2).mp4"):format(id)
    for _ = 1, 2 do -- the second run finds the file
      assert.equal(other, run("fetch", id).out)
      assert.same({ "somebody's notes", clip }, { env.read(files:file(name)), env.read(files:file(other)) })
      local there = files:names()
      table.sort(there)
      assert.equal(2, #there)
    end
  end)

  it("fetch sends no request for a file that is already here according to the ledger", function()
    serve("--fault", "media-expired:every=2")
    local id = submit("a", "--out", "clips", "--ledger", "own.db")
    local result = run("fetch", id, "--out", "clips", "--ledger", "own.db")
    assert.same({ 0, ("clips/%s.mp4"):format(id) }, { result.code, result.out }, result.err)
    os.execute(("rm %s"):format(env.quote(files:file(result.out))))
    result = run("fetch", id, "--out", "clips", "--ledger", "own.db")
    assert.equal(1, result.code)
    assert.matches("media URLs expire", result.err)
  end)

  it("fetch chooses the extension by a file's bytes if the URL has none, and numbers several files", function()
    local server <close> = hostile.start()
    local answer = { code = 200, message = "success", data = { task_id = "../t:1", status = "success",
      result = { media_urls = { server.url .. "/m/one?x=.mp4", server.url .. "/m/two", server.url .. "/m/three.webm" } } } }
    server:script {
      { method = "GET", target = "/m/one", turns = { { hostile.answer("200 OK", "\x89PNG\r\n\x1A\n0123") } } },
      { method = "GET", target = "/m/two", turns = { { hostile.answer("200 OK", "\2nobody\0knows") } } },
      { method = "GET", target = "/m/three", turns = { { hostile.answer("200 OK", "\1film") } } },
      GET = { { hostile.json(cjson.encode(answer)) } },
    }
    local environment = { CRUN_BASE_URL = server.url, CRUN_API_KEY = "ak_" .. ("0"):rep(32), XDG_STATE_HOME = files:file "state" }
    local result = program.run({ "fetch", "../t:1", "--out", "here" }, { environment = environment, directory = files.path })
    assert.equal(0, result.code, result.err)
    local there = env.lines("ls " .. env.quote(files:file "here"))
    assert.same({ "t-1-2.bin", "t-1-3.webm", "t-1.png" }, there)
    assert.same({ "here" }, files:names())
  end)

  it("fetch keeps no login page and no JSON, says what it received, and accepts such files with --any", function()
    local server <close> = hostile.start()
    local answer = { code = 200, message = "success", data = { task_id = "t-1", status = "success",
      result = { media_urls = { server.url .. "/m/one.mp4" } } } }
    local words = '{"words":["a","b"]}'
    server:script {
      { method = "GET", target = "/m/one", turns = { { hostile.answer("200 OK", "<html>Sign in\27[31m</html>", {}) },
        { hostile.answer("200 OK", words) } } },
      GET = { { hostile.json(cjson.encode(answer)) } },
    }
    local given = { directory = files.path,
      environment = { CRUN_BASE_URL = server.url, CRUN_API_KEY = "ak_" .. ("0"):rep(32), XDG_STATE_HOME = files:file "state" } }
    local function fetch(...) return program.run({ "fetch", "t-1", "--out", "here", ... }, given) end
    local result = fetch()
    assert.equal(1, result.code)
    assert.matches('not a picture, film or sound: it is a page of HTML, SVG or XML: "<html>Sign in%?%[31m', result.err)
    assert.matches("JSON", fetch().err)
    assert.equal("", env.output("ls -A " .. env.quote(files:file "here")))
    assert.equal(0, fetch("--any").code)
    assert.equal(words, env.read(files:file "here/t-1.mp4"))
  end)

  it("fetch says why there is nothing to fetch, and that a folder can't be made", function()
    serve("--fault", "no-media:match=empty", "--fault", "fail:match=bad")
    local empty, bad, good = submit "empty", submit "bad", submit "good"
    assert.matches("without a media URL", run("fetch", empty).err)
    local result = run("fetch", bad, "--json")
    assert.equal(1, result.code)
    local events = events_of(result)
    assert.equal("generation_failed", events[#events].error.code)
    result = run("fetch", good, "--out", "/proc/nowhere")
    assert.equal(1, result.code)
    assert.matches("/proc/nowhere", result.err)
  end)

  it("fetch shows its progress on a terminal: share, bytes, rate and remaining time", function()
    local server <close> = hostile.start()
    local answer = '{"code":200,"message":"success","data":{"task_id":"t-1","status":"success","result":{"media_urls":["%s/m.mp4"]}}}'
    local head = "HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n"
    server:script {
      { method = "GET", target = "/m.mp4", turns = { { hostile.send(head .. ("x"):rep(1000000)), hostile.hang() } } },
      GET = { { hostile.json(answer:format(server.url)) } },
    }
    local environment = { CRUN_BASE_URL = server.url, CRUN_API_KEY = "ak_" .. ("0"):rep(32) }
    local share = "t%-1%.mp4   25%%  1 MB of 4 MB  [%d.]+ [kM]B/s  %d+:%d%d left"
    local result = program.on_terminal({ "fetch", "t-1", "--out", files.path }, { columns = 100, environment = environment,
      steps = { { share, function(type_) type_ "\3" end } } })
    assert.equal(130, result.code)
    assert.matches("interrupted", result.out)
  end)
end)
