-- SPDX-License-Identifier: MIT
-- A submit costs money: however a server behaves, it gets at most one whole POST, and the caller learns what omni knows about it.
local answers = require "helper.answers"
local env = require "helper.env"
local hostile = require "helper.hostile"

local h2 = hostile.h2
local INPUT = { prompt = "a lighthouse in a storm" }

local server

-- A client whose connection has been used before: the case in which libcurl sends a POST again by itself.
local function used_client(options)
  local client = answers.client(server.url, options)
  local task, err = client:query(answers.ID)
  assert.equal("running", assert(task, err).status)
  return client
end

local function assert_unknown(task, err, sent)
  assert.is_nil(task)
  answers.text_of(err)
  assert.equal("submit_unknown", err.code)
  if sent then assert.equal(sent, err.sent) end
  assert.is_true(err.sent == "maybe" or err.sent == "answered")
  assert.is_string(err.hint)
end

-- name → what the server does with the POST, and what the caller must learn
local function redirect(status)
  return { hostile.answer(status, "", { "Location: /api/v1/client/job/CreateTask" }) }
end
local function refusal(code, status)
  return hostile.json(answers.envelope("null", code, "no, sorry"), status)
end
local function raw(text) return { hostile.send(text), hostile.close() } end

local unknown = {
  { "reads it whole and closes", { hostile.close() }, "maybe" },
  { "reads it whole and resets", { hostile.reset() }, "maybe" },
  { "answers half a status line and closes", raw "HTTP/1.", "maybe" },
  { "answers half a status line and resets", { hostile.send "HTTP/1.1 2", hostile.reset() }, "maybe" },
  { "answers headers without an end and closes", raw "HTTP/1.1 200 OK\r\nContent-Le" },
  { "closes before reading the body", { early = true, hostile.close() }, "maybe" },
  { "resets before reading the body", { early = true, hostile.reset() }, "maybe" },
  { "never answers", { hostile.hang() }, "maybe", timeout = 0.3 },
  { "answers without end", { hostile.send "HTTP/1.1 200 OK\r\n\r\n", hostile.hang() }, "maybe", timeout = 0.3 },
  { "answers 417 before reading the body",
    { early = true, hostile.json("", "417 Expectation Failed"), hostile.close() } },
  { "answers 417", { hostile.json("", "417 Expectation Failed") }, "answered" },
  { "redirects with 301 to itself", redirect "301 Moved Permanently", "answered" },
  { "redirects with 307 to itself", redirect "307 Temporary Redirect", "answered" },
  { "redirects with 308 to itself", redirect "308 Permanent Redirect", "answered" },
  { "breaks off in the body", raw("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" .. '{"code":200,"mess'), "maybe" },
  { "breaks off behind an answer that looks whole",
    raw("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" .. answers.accepted_body()), "maybe" },
  { "breaks off in a chunk", raw "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n{", "maybe" },
  { "says 100 Continue without end", { hostile.many("HTTP/1.1 100 Continue\r\n\r\n", math.huge) }, "maybe" },
  { "says 100 Continue and closes", raw "HTTP/1.1 100 Continue\r\n\r\n", "maybe" },
  { "asks for another protocol", raw "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", nil },
  { "asks for a password", { hostile.answer("407 Proxy Authentication Required", "",
    { 'Proxy-Authenticate: Basic realm="x"' }) }, "answered" },
  { "doesn't speak HTTP", raw "220 mail.example ESMTP\r\n", "maybe" },
  { "answers HTML", { hostile.answer("200 OK", "<html>hello</html>", { "Content-Type: text/html" }) }, "answered" },
  { "answers nothing under 200", { hostile.json "" }, "answered" },
  { "answers 500", { refusal(500, "500 Oops") }, "answered" },
  { "answers 503 and asks to come back", { hostile.answer("503 Busy", "", { "Retry-After: 0" }) }, "answered" },
  { "answers code 500 under HTTP 200", { refusal(500) }, "answered" },
  { "answers code 501", { refusal(501) }, "answered" },
  { "answers code 200 under HTTP 500", { hostile.json(answers.accepted_body(), "500 Oops") }, "answered" },
  { "answers an unknown code", { refusal(299) }, "answered" },
  { "answers code 500 under HTTP 429", { refusal(500, "429 Slow") }, "answered" },
  { "answers success without a task id", { hostile.json(answers.envelope "{}") }, "answered" },
  { "answers success without data", { hostile.json '{"code":200,"message":"success"}' }, "answered" },
  { "answers a task id with a space", { hostile.json(answers.accepted_body "a b") }, "answered" },
  { "answers a task id of 257 characters", { hostile.json(answers.accepted_body(("x"):rep(257))) }, "answered" },
  { "answers an empty task id", { hostile.json(answers.accepted_body "") }, "answered" },
  { "answers a number as task id", { hostile.json(answers.envelope '{"task_id":7}') }, "answered" },
  { "answers 9 MiB", { hostile.send "HTTP/1.1 200 OK\r\n\r\n", hostile.many(" ", 9 << 20), hostile.close() }, "maybe" },
  { "answers a compressed bomb", { hostile.answer("200 OK", env.gzip(nil, 64 << 20),
    { "Content-Encoding: gzip" }) }, "maybe" },
}

