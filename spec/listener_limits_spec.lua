-- SPDX-License-Identifier: MIT
local listener = require "omni.listener"
local peer = require "helper.peer"

local GET <const>, post, chunked = peer.GET, peer.post, peer.chunked

describe("the listener, against its peers", function()
  local l

  local function open(options)
    l = assert(listener.open(options))
    return l
  end

  local function connect(text) return peer.connect(l, text) end
  local function take() return peer.take(l) end
  local function serves() return peer.serves(l) end

  -- The ports and sockets of a test go with it.
  after_each(function()
    if l then l:close() end
    l = nil
    collectgarbage()
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
      peer.take(l, true):answer(200, nil, "third")
      assert.equal("", first:rest())
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
end)
