-- SPDX-License-Identifier: MIT
local err = require "omni.error"
local loop = require "omni.loop"
local process = require "omni.process"
local server = require "omni.http.server"
local socket = require "socket"
local wire = require "helper.wire"

-- Runs `fn(server, ...)` in the loop, with a server that is closed at its end.
local function with(handler, fn, options)
  return loop.run(function()
    local one <close> = assert(server.serve(options, handler))
    fn(one)
  end)
end

local function get(one, path) return wire.request(one.url, "GET", path or "/") end

-- What curl prints with these arguments, and its exit code.
local function curl(...)
  local argv = { "curl", "-sS", "--max-time", "20", ... }
  local result = assert(process.run(argv, { stdout = "pipe" }))
  return result.stdout, result.exit
end

describe("a server", function()
  it("answers with the results of its handler", function()
    with(function(request)
      return 201, { ["X-Path"] = request:path() }, request:method() .. " " .. request:body()
    end, function(one)
      local status, headers, body = wire.request(one.url, "PUT", "/a/b", nil, "bytes")
      assert.equal(201, status)
      assert.equal("/a/b", headers["x-path"])
      assert.equal("PUT bytes", body)
    end)
  end)

  it("lets its handler call answer, also later", function()
    local kept
    with(function(request)
      if request:path() == "/now" then request:answer(200, nil, "now")
      else kept = request end
    end, function(one)
      local waiting = loop.spawn(get, one, "/later")
      assert.equal("now", select(3, get(one, "/now")))
      while not kept do loop.sleep(0) end
      kept:answer(200, nil, "later")
      waiting:join()
      assert.equal(200, (waiting:join()))
    end)
  end)

  it("handles other requests while a handler waits", function()
    local order = {}
    local slow
    with(function(request)
      if request:path() == "/slow" then
        slow = loop.current()
        loop.park()
      end
      order[#order + 1] = request:path()
      return 204
    end, function(one)
      local waiting = loop.spawn(get, one, "/slow")
      while not slow do loop.sleep(0) end
      get(one, "/quick")
      loop.wake(slow)
      waiting:join()
    end)
    assert.same({ "/quick", "/slow" }, order)
  end)

  it("answers 500 without the error's text when its handler raises, passes the error to on_error, and continues", function()
    local told, path
    with(function(request)
      if request:path() == "/good" then return 204 end
      error("the secret reason")
    end, function(one)
      local status, headers, body, _, all = get(one, "/bad")
      assert.equal(500, status)
      assert.equal("application/json", headers["content-type"])
      assert.matches('^{"code":500,', body)
      assert.is_nil(all:find("secret", 1, true))
      assert.is_true(err.is(told))
      assert.equal("handler_failed", told.code)
      assert.matches("server_spec.lua:%d+: the secret reason", told.message)
      assert.matches("server_spec.lua", told.traceback)
      assert.equal("/bad", path)
      assert.equal(told, one.failure)
      assert.equal(204, (get(one, "/good")))
    end, { on_error = function(failure, request) told, path = failure, request:path() end })
  end)

  it("passes an error of omni on unchanged", function()
    local failure = err.new { code = "of_mine", message = "of mine" }
    with(function() error(failure) end, function(one)
      assert.equal(500, (get(one)))
      assert.equal(failure, one.failure)
    end)
  end)

  it("answers 500 when its handler's answer can't be sent", function()
    local answers = {
      function() return 200, { ["a b"] = "c" } end,
      function() return "200 OK" end,
      function() return 200, nil, { file = "/not/a/file" } end,
    }
    for _, answer in ipairs(answers) do
      with(answer, function(one)
        assert.equal(500, (get(one)))
        assert.is_true(err.is(one.failure))
      end)
    end
  end)

  it("drops a request that its handler never answers", function()
    with(function() end, function(one)
      local waiting = loop.spawn(get, one)
      while not waiting:done() do
        collectgarbage()
        loop.sleep(0)
      end
      local status, _, _, ended, all = waiting:join()
      assert.is_nil(status)
      assert.equal("closed", ended)
      assert.equal("", all)
    end)
  end)

  it("doesn't keep the loop going when the program has ended", function()
    local started = socket.gettime()
    local one
    loop.run(function()
      one = assert(server.serve(nil, function() loop.sleep(60) end))
      local client = socket.connect(one.host, one.port)
      client:send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
      while not next(one.fibers) do loop.sleep(0) end
      client:close()
    end)
    assert.is_true(socket.gettime() - started < 30)
    one:close()
  end)

  it("cancels its handlers and drops their requests when it is closed", function()
    local released = false
    loop.run(function()
      local one <close> = assert(server.serve(nil, function()
        local _ <close> = setmetatable({}, { __close = function() released = true end })
        loop.park()
      end))
      local waiting = loop.spawn(get, one)
      while not next(one.fibers) do loop.sleep(0) end
      loop.sleep(0)
      one:close()
      one:close()
      assert.is_true(released)
      assert.equal("closed", select(4, waiting:join()))
      assert.is_nil((socket.connect(one.host, one.port)))
      assert(server.serve({ port = one.port }, function() end)):close()
    end)
  end)

  it("may be closed by its own handler, whose answer still goes out", function()
    local itself
    with(function(request)
      request:answer(200, nil, "bye")
      itself:close()
    end, function(one)
      itself = one
      assert.equal("bye", select(3, get(one)))
    end)
  end)

  it("has a URL that clients can use", function()
    for _, case in ipairs {
      { nil, "^http://127%.0%.0%.1:%d+$" }, { { host = "0.0.0.0" }, "^http://127%.0%.0%.1:%d+$" },
      { { host = "::1" }, "^http://%[::1%]:%d+$" }, { { host = "::" }, "^http://%[::1%]:%d+$" },
    } do
      loop.run(function()
        local one <close>, failure = server.serve(case[1], function() return 204 end)
        if not one and case[1].host:find(":") then return pending("no IPv6 here: " .. failure.message) end
        assert.matches(case[2], one.url)
        local _, exit = curl("--fail", one.url .. "/")
        assert.equal(0, exit)
      end)
    end
  end)

  it("returns nil and an error when it can't listen", function()
    with(function() end, function(one)
      local none, failure = server.serve({ port = one.port }, function() end)
      assert.is_nil(none)
      assert.is_true(err.is(failure))
      assert.equal("listen_failed", failure.code)
      assert.matches(tostring(one.port), tostring(failure), 1, true)
    end)
  end)

  it("raises where it is misused, at the caller's line", function()
    local function handler() end
    for message, call in pairs {
      ["unknown option 'hots'; did you mean 'host'"] = function() server.serve({ hots = "" }, handler) end,
      ["option 'port' must be a whole number, not a string"] = function() server.serve({ port = "80" }, handler) end,
      ["'port' must be a whole number from 0 to 65535"] = function() server.serve({ port = 70000 }, handler) end,
      ["expected a handler function, got nil"] = function() server.serve({}) end,
    } do
      local fine, problem = pcall(call)
      assert.is_false(fine)
      assert.matches("^spec/http/server_spec.lua:%d+: omni.serve: ", problem)
      assert.matches(message, problem, 1, true)
    end
  end)

  it("serves an unrelated client", function()
    local large = ("0123456789abcdef"):rep(1 << 17)
    local path, got = os.tmpname(), os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write(large)
    file:close()
    with(function(request)
      if request:method() == "POST" then return 200, nil, tostring(#request:body()) end
      return 200, { ["Content-Type"] = "video/mp4" }, { file = path }
    end, function(one)
      curl(one.url .. "/file", "-o", got)
      assert.is_true(large == assert(io.open(got, "rb")):read("a"))
      assert.matches("Content%-Length: 2097152", (curl("--head", one.url .. "/file")))
      assert.equal("2097152", (curl("--data-binary", "@" .. path, one.url .. "/up")))
      assert.equal("2", (curl("-H", "Expect: 100-continue", "--data", "ab", one.url .. "/up")))
    end, { max_body = #large })
    with(function() return 200 end, function(one)
      local code = { "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", "@" .. path }
      assert.equal("413", (curl(one.url, table.unpack(code))))
      assert.equal("411", (curl(one.url, "-H", "Transfer-Encoding: chunked", table.unpack(code))))
      assert.equal("411", (curl(one.url, "-H", "Transfer-Encoding: chunked", "-H", "Expect:", table.unpack(code))))
      assert.equal("413", (curl(one.url, "-H", "Expect:", table.unpack(code))))
    end)
    os.remove(path)
    os.remove(got)
  end)
end)
