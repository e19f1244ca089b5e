-- SPDX-License-Identifier: MIT
-- Whatever a server answers to a query: nothing crashes, no task is lost, and the caller learns what was wrong.
local answers = require "helper.answers"
local env = require "helper.env"
local hostile = require "helper.hostile"

local ID = answers.ID
local URL = "https://media.invalid/clip.mp4"

local function body(text) return { hostile.json(text) } end
local function result_with(urls) return ('{"code":200,"message":"success","media_urls":%s}'):format(urls) end
local function success_with(result) return body(answers.envelope(answers.task("success", result))) end
local function running_with(text)
  return answers.envelope((answers.task("running"):gsub('"provider"', text .. ',"provider"')))
end
local function html(status, text) return { hostile.answer(status, text, { "Content-Type: text/html" }) } end
local function raw(text) return { hostile.send(text), hostile.close() } end
local function chunked(...)
  return { hostile.send "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ... }
end
local good = answers.envelope(answers.task("success", result_with('["' .. URL .. '"]')))
local encoded = { "Content-Type: application/json", "Content-Encoding: gzip" }

-- name, what the server does, the error's code
local unusable = {
  { "not JSON", body "hello", "bad_answer" },
  { "HTML", html("200 OK", "<!doctype html><title>Welcome</title>"), "bad_answer" },
  { "HTML under 502", html("502 Bad Gateway", "<html>nginx</html>"), "server_error" },
  { "empty", body "", "bad_answer" },
  { "204 without a body", { hostile.send "HTTP/1.1 204 No Content\r\n\r\n" }, "bad_answer" },
  { "only white space", body(" \r\n\t "), "bad_answer" },
  { "JSON that is cut short", body(good:sub(1, -20)), "bad_answer" },
  { "fewer bytes than it said", raw("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" .. good), "network" },
  { "a chunk that breaks off", chunked(hostile.send("ffff\r\n" .. good), hostile.close()), "network" },
  { "chunks of nonsense", chunked(hostile.send "zz\r\n\r\n", hostile.close()), "network" },
  { "nothing, and closes", { hostile.close() }, "network" },
  { "nothing, and resets", { hostile.reset() }, "network" },
  { "something that isn't HTTP", raw "220 mail.example ESMTP\r\n", "network" },
  { "half a status line", raw "HTTP/1.", "network" },
  { "two lengths that differ", raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\n" .. good), nil },
  { "a negative length", raw("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" .. good), nil },
  { "100,000 brackets", body(("["):rep(100000)), "bad_answer" },
  { "100,000 pairs of brackets", body(("["):rep(100000) .. ("]"):rep(100000)), "bad_answer" },
  { "100,000 objects in another", body(('{"data":'):rep(100000) .. "1" .. ("}"):rep(100000)), "bad_answer" },
  { "an envelope with deep data", body(answers.envelope(("["):rep(5000) .. ("]"):rep(5000))), "bad_answer" },
  { "9 MiB of which the length is said", { hostile.send "HTTP/1.1 200 OK\r\nContent-Length: 9437184\r\n\r\n",
    hostile.many(" ", 9437184) }, "too_large" },
  { "9 MiB of which the length isn't said", { hostile.send "HTTP/1.1 200 OK\r\n\r\n", hostile.many(" ", 9437184),
    hostile.close() }, "too_large" },
  { "chunks without end", chunked(hostile.many("4\r\n    \r\n", math.huge)), "too_large" },
  { "a compressed bomb", { hostile.answer("200 OK", env.gzip(nil, 64 << 20), encoded) }, "too_large" },
  { "a bomb that is compressed twice", { hostile.answer("200 OK", env.gzip(env.gzip(nil, 64 << 20)),
    { "Content-Encoding: gzip, gzip" }) }, "too_large" },
  { "broken compression", { hostile.answer("200 OK", "\31\139\8\0\0\0\0\0\0\3nonsense", encoded) }, "network" },
  { "JSON that calls itself compressed", { hostile.answer("200 OK", good, encoded) }, "network" },
  { "an encoding that nobody asked for", { hostile.answer("200 OK", good, { "Content-Encoding: rot13" }) }, "network" },
  { "headers without end", { hostile.send "HTTP/1.1 200 OK\r\n",
    hostile.many("X-Flood: " .. ("a"):rep(100) .. "\r\n", math.huge) }, "too_large" },
  { "one header without end", { hostile.send "HTTP/1.1 200 OK\r\nX-Flood: ", hostile.many("a", math.huge) }, nil },
  { "interim answers without end",
    { hostile.many("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", math.huge) }, "too_large" },
  { "code 500 under HTTP 200", body(answers.envelope("null", 500, "oops")), "server_error" },
  { "code 200 under HTTP 500", { hostile.json(good, "500 Oops") }, "server_error" },
  { "code 200 under HTTP 404", { hostile.json(good, "404 Not Found") }, "not_found" },
  { "an unknown code", body(answers.envelope("null", 299, "perhaps")), nil },
  { "a code that is text", body((good:gsub('"code":200', '"code":"200"', 1))), "bad_answer" },
  { "a code with a fraction", body((good:gsub('"code":200', '"code":200.5', 1))), "bad_answer" },
  { "a huge code", body((good:gsub('"code":200', '"code":1e300', 1))), "bad_answer" },
  { "an array", body "[]", "bad_answer" },
  { "null", body "null", "bad_answer" },
  { "a string", body '"hello"', "bad_answer" },
  { "a number", body "200", "bad_answer" },
  { "no data", body '{"code":200,"message":"success"}', "bad_answer" },
  { "another task's id", body(answers.envelope(answers.task("success", nil, "another"))), "bad_answer" },
  { "the id in another case", body(answers.envelope(answers.task("success", nil, ID:upper()))), "bad_answer" },
  { "the id with a NUL behind it",
    body(answers.envelope(answers.task("success", nil, ID .. "\\u0000x"))), "bad_answer" },
  { "no status", body(answers.envelope(('{"task_id":"%s"}'):format(ID))), "bad_answer" },
  { "an empty status", body(answers.envelope(answers.task "")), "bad_answer" },
  { "a redirect", { hostile.answer("302 Found", good, { "Location: /elsewhere" }) }, "bad_answer" },
  { "a redirect to a file", { hostile.answer("302 Found", "", { "Location: file:///etc/passwd" }) }, "bad_answer" },
  { "a NUL byte inside", body((good:gsub("google", "goo\0gle"))), "bad_answer" },
  { "a NUL byte behind", body(good .. "\0"), "bad_answer" },
  { "more JSON behind", body(good .. good), "bad_answer" },
  { "NaN", body(running_with '"credits":NaN'), "bad_answer" },
  { "Infinity", body(running_with '"credits":-Infinity'), "bad_answer" },
  { "a hexadecimal number", body(running_with '"credits":0x10'), "bad_answer" },
  { "single quotes", body((good:gsub('"', "'"))), "bad_answer" },
  { "UTF-16", body((good:gsub(".", "%0\0"))), "bad_answer" },
}

local server

local function query(turn, options)
  server:script{ GET = { turn } }
  return answers.client(server.url, options):query(ID)
end

-- No byte that a terminal obeys, and no C1 control character, in anything that a person may be shown.
local function assert_clean(text)
  assert.is_nil(text:find("[\0-\9\11-\31\127]"))
  assert.is_nil(text:find("\xc2[\x80-\x9f]"))
  assert.truthy(utf8.len(text))
end

describe("a query", function()
  setup(function() server = hostile.start() end)
  teardown(function() server:close() end)

  describe("fails with an error of its own when the answer is", function()
    for _, case in ipairs(unusable) do
      it(case[1], function()
        local task, err = query(case[2])
        assert.is_nil(task)
        assert_clean(answers.text_of(err))
        assert.equal(case[3] or err.code, err.code)
        assert.is_true(#err.message > 0)
        assert.equal(ID, err.task_id)
        assert.equal(1, #server:requests())
      end)
    end

    it("a hang", function()
      local task, err = query({ hostile.hang() }, { timeout = 0.2 })
      assert.is_nil(task)
      assert.equal("network", err.code)
      assert.equal(ID, err.task_id)
    end)

    it("a trickle that never ends", function()
      local turn = { hostile.send "HTTP/1.1 200 OK\r\n\r\n{", hostile.hang() }
      local task, err = query(turn, { timeout = 0.2 })
      assert.is_nil(task)
      assert.equal("network", err.code)
    end)
  end)

  it("accepts an answer of exactly the allowed size, and none that is a byte larger", function()
    local padded = good .. (" "):rep(20000 - #good)
    assert.truthy(query(body(padded), { max_bytes = 20000 }))
    local _, err = query(body(padded .. " "), { max_bytes = 20000 })
    assert.equal("too_large", err.code)
    _, err = query({ hostile.answer("200 OK", env.gzip(padded .. " "), encoded) }, { max_bytes = 20000 })
    assert.equal("too_large", err.code)
  end)

  it("reads an answer compressed with gzip", function()
    local task, err = query{ hostile.answer("200 OK", env.gzip(good), encoded) }
    assert.equal("success", assert(task, err).status)
  end)

  it("reads an answer compressed with deflate", function()
    -- One stored block: deflate's own frame around the plain bytes.
    local a, b = 1, 0
    for i = 1, #good do
      a = (a + good:byte(i)) % 65521
      b = (b + a) % 65521
    end
    local deflated = "\x78\x01\x01" .. ("<I2I2"):pack(#good, ~#good & 0xffff) .. good .. (">I4"):pack(b << 16 | a)
    local task, err = query { hostile.answer("200 OK", deflated, { "Content-Encoding: deflate" }) }
    assert.equal("success", assert(task, err).status)
  end)

  it("reads an answer that begins with a byte order mark", function()
    local task = assert(query(body("\xEF\xBB\xBF" .. good)))
    assert.same({ "success", ID }, { task.status, task.raw.task_id })
    local _, err = query(body "\xEF\xBB\xBF")
    assert.equal("bad_answer", err.code)
  end)

  it("accepts a status in upper and lower case", function()
    for _, word in ipairs{ "SUCCESS", "Success", "sUcCeSs" } do
      assert.equal("success", query(body((good:gsub('"status":"success"', ('"status":"%s"'):format(word))))).status)
    end
    assert.equal("running", query(body(answers.envelope(answers.task "RUNNING"))).status)
  end)

  it("takes the status from `status`, whatever the result's code", function()
    local failed = query(body(answers.envelope(answers.task("failed", result_with('["' .. URL .. '"]')))))
    assert.equal("failed", failed.status)
    assert.equal("generation_failed", failed.error.code)
    local pending = query(body(answers.envelope(answers.task("pending", '{"code":501,"message":"failed"}'))))
    assert.equal("pending", pending.status)
    assert.is_nil(pending.error)
  end)

  it("takes a failed task in an envelope with the code 501 for a failed task, and any other task in one for a refusal", function()
    local result = '{"code":501,"message":"the model gave up"}'
    local failed = assert(query(body(answers.envelope(answers.task("failed", result), 501, "failed"))))
    assert.same({ "failed", "generation_failed" }, { failed.status, failed.error.code })
    for _, data in ipairs { answers.task("running", result), '{"status":1}', "null", "[]" } do
      local task, problem = query(body(answers.envelope(data, 501, "failed")))
      assert.is_nil(task)
      assert.equal(501, problem.status)
    end
  end)

  it("also finds media beside the result", function()
    local moved = answers.task("success"):gsub('"source"', ('"media_urls":["%s"],"source"'):format(URL))
    local task = query(body(answers.envelope(moved)))
    assert.same({ URL }, task.media)
    assert.is_nil(task.error)
  end)

  describe("reports a broken success, and keeps the raw answer, when", function()
    local broken = {
      ["there is no result"] = "null",
      ["there are no media"] = '{"code":200,"message":"success"}',
      ["the media are empty"] = result_with "[]",
      ["the media are null"] = result_with "null",
      ["the media are text that is no URL"] = result_with '"clip.mp4"',
      ["the media are an object without a URL"] = result_with '{"name":"clip.mp4"}',
      ["a medium is a number"] = result_with "[7]",
      ["a medium is a local file"] = result_with '["file:///etc/passwd"]',
      ["a medium is a path"] = result_with '["/etc/passwd"]',
      ["a medium is data"] = result_with '["data:video/mp4;base64,AAAA"]',
      ["a medium is to be had by FTP"] = result_with '["ftp://media.invalid/clip.mp4"]',
      ["a medium holds a password"] = result_with '["https://user:password@media.invalid/clip.mp4"]',
      ["a medium holds a user"] = result_with '["https://user@media.invalid/clip.mp4"]',
      ["a medium holds a line break"] = result_with '["https://media.invalid/clip.mp4\\r\\nx-api-key: 1"]',
      ["a medium holds a NUL"] = result_with '["https://media.invalid/clip.mp4\\u0000.png"]',
      ["a medium has no host"] = result_with '["https://"]',
    }
    for name, result in pairs(broken) do
      it(name, function()
        local task, err = query(success_with(result))
        assert.equal("success", assert(task, err).status)
        assert.equal("broken_result", task.error.code)
        assert.is_nil(task.media)
        assert.equal(ID, task.raw.task_id)
        assert_clean(tostring(task.error))
      end)
    end
  end)

  it("leaves out media that can't be fetched", function()
    local task = query(success_with(result_with(('["file:///etc/passwd","%s",7]'):format(URL))))
    assert.same({ URL }, task.media)
    assert.is_nil(task.error)
  end)

  it("contains no control characters or terminal escapes of the service", function()
    local evil = "\\u001b]0;owned\\u0007\\u001b[2J\\u009b31m\\r\\n\\u007fred \\u202eright\\u0000"
    local _, err = query(body(answers.envelope("null", 422, evil)))
    assert.equal("invalid_request", err.code)
    assert_clean(answers.text_of(err))
    assert.truthy(err.message:find("red", 1, true))
    local failed = query(body(answers.envelope(answers.task("failed", ('{"code":501,"message":"%s"}'):format(evil)))))
    assert_clean(tostring(failed.error))
    local odd = query(body(answers.envelope(answers.task(evil))))
    assert_clean(odd.status)
    local named = query(body((answers.envelope(answers.task "running"):gsub("google/gemini%-omni", evil))))
    assert_clean(named.model)
  end)

  it("cuts a message that is too long to read", function()
    local _, err = query(body(answers.envelope("null", 422, ("long "):rep(100000))))
    assert.is_true(#err.message < 10000)
  end)

  it("contains no key that the service repeats", function()
    local _, err = query(body(answers.envelope("null", 401, "bad key " .. answers.KEY)))
    assert.equal("unauthorized", err.code)
    answers.text_of(err)
  end)

  it("contains no key that the service repeats in escapes: of JSON, of JSON within JSON, of URLs", function()
    local key = "ak_" .. ("/5ec2e7"):rep(4) .. "uuuu" -- one of these is mostly escaped itself
    local function each(form) return (key:gsub(".", function(c) return (form:format(c:byte())) end)) end
    local forms = {
      key, (key:gsub("/", "\\/")), (key:gsub("_", "\\u005f")), (key:gsub("^a", "\\u0061")), each "\\u%04x", each "\\u%04X",
      each "\\\\u%04x",       each "\\\\\\\\u%04x", each "%%%02x", each "%%%02X", (key:gsub("_", "%%%%5F")), (key:gsub("k", "\\\\u006b")),
    }
    for _, form in ipairs(forms) do
      for _, around in ipairs { "bad key '%s'", "%s", "\\n%s\\n", "\\\\%s\\\\", "a%s%%", "100%% of %s" } do
        local message = around:gsub("%%s", function() return form end):gsub("%%%%", "%%")
        local _, err = query(body(answers.envelope("null", 422, message)), { api_key = key })
        assert.equal("invalid_request", err.code) -- it is still JSON
        local shown = err.message:gsub("\\+u00(%x%x)", function(h) return string.char(tonumber(h, 16)) end)
          :gsub("%%(%x%x)", function(h) return string.char(tonumber(h, 16)) end):gsub("\\", "")
        assert.is_nil(shown:find("5ec2e7", 1, true), err.message)
        assert.truthy(err.message:find("***", 1, true))
      end
    end
    local echo = answers.envelope(answers.task "running"):gsub("a lighthouse", each "\\u%04x")
    local task = assert(query(body(echo), { api_key = key }))
    assert.matches("^%*+$", task.raw.param.input.prompt)
  end)

  it("keeps text that only resembles the key's beginning", function()
    local text = [[a\\u0061\"ak_\/%61\n\\]]
    local _, err = query(body(answers.envelope("null", 422, text)))
    assert.matches([[: a\u0061"ak_/%61 \]], err.message, 1, true)
  end)

  it("survives every wrong type in every field", function()
    local values = {
      "null", "true", "false", "0", "-1", "1.5", "1e308", "-1e308", "1e400", "9007199254740993", '""', '"x"', '"' ..
      ("y"):rep(5000) .. '"', "[]", "{}", "[[[]]]", '[null,1,"a"]', '{"a":{"b":[]}}', '"\\ud800"', '"\xff\xfe"',
    }
    local fields = {
      "task_id", "provider", "model_version", "status", "param", "create_at", "complete_at", "duration_s", "credits",
      "result", "source", "media_urls",
    }
    local turns = {}
    local function add(text) turns[#turns + 1] = { hostile.json(text) } end
    for _, value in ipairs(values) do
      for _, field in ipairs(fields) do
        -- Said twice: a decoder takes the last one.
        local data = answers.task("success", result_with('["' .. URL .. '"]')):gsub("}$",
          function() return (',"%s":%s}'):format(field, value) end)
        add(answers.envelope(data))
      end
      for _, field in ipairs{ "code", "message", "media_urls", "media_info", "usage" } do
        add(answers.envelope(answers.task("success", ('{"media_urls":["%s"],"%s":%s}'):format(URL, field, value))))
      end
      add(('{"code":200,"message":%s,"data":%s}'):format(value, answers.task "running"))
      add(('{"code":422,"message":%s,"data":null}'):format(value))
      add(('{"code":%s,"message":"x","data":%s}'):format(value, answers.task "running"))
      add(('{"code":200,"message":"success","data":%s}'):format(value))
      add(answers.envelope((answers.task("running"):gsub('"google/gemini%-omni"', function() return value end))))
    end
    server:script{ GET = turns }
    local client, tasks = answers.client(server.url), 0
    for i = 1, #turns do
      local task, err = client:query(ID)
      if task then
        tasks = tasks + 1
        assert.equal(ID, task.id)
        assert.is_string(task.status)
        for _, name in ipairs{ "created_at", "completed_at" } do
          assert.is_true(task[name] == nil or math.type(task[name]) == "integer" and task[name] >= 0)
        end
        for _, name in ipairs{ "duration", "credits" } do
          local value = task[name]
          assert.is_true(value == nil or type(value) == "number" and value >= 0 and value < math.huge)
        end
        assert.is_true(task.model == nil or type(task.model) == "string")
        for _, url in ipairs(task.media or {}) do assert.equal(URL, url) end
        if task.error then assert_clean(tostring(task.error)) end
      else
        assert.is_true(({ bad_answer = 1, invalid_request = 1, server_error = 1, unexpected_code = 1 })[err.code] == 1,
          ("turn %d gave %s"):format(i, tostring(err)))
        assert_clean(answers.text_of(err))
      end
    end
    assert.is_true(tasks > #turns // 3)
    assert.equal(#turns, #server:requests())
  end)
end)

describe("a wait", function()
  setup(function() server = hostile.start() end)
  teardown(function() server:close() end)

  -- What a wait must live through: all of the above but what says for certain that there is no such task.
  local lived_through = {}
  for _, case in ipairs(unusable) do
    if case[3] and case[3] ~= "not_found" then lived_through[#lived_through + 1] = case end
  end

  it("survives every hostile answer, one after another, until a good one comes", function()
    local turns = {}
    for _, case in ipairs(lived_through) do turns[#turns + 1] = case[2] end
    turns[#turns + 1] = { hostile.json(good) }
    server:script{ GET = turns }
    local client = answers.client(server.url, { retry_for = 120 })
    local task, err = client:task(ID):await{ timeout = env.seconds(60) }
    assert.equal("success", assert(task, err).status)
    assert.same({ URL }, task.media)
    assert.equal(#turns, #server:requests())
  end)

  for _, case in ipairs(lived_through) do
    it("ends at its deadline, with the task's id, when every answer is " .. case[1], function()
      server:script{ GET = { case[2] } }
      local client = answers.client(server.url, { retry_for = 120 })
      local task, err = client:task(ID):await{ timeout = 0.05 }
      assert.is_nil(task)
      assert.equal("timeout", err.code)
      assert.equal(ID, err.task_id)
      assert_clean(answers.text_of(err))
    end)
  end

  it("ends at its deadline if the server hangs", function()
    server:script{ GET = { { hostile.hang() } } }
    local client, start = answers.client(server.url, { retry_for = 120, timeout = env.seconds(20) }), os.time()
    local task, err = client:task(ID):await{ timeout = 0.1 }
    assert.is_nil(task)
    assert.equal("timeout", err.code)
    assert.equal(ID, err.task_id)
    assert.is_true(os.time() - start < env.seconds(10))
  end)

  it("ends at its deadline if there is no server", function()
    local client = answers.client("http://127.0.0.1:" .. hostile.dead_port(), { retry_for = 120 })
    local task, err = client:task(ID):await{ timeout = 0.1 }
    assert.is_nil(task)
    assert.equal("timeout", err.code)
    assert.equal(ID, err.task_id)
  end)

  it("continues if the client allows a single query no retry", function()
    server:script{ GET = { { hostile.close() }, { hostile.close() }, { hostile.json(good) } } }
    local client = answers.client(server.url, { retry_for = 0 })
    local task, err = client:task(ID):await{ timeout = env.seconds(30) }
    assert.equal("success", assert(task, err).status)
  end)

  it("continues after an unknown status, and warns of it once", function()
    local odd = body(answers.envelope(answers.task "dreaming"))
    local warnings = {}
    server:script{ GET = { odd, odd, odd, { hostile.json(good) } } }
    local client = answers.client(server.url, { on_event = answers.on_warning(function(text) warnings[#warnings + 1] = text end) })
    local task, err = client:task(ID):await{ timeout = env.seconds(30) }
    assert.equal("success", assert(task, err).status)
    assert.equal(4, #server:requests())
    assert.equal(1, #warnings)
    assert.truthy(warnings[1]:find("dreaming", 1, true))
  end)

  it("waits as long as the service asks, also under HTTP 200", function()
    local slow = hostile.answer("200 OK", answers.envelope("null", 429, "slow"), { "Retry-After: 3600" })
    server:script{ GET = { { slow }, { hostile.json(good) } } }
    local client = answers.client(server.url, { retry_for = 120 })
    local task, err = client:task(ID):await{ timeout = 0.1 }
    assert.is_nil(task)
    assert.equal("timeout", err.code)
    assert.equal(1, #server:requests())
  end)

  it("ends at once when the task is final, however broken its result", function()
    server:script{ GET = { success_with(result_with '["file:///etc/passwd"]') } }
    local client = answers.client(server.url)
    local task = client:task(ID)
    task:await{ timeout = env.seconds(30) }
    assert.equal("success", task.status)
    assert.equal("broken_result", task.error.code)
    assert.equal(1, #server:requests())
  end)
end)
