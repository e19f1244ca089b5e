-- SPDX-License-Identifier: MIT
local env = require "helper.env"
local listener = require "omni.listener"
local peer = require "helper.peer"
local socket = require "socket"
local uv = require "luv"

local GET <const> = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

local function post(body) return ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body) end

local function chunked(...)
  local parts = { "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" }
  for _, piece in ipairs { ... } do parts[#parts + 1] = ("%x\r\n%s\r\n"):format(#piece, piece) end
  return table.concat(parts) .. "0\r\n\r\n"
end

describe("the listener", function()
  local l

  local function open(options)
    l = assert(listener.open(options))
    return l
  end

  local function connect(text) return peer.connect(l, text) end
  local function take() return peer.take(l) end

  -- One request and its answer, to see that the listener is well.
  local function serves()
    local one = connect(GET)
    take():answer(204)
    assert.equal(204, (one:answer()))
    one:close()
  end

  -- The ports and sockets of a test go with it.
  after_each(function()
    if l then l:close() end
    l = nil
    collectgarbage()
  end)

  describe("opening", function()
    it("listens on the loopback address, on a free port", function()
      open()
      assert.equal("127.0.0.1", l:host())
      assert.is_true(l:port() > 0)
      serves()
    end)

    it("listens on IPv6", function()
      local message
      l, message = listener.open { host = "::1" }
      if not l then return pending("no IPv6 here: " .. message) end
      assert.equal("::1", l:host())
      local one = connect(GET)
      local request = take()
      assert.equal("::1", request:address())
      request:answer(204)
      assert.equal(204, (one:answer()))
    end)

    it("listens for IPv4 on all addresses of IPv6, and tells the sender's as such", function()
      local message
      l, message = listener.open { host = "::" }
      if not l then return pending("no IPv6 here: " .. message) end
      local one = assert(socket.connect("127.0.0.1", l:port()))
      one:send(GET)
      assert.equal("127.0.0.1", take():address())
      one:close()
    end)

    it("returns nil and why when it can't listen", function()
      open()
      local none, message = listener.open { port = l:port() }
      assert.is_nil(none)
      assert.matches("127.0.0.1 port " .. l:port() .. ": Address already in use", message)
      none, message = listener.open { host = "example.com" }
      assert.is_nil(none)
      assert.matches("'example.com': not an IPv4 or IPv6 address", message)
    end)

    it("raises for options that it doesn't know, or that make no sense", function()
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

    it("tells method, path and query as they were sent", function()
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

    it("tells its headers by lower-case name, repeated ones joined", function()
      connect "GET / HTTP/1.1\r\nHost: x\r\nX-Thing:  One two \r\nx-thing: three\r\nEmpty:\r\nX-THING: four\r\n\r\n"
      local headers = take():headers()
      assert.equal("x", headers.host)
      assert.matches("^One two ?, three, four$", headers["x-thing"])
      assert.equal("", headers.empty)
    end)

    it("keeps every byte of its body, NUL too", function()
      local all = {}
      for byte = 0, 255 do all[#all + 1] = string.char(byte) end
      local body = table.concat(all)
      connect(post(body))
      local request = take()
      assert.equal(body, request:body())
      assert.equal(body, request:body())
      connect(chunked(body:sub(1, 10), body:sub(11)))
      assert.equal(body, take():body())
    end)

    it("arrives whole when it is sent byte by byte", function()
      local one = connect()
      for byte in post("abc"):gmatch(".") do one:send(byte) end
      assert.equal("abc", take():body())
    end)

    it("is told to go on when it expects that", function()
      local one = connect "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
      assert.equal(100, (one:answer()))
      one:send("abc")
      assert.equal("abc", take():body())
    end)

    it("comes after the one before it when both were sent at once", function()
      local one = connect(post("first") .. post("second") .. GET)
      local request = take()
      assert.equal("first", request:body())
      assert.is_nil(l:next())
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
      l:close()
      assert.equal("abc", request:body())
      assert.equal("POST", request:method())
      assert.equal("x", request:headers().host)
    end)
  end)

  describe("a peer that asks too much", function()
    before_each(function() open { max_body = 1000, max_header = 2000 } end)

    local function refused(status, text)
      local one = connect(text)
      assert.equal(status, (one:answer()))
      one:rest()
      assert.is_nil(l:next())
      serves()
    end

    it("may send a body up to the limit", function()
      connect(post(("x"):rep(1000)))
      assert.equal(1000, #take():body())
      connect(chunked(("x"):rep(500), ("x"):rep(500)))
      assert.equal(1000, #take():body())
    end)

    it("is answered 413 for a larger body before that is sent, and closed", function()
      refused(413, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n")
      refused(413, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551616\r\n\r\n")
      refused(413, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n")
    end)

    it("is answered 413 for a larger chunked body as soon as that is known, and closed", function()
      refused(413, chunked(("x"):rep(500), ("x"):rep(501)))
      local head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      refused(413, head .. "7fffffffffffffff\r\n" .. ("x"):rep(4000))
      refused(413, head .. "fffffffffffffffff\r\n")
    end)

    it("is answered 431 for larger headers, and closed", function()
      refused(431, "GET / HTTP/1.1\r\nHost: x\r\nA: " .. ("x"):rep(2000) .. "\r\n\r\n")
      refused(431, "GET / HTTP/1.1\r\nHost: x\r\nA: " .. ("x"):rep(100000))
      refused(431, "GET / HTTP/1.1\r\nHost: x\r\n" .. ("a:\r\n"):rep(5000) .. "\r\n")
      refused(414, "GET /" .. ("x"):rep(100000))
    end)

    it("is answered 400 for what could be read in two ways, and closed", function()
      for _, bad in ipairs {
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3x\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /?\1 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA: \1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n nonsense\r\nno colon\r\n\r\n",
        "G\"T / HTTP/1.1\r\nHost: x\r\n\r\n",
      } do
        refused(400, bad)
      end
      refused(501, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nabc")
      refused(505, "GET / HTTP/3.0\r\nHost: x\r\n\r\n")
    end)

    it("can't stop the listener by sending anything at all", function()
      math.randomseed(7)
      local good = {
        GET, post("body"), chunked("a", "bcd", "efgh") .. GET,
        "GET /%zz?&&=%0 HTTP/1.1\r\nHost: x\r\nAccept: a, b\r\n c\r\nRange: bytes=0-\r\n\r\n",
      }
      for i = 1, 300 do
        local bytes = { good[i % #good + 1]:byte(1, -1) }
        for _ = 1, math.random(1, 4) do
          local at = math.random(#bytes)
          local how = math.random(3)
          if how == 1 then bytes[at] = math.random(0, 255)
          elseif how == 2 then table.remove(bytes, at)
          else table.insert(bytes, at, ({ 0, 10, 13, 32, 58 })[math.random(5)]) end
        end
        local one = connect(string.char(table.unpack(bytes)))
        l:step()
        for request in l.next, l do
          request:headers()
          request:answer(200, nil, request:body())
        end
        one:close()
      end
      serves()
    end)
  end)

  describe("limits", function()
    it("closes slow and idle connections in time, and serves others meanwhile", function()
      open { idle_timeout = 1 }
      local idle = connect()
      local slow_header = connect "GET / HTTP/1.1\r\nHost"
      local slow_body = connect "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"
      local kept = connect(GET)
      take():answer(204)
      assert.equal(204, (kept:answer()))
      local patient = connect(GET)
      local request = take()
      serves()
      for _, one in ipairs { idle, slow_header, slow_body, kept } do
        assert.is_true(one:open())
      end
      for _, one in ipairs { idle, slow_header, slow_body, kept } do
        assert.equal("", one:rest(4))
      end
      -- A request that waits for its answer isn't idle.
      assert.is_true(patient:open())
      request:answer(200, nil, "at last")
      assert.equal("at last", select(3, patient:answer()))
    end)

    it("lets connections above the limit wait until one ends", function()
      open { max_connections = 2 }
      local first, second, third = connect(GET), connect(GET), connect(GET)
      local requests = { take(), take() }
      for _ = 1, 10 do l:step() end
      assert.is_nil(l:next())
      requests[1]:drop()
      first:rest()
      -- Only the descriptor and the time-out say that the third can be served.
      take():answer(200, nil, "third")
      assert.equal("third", select(3, third:answer()))
      requests[2]:answer(204)
      assert.equal(204, (second:answer()))
    end)

    it("closes connections above the limit of their address at once", function()
      open { max_connections_per_address = 2 }
      local first, second, third = connect(GET), connect(GET), connect(GET)
      assert.equal("", third:rest())
      take():answer(204)
      take():answer(204)
      assert.equal(204, (first:answer()))
      assert.equal(204, (second:answer()))
    end)
  end)

  describe("an answer", function()
    local path = os.tmpname()
    local content = ("0123456789"):rep(20000)

    setup(function()
      local file = assert(io.open(path, "wb"))
      file:write(content)
      file:close()
    end)

    teardown(function() os.remove(path) end)

    before_each(function() open() end)

    it("has the status, headers and body that were given", function()
      local one = connect(GET)
      assert.is_true(take():answer(299, { ["X-Thing"] = "a, b", ["Retry-After"] = 7 }, "a\0b"))
      local status, headers, body = one:answer()
      assert.equal(299, status)
      assert.equal("a, b", headers["x-thing"])
      assert.equal("7", headers["retry-after"])
      assert.equal("3", headers["content-length"])
      assert.equal("a\0b", body)
      assert.is_true(one:open())
    end)

    it("may come later, and in another order than the requests", function()
      local first, second = connect(GET), connect(GET)
      local requests = { take(), take() }
      requests[2]:answer(200, nil, "two")
      assert.equal("two", select(3, second:answer()))
      assert.is_true(first:open())
      requests[1]:answer(200, nil, "one")
      assert.equal("one", select(3, first:answer()))
    end)

    it("counts once only", function()
      local one = connect(GET)
      local request = take()
      assert.is_true(request:answer(200, nil, "one"))
      assert.is_false(request:answer(200, nil, "two"))
      assert.is_false(request:drop())
      assert.equal("one", select(3, one:answer()))
      assert.is_false(request:answer(200))
    end)

    it("to HEAD has the length but no body", function()
      local one = connect "HEAD / HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n"
      local request = take()
      assert.equal("HEAD", request:method())
      request:answer(200, nil, { file = path })
      local status, headers = one:answer(true)
      assert.equal(200, status)
      assert.equal(tostring(#content), headers["content-length"])
      take():answer(200, nil, "next")
      assert.equal("next", select(3, one:answer()))
    end)

    it("may be a file, or a part of it", function()
      local one = connect(GET:rep(4))
      take():answer(200, nil, { file = path })
      assert.equal(content, select(3, one:answer()))
      take():answer(206, nil, { file = path, offset = 3, length = 100001 })
      assert.equal(content:sub(4, 100004), select(3, one:answer()))
      take():answer(206, nil, { file = path, offset = #content - 5 })
      assert.equal("56789", select(3, one:answer()))
      take():answer(200, nil, { file = path, offset = #content })
      assert.equal("", select(3, one:answer()))
    end)

    it("isn't given when its file can't be sent, and another may follow", function()
      local one = connect(GET)
      local request = take()
      for _, bad in ipairs {
        { { file = path .. ".not" }, "No such file" }, { { file = "/" }, "not a file" },
        { { file = path, offset = #content + 1 }, "the file is shorter" },
        { { file = path, offset = 1, length = #content }, "the file is shorter" },
      } do
        local none, message = request:answer(200, nil, bad[1])
        assert.is_nil(none)
        assert.matches(bad[2], message, 1, true)
      end
      assert.is_true(request:answer(404, nil, "none"))
      assert.equal(404, (one:answer()))
    end)

    it("of any size is sent while others are served, as fast as its peer takes it", function()
      local large = ("x"):rep(1 << 24)
      local one = connect(GET)
      take():answer(200, nil, large)
      serves()
      assert.is_true(#large == #select(3, one:answer()))
    end)

    it("is checked: status, names and values of headers, body, options", function()
      local one = connect(GET)
      local request = take()
      for _, bad in ipairs {
        { "200x" }, { 100 }, { 1000 },
        { 200, "x" }, { 200, { ["a b"] = "x" } }, { 200, { [""] = "x" } }, { 200, { "x" } }, { 200, { ["a\0"] = "x" } },
        { 200, { a = "x\r\nb: y" } }, { 200, { a = "x\ny" } }, { 200, { a = "x\0y" } }, { 200, { a = "" } },
        { 200, { a = {} } }, { 200, { a = true } }, { 200, { a = ("x"):rep(9000) } }, { 200, { ["Content-Length"] = 3 } },
        { 200, { ["transfer-encoding"] = "chunked" } }, { 200, { Connection = "keep-alive" } },
        { 200, nil, true }, { 200, nil, {} }, { 200, nil, { file = path, size = 3 } },
        { 200, nil, { file = path, offset = -1 } },
        { 200, nil, "x", { cot = 3 } }, { 200, nil, "x", { cut = -1 } }, { 200, nil, "x", { cut = "all" } },
      } do
        assert.has_error(function() request:answer(table.unpack(bad, 1, 4)) end)
      end
      assert.is_true(request:answer(200, nil, "good"))
      assert.equal("good", select(3, one:answer()))
    end)

    it("is false when the peer has reset the connection", function()
      local one = connect(GET)
      local request = take()
      one:reset()
      assert.is_false(request:answer(200, nil, "x"))
      assert.is_false(request:answer(200, nil, "x"))
      serves()
    end)

    it("harms nothing when the peer has closed the connection", function()
      for _, body in ipairs { "x", { file = path }, ("x"):rep(1 << 22) } do
        local one = connect(GET)
        local request = take()
        one:close()
        request:answer(200, nil, body)
        serves()
      end
    end)

    it("reaches a peer that has only ended its sending", function()
      local one = connect(GET)
      one.socket:shutdown("send")
      local request = take()
      request:answer(200, nil, "x")
      assert.equal("x", select(3, one:answer()))
    end)
  end)

  describe("for faults, a request", function()
    before_each(function() open() end)

    -- How a connection ends as its peer's system tells: the bytes, and nil or "ECONNRESET".
    local function ending(answer)
      local client, bytes, how, over = uv.new_tcp(), "", nil, false
      client:connect("127.0.0.1", l:port(), function(problem)
        assert(not problem, problem)
        client:write(GET)
        client:read_start(function(wrong, data)
          bytes = bytes .. (data or "")
          how, over = wrong, wrong or not data
        end)
      end)
      peer.drive(l, function()
        uv.run("nowait")
        for request in l.next, l do answer(request) end
        return over
      end)
      client:close()
      uv.run("nowait")
      return bytes:match("\r\n\r\n(.*)$") or bytes, how, bytes
    end

    it("can be dropped: closed without a byte", function()
      local bytes, how = ending(function(request) assert.is_true(request:drop()) end)
      assert.equal("", bytes)
      assert.is_nil(how)
    end)

    it("can be dropped by RST", function()
      local bytes, how = ending(function(request) request:drop { reset = true } end)
      assert.equal("", bytes)
      assert.equal("ECONNRESET", how)
    end)

    it("can be cut: its whole length is declared, a part is sent", function()
      for _, part in ipairs { 0, 1, 5, 9 } do
        local body, how, all = ending(function(request) request:answer(200, nil, "0123456789", { cut = part }) end)
        assert.equal(("0123456789"):sub(1, part), body)
        assert.is_nil(how)
        assert.matches("Content%-Length: 10\r\n", all)
      end
    end)

    it("can be cut after its whole body", function()
      assert.equal("0123456789", (ending(function(request) request:answer(200, nil, "0123456789", { cut = 10 }) end)))
    end)

    it("can be cut within a file", function()
      local path = os.tmpname()
      local file = assert(io.open(path, "wb"))
      file:write(("x"):rep(300000))
      file:close()
      local body, _, all = ending(function(request)
        request:answer(200, nil, { file = path, offset = 100000 }, { cut = 150000 })
      end)
      os.remove(path)
      assert.equal(150000, #body)
      assert.matches("Content%-Length: 200000\r\n", all)
    end)

    it("can be cut by RST", function()
      local body, how = ending(function(request) request:answer(200, nil, "0123456789", { cut = 4, reset = true }) end)
      assert.equal("0123", body)
      assert.equal("ECONNRESET", how)
    end)

    it("can be answered whole and then end by RST", function()
      local body, how = ending(function(request) request:answer(200, nil, "0123456789", { reset = true }) end)
      assert.equal("0123456789", body)
      assert.equal("ECONNRESET", how)
    end)
  end)

  it("drops a request that is forgotten unanswered", function()
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

    it("is due at once while a request waits or an answer was given, and else says when", function()
      assert.is_nil(l:timeout())
      assert.equal("r", l:events())
      local one = connect(GET)
      peer.drive(l, function() return l:timeout() == 0 and l:step() end)
      assert.equal(0, l:timeout())
      local request = l:next()
      assert.is_nil(l:timeout())
      request:answer(204)
      assert.equal(0, l:timeout())
      assert.equal(204, (one:answer()))
      peer.drive(l, function() return l:timeout() ~= 0 end)
      local left = l:timeout()
      assert.is_true(left > 10 and left <= 15)
    end)

    it("has a descriptor that tells of connections and of bytes", function()
      local watched = { getfd = function() return l:pollfd() end, dirty = function() return false end }
      local function readable() return #socket.select({ watched }, nil, 0) > 0 end
      assert.is_false(readable())
      local one = peer.connect(l)
      assert.is_true(#socket.select({ watched }, nil, env.seconds(5)) > 0)
      peer.drive(l, function() return not readable() end)
      one.socket:send(GET)
      assert.is_true(#socket.select({ watched }, nil, env.seconds(5)) > 0)
    end)
  end)

  describe("closing", function()
    before_each(function() open() end)

    it("sends answers that were given, drops the rest, and frees the port", function()
      local idle, half = connect(), connect "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"
      local answered = connect(GET)
      local last = take()
      local held = connect(GET)
      local unanswered = take()
      local queued = connect(GET)
      peer.drive(l, function() return l:timeout() == 0 and l:step() end)
      last:answer(200, nil, "last words")
      l:close()
      l:close()

      local function remains(one)
        one.socket:settimeout(env.seconds(5))
        local data, _, rest = one.socket:receive("*a")
        return data or rest
      end
      assert.matches("last words$", remains(answered))
      for _, one in ipairs { idle, half, held, queued } do assert.equal("", remains(one)) end
      assert.is_false(unanswered:answer(200, nil, "too late"))
      assert.is_false(unanswered:drop())
      assert.is_nil(l:next())
      assert.has_error(function() l:step() end, "this listener is closed")
      assert(listener.open { port = l:port() }):close()
    end)

    it("happens when it is forgotten, whatever goes first", function()
      local port = l:port()
      local one = peer.connect(l, GET)
      local request = take()
      l, one.listener = nil, nil
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

    it("doesn't wait for a peer that takes nothing", function()
      local one = connect(GET)
      take():answer(200, nil, ("x"):rep(1 << 24))
      l:step()
      l:close()
      one:close()
    end)
  end)
end)
