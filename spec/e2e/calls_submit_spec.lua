-- SPDX-License-Identifier: MIT
-- `omni submit`: consent, the request, and that no task id is lost.
local asked = require "helper.ledger"
local cjson = require "cjson"
local env = require "helper.env"
local hostile = require "helper.hostile"
local program = require "helper.program"

local events_of = program.events_of
local UUID <const> = "^%x+%-%x+%-%x+%-%x+%-%x+$"

-- The shortest bytes that count as an image and as a video.
local PNG <const>, MP4 <const> = "\x89PNG\r\n\x1A\n0123", "\0\0\0\x18ftypisom\0\0\2\0isommp41"

describe("omni submit", function()
  local files, service

  before_each(function() files = env.directory() end)
  after_each(function()
    if service then service.stop() end
    service = nil
    files:close()
  end)

  -- Starts a service that looks like the real one: submits cost money, and the ledger is the user's.
  local function serve(options)
    service = program.real_service(options)
    service.environment.XDG_STATE_HOME = files:file "state"
  end
  -- Starts a service with a sandbox key: omni asks for no consent, and polls often.
  local function rehearse(...) service = program.service { ... } end
  local function run(arguments, options)
    options = options or {}
    options.environment, options.directory = service.environment, files.path
    return program.run(arguments, options)
  end
  local function start(...) return program.start({ ... }, { environment = service.environment, directory = files.path }) end
  local function last_input() return service.ledger().tasks[#service.ledger().tasks].input end

  -- Returns the command that an error message names, as a list of words.
  local function named_command(text, verb)
    local words = {}
    for word in assert(text:match("omni (" .. verb .. " [^\n]*)"), text):gmatch "%S+" do words[#words + 1] = word end
    return words
  end

  it("spends nothing without consent: without a terminal, --yes and --budget it exits with 3", function()
    serve()
    local result = run({ "submit", "--prompt", "a boat", "--duration", "8" }, { input = "y\n" })
    assert.same({ 3, "" }, { result.code, result.out })
    assert.matches("google/gemini%-omni: about 80 credits; the account has 10000 credits", result.err)
    assert.matches("nothing was submitted: .*about 80 credits.*no terminal.*\n.*%-%-yes.*%-%-budget N", result.err)
    assert.equal(0, service.submits())
    result = run { "submit", "--prompt", "a boat", "--yes" }
    assert.equal(0, result.code)
    assert.matches(UUID, result.out)
    assert.equal(1, service.submits())
  end)

  it("with an idempotency key that the ledger knows prints the task that there is, and pays nothing", function()
    serve()
    local words = { "submit", "--prompt", "a boat", "--yes", "--tag", "order 17", "--idempotency-key", "order-17" }
    local first = run(words)
    assert.equal(0, first.code)
    assert.equal(first.out, run(words).out)
    assert.equal(1, service.submits())
    assert.matches("a submit, order 17", run({ "status" }).out)
    words[3] = "a ship"
    local other = run(words)
    assert.equal(3, other.code)
    assert.matches("order%-17.*prompt: this submit has a ship, number 1 a boat", other.err)
    words[6] = ""
    assert.equal(2, run(words).code)
    assert.equal(1, service.submits())
    service.stop()
    rehearse()
    words[6] = "order 17"
    local without = run(words)
    assert.same({ 2, "" }, { without.code, without.out })
    assert.matches("need a ledger.*%-%-ledger", without.err)
  end)

  it("asks on a terminal and shows the price; only a yes counts as consent", function()
    serve()
    for _, answer in ipairs { "n\n", "\n", "yikes\n" } do
      local result = program.on_terminal({ "submit", "--prompt", "a" }, { environment = service.environment, input = answer })
      assert.equal(3, result.code, answer)
      assert.matches("about 40 credits; the account has 10000 credits.*Submit%? %[y/N%]", result.out)
    end
    assert.equal(0, service.submits())
    assert.equal(0, program.on_terminal({ "submit", "--prompt", "a" }, { environment = service.environment, input = "yes\n" }).code)
    assert.equal(1, service.submits())
  end)

  it("asks nothing with a sandbox key", function()
    service = program.service()
    assert.equal(0, run({ "submit", "--prompt", "a" }).code)
    assert.equal(1, service.submits())
  end)

  it("takes a budget as consent, and refuses a price that is higher, unknown, or above the balance", function()
    serve()
    local result = run { "submit", "--prompt", "a", "--budget", "39", "--json" }
    assert.equal(3, result.code)
    local events = events_of(result)
    assert.same({ "estimate", 40, "error", "over_budget" },
      { events[1].event, events[1].credits, events[2].event, events[2].error.code })
    assert.equal(0, service.submits())
    assert.equal(0, run({ "submit", "--prompt", "a", "--budget", "40" }).code)
    assert.equal(1, service.submits())
    service.stop()

    serve { credits = 39 }
    result = run { "submit", "--prompt", "a", "--yes" }
    assert.equal(3, result.code)
    assert.matches("costs about 40 credits; the account has 39", result.err)
    assert.equal(0, service.submits())
    service.stop()

    serve { faults = { "status-505:on=estimate" } }
    result = run { "submit", "--prompt", "a", "--budget", "1000" }
    assert.equal(3, result.code)
    assert.matches("there is a budget, but the price is unknown", result.err)
    assert.equal(0, service.submits())
    assert.equal(0, run({ "submit", "--prompt", "a", "--yes" }).code)
    assert.equal(1, service.submits())
  end)

  it("refuses an invalid key and an unusable input before it spends anything", function()
    serve()
    local result = run { "submit", "--prompt", "a", "--duration", "7", "--yes" }
    assert.equal(2, result.code)
    assert.matches("duration: .*not 7", result.err)
    service.environment.CRUN_API_KEY = "ak_" .. ("f"):rep(32)
    result = run { "submit", "--prompt", "a", "--yes" }
    assert.equal(3, result.code)
    assert.matches("nothing was submitted: the key is missing or not valid", result.err)
    assert.equal(0, service.submits())
  end)

  it("prints the task id before it waits, so that another omni can continue after a kill", function()
    rehearse("--seconds", "1")
    local child = start("submit", "--prompt", "a", "--wait", "--ledger", "own.db")
    local id = child:wait_for(UUID)
    child:signal "KILL"
    child:finish()
    local result = run { "wait", id, "--ledger", "own.db" }
    assert.equal(0, result.code)
    assert.matches("status +success", result.out)
    assert.matches("media +http", result.out)
    assert.equal(1, service.submits())
    assert.matches("spent today: 40 sandbox credits %(1 submit%)", run({ "status", "--ledger", "own.db" }).out)
  end)

  it("at a timeout prints the command that continues, with its folder, ledger and base URL", function()
    rehearse("--seconds", "1")
    local result = run { "submit", "--prompt", "a", "--wait", "--timeout", "0.05" }
    assert.equal(1, result.code)
    assert.matches(UUID, result.lines[1])
    assert.matches("wasn't done within 0.05 seconds", result.err)
    assert.same({ "wait", result.lines[1] }, named_command(result.err, "wait"))

    local url = service.environment.CRUN_BASE_URL
    service.environment.CRUN_BASE_URL = nil
    result = run { "submit", "--prompt", "b", "--out", "clips", "--timeout", "0.05", "--ledger", "own.db", "--base-url", url }
    assert.equal(1, result.code)
    local id = result.lines[1]
    local words = named_command(result.err, "fetch")
    assert.same({ "fetch", id, "--out", "clips", "--ledger", "own.db", "--base-url", url }, words)
    result = run(words)
    assert.equal(0, result.code, result.err)
    assert.equal(("clips/%s.mp4"):format(id), result.out)
    assert.is_truthy(env.read(files:file(result.out)):find("ftyp", 1, true))
    assert.matches("in flight: 0", run({ "status", "--ledger", "own.db" }).out)
    assert.equal(2, service.submits())
  end)

  it("waits for the response to a sent submit after Ctrl-C, and prints how to continue", function()
    serve { seconds = 100, faults = { "slow:on=submit,delay=1" } }
    local child = start("submit", "--prompt", "a", "--yes", "--wait")
    repeat until service.submits() == 1 -- the service has accepted it, and hasn't responded yet
    child:signal "INT"
    local result = child:finish()
    assert.equal(130, result.code)
    assert.matches(UUID, result.out)
    assert.same({ "wait", result.out }, named_command(result.err, "wait"))
    assert.matches("in flight: 1", run({ "status" }).out)
  end)

  it("interrupted while it waits, prints which task continues and the command that waits for it", function()
    serve { seconds = 100 }
    local child = start("submit", "--prompt", "a", "--yes", "--out", "clips")
    local id = child:wait_for(UUID)
    child:signal "TERM"
    local result = child:finish()
    assert.equal(130, result.code)
    assert.same({ "fetch", id, "--out", "clips" }, named_command(result.err, "fetch"))
  end)

  it("submits nothing if it is interrupted before the submit", function()
    serve { faults = { "slow:on=upload,delay=100" } }
    env.write(files:file "a.png", PNG)
    local child = start("submit", "--prompt", "a", "--image", "a.png", "--yes")
    repeat until child:errors():find "about 40 credits"
    child:signal "INT"
    local result = child:finish()
    assert.same({ 130, "" }, { result.code, result.out })
    assert.matches("interrupted: nothing was submitted", result.err)
    assert.equal(0, service.submits())
  end)

  it("exits with 4 if the outcome is unknown, and never submits again by itself", function()
    serve { faults = { "drop-after:on=submit" } }
    local result = run { "submit", "--prompt", "a", "--yes", "--wait" }
    assert.same({ 4, "" }, { result.code, result.out })
    assert.matches("may have been accepted and charged.*omni credits.*omni status", result.err)
    assert.equal(1, service.submits())
    result = run { "status" }
    assert.matches("unknown: 1\n", result.out)
    assert.matches("it may have cost about 40 credits", result.out)
  end)

  it("exits with 3 if the service refuses the submit, which costs nothing, and with 1 if the paid task fails", function()
    rehearse("--fault", "status-505:on=submit,first=1", "--fault", "fail")
    local result = run { "submit", "--prompt", "a" }
    assert.same({ 3, "" }, { result.code, result.out })
    assert.matches("feature is disabled", result.err)
    result = run { "submit", "--prompt", "a", "--wait" }
    assert.equal(1, result.code)
    assert.matches("\nstatus +failed\n", result.out)
    assert.matches("\nerror +the generation failed", result.out)
    result = run { "submit", "--prompt", "a", "--out", "clips" }
    assert.equal(1, result.code)
    assert.matches(UUID, result.out)
    assert.matches("omni: the generation failed", result.err)
  end)

  it("uploads each given file once, and sends the URLs", function()
    serve()
    env.write(files:file "a.png", PNG)
    env.write(files:file "b.png", PNG .. "b")
    os.execute("mkdir " .. env.quote(files:file "film"))
    env.write(files:file "film/night.mp4", MP4)
    local result = run { "submit", "--prompt", "a", "--image", "a.png", "--image", "b.png", "--image", "./a.png",
      "--image", "https://example.com/c.png", "--video", "film/night.mp4", "--start", "2", "--ends", "7", "--yes", "--json" }
    assert.equal(0, result.code, result.err)
    local input, uploaded = last_input(), {}
    for _, event in ipairs(events_of(result)) do
      if event.event == "uploaded" then uploaded[#uploaded + 1] = event end
    end
    assert.is_true(#uploaded <= 4)
    assert.matches("/files/", input.img_urls[1])
    assert.same({ input.img_urls[1], "https://example.com/c.png" }, { uploaded[1].url, input.img_urls[4] })
    assert.are_not.equal(input.img_urls[1], input.img_urls[2])
    assert.same({ "video/mp4", 2, 7 }, { uploaded[#uploaded].content_type, input.video_list[1].start, input.video_list[1].ends })
    assert.equal(uploaded[#uploaded].url, input.video_list[1].url)
    assert.equal(PNG, program.ask("GET", input.img_urls[1]))
  end)

  it("uploads a file again that the service has lost, says so, and pays once", function()
    serve()
    env.write(files:file "a.png", PNG)
    assert.equal(0, run({ "upload", "a.png" }).code)
    asked.sqlite3(files:file "state/omni/ledger.db",
      ("UPDATE upload SET url = '%s/files/gone.png', at = at - 86400"):format(service.url))
    local result = run { "submit", "--prompt", "a", "--image", "a.png", "--yes" }
    assert.equal(0, result.code, result.err)
    assert.matches(UUID, result.out)
    assert.matches("\nomni: the service refused a submit with files that were uploaded earlier .*nothing was charged", result.err)
    assert.not_matches("gone", last_input().img_urls[1])
    assert.equal(1, service.submits())
  end)

  it("reads the input as JSON from a file or stdin, with paths relative to the file; options override its fields", function()
    serve()
    os.execute("mkdir " .. env.quote(files:file "shots"))
    env.write(files:file "shots/a.png", PNG)
    env.write(files:file "shots/night.json", [[{"prompt":"from the file","duration":8,"img_urls":[{"$file":"a.png"}]}]])
    assert.equal(0, run({ "submit", "--input", "shots/night.json", "--resolution", "1080p", "--duration", "4", "--yes" }).code)
    local input = last_input()
    assert.same({ "from the file", 4, "1080p" }, { input.prompt, input.duration, input.resolution })
    assert.equal(PNG, program.ask("GET", input.img_urls[1]))

    env.write(files:file "marked.json", "\xEF\xBB\xBF" .. [[{"prompt":"from Windows",]] .. "\r\n" .. [["duration":4}]] .. "\r\n")
    assert.equal(0, run({ "submit", "--input", "marked.json", "--yes" }).code)
    assert.equal("from Windows", last_input().prompt)

    local text = [[{"prompt":"from stdin","img_urls":[{"$file":"shots/a.png"}]}]]
    assert.equal(0, run({ "submit", "--input", "-", "--set", "aspect_ratio=9:16", "--yes" }, { input = text }).code)
    input = last_input()
    assert.same({ "from stdin", "9:16" }, { input.prompt, input.aspect_ratio })
    assert.matches("/files/", input.img_urls[1])
  end)

  it("refuses an invalid input with one clear line and exit code 2", function()
    serve()
    env.write(files:file "list.json", "[1]")
    env.write(files:file "broken.json", "{")
    env.write(files:file "odd.json", [[{"prompt":"a","img_urls":[{"$file":"x.png","start":1}]}]])
    env.write(files:file "lost.json", [[{"prompt":"a","video_list":[{"url":{"$file":"lost.mp4"}}]}]])
    env.write(files:file "large.json", ('{"prompt":"%s"}'):format(("x"):rep(1024 * 1024)))
    for message, arguments in pairs {
      ["%-%-image: can't read the file 'nowhere.png': No such file"] = { "--image", "nowhere.png" },
      ["%-%-image: '%.' is a folder"] = { "--image", "." },
      ["%-%-image: '/dev/null' is not a regular file"] = { "--image", "/dev/null" },
      ["%-%-image: 'ftp://a/b.png' must be a public http%(s%) URL.*the path of a file works, too"] = { "--image", "ftp://a/b.png" },
      ["%-%-image: .*data: URIs"] = { "--image", "data:image/png;base64,AAAA" },
      ["%-%-start selects a part of a video; add %-%-video"] = { "--start", "2" },
      ["%-%-ends: is required with start"] = { "--video", "https://example.com/v.mp4", "--start", "2" },
      ["%-%-ends: must be at most 10 seconds after start %(2%), not 13"] = { "--video", "https://example.com/v.mp4",
        "--start", "2", "--ends", "13" },
      ["%-%-set: expected NAME=VALUE, got 'x'"] = { "--set", "x" },
      ["seed: a JSON number must be less than 2%^53"] = { "--set", "seed=9007199254740993" },
      ["%-%-set: a name is missing in 'a%.%.b'"] = { "--set", "a..b=1" },
      ["%-%-set: 'a%.b' leads into a value that isn't an object"] = { "--set", "a=1", "--set", "a.b=1" },
      ["%-%-input: 'list.json' doesn't contain a JSON object"] = { "--input", "list.json" },
      ["%-%-input: 'broken.json' isn't JSON: "] = { "--input", "broken.json" },
      ["%-%-input: lost%.txt: No such file"] = { "--input", "lost.txt" },
      ["%-%-input: stdin is empty"] = { "--input", "-" },
      ["%-%-input: 'large.json' has more than 1048576 bytes"] = { "--input", "large.json" },
      ['img_urls%[1%]: expected {"$file": PATH} with no other field'] = { "--input", "odd.json" },
      ["video_list%[1%]%.url: can't read the file 'lost.mp4'"] = { "--input", "lost.json" },
      ["%-%-image: the model kling/v3 has another name for images: image_url or image_tail_url\n  instead of %-%-image, give %-%-set "]
        = { "--model", "kling/v3", "--image", "https://example.com/a.png" },
      ["%-%-timeout limits the waiting; add %-%-wait"] = { "--timeout", "3" },
      ["%-%-callback%-url must not contain a user name or a password"] = { "--callback-url", "https://a:b@example.com/" },
      ["%-%-out: expected a path"] = { "--out", "" },
      ["%-%-budget: expected a number, 0 or more, got 'much'"] = { "--budget", "much" },
      ["unknown option '%-%-key'"] = { "--key", "ak_x" },
    } do
      local result = run { "submit", "--prompt", "a", "--yes", table.unpack(arguments) }
      assert.same({ 2, "" }, { result.code, result.out }, message)
      assert.matches("^omni: [^\n]*" .. message, result.err)
    end
    assert.equal(0, service.submits())
  end)
end)

describe("the body of omni submit", function()
  local CREATED <const> = '{"code":200,"message":"success","data":{"task_id":"t-1"}}'
  local PRICE <const> = '{"code":200,"message":"success","data":{"estimated_credits":7,"balance":9,"affordable":true}}'

  it("contains what the options say, for any model: JSON values, texts, objects, empty ones, a callback URL", function()
    local server <close> = hostile.start()
    server:script {
      { method = "POST", target = "EstimateTask", turns = { { hostile.json(PRICE) } } },
      { method = "POST", target = "CreateTask", turns = { { hostile.json(CREATED) } } },
      GET = { { hostile.json('{"code":404,"message":"no such endpoint","data":null}', "404 Not Found") } },
    }
    local result = program.run({
      "submit", "--model", "acme/any", "--prompt", "42", "--set", "seed=42", "--set", "style=noir", "--set", "loud=true",
      "--set", "camera.pan.speed=0.25", "--set", "camera.kind=\"7\"", "--set", "tags=[]", "--set", "extra={}", "--set", "mask=null",
      "--input", "-", "--callback-url", "https://example.com/hook?a=1", "--budget", "7", "--json",
    }, { environment = { CRUN_BASE_URL = server.url, CRUN_API_KEY = "ak_" .. ("0"):rep(32) }, input = '{"style":"old","refs":[],"n":{}}' })
    assert.equal(0, result.code, result.err)
    local posts = server:requests "POST"
    local input = '{"camera":{"kind":"7","pan":{"speed":0.25}},"extra":{},"loud":true,"mask":null,"n":{},"prompt":"42","refs":[],'
      .. '"seed":42,"style":"noir","tags":[]}'
    assert.equal(('{"input":%s,"model":"acme/any"}'):format(input), posts[1].body)
    assert.equal(('{"callback_url":"https://example.com/hook?a=1","input":%s,"model":"acme/any"}'):format(input), posts[2].body)
    assert.equal(2, #posts)
    local submitted = cjson.decode(result.lines[2])
    assert.same({ "submitted", "t-1", "acme/any", 7 },
      { submitted.event, submitted.task_id, submitted.model, submitted.estimate })
  end)

  it("never contains the key, and neither does any output", function()
    local server <close> = hostile.start()
    local key = "ak_" .. ("7"):rep(32)
    server:script {
      POST = { { hostile.json(PRICE) }, { hostile.json(('{"code":500,"message":"%s","data":null}'):format(key)) } },
      GET = { { hostile.json('{"code":404,"message":"no such endpoint","data":null}', "404 Not Found") } },
    }
    local result = program.run({ "submit", "--model", "acme/any", "--prompt", "a", "--yes" },
      { environment = { CRUN_BASE_URL = server.url, CRUN_API_KEY = key } })
    assert.equal(4, result.code)
    assert.not_matches("7777", result.out .. result.err)
    for _, request in ipairs(server:requests "POST") do assert.not_matches("7777", request.body) end
  end)
end)
