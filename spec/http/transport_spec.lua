-- SPDX-License-Identifier: MIT
-- The bytes of requests, the servers that get them, and the end of connections.
local answers = require "helper.answers"
local env = require "helper.env"
local hostile = require "helper.hostile"
local omni = require "omni"
local tls = require "helper.tls"

local INPUT = { prompt = "a lighthouse" }
local h2 = hostile.h2
local server

local function both()
  server:script{ GET = { { answers.running() } }, POST = { { answers.accepted() } } }
end

-- Finds a text in a value, in its fields, in metatables, and in the upvalues of its functions.
local function holds(value, text, seen)
  if type(value) == "string" then return value:find(text, 1, true) ~= nil end
  seen = seen or { [_G] = true, [package] = true, [package.loaded] = true }
  if seen[value] then return false end
  local kind = type(value)
  if kind == "table" or kind == "userdata" or kind == "function" then seen[value] = true end
  if kind == "table" then
    for k, v in next, value do
      if holds(k, text, seen) or holds(v, text, seen) then return true end
    end
  elseif kind == "userdata" then
    for i = 1, 8 do
      if holds(debug.getuservalue(value, i), text, seen) then return true end
    end
  elseif kind == "function" then
    for i = 1, 255 do
      local name, v = debug.getupvalue(value, i)
      if not name then break end
      if holds(v, text, seen) then return true end
    end
  end
  return debug.getmetatable(value) ~= nil and kind ~= "string" and holds(debug.getmetatable(value), text, seen)
end

