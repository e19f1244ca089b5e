-- SPDX-License-Identifier: MIT
local env = require "helper.env"
local listening = require "helper.listening"
local peer = require "helper.peer"
local socket = require "socket"

local GET <const>, post, chunked = peer.GET, peer.post, peer.chunked

describe("the listener, against its peers", function()
  local here = listening.here(after_each)
  local open, connect, take, serves = here.open, here.connect, here.take, here.serves

  describe("a peer that asks too much", function()
    -- A client that is refused within its body has `body_timeout` to finish it.
    before_each(function() open { max_body = 1000, max_header = 2000, body_timeout = 0.05 } end)

    local function refused(status, text, or_so)
      local one = connect(text)
      local given = one:answer()
      assert.equal(given == or_so and given or status, given)
      one:rest()
      assert.is_nil(here.listener:next())
      serves()
    end

    it("may send a body up to the limit", function()
      connect(post(("x"):rep(1000)))
      assert.equal(1000, #take():body())
    end)

    it("receives 413 for a larger body before sending it, and is closed", function()
      refused(413, post(("x"):rep(1001)))
      refused(413, post(("x"):rep(100000)))
      refused(413, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n")
      refused(413, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551616\r\n\r\n")
      refused(413, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n")
    end)

    it("receives 411 for a body in chunks of any size, and is closed", function()
      refused(411, chunked())
      refused(411, chunked(("x"):rep(500), ("x"):rep(500)))
      refused(411, chunked(("x"):rep(500), ("x"):rep(100000)))
      local head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      refused(411, head .. "7fffffffffffffff\r\n" .. ("x"):rep(4000))
      refused(411, head .. "fffffffffffffffff\r\n")
    end)

    it("receives 431 for larger headers, and is closed", function()
      refused(431, "GET / HTTP/1.1\r\nHost: x\r\nA: " .. ("x"):rep(2000) .. "\r\n\r\n")
      refused(431, "GET / HTTP/1.1\r\nHost: x\r\nA: " .. ("x"):rep(100000))
      refused(431, "GET / HTTP/1.1\r\nHost: x\r\n" .. ("a:\r\n"):rep(5000) .. "\r\n")
      refused(414, "GET /" .. ("x"):rep(100000))
    end)

    it("receives 400 for a request that servers could read differently, and is closed", function()
      for _, bad in ipairs {
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3x\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
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
      refused(501, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nabc", 400) -- by libmicrohttpd 1.0
      refused(505, "GET / HTTP/3.0\r\nHost: x\r\n\r\n")
    end)

    it("can't stop the listener with any bytes", function()
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
        here.listener:step()
        for request in here.listener.next, here.listener do
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

    it("makes connections above the limit wait until one ends", function()
      open { max_connections = 2 }
      local first, second, third = connect(GET), connect(GET), connect(GET)
      local requests = { take(), take() }
      for _ = 1, 10 do here.listener:step() end
      assert.is_nil(here.listener:next())
      requests[1]:drop()
      take(true):answer(200, nil, "third")
      assert.equal("", first:rest())
      assert.equal("third", select(3, third:answer()))
      requests[2]:answer(204)
      assert.equal(204, (second:answer()))
    end)

    it("closes connections above an address's limit at once", function()
      open { max_connections_per_address = 2 }
      local first, second, third = connect(GET), connect(GET), connect(GET)
      assert.equal("", third:rest())
      take():answer(204)
      take():answer(204)
      assert.equal(204, (first:answer()))
      assert.equal(204, (second:answer()))
    end)

    -- Runs in a network namespace that has such addresses.
    it("counts a whole /64 network of IPv6 as one address, and each IPv4 address separately", function()
      local addresses = "ip link set lo up && ip -6 addr add fd00::1/64 dev lo nodad && ip -6 addr add fd00::2/64 dev lo nodad && "
        .. "ip -6 addr add fd00:0:0:1::2/64 dev lo nodad"
      if not os.execute("unshare -rn sh -c " .. env.quote(addresses) .. " 2>/dev/null") then
        return pending("no network of its own to be had here")
      end
      local said = env.output(("unshare -rn sh -c %s 2>&1"):format(env.quote(addresses .. " && " .. env.lua .. " " .. [[-e '
        local listener, peer, socket = require "omni.listener", require "helper.peer", require "socket"
        local l = assert(listener.open { host = "::", max_connections_per_address = 1 })
        for _, address in ipairs { "fd00::1", "fd00::2", "fd00:0:0:1::2", "127.0.0.2", "127.0.0.3", "127.0.0.2" } do
          local four = address:find(".", 1, true)
          local raw = assert(four and socket.tcp4() or socket.tcp6())
          assert(raw:bind(address, 0))
          assert(raw:connect(four and "127.0.0.1" or "fd00::1", l:port()))
          for _ = 1, 10 do l:step() end
          raw:settimeout(0)
          print(address, (select(2, raw:receive())))
        end']])))
      assert.equal("fd00::1\ttimeout\nfd00::2\tclosed\nfd00:0:0:1::2\ttimeout\n"
        .. "127.0.0.2\ttimeout\n127.0.0.3\ttimeout\n127.0.0.2\tclosed\n", said)
    end)

    it("leaves half of the descriptors to the rest of the program", function()
      local child = assert(io.popen(("ulimit -n 120; exec %s -e %s </dev/null"):format(env.lua, env.quote [[
        local listener, socket, uv = require "omni.listener", require "socket", require "luv"
        local l = assert(listener.open { max_connections_per_address = 1000, header_timeout = 0.3 })
        print(l:port())
        io.stdout:flush()
        local most, request = 0, nil
        while not request do
          socket.select(nil, nil, 0.001)
          l:step()
          local scan, count = uv.fs_scandir("/proc/self/fd"), 0
          while uv.fs_scandir_next(scan) do count = count + 1 end
          most = math.max(most, count)
          request = l:next()
        end
        request:answer(200, nil, tostring(most))
        l:close()
      ]])))
      local port, crowd = child:read("n"), {}
      for i = 1, 100 do crowd[i] = assert(socket.connect("127.0.0.1", port)) end
      local last = assert(socket.connect("127.0.0.1", port))
      last:settimeout(env.seconds(10))
      last:send("GET / HTTP/1.0\r\n\r\n")
      local most = tonumber(assert(last:receive("*a")):match("%d+$"))
      assert.is_true(most >= 60 and most < 80, most)
      for _, one in ipairs(crowd) do one:close() end
      last:close()
      child:close()
    end)
  end)
end)