local unknown_h2 = {
  { "refuses the stream", { h2.rst "refused_stream" }, "maybe" },
  { "cancels the stream", { h2.rst "cancel" }, "maybe" },
  { "breaks the stream", { h2.rst "internal_error" }, "maybe" },
  { "resets the stream without an error", { h2.rst "no_error" }, "maybe" },
  { "wants HTTP/1.1", { h2.rst "http_1_1_required" }, "maybe" },
  { "goes away without having seen it", { h2.goaway(0, "no_error"), hostile.close() }, "maybe" },
  { "goes away because it wants HTTP/1.1", { h2.goaway(0, "http_1_1_required"), hostile.close() }, "maybe" },
  { "goes away in error", { h2.goaway(0, "internal_error"), hostile.close() }, "maybe" },
  { "reads it whole and closes", { hostile.close() }, "maybe" },
  { "reads it whole and resets", { hostile.reset() }, "maybe" },
  { "closes before reading the body", { early = true, hostile.close() }, "maybe" },
  { "breaks off in the body", { h2.part(200, '{"code":200,"mess'), hostile.close() }, "maybe" },
  { "breaks off behind an answer that looks whole",
    { h2.part(200, answers.accepted_body()), hostile.close() }, "maybe" },
  { "ends the stream by force behind an answer that looks whole",
    { h2.part(200, answers.accepted_body()), h2.rst "internal_error" }, "maybe" },
  { "answers a frame of nonsense", { hostile.send(("\xff"):rep(64)), hostile.close() }, "maybe" },
  { "never answers", { hostile.hang() }, "maybe", timeout = 0.3 },
  { "answers 417 before reading the body",
    { early = true, hostile.json("", "417 Expectation Failed"), hostile.close() } },
  { "answers 417", { h2.answer(417, "") }, "answered" },
  { "answers 500", { h2.answer(500, answers.envelope("null", 500, "oops")) }, "answered" },
}

