-- SPDX-License-Identifier: MIT
local env = require "helper.env"
local listener = require "omni.listener"
local listening = require "helper.listening"
local peer = require "helper.peer"
local socket = require "socket"

local GET <const>, post = peer.GET, peer.post

describe("the listener", function()
  local here = listening.here(after_each)
  local open, connect, take, serves = here.open, here.connect, here.take, here.serves

  describe("opening", function()
    it("listens on the loopback address, on a free port", function()
      open()
      assert.equal("127.0.0.1", here.listener:host())
      assert.is_true(here.listener:port() > 0)
      serves()
    end)

    it("listens on IPv6", function()
      local message
      here.listener, message = listener.open { host = "::1" }
      if not here.listener then return pending("no IPv6 here: " .. message) end
      assert.equal("::1", here.listener:host())
      local one = connect(GET)
      local request = take()
      assert.equal("::1", request:address())
      request:answer(204)
      assert.equal(204, (one:answer()))
    end)

    it("accepts IPv4 on all addresses of IPv6, and reports IPv4 addresses as such", function()
      local message
      here.listener, message = listener.open { host = "::" }
      if not here.listener then return pending("no IPv6 here: " .. message) end
      local one = assert(socket.connect("127.0.0.1", here.listener:port()))
      one:send(GET)
      assert.equal("127.0.0.1", take():address())
      one:close()
    end)

    it("returns nil and a message when it can't listen", function()
      open()
      local none, message = listener.open { port = here.listener:port() }
      assert.is_nil(none)
      assert.matches("127.0.0.1 port " .. here.listener:port() .. ": Address already in use", message)
      none, message = listener.open { host = "example.com" }
      assert.is_nil(none)
      assert.matches("'example.com': not an IPv4 or IPv6 address", message)
    end)

    it("raises for unknown and invalid options", function()
      assert.error_matches(function() listener.open { prot = 1 } end, "unknown option 'prot'")
      for _, bad in ipairs {
        { port = 65536 }, { port = 1.5 }, { max_body = -1 }, { max_connections = 0 }, { idle_timeout = 0 },
      } do
        assert.has_error(function() listener.open(bad) end)
      end
    end)
  end)

  describe("a request", function()
    before_each(function() open { max_body = 1000, max_header = 2000 } end)

    it("returns its method, path and query as sent", function()
      connect "PATCH /a%20b/%2e?x=%201&y=a?b HTTP/1.1\r\nHost: x\r\n\r\n"
      local request = take()
      assert.equal("PATCH", request:method())
      assert.equal("/a%20b/%2e", request:path())
      assert.equal("x=%201&y=a?b", request:query())
      assert.equal("127.0.0.1", request:address())
      assert.equal("", request:body())
      connect(GET)
      assert.is_nil(take():query())
    end)

    it("returns its headers by name in lower case, with repeated ones joined", function()
      connect "GET / HTTP/1.1\r\nHost: x\r\nX-Thing:  One two \r\nx-thing: three\r\nEmpty:\r\nX-THING: four\r\n\r\n"
      local headers = take():headers()
      assert.equal("x", headers.host)
      assert.matches("^One two ?, three, four$", headers["x-thing"])
      assert.equal("", headers.empty)
    end)

    it("may have no headers, as in HTTP/1.0", function()
      connect "GET / HTTP/1.0\r\n\r\n"
      assert.same({}, take():headers())
    end)

    it("keeps every byte of its body, even NUL", function()
      local all = {}
      for byte = 0, 255 do all[#all + 1] = string.char(byte) end
      local body = table.concat(all)
      connect(post(body))
      local request = take()
      assert.equal(body, request:body())
      assert.equal(body, request:body())
    end)

    it("arrives complete when it is sent byte by byte", function()
      local one = connect()
      for byte in post("abc"):gmatch(".") do one:send(byte) end
      assert.equal("abc", take():body())
    end)

    it("receives 100 Continue when it expects that", function()
      local one = connect "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
      assert.equal(100, (one:answer()))
      one:send("abc")
      assert.equal("abc", take():body())
    end)

    it("waits for the one before it when both were sent together", function()
      local one = connect(post("first") .. post("second") .. GET)
      local request = take()
      assert.equal("first", request:body())
      assert.is_nil(here.listener:next())
      request:answer(200, nil, "1")
      request = take()
      assert.equal("second", request:body())
      request:answer(200, nil, "2")
      take():answer(200, nil, "3")
      for i = 1, 3 do assert.equal(tostring(i), select(3, one:answer())) end
    end)

    it("stays readable after its answer and without its connection", function()
      local one = connect(post("abc"))
      local request = take()
      request:answer(204)
      one:answer()
      one:close()
      here.listener:close()
      assert.equal("abc", request:body())
      assert.equal("POST", request:method())
      assert.equal("x", request:headers().host)
    end)
  end)

  it("drops a request that is collected unanswered", function()
    open()
    local one = connect(GET)
    take()
    collectgarbage()
    assert.equal("", one:rest())
    one = connect(GET)
    do
      local request <close> = take()
      assert.equal("GET", request:method())
    end
    assert.equal("", one:rest())
  end)

  describe("as a pollable", function()
    before_each(function() open() end)

    it("has the timeout 0 while a request waits or an answer is ready, and else the next deadline", function()
      assert.is_nil(here.listener:timeout())
      local one = connect(GET)
      here.drive(function() return here.listener:timeout() == 0 and here.listener:step() end)
      assert.equal(0, here.listener:timeout())
      local request = here.listener:next()
      assert.is_nil(here.listener:timeout())
      request:answer(204)
      assert.equal(0, here.listener:timeout())
      assert.equal(204, (one:answer()))
      here.drive(function() return here.listener:timeout() ~= 0 end)
      local left = here.listener:timeout()
      assert.is_true(left > 10 and left <= 15)
    end)

    it("has a descriptor that is readable after connections and bytes", function()
      local watched = { getfd = function() return here.listener:pollfd() end, dirty = function() return false end }
      local function readable() return #socket.select({ watched }, nil, 0) > 0 end
      assert.is_false(readable())
      local one = peer.connect(here.listener)
      assert.is_true(#socket.select({ watched }, nil, env.seconds(5)) > 0)
      here.drive(function() return not readable() end)
      one.socket:send(GET)
      assert.is_true(#socket.select({ watched }, nil, env.seconds(5)) > 0)
    end)
  end)

  describe("closing", function()
    before_each(function() open() end)

    -- Receives what arrives without any more steps of the listener.
    local function remains(one)
      one.socket:settimeout(env.seconds(5))
      local data, _, rest = one.socket:receive("*a")
      return data or rest
    end

    it("sends ready answers, drops other requests, and frees the port", function()
      local idle, half = connect(), connect "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"
      local answered = connect(GET)
      local last = take()
      local held = connect(GET)
      local unanswered = take()
      local queued = connect(GET)
      here.drive(function() return here.listener:timeout() == 0 and here.listener:step() end)
      last:answer(200, nil, "last words")
      here.listener:close()
      here.listener:close()
      assert.matches("last words$", remains(answered))
      for _, one in ipairs { idle, half, held, queued } do assert.equal("", remains(one)) end
      assert.is_false(unanswered:answer(200, nil, "too late"))
      assert.is_false(unanswered:drop())
      assert.is_nil(here.listener:next())
      assert.has_error(function() here.listener:step() end, "this listener is closed")
      assert(listener.open { port = here.listener:port() }):close()
    end)

    it("sends a whole file as far as the system accepts it", function()
      local path = os.tmpname()
      local file = assert(io.open(path, "wb"))
      file:write(("x"):rep(200000))
      file:close()
      local one = connect(GET)
      take():answer(200, nil, { file = path })
      here.listener:close()
      os.remove(path)
      assert.equal(200000, #remains(one):match("\r\n\r\n(.*)$"))
    end)

    it("happens at collection, in any order", function()
      local port = here.listener:port()
      local one = peer.connect(here.listener, GET)
      local request = take()
      here.listener, one.listener = nil, nil
      collectgarbage()
      assert.is_false(request:answer(200))
      assert(listener.open { port = port }):close()
      local both = { assert(listener.open()) }
      both[2] = peer.connect(both[1], GET)
      both[3] = peer.take(both[1])
      both = nil -- luacheck: ignore 311
      collectgarbage()
      collectgarbage()
    end)

    it("doesn't wait for a client that receives nothing", function()
      local one = connect(GET)
      take():answer(200, nil, ("x"):rep(1 << 24))
      here.listener:step()
      here.listener:close()
      one:close()
    end)
  end)
end)