describe("a request", function()
  setup(function() server = hostile.start() end)
  teardown(function() server:close() end)

  it("for a submit is exactly what the service expects", function()
    both()
    local client = answers.client(server.url)
    assert(client:submit(INPUT, { callback_url = "https://example.com/done" }))
    local post = server:requests "POST"[1]
    assert.equal("/api/v1/client/job/CreateTask", post.target)
    assert.equal(answers.KEY, post.headers["x-api-key"])
    assert.equal("application/json", post.headers["content-type"])
    assert.is_nil(post.headers.expect)
    assert.is_nil(post.headers["transfer-encoding"])
    assert.truthy(post.body:find('"model"%s*:%s*"google\\?/gemini%-omni"'))
    assert.truthy(post.body:find('"prompt"%s*:%s*"a lighthouse"'))
    assert.truthy(post.body:find('"callback_url"', 1, true))
  end)

  it("for a query is exactly what the service expects", function()
    both()
    assert(answers.client(server.url, { user_agent = "lighthouse/1" }):query(answers.ID))
    local get = server:requests "GET"[1]
    assert.equal("/api/v1/client/job/TaskInfo?task_id=" .. answers.ID, get.target)
    assert.equal(answers.KEY, get.headers["x-api-key"])
    assert.equal("lighthouse/1", get.headers["user-agent"])
    assert.truthy(get.headers["accept-encoding"]:find("gzip", 1, true))
  end)

  it("transmits any task id unchanged", function()
    local id = [[a/b?c=d&e%20f#g+h"i\j'k..]]
    local escaped = id:gsub('["\\]', "\\%0")
    server:script{ GET = { { hostile.json(answers.envelope(answers.task("running", nil, escaped))) } } }
    local task, err = answers.client(server.url):query(id)
    assert.equal(id, assert(task, err).id)
    local sent = server:requests()[1].target:match("task_id=(.*)$")
    assert.is_nil(sent:find("[^%w%%._~-]"))
    assert.equal(id, (sent:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)))
  end)

  it("keeps the path of a base URL", function()
    both()
    assert(answers.client(server.url .. "/over/here/"):query(answers.ID))
    assert.equal("/over/here/api/v1/client/job/TaskInfo?task_id=" .. answers.ID, server:requests()[1].target)
  end)

  it("follows no redirect, so that the key stays at its origin", function()
    local other <close> = hostile.start()
    other:script{ GET = { { answers.running() } }, POST = { { answers.accepted() } } }
    for _, status in ipairs{ "301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent" } do
      local turn = { hostile.answer(status, "", { "Location: " .. other.url .. "/api/v1/client/job/TaskInfo" }) }
      server:script{ GET = { turn }, POST = { turn } }
      local client = answers.client(server.url)
      local task, err = client:query(answers.ID)
      assert.is_nil(task)
      assert.equal("bad_answer", err.code)
      task, err = client:submit(INPUT)
      assert.is_nil(task)
      assert.equal("submit_unknown", err.code)
    end
    assert.equal(0, other:seen().connections)
  end)

  it("answers no demand for a password, and keeps no cookies", function()
    server:script{ GET = { { hostile.answer("401 Who", answers.envelope("null", 401, "who?"),
      { 'WWW-Authenticate: Basic realm="x"', "Set-Cookie: a=b; Path=/" }) }, { answers.running() } } }
    local client = answers.client(server.url)
    local _, err = client:query(answers.ID)
    assert.equal("unauthorized", err.code)
    assert(client:query(answers.ID))
    local requests = server:requests()
    assert.equal(2, #requests)
    assert.is_nil(requests[2].headers.authorization)
    assert.is_nil(requests[2].headers.cookie)
  end)

  it("leaves no key where Lua could find it", function()
    both()
    local client = answers.client(server.url)
    local task = client:submit(INPUT)
    assert.is_false(holds(client, answers.KEY))
    assert.is_false(holds(task, answers.KEY))
    assert.is_nil((tostring(client) .. tostring(task)):find(answers.KEY, 1, true))
  end)
end)

describe("a connection", function()
  setup(function() server = hostile.start() end)
  teardown(function() server:close() end)

  it("is reused for one query after another", function()
    both()
    local client = answers.client(server.url)
    for _ = 1, 10 do assert(client:query(answers.ID)) end
    assert.equal(1, server:seen().connections)
  end)

  it("is new for each submit", function()
    both()
    local client = answers.client(server.url)
    for _ = 1, 5 do
      assert(client:query(answers.ID))
      assert(client:submit(INPUT))
    end
    local first = {}
    for _, request in ipairs(server:requests()) do
      if request.method == "POST" then assert.is_nil(first[request.connection]) end
      first[request.connection] = true
    end
  end)

  it("that the server closed while it was idle makes no query fail", function()
    server:script{ GET = { { answers.running(), hostile.close() } } }
    local client = answers.client(server.url)
    for _ = 1, 5 do assert(client:query(answers.ID)) end
    assert.equal(5, #server:requests())
  end)

  it("is one of at most max_connections", function()
    server:script{ GET = { { hostile.until_requests(4), answers.running() } } } -- four of them at a time, no less
    local client = answers.client(server.url, { max_connections = 4 })
    omni.run(function()
      local fibers = {}
      for i = 1, 30 do fibers[i] = omni.spawn(function() assert(client:query(answers.ID)) end) end
      omni.join(table.unpack(fibers))
    end)
    assert.equal(4, server:seen().connections)
    assert.equal(30, #server:requests())
  end)

  it("carries one HTTP/2 query after another", function()
    server:script{ GET = { { h2.answer(200, answers.envelope(answers.task "running")) } } }
    local client = answers.client(server.url, { http_version = "2-prior-knowledge" })
    for _ = 1, 5 do
      local task, err = client:query(answers.ID)
      assert.equal("running", assert(task, err).status)
    end
  end)

  it("carries many HTTP/2 queries at a time", function()
    server:script{ GET = { { h2.answer(200, answers.envelope(answers.task "running")) } } }
    local client = answers.client(server.url, { http_version = "2-prior-knowledge" })
    omni.run(function()
      local fibers = {}
      for i = 1, 20 do fibers[i] = omni.spawn(function() assert(client:query(answers.ID)) end) end
      omni.join(table.unpack(fibers))
    end)
  end)

  it("is closed when the time limit of a call is over", function()
    server:script{ GET = { { hostile.hang() } } }
    local start = os.time()
    local task, err = answers.client(server.url, { timeout = 0.2 }):query(answers.ID)
    assert.is_nil(task)
    assert.equal("network", err.code)
    assert.is_true(os.time() - start <= env.seconds(5))
  end)

  it("is closed when its fiber is cancelled", function()
    server:script{ GET = { { hostile.hang() } } }
    local client = answers.client(server.url, { max_connections = 1 })
    omni.run(function()
      local fiber = omni.spawn(function() client:query(answers.ID) end)
      while #server:requests() == 0 do omni.sleep(0.001) end
      fiber:cancel()
      server:script{ GET = { { answers.running() } } }
      assert(client:query(answers.ID)) -- the only connection is free again
    end)
  end)
end)

describe("TLS", function()
  local directory, certificate, key, secure

  setup(function()
    directory = env.directory()
    certificate, key = tls.certificate(directory, "good", "IP:127.0.0.1")
    secure = tls.serve(directory, certificate, key)
    assert(os.execute("mkdir -p " .. env.quote(directory:file "api/v1/client/job")))
    local text = answers.envelope(answers.task "running")
    env.write(directory:file("api/v1/client/job/TaskInfo?task_id=" .. answers.ID), tls.answer("200 OK", text))
  end)
  teardown(function()
    secure:close()
    directory:close()
  end)

  it("works with a server whose certificate the CA file trusts", function()
    local task, err = answers.client(secure.url, { ca_file = certificate }):query(answers.ID)
    assert.equal("running", assert(task, err).status)
  end)

  it("refuses a server with an untrusted certificate", function()
    local task, err = answers.client(secure.url, { retry_for = 120 }):query(answers.ID)
    assert.is_nil(task)
    assert.equal("network", err.code)
    assert.truthy(err.message:find("certificate", 1, true))
  end)

  it("refuses a server with another host's certificate", function()
    local url = secure.url:gsub("127%.0%.0%.1", "localhost")
    local task, err = answers.client(url, { ca_file = certificate }):query(answers.ID)
    assert.is_nil(task)
    assert.equal("network", err.code)
  end)
end)

describe("a proxy", function()
  setup(function() server = hostile.start() end)
  teardown(function() server:close() end)

  it("gets whole URLs for http", function()
    both()
    local client = answers.client("http://service.invalid", { proxy = server.url })
    assert(client:query(answers.ID))
    local target = "http://service.invalid/api/v1/client/job/TaskInfo?task_id=" .. answers.ID
    assert.equal(target, server:requests()[1].target)
  end)

  it("gets one POST for a submit over http, whatever the proxy does", function()
    server:script{ GET = { { answers.running() } }, POST = { { hostile.close() } } }
    local client = answers.client("http://service.invalid", { proxy = server.url, retry_for = 120 })
    assert(client:query(answers.ID))
    local task, err = client:submit(INPUT)
    assert.is_nil(task)
    assert.equal("submit_unknown", err.code)
    assert.equal(1, server:posts())
  end)

  it("never sees the key over https, and its own password appears in no error", function()
    server:script{ CONNECT = { { hostile.answer("403 Forbidden", "") } } }
    local proxy = server.url:gsub("//", "//someone:open-sesame@")
    local _, err = answers.client("https://service.invalid", { proxy = proxy }):query(answers.ID)
    assert.equal("network", err.code)
    assert.is_nil(answers.text_of(err):find("sesame", 1, true))
    local connect = server:requests "CONNECT"[1]
    assert.equal("service.invalid:443", connect.target)
    assert.is_nil(connect.headers["x-api-key"])
    assert.truthy(connect.headers["proxy-authorization"])
  end)

  -- Runs Lua with the environment's proxies set; prints what the query gave.
  local function query_under(environment, base_url)
    local code = ([[
      local client = require "omni".client{ base_url = "%s", api_key = "%s", retry_for = 0, timeout = %f }
      local task, err = client:query("%s")
      print(task and task.status or err.code)]]):format(base_url, answers.KEY, env.seconds(10), answers.ID)
    return env.output(("env %s %s -e %s"):format(environment, env.lua, env.quote(code)))
  end

  it("of the environment isn't used for a service on this machine", function()
    both()
    local dead = "http://127.0.0.1:" .. hostile.dead_port()
    assert.equal("running\n", query_under("no_proxy= http_proxy=" .. dead .. " all_proxy=" .. dead, server.url))
  end)

  it("of the environment is used for any other service", function()
    both()
    assert.equal("running\n", query_under("no_proxy= http_proxy=" .. server.url, "http://service.invalid"))
  end)
end)