describe("a submit", function()
  setup(function() server = hostile.start() end)
  teardown(function() server:close() end)

  describe("is sent once, and its outcome is unknown, when the server", function()
    for _, case in ipairs(unknown) do
      it(case[1], function()
        server:script{ GET = { { answers.running() } }, POST = { case[2] } }
        -- Retries are allowed for two minutes here, so that a wrong one would show.
        local client = used_client{ retry_for = 120, timeout = env.seconds(case.timeout or 10) }
        local task, err = client:submit(INPUT)
        assert_unknown(task, err, case[3])
        assert.is_true(server:posts() <= 1)
        assert.equal(1, #server:requests "POST")
      end)
    end

    it("closes before reading anything", function()
      server:script{ GET = { { answers.running() } }, accept = { [2] = { hostile.close() } } }
      local client = used_client{ retry_for = 120 }
      assert_unknown(client:submit(INPUT))
      assert.equal(2, server:seen().connections)
      assert.equal(0, #server:requests "POST")
    end)

    it("resets before reading anything", function()
      server:script{ GET = { { answers.running() } }, accept = { [2] = { hostile.reset() } } }
      local task, err = used_client():submit(INPUT)
      assert.is_nil(task)
      -- The reset can come before or after the connection was seen to stand.
      assert.is_true(err.code == "submit_unknown" or err.code == "network" and err.sent == "no")
      assert.equal(0, #server:requests "POST")
    end)
  end)

  describe("over HTTP/2 is sent once, and its outcome is unknown, when the server", function()
    for _, case in ipairs(unknown_h2) do
      it(case[1], function()
        server:script{
          GET = { { h2.answer(200, answers.envelope(answers.task "running")) } }, POST = { case[2] },
        }
        local client = used_client{
          http_version = "2-prior-knowledge", retry_for = 120, timeout = env.seconds(case.timeout or 10),
        }
        local task, err = client:submit(INPUT)
        assert_unknown(task, err, case[3])
        assert.equal(1, #server:requests "POST")
      end)
    end
  end)

  describe("is accepted, once, when the server", function()
    local accepting = {
      { "answers as it should", { POST = { { answers.accepted() } } } },
      { "closes the connection while it idles",
        { GET = { { answers.running(), hostile.close() } }, POST = { { answers.accepted() } } } },
      { "closes the used connection as soon as anything comes on it", -- which a POST on it would
        { GET = { { answers.running() }, { early = true, hostile.close() } }, POST = { { answers.accepted() } } } },
      { "closes behind its answer", { POST = { { answers.accepted(), hostile.close() } } } },
      { "resets behind its answer's end",
        { POST = { { answers.accepted(), hostile.send "HTTP/1.1 500 Never asked\r\n\r\n", hostile.close() } } } },
      { "says 100 Continue unasked",
        { POST = { { hostile.send "HTTP/1.1 100 Continue\r\n\r\n", answers.accepted() } } } },
      { "compresses its answer",
        { POST = { { hostile.answer("200 OK", env.gzip(answers.accepted_body()), { "Content-Encoding: gzip" }) } } } },
      { "says 201", { POST = { { hostile.json(answers.accepted_body(), "201 Created") } } } },
    }
    for _, case in ipairs(accepting) do
      it(case[1], function()
        local script = case[2]
        script.GET = script.GET or { { answers.running() } }
        server:script(script)
        local client = used_client()
        local task, err = client:submit(INPUT)
        assert.equal(answers.ID, assert(task, err).id)
        assert.equal(1, server:posts())
      end)
    end

    it("speaks HTTP/2", function()
      server:script{
        GET = { { h2.answer(200, answers.envelope(answers.task "running")) } },
        POST = { { h2.answer(200, answers.accepted_body()) } },
      }
      local client = used_client{ http_version = "2-prior-knowledge" }
      local task, err = client:submit(INPUT)
      assert.equal(answers.ID, assert(task, err).id)
      assert.equal(1, server:posts())
    end)

    it("has put a forged answer into the connection that was used before", function()
      local forged = answers.accepted("forged")
      server:script{ GET = { { answers.running(), forged } }, POST = { { answers.accepted() } } }
      local client = used_client()
      local task, err = client:submit(INPUT)
      assert.equal(answers.ID, assert(task, err).id)
      assert.equal(1, server:posts())
    end)
  end)

  it("is recognised among others that run at the same time", function()
    local omni = require "omni"
    local turns = {}
    for i = 1, 20 do turns[i] = i % 2 == 0 and { hostile.close() } or { answers.accepted("task-" .. i) } end
    server:script{ GET = { { answers.running() } }, POST = turns }
    local client = used_client{ retry_for = 120, max_connections = 4 }
    local ids, lost = {}, 0
    omni.run(function()
      local fibers = {}
      for i = 1, 20 do
        fibers[i] = omni.spawn(function()
          local task, err = client:submit(INPUT)
          if task then ids[#ids + 1] = task.id else lost = lost + (err.code == "submit_unknown" and 1 or 0) end
        end)
      end
      omni.join(table.unpack(fibers))
    end)
    table.sort(ids)
    assert.same({ "task-1", "task-11", "task-13", "task-15", "task-17", "task-19", "task-3", "task-5", "task-7",
      "task-9" }, ids)
    assert.equal(10, lost)
    assert.equal(20, server:posts())
  end)
end)

describe("a refused submit", function()
  setup(function() server = hostile.start() end)
  teardown(function() server:close() end)

  local names = {
    [401] = "unauthorized", [402] = "insufficient_credits", [403] = "key_disabled", [404] = "not_found", [422] = "invalid_request",
    [429] = "rate_limited", [455] = "maintenance", [505] = "feature_disabled",
  }
  for code, name in pairs(names) do
    for _, status in ipairs{ "200 OK", code .. " Refused", "500 Oops" } do
      it(("with code %d under HTTP %s is %s, and not charged"):format(code, status, name), function()
        server:script{ GET = { { answers.running() } }, POST = { { refusal(code, status) } } }
        local directory <close> = env.directory() -- with a ledger of its own, no other spec's pause holds
        local task, err = used_client{ ledger = directory:file "l.db" }:submit(INPUT)
        assert.is_nil(task)
        assert.equal(name, err.code)
        assert.equal("answered", err.sent)
        assert.equal(code, err.status)
        assert.truthy(err.message:find("no, sorry", 1, true))
        assert.equal(1, server:posts())
      end)
    end
  end

  it("without an envelope is judged by the HTTP status", function()
    for code, name in pairs(names) do
      server:script{ GET = { { answers.running() } }, POST = { { hostile.json("<html>", code .. " Refused") } } }
      local directory <close> = env.directory()
      local _, err = used_client{ ledger = directory:file "l.db" }:submit(INPUT)
      assert.equal(name, err.code)
      assert.equal(1, server:posts())
    end
  end)

  for _, code in ipairs{ 401, 402, 403, 404, 422, 505 } do
    it(("with code %d is never tried again"):format(code), function()
      server:script{ GET = { { answers.running() } }, POST = { { refusal(code) } } }
      local _, err = used_client{ retry_for = 120 }:submit(INPUT)
      assert.equal(names[code], err.code)
      assert.equal(1, server:posts())
    end)
  end

  for _, code in ipairs{ 429, 455 } do
    it(("with code %d is tried again until it is accepted"):format(code), function()
      server:script{ GET = { { answers.running() } },
        POST = { { refusal(code) }, { hostile.json("", code .. " Later") }, { answers.accepted() } } }
      local task, err = used_client{ retry_for = 120 }:submit(INPUT)
      assert.equal(answers.ID, assert(task, err).id)
      assert.equal(3, server:posts())
    end)
  end

  it("that is tried again isn't sent any more once its outcome is unknown", function()
    server:script{ GET = { { answers.running() } },
      POST = { { hostile.json("", "429 Slow") }, { hostile.close() }, { answers.accepted() } } }
    assert_unknown(used_client{ retry_for = 120 }:submit(INPUT))
    assert.equal(2, server:posts())
  end)

  it("has the seconds that the service asks to wait", function()
    server:script{ GET = { { answers.running() } },
      POST = { { hostile.answer("429 Slow", "", { "Retry-After: 7" }) } } }
    local _, err = used_client():submit(INPUT)
    assert.equal("rate_limited", err.code)
    assert.equal(7, err.retry_after)
  end)
end)
