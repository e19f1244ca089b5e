-- SPDX-License-Identifier: MIT
-- `omni estimate`, `credits`, `upload`, `models`, `templates`: the commands that cost nothing.
local cjson = require "cjson"
local env = require "helper.env"
local hostile = require "helper.hostile"
local program = require "helper.program"
local screen = require "helper.screen"

local events_of = program.events_of

local PNG <const> = "\x89PNG\r\n\x1A\n0123"
local KEY <const> = "ak_" .. ("0"):rep(32)

local function lines_of(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

local function envelope(data) return ('{"code":200,"message":"success","data":%s}'):format(data) end

describe("omni", function()
  local files, service

  before_each(function() files = env.directory() end)
  after_each(function()
    if service then service.stop() end
    service = nil
    files:close()
  end)

  local function serve(...) service = program.service { ... } end
  local function run(...) return program.run({ ... }, { environment = service.environment, directory = files.path }) end

  describe("estimate", function()
    it("prints the price of a submit, the balance, and whether it is enough, and uploads and submits nothing", function()
      serve("--credits", "100")
      env.write(files:file "a.png", PNG)
      local result = run("estimate", "--prompt", "a", "--duration", "10", "--image", "a.png")
      assert.same({ 0, "" }, { result.code, result.err })
      assert.same({ "model       google/gemini-omni", "cost        about 100 sandbox credits", "balance     100 sandbox credits",
        "affordable  yes" }, result.lines)
      local event = events_of(run("estimate", "--prompt", "a", "--duration", "10", "--resolution", "4k", "--json"))[1]
      assert.same({ "estimate", "google/gemini-omni", 400, 100, false },
        { event.event, event.model, event.credits, event.balance, event.affordable })
      assert.equal(0, service.submits())
      assert.equal(2, run("estimate", "--prompt", "a", "--resolution", "5k").code)
    end)

    it("asks for the balance separately if the service's estimate doesn't contain it", function()
      local server <close> = hostile.start()
      server:script {
        { target = "EstimateTask", turns = { { hostile.json('{"code":404,"message":"no such endpoint","data":null}', "404 Not Found") } } },
        { target = "estimate-credits", turns = { { hostile.json(envelope '{"credits":2.5,"estimated":true}') } } },
        { target = "/balance", turns = { { hostile.json(envelope '{"balance":2}') } } },
        GET = { { hostile.json('{"code":404,"message":"no such endpoint","data":null}', "404 Not Found") } },
      }
      local result = program.run({ "estimate", "--prompt", "a" }, { environment = { CRUN_BASE_URL = server.url, CRUN_API_KEY = KEY } })
      assert.same({ 0, "model       google/gemini-omni\ncost        about 2.5 credits\nbalance     2 credits\naffordable  no" },
        { result.code, result.out })
    end)
  end)

  describe("credits", function()
    it("prints the balance of the account", function()
      serve("--credits", "12.5")
      local result = run "credits"
      assert.same({ 0, "balance  12.5 sandbox credits", "" }, { result.code, result.out, result.err })
      local event = events_of(run("credits", "--json"))[1]
      assert.same({ "balance", 12.5, 1, 12.5 }, { event.event, event.balance, #event.keys, event.keys[1].balance })
      assert.matches("^%x%x%x%x%x%x%x%x%x%x%x%x$", event.keys[1].key)
    end)

    it("says why the balance is unavailable and what to do, on stderr and as an event", function()
      serve()
      service.environment.CRUN_API_KEY = "ak_" .. ("f"):rep(32)
      local result = run("credits", "--json")
      assert.equal(1, result.code)
      assert.equal("unauthorized", events_of(result)[1].error.code)
      assert.matches("^omni: the key is missing or not valid", result.err)
      service.environment.CRUN_API_KEY = ""
      result = run "credits"
      assert.same({ 2, "" }, { result.code, result.out })
      assert.matches("there is no API key.*\n.*CRUN_API_KEY.*\n  to try it without a key: give the command omni sandbox", result.err)
    end)

    it("says at once that the service can't be reached, and ends at Ctrl-C", function()
      local child = program.start({ "credits", "--base-url", ("http://127.0.0.1:%d"):format(hostile.dead_port()) },
        { environment = { CRUN_API_KEY = KEY } })
      repeat until child:errors():find "trying again"
      child:signal "INT"
      assert.equal(130, child:finish().code)
    end)
  end)

  describe("upload", function()
    it("prints each file's URL, size, type and SHA-256", function()
      serve()
      env.write(files:file "keeper.png", PNG)
      local result = run("upload", "keeper.png")
      assert.same({ 0, "" }, { result.code, result.err })
      local sha256 = env.output("sha256sum < " .. env.quote(files:file "keeper.png")):match "%x+"
      assert.matches("^file +keeper.png\nurl +(http%S+)\nsize +12 bytes\ntype +image/png\nsha256 +" .. sha256 .. "$", result.out)
      assert.equal(PNG, program.ask("GET", result.out:match "url +(%S+)"))
      local event = events_of(run("upload", "keeper.png", "--json"))[1]
      assert.same({ "uploaded", "keeper.png", 12, "image/png", sha256, "boolean" },
        { event.event, event.file, event.bytes, event.content_type, event.sha256, type(event.reused) })
    end)

    it("continues with the other files if an upload fails, and exits with 1; a path that isn't a file gives exit code 2", function()
      serve()
      env.write(files:file "a.png", PNG)
      env.write(files:file "empty.png", "")
      env.write(files:file "odd.bin", "12345678")
      local result = run("upload", "nowhere.png", "a.png")
      assert.equal(1, result.code)
      assert.matches("^omni: nowhere.png: can't be read", result.err)
      assert.matches("^file +a.png\nurl +http", result.out)
      result = run("upload", "odd.bin", "--json")
      assert.equal(2, result.code)
      local event = events_of(result)[1]
      assert.same({ "error", "odd.bin", "invalid_input" }, { event.event, event.file, event.error.code })
      assert.matches("is empty", run("upload", "empty.png").err)
      assert.matches("is a folder", run("upload", ".").err)
      assert.matches("expected a path", run("upload", "").err)
      assert.matches("%-%-content%-type: expected a media type, for example image/png, got 'png'",
        run("upload", "odd.bin", "--content-type", "png").err)
      assert.matches("type +video/mp4", run("upload", "odd.bin", "--content-type", "video/mp4").out)
    end)
  end)

  it("prints the same on a terminal, and erases the line of its progress", function()
    serve()
    env.write(files:file "a.png", PNG)
    for _, words in ipairs { { "estimate", "--prompt", "a" }, { "credits" }, { "upload", files:file "a.png" } } do
      local piped = program.run(words, { environment = service.environment }).out
      local result = program.on_terminal(words, { columns = 120, environment = service.environment })
      assert.equal(0, result.code)
      local term = screen.new(120)
      term:feed((result.out:gsub("\r\n", "\n")))
      for row, line in ipairs(lines_of(piped)) do
        if not line:find "^url" then assert.equal(line, term:line(row)) end -- each upload has its own
      end
      assert.equal("", term:line(#lines_of(piped) + 1))
      assert.not_matches("\27", piped)
    end
  end)
end)

-- A service with two models and three templates.
local MODELS <const> = envelope [[{"total":2,"models":[{"model":"google/gemini-omni","modality":"video","operations":["text-to-video",
  "image-to-video"]},{"model":"acme/good","modality":7,"operations":[]}]}]]
local MODEL <const> = envelope [[{"model":"kling/v3","modality":"video","operations":["text-to-video"],"required_input_fields":["prompt"],
  "input_schema":{"type":"object","properties":{"prompt":{"type":"string","maxLength":2500,"description":"What is seen.\u001b[2J"},
  "mode":{"type":"string","enum":["std","pro"],"default":"std"},"refs":{"type":"array","default":[],"items":{}}}}}]]
local function page(...)
  local list = {}
  for i, id in ipairs { ... } do list[i] = ('{"template_id":"%s","name":"The %s","description":"\\u009b2J of %s"}'):format(id, id, id) end
  return hostile.json(envelope(('{"total":3,"page":1,"templates":[%s]}'):format(table.concat(list, ","))))
end

describe("omni", function()
  local server

  before_each(function()
    server = hostile.start()
    local missing = hostile.json('{"code":404,"message":"no such model","data":null}', "404 Not Found")
    server:script {
      { target = "/Models/kling/v3", turns = { { hostile.json(MODEL) } } },
      { target = "/Models/", turns = { { missing } } },
      { target = "/Models", turns = { { hostile.json(MODELS) } } },
      { target = "/kling-templates?page=1", turns = { { page("hug", "kiss") } } },
      { target = "/kling-templates?page=2", turns = { { page "wave" } } },
      { target = "-templates", turns = { { hostile.json('{"code":505,"message":"off","data":null}', "505 Off") } } },
    }
  end)
  after_each(function() server:close() end)

  local function environment(more)
    local all = { CRUN_BASE_URL = server.url, CRUN_API_KEY = KEY }
    for name, value in pairs(more or {}) do all[name] = value end
    return all
  end
  local function run(...) return program.run({ ... }, { environment = environment() }) end
  local function targets()
    local list = {}
    for i, request in ipairs(server:requests()) do list[i] = request.target end
    return list
  end

  it("models lists all models, or those of one kind", function()
    local result = run("models", "--modality", "video", "--operation", "text-to-video")
    assert.same({ 0, "" }, { result.code, result.err })
    assert.equal("model               modality  operations\ngoogle/gemini-omni  video     text-to-video, image-to-video\nacme/good",
      result.out)
    assert.same({ "/api/v1/client/job/Models?modality=video&operation=text-to-video" }, targets())
    local event = events_of(run("models", "--json"))[1]
    assert.same({ "models", 2, "google/gemini-omni" }, { event.event, #event.models, event.models[1].model })
    local narrow = program.on_terminal({ "models" }, { columns = 40, environment = environment { NO_COLOR = "1" } }).out
    assert.equal("model               modality\r\ngoogle/gemini-omni  video\r\n    text-to-video, image-to-video\r\nacme/good\r\n", narrow)
    assert.matches("\27%[1mmodel", program.on_terminal({ "models" }, { environment = environment() }).out)
  end)

  it("models NAME prints the model's input fields as a table, or its schema", function()
    local result = run("models", "kling/v3")
    assert.equal(0, result.code, result.err)
    assert.equal(table.concat({
      "model       kling/v3", "modality    video", "operations  text-to-video", "",
      "field   type    required  default  allowed values, and meaning",
      "prompt  string  yes                at most 2500 characters; What is seen.?[2J",
      "mode    string            std      std or pro",
      "refs    array             []",
    }, "\n"), result.out)
    local schema = run("models", "kling/v3", "--schema").out
    assert.matches('"refs":{"default":%[%],"items":{},"type":"array"}', schema)
    assert.equal(2500, cjson.decode(schema).properties.prompt.maxLength)
    local event = events_of(run("models", "kling/v3", "--json"))[1]
    assert.same({ "model", "kling/v3", "prompt" }, { event.event, event.model.model, event.model.required_input_fields[1] })
  end)

  it("models suggests the right name for an unknown model, and refuses options that can't be combined", function()
    local result = run("models", "googel/gemini-omni")
    assert.same({ 1, "" }, { result.code, result.out })
    assert.matches("no such model 'googel/gemini%-omni'; did you mean 'google/gemini%-omni'%?", result.err)
    for message, arguments in pairs {
      ["%-%-schema and %-%-json exclude each other"] = { "kling/v3", "--schema", "--json" },
      ["%-%-schema needs the NAME of a model"] = { "--schema" },
      ["%-%-modality selects from the list; leave NAME out"] = { "kling/v3", "--modality", "video" },
      ["model: must be a model's name"] = { "../secret" },
    } do
      result = run("models", table.unpack(arguments))
      assert.same({ 2, "" }, { result.code, result.out }, message)
      assert.matches("^omni: " .. message, result.err)
    end
  end)

  it("templates requests as many pages as the limit needs", function()
    local result = run("templates", "--platform", "kling")
    assert.same({ 0, "" }, { result.code, result.err })
    assert.equal("id    name      description\nhug   The hug   ?2J of hug\nkiss  The kiss  ?2J of kiss\nwave  The wave  ?2J of wave",
      result.out)
    assert.same({ "/api/v1/client/job/kling-templates?page=1&page_size=50", "/api/v1/client/job/kling-templates?page=2&page_size=50" },
      targets())
    local narrow = program.on_terminal({ "templates", "--platform", "kling", "--limit", "1" },
      { columns = 30, environment = environment { NO_COLOR = "1" } }).out
    assert.matches("^id   name\r\nhug  The hug\r\n    %?2J of hug\r\nthese are the first 1", narrow)
    result = run("templates", "--platform", "kling", "--limit", "2", "--id", "hug")
    assert.equal(3, #result.lines)
    assert.matches("these are the first 2; there are more", result.err)
    assert.matches("page_size=2&template_id=hug", targets()[#targets()])
    local events = events_of(run("templates", "--platform", "kling", "--json"))
    assert.same({ 3, "template", "kling", "wave" },
      { #events, events[3].event, events[3].platform, events[3].template.template_id })
  end)

  it("templates says why there are no templates, and which platforms exist", function()
    local result = run("templates", "--platform", "vidu", "--json")
    assert.equal(1, result.code)
    assert.equal("feature_disabled", events_of(result)[1].error.code)
    assert.matches("^omni: .*disabled", result.err)
    for _, arguments in ipairs { {}, { "--platform", "klng" }, { "--platform", "kling", "--limit", "0" } } do
      result = run("templates", table.unpack(arguments))
      assert.same({ 2, "" }, { result.code, result.out })
    end
    assert.matches("bytedance", run("templates", "--platform", "klng").err)
  end)
end)
