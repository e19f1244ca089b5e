-- SPDX-License-Identifier: MIT
-- POSTs to any URL: sent once, complete, with limits, and without a key. The sandbox's callbacks and `omni trigger` use them.
local answers = require "helper.answers"
local core = require "omni.core"
local env = require "helper.env"
local hostile = require "helper.hostile"
local loop = require "omni.loop"
local post = require "omni.http.webhook"

local server
local BODY <const> = '{"task_id":"x\0y"}' .. ("z"):rep(100000)

local function send(turn, options, url)
  server:script { POST = { turn } }
  local sender <close> = post.open(options)
  return sender:post(url or server.url .. "/hook?a=b", BODY, "application/json")
end

local function fine() return hostile.answer("200 OK", "thanks") end

describe("a post", function()
  setup(function() server = hostile.start() end)
  teardown(function() server:close() end)

  it("arrives completely, with its type and length", function()
    assert.same({ status = 200, text = "thanks" }, assert(send { fine() }))
    local got = server:requests()
    assert.equal(1, #got)
    assert.same({ "POST", "/hook?a=b", "application/json", tostring(#BODY) },
      { got[1].method, got[1].target, got[1].headers["content-type"], got[1].headers["content-length"] })
    assert.is_true(got[1].body == BODY)
    assert.is_nil(got[1].headers.expect)
  end)

  it("contains no key, even if it is sent by a client that has one", function()
    server:script { POST = { { fine() } } }
    local other <close> = hostile.start()
    other:script { GET = { { answers.running() } } }
    local client = answers.client(other.url)
    assert(client:query(answers.ID)) -- its connections and handles have carried the key
    local result = loop.run(function()
      return client.all_keys[1].transport:perform(nil, nil, "post", server.url, "{}", "application/json")
    end)
    assert.equal(200, result.status)
    local sent = server:requests()[1]
    assert.is_nil(sent.headers["x-api-key"])
    assert.is_nil(sent.bytes and tostring(sent.bytes):find(answers.KEY, 1, true))
    for _, value in pairs(sent.headers) do assert.is_nil(value:find(answers.KEY, 1, true)) end
    assert(client:query(answers.ID))
    assert.equal(answers.KEY, other:requests()[2].headers["x-api-key"])
  end)

  it("returns the status of any answer, and follows no redirect", function()
    for _, status in ipairs { 201, 204, 301, 307, 400, 401, 404, 413, 500 } do
      local answer = assert(send { hostile.answer(status .. " X", status ~= 204 and "no" or "", { "Location: " .. server.url .. "/b" }) })
      assert.equal(status, answer.status)
      assert.equal(1, #server:requests())
    end
  end)

  it("keeps at most the first KiB of the answer, and stops reading an endless one", function()
    assert.same({ status = 400, text = ("ab"):rep(512) }, assert(send { hostile.answer("400 No", ("ab"):rep(1000)) }))
    local answer, problem = send { hostile.send "HTTP/1.1 200 OK\r\n\r\n", hostile.many("x", math.huge) }
    assert.is_nil(answer)
    assert.equal("too_large", problem.code)
    answer, problem = send { hostile.send "HTTP/1.1 200 OK\r\n", hostile.many("X: y\r\n", math.huge) }
    assert.is_nil(answer)
    assert.equal("too_large", problem.code)
  end)

  it("returns a refusal that comes before the whole body was sent", function()
    assert.equal(413, assert(send { early = true, hostile.answer("413 Too Large", "too large"), hostile.close() }).status)
    assert.equal(500, assert(send { hostile.send "HTTP/1.1 500 No\r\nContent-Length: 10\r\n\r\nhalf", hostile.close() }).status)
  end)

  it("is sent once, however its connection ends", function()
    for _, turn in ipairs { { hostile.close() }, { hostile.reset() }, { hostile.send "HTTP/1.1 2" , hostile.close() } } do
      local answer, problem = send(turn)
      assert.is_nil(answer)
      assert.equal("network", problem.code)
      assert.equal(1, server:posts())
    end
  end)

  it("is sent once over HTTP/2, where libcurl by itself would send it again", function()
    for _, step in ipairs { hostile.h2.rst "refused_stream", hostile.h2.rst "http_1_1_required" } do
      server:script { POST = { { step } } }
      local client = answers.client(server.url, { http_version = "2-prior-knowledge" })
      local _, problem = loop.run(function()
        return client.all_keys[1].transport:perform(nil, nil, "post", server.url, "{}", "application/json")
      end)
      assert.equal("network", problem.code)
      assert.equal(1, server:posts())
    end
  end)

  it("has a connection of its own, which isn't kept", function()
    server:script { POST = { { fine() } } }
    local sender <close> = post.open()
    for _ = 1, 3 do assert(sender:post(server.url, "{}", "application/json")) end
    local seen = server:seen()
    assert.same({ 3, 3 }, { seen.connections, #seen.requests })
    assert.is_nil(env.read "/proc/net/tcp":find((":%04X 01 "):format(server.port), 1, true), "connections are left open")
  end)

  it("ends at its time limit", function()
    local began = core.now()
    local answer, problem = send({ hostile.hang() }, { timeout = env.seconds(0.2) })
    assert.is_nil(answer)
    assert.equal("network", problem.code)
    assert.is_true(core.now() - began < env.seconds(3))
    answer, problem = send({ fine() }, nil, "http://127.0.0.1:" .. hostile.dead_port())
    assert.is_nil(answer)
    assert.equal("network", problem.code)
  end)

  it("goes only to http and https URLs", function()
    local sender <close> = post.open()
    for _, url in ipairs { "ftp://127.0.0.1/", "file:///etc/hostname", "http://a:b@127.0.0.1/", "nonsense", "", "http://127.0.0.1/\r\nX: y",
      "http://127.0.0.1/\0" } do
      local answer, problem = sender:post(url, "{}", "application/json")
      assert.is_nil(answer)
      assert.same({ "invalid_input", "url" }, { problem.code, problem.field })
    end
  end)

  it("waits in a queue when too many others are on their way", function()
    server:script { POST = { { hostile.until_requests(2), fine() }, { fine() }, { fine() } } }
    loop.run(function()
      local sender <close> = post.open { connections = 2 }
      local fibers = {}
      for i = 1, 5 do
        fibers[i] = loop.spawn(function() return assert(sender:post(server.url, "{}", "application/json")).status end)
      end
      assert.same({ 200, 200, 200, 200, 200 }, { loop.join(table.unpack(fibers)) })
    end)
  end)

  it("is aborted when the sender is closed or its fiber ends", function()
    server:script { POST = { { hostile.hang() } } }
    loop.run(function()
      local sender = post.open()
      local waiting = loop.spawn(function()
        local answer, problem = sender:post(server.url, "{}", "application/json")
        return answer or problem.code
      end)
      local cancelled = loop.spawn(function() sender:post(server.url, "{}", "application/json") end)
      while sender.transport.http:running() < 2 do loop.sleep(0) end
      cancelled:cancel()
      assert.equal(1, sender.transport.http:running())
      sender:close()
      sender:close()
      assert.equal("closed", waiting:join())
      assert.error_matches(function() sender:post(server.url, "{}", "application/json") end, "the sender is closed")
    end)
  end)
end)

describe("the core's client without an account", function()
  it("can only post and download, and says so", function()
    local http <close> = core.client {}
    assert.error_matches(function() http:submit({}, "{}") end, "the client has no account")
    assert.error_matches(function() http:query({}, answers.ID) end, "the client has no account")
    assert.error_matches(function() http:call({}, "GET", "/") end, "the client has no account")
  end)

  it("exists only without a base URL and a key; one of them alone is refused", function()
    assert.error_matches(function() core.client { base_url = "http://127.0.0.1" } end, "'api_key'")
    assert.error_matches(function() core.client { api_key = answers.KEY } end, "'base_url'")
  end)

  it("refuses bodies and URLs that can't be posted", function()
    local http <close> = core.client {}
    assert.error_matches(function() http:post({}, "http://127.0.0.1/\0x", "", "a/b") end, "NUL")
    assert.error_matches(function() http:post({}, "http://127.0.0.1/", "", "a/b\r\nX: y") end, "media type")
    assert.error_matches(function() http:post({}, "http://127.0.0.1/", nil, "a/b") end, "string expected")
  end)
end)
