-- SPDX-License-Identifier: MIT
local cjson = require("cjson").new()
local faults = require "omni.sandbox.faults"
local json = require "omni.json"
local service = require "omni.sandbox.service"

local key = "ak_" .. ("0"):rep(32)
local job, account = "/api/v1/client/job/", "/api/v1/client/account/"
local null = cjson.null

-- A service whose clock is ours: `clock.time` moves only when a test moves it, and clips are drawn when it says so.
local function rehearse(given)
  given = given or {}
  local clock, waiting = { time = 100 }, {}
  local served = service.open {
    url = "http://127.0.0.1:1", key = key, seconds = given.seconds or 10, seed = given.seed or 1,
    credits = given.credits or 10000, faults = assert(faults.open(given.faults, 1)),
    now = function() return clock.time end, wall = function() return 1700000000 + math.floor(clock.time) end,
    draw = function(spec, done)
      waiting[#waiting + 1] = { spec = spec, done = done }
      if not given.slow_drawing then done "/clips/1.mp4" end
    end,
    stat = function(path) if path == "/clips/1.mp4" then return { size = 1000, mtime = 1700000000 } end end,
  }
  local r = { service = served, clock = clock, waiting = waiting }
  function r.ask(method, path, query, body, headers)
    headers = headers or { ["x-api-key"] = key }
    local response = served:handle { method = method, path = path, query = query, headers = headers, body = body or "" }
    local fine, decoded = pcall(cjson.decode, response.body)
    return response, fine and decoded or nil
  end
  function r.post(body) return r.ask("POST", job .. "CreateTask", nil, body) end
  function r.submit(input) return r.post(cjson.encode { model = "google/gemini-omni", input = input or { prompt = "a boat" } }) end
  function r.query(id) return r.ask("GET", job .. "TaskInfo", "task_id=" .. id) end
  function r.made(input)
    local _, answer = r.submit(input)
    return answer.data.task_id
  end
  return r
end

describe("the sandbox, as the service", function()
  it("answers a submit with an envelope and a new task id like a UUID", function()
    local r, seen = rehearse(), {}
    for _ = 1, 100 do
      local response, answer = r.submit()
      assert.same({ 200, 200, "success" }, { response.status, answer.code, answer.message })
      local id = answer.data.task_id
      assert.matches("^%x+%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-%x+$", id)
      assert.equal(36, #id)
      assert.is_nil(seen[id])
      seen[id] = true
    end
    assert.equal(rehearse({ seed = 5 }).made(), rehearse({ seed = 5 }).made())
    assert.not_equal(rehearse({ seed = 5 }).made(), rehearse({ seed = 6 }).made())
  end)

  it("takes a task from pending through running to success, with all fields of the contract", function()
    local r = rehearse()
    local body = '{"model":"google/gemini-omni","input":{"prompt":"a boat","duration":6,"img_urls":[]},' ..
      '"callback_url":"https://example.com/cb"}'
    local _, made = r.post(body)
    local id = made.data.task_id
    local response, answer = r.query(id)
    local data = answer.data
    assert.same({ id, "Google", "gemini-omni", "pending", "api" },
      { data.task_id, data.provider, data.model_version, data.status, data.source })
    assert.matches('"create_at":1700000100,"complete_at":null,"duration_s":null,"credits":60,"result":null', response.body)
    assert.matches('"param":{"model":"google/gemini%-omni","callback_url":"https://example.com/cb",' ..
      '"input":{"prompt":"a boat","duration":6,"img_urls":%[%]}}', response.body)
    r.clock.time = 104
    _, answer = r.query(id)
    assert.equal("running", answer.data.status)
    r.clock.time = 112.5
    response, answer = r.query(id)
    data = answer.data
    assert.equal("success", data.status)
    assert.matches('"complete_at":17000001%d%d,"duration_s":%d+,', response.body)
    assert.is_true(data.complete_at >= 1700000108 and data.complete_at <= 1700000112)
    assert.is_true(data.duration_s >= 8 and data.duration_s <= 12)
    assert.same({ 200, "success", { "http://127.0.0.1:1/media/" .. id .. ".mp4" } },
      { data.result.code, data.result.message, data.result.media_urls })
    assert.same({ 6, 60 }, { data.result.media_info.duration, data.result.usage.credits })
  end)

  it("makes a task last as long as requested, give or take a fifth; it is pending for the first tenth", function()
    local r, shortest, longest = rehearse(), 99, 0
    for _ = 1, 40 do
      local id, states = r.made(), {}
      local began = r.clock.time
      for tenth = 0, 130 do
        r.clock.time = began + tenth / 10
        local _, answer = r.query(id)
        states[answer.data.status] = states[answer.data.status] or tenth / 10
      end
      assert.is_true(states.pending == 0 and states.running >= 0.8 and states.running <= 1.3)
      shortest, longest = math.min(shortest, states.success), math.max(longest, states.success)
    end
    assert.is_true(shortest >= 8 and shortest < 8.6 and longest > 11.4 and longest <= 12.1)
  end)

  it("ends a task only when its clip is drawn, and lets it fail if none can be drawn", function()
    local r = rehearse { slow_drawing = true }
    local one, two = r.made { prompt = "one", duration = 8, aspect_ratio = "9:16", resolution = "1080p" }, r.made()
    local spec = r.waiting[1].spec
    assert.same({ "one", 8, "9:16", "1080p" }, { spec.prompt, spec.seconds, spec.aspect_ratio, spec.resolution })
    r.clock.time = 150
    local _, answer = r.query(one)
    assert.equal("running", answer.data.status)
    r.waiting[1].done "/clips/1.mp4"
    r.waiting[2].done(nil, "no disk")
    _, answer = r.query(one)
    assert.same({ "success", 50 }, { answer.data.status, answer.data.duration_s })
    _, answer = r.query(two)
    assert.equal("failed", answer.data.status)
    assert.same({ 501, "can't draw a clip: no disk" }, { answer.data.result.code, answer.data.result.message })
  end)

  it("requires the key for every API call, and never repeats it", function()
    local r = rehearse()
    local calls = {
      [job .. "CreateTask"] = "POST", [job .. "EstimateTask"] = "POST", [job .. "TaskInfo"] = "GET", [account .. "balance"] = "GET",
    }
    for path, method in pairs(calls) do
      local response, answer = r.ask(method, path, nil, nil, {})
      assert.same({ 401, 401, null }, { response.status, answer.code, answer.data })
      response = r.ask(method, path, nil, nil, { ["x-api-key"] = key .. "x" })
      assert.equal(401, response.status)
      assert.is_nil(response.body:find("ak_", 1, true))
    end
    assert.equal(0, r.service:ledger().submits)
  end)

  it("charges when it accepts a task, more for longer and larger clips, and refuses with 402 if credits are missing", function()
    local r = rehearse { credits = 500 }
    local function balance()
      local _, answer = r.ask("GET", account .. "balance")
      return answer.data.balance
    end
    local left = { balance() }
    for _, input in ipairs { {}, { duration = 8 }, { resolution = "1080p" }, { resolution = "4k" } } do
      input.prompt = "a boat"
      assert.equal(200, r.submit(input).status)
      left[#left + 1] = balance()
    end
    assert.same({ 500, 460, 380, 316, 156 }, left)
    local response, answer = r.submit { prompt = "a boat", resolution = "4k" }
    assert.same({ 402, 402, "not enough credits: this task costs 160, the balance is 156" },
      { response.status, answer.code, answer.message })
    assert.same({ 4, 344 }, { r.service:ledger().submits, r.service:ledger().charged })
  end)

  it("estimates a price without charging it", function()
    local r = rehearse { credits = 100 }
    local function estimate(input)
      local response, answer = r.ask("POST", job .. "EstimateTask", nil, cjson.encode { model = "google/gemini-omni", input = input })
      return answer.data, response
    end
    local data = estimate { prompt = "a boat", duration = 10 }
    assert.same({ 100, 100, true }, { data.estimated_credits, data.balance, data.affordable })
    assert.is_false(estimate({ prompt = "a boat", resolution = "4k" }).affordable)
    local _, response = estimate { prompt = "" }
    assert.equal(422, response.status)
    assert.equal(0, r.service:ledger().submits)
  end)

  it("refuses invalid inputs like the service, with 422 and the field's name, and charges nothing", function()
    local r = rehearse()
    local function wrong(body, expected)
      local response, answer = r.post(body)
      assert.same({ 422, 422, "Missing Params or Type Error", 1 }, { response.status, answer.code, answer.message, #answer.errors })
      assert.is_nil(answer.data)
      assert.matches(expected, answer.errors[1])
    end
    wrong("", "the body isn't JSON")
    wrong("{", "the body isn't JSON")
    wrong("<html>", "the body isn't JSON")
    wrong('{"model":NaN}', "the body isn't JSON")
    wrong('{"model":"\xff"}', "isn't UTF%-8")
    wrong('{"model":"x","input":{}}\0', "zero byte")
    wrong(("["):rep(100000), "the body isn't JSON")
    wrong('[{"model":"x"}]', "must be a JSON object")
    wrong('"model"', "must be a JSON object")
    wrong("null", "must be a JSON object")
    wrong('{"input":{}}', "^model: ")
    wrong('{"model":7,"input":{}}', "^model: ")
    wrong('{"model":"x"}', "^input: ")
    wrong('{"model":"x","input":[]}', "^input: ")
    wrong('{"model":"x","input":"y"}', "^input: ")
    wrong('{"model":"x","input":null}', "^input: ")
    wrong('{"model":"google/gemini-omni","input":{}}', "^input%.prompt: ")
    wrong('{"model":"google/gemini-omni","input":{"prompt":""}}', "^input%.prompt: ")
    wrong('{"model":"google/gemini-omni","input":{"prompt":null}}', "^input%.prompt: ")
    wrong('{"model":"google/gemini-omni","input":{"prompt":"a","duration":5}}', "^input%.duration: ")
    wrong('{"model":"google/gemini-omni","input":{"prompt":"a","duration":4.5}}', "^input%.duration: ")
    for _, url in ipairs { '"file:///etc/passwd"', '"ftp://a"', '"http://"', '"http://a b"', "7", "{}" } do
      wrong('{"model":"x","input":{},"callback_url":' .. url .. "}", "^callback_url: ")
    end
    wrong('{"model":"kling/v33","input":{}}', "^model: there is no 'kling/v33'; did you mean 'kling/v3'%?$")
    wrong('{"model":"google/gemini-omni","input":{"prompt":"a","img_urls":{}}}', "^input%.img_urls: ")
    wrong('{"model":"kling/v3","input":{"prompt":"a","metadata":[]}}', "^input%.metadata: ")
    wrong('{"model":"vidu/q2","input":{"prompt":"a","reference_images":[]}}', "^input%.reference_images: ")
    wrong('{"model":"bytedance/seedance","input":{"prompt":"a boat"}}', "^input%.image_url: ")
    assert.equal(0, r.service:ledger().submits)
    assert.same({}, r.waiting)
  end)

  it("treats null as missing, and accepts any object for a model without a schema", function()
    local r = rehearse()
    assert.equal(200, r.post('{"model":"google/gemini-omni","input":{"prompt":"a","duration":null},"callback_url":null}').status)
    local _, made = r.post('{"model":"sandbox/any","input":{"x":[],"y":{},"n":12345678901234567890,"z":null}}')
    local response, answer = r.query(made.data.task_id)
    assert.same({ "Sandbox", "any", 50 }, { answer.data.provider, answer.data.model_version, answer.data.credits })
    assert.matches('"input":{"x":%[%],"y":{},"n":12345678901234567890,"z":null}', response.body)
  end)

  it("answers 404 for an unknown task or path, 405 for a wrong method, 422 without a task id", function()
    local r = rehearse()
    local function codes(...)
      local response, answer = r.ask(...)
      assert.equal(response.status, answer.code)
      return response.status, response.headers
    end
    assert.equal(404, codes("GET", job .. "TaskInfo", "task_id=d6956973-2f17-43d4-8514-af6cc3a2f55d"))
    assert.equal(404, codes("GET", job .. "TaskInfo/"))
    assert.equal(404, codes("GET", "/"))
    assert.equal(422, codes("GET", job .. "TaskInfo"))
    assert.equal(422, codes("GET", job .. "TaskInfo", "task_id="))
    local status, headers = codes("GET", job .. "CreateTask")
    assert.same({ 405, "POST" }, { status, headers.Allow })
    assert.equal(405, codes("POST", job .. "TaskInfo", "task_id=x"))
    assert.equal(405, codes("DELETE", "/sandbox/ledger"))
  end)

  it("finds a task by a percent-encoded id, among other parameters", function()
    local r = rehearse()
    local id = r.made()
    assert.equal(200, r.ask("GET", job .. "TaskInfo", "a=1&task_id=" .. id:gsub("%-", "%%2d") .. "&b").status)
  end)

  it("returns the charge ledger with whole numbers as integers and an empty list as a list", function()
    local r = rehearse()
    local response = r.ask("GET", "/sandbox/ledger", nil, nil, {})
    local function accounts(peak, charged, balance)
      return ('"accounts":[{"account":"768cbdbda939","in_flight":null,"peak":%d,"charged":%d,"balance":%d}]}'):format(
        peak, charged, balance)
    end
    assert.equal('{"submits":0,"charged":0,"tasks":[],' .. accounts(0, 0, 10000), response.body)
    local id = r.made { prompt = "a boat" }
    r.submit { prompt = "" }
    response = r.ask("GET", "/sandbox/ledger", nil, nil, {})
    assert.equal('{"submits":1,"charged":40,"tasks":[{"task_id":"' .. id .. '","account":"768cbdbda939","model":"google/gemini-omni",' ..
      '"input":{"prompt":"a boat"},"credits":40,"status":"pending","create_at":1700000100,"complete_at":null}],' .. accounts(1, 40, 9960),
      response.body)
    local ledger = r.service:ledger()
    assert.same({ 1, 40, "a boat", id }, { ledger.submits, ledger.charged, ledger.tasks[1].input.prompt, ledger.tasks[1].task_id })
    assert.is_nil(ledger.tasks[1].complete_at)
  end)

  it("serves a clip as a whole or in part, and only for tasks that succeeded", function()
    local r = rehearse()
    local id = r.made()
    local path = "/media/" .. id .. ".mp4"
    assert.equal(404, r.ask("GET", path, nil, nil, {}).status)
    r.clock.time = 200
    local function part(headers)
      local response = r.ask("GET", path, nil, nil, headers)
      local body = response.body
      local bytes = type(body) == "table" and { body.offset, body.length } or body
      return response.status, bytes, response.headers["Content-Range"], response.headers
    end
    local status, body, range, headers = part {}
    assert.same({ 200, { 0, 1000 }, "bytes", "video/mp4" }, { status, body, headers["Accept-Ranges"], headers["Content-Type"] })
    assert.is_nil(range)
    status, body, range = part { range = "bytes=10-" }
    assert.same({ 206, { 10, 990 }, "bytes 10-999/1000" }, { status, body, range })
    local cases = {
      ["bytes=0-0"] = { 0, 1 }, ["bytes=990-5000"] = { 990, 10 }, ["bytes=-5"] = { 995, 5 }, ["bytes=-5000"] = { 0, 1000 },
    }
    for asked, expected in pairs(cases) do
      status, body = part { range = asked }
      assert.same({ 206, expected }, { status, body })
    end
    for _, asked in ipairs { "bytes=1000-", "bytes=99999999999999999999-", "bytes=-0" } do
      status, body, range = part { range = asked }
      assert.same({ 416, "", "bytes */1000" }, { status, body, range })
    end
    for _, asked in ipairs { "bytes=5-2", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6" } do
      assert.equal(200, (part { range = asked }))
    end
    assert.equal(206, (part { range = "bytes=1-", ["if-range"] = headers.ETag }))
    assert.equal(206, (part { range = "bytes=1-", ["if-range"] = headers["Last-Modified"] }))
    assert.equal(200, (part { range = "bytes=1-", ["if-range"] = '"other"' }))
  end)

  it("never serves a path outside of its table", function()
    local r = rehearse()
    for _, path in ipairs {
      "/media/../../etc/passwd", "/media/..%2f..%2fetc%2fpasswd.mp4", "/media//etc/passwd.mp4", "/media/.mp4", "/media/x.mp4",
    } do
      assert.equal(404, r.ask("GET", path).status)
    end
  end)
end)

describe("the sandbox's JSON", function()
  it("is the same with every lua-cjson: integers, long numbers, empty lists", function()
    local object = json.shape { "a", "b?", "c" }
    assert.equal('[1,2,0.1,1700000000,0.30000000000000004,[],{"a":1,"c":null},{}]',
      json.text { 1, 2.0, 0.1, 1700000000.0, 0.1 + 0.2, {}, object { a = 1 }, json.shape {} {} })
    assert.equal("integer", math.type(json.decode("[[4.0]]")[1][1]))
  end)

  it("keeps the text of each member", function()
    assert.same({ a = "[{}]", b = [[{"x":"}\"\\"}]], input = "[ ]", c = [["\\\""]], n = "-1e5" },
      json.members [[ { "a" : 1 ,"b":{"x":"}\"\\"},"in\u0070ut":[ ],"c":"\\\"","n":-1e5,"a":[{}] } ]])
    assert.same({}, json.members " { } ")
  end)
end)
