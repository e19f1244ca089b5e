-- SPDX-License-Identifier: MIT
-- The listener on the open internet: clients that are slow, that send anything, that come in crowds. limits_spec.lua tests the limits.
local env = require "helper.env"
local listening = require "helper.listening"
local peer = require "helper.peer"

local GET <const>, post = peer.GET, peer.post
local CHUNKED <const> = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

describe("the listener, against hostile senders", function()
  local here = listening.here(after_each)
  local open, connect, take, serves = here.open, here.connect, here.take, here.serves

  -- Sends the text byte by byte, and repeats the last byte, until the connection is closed. Calls `beside` between two bytes. Returns the
  -- duration in seconds, and the bytes received.
  local function trickle(one, text, beside)
    local began, at = listening.now(), 0
    here.drive(function()
      at = math.min(at + 1, #text)
      one.socket:send(text:sub(at, at))
      if beside then beside() end
      return one:take()
    end)
    return listening.now() - began, one:got()
  end

  describe("that send a byte now and then", function()
    -- Short, since the spec waits for them, and different from each other and from the idle timeout of 1 s.
    -- The limit of the headers exceeds what arrives in that time.
    local times <const> = {
      idle_timeout = 1, header_timeout = env.seconds(0.2), body_timeout = env.seconds(0.3), max_header = 1 << 20,
    }

    local function lasts(seconds, text, beside)
      local took, got = trickle(connect(), text, beside)
      assert.equal("", got)
      assert.is_true(took > seconds * 0.9, "closed after " .. took)
      assert.is_true(took < seconds + env.seconds(1), "closed only after " .. took)
    end

    it("closes those that are slow within the headers, and serves others meanwhile", function()
      open(times)
      local others = 0
      lasts(times.header_timeout, "GET / HTTP/1.1\r\nHost: x\r\nA: " .. ("a"):rep(2000), function()
        serves()
        others = others + 1
      end)
      assert.is_true(others > 5)
    end)

    it("closes those that are slow within the body, and serves others meanwhile", function()
      open(times)
      local others = 0
      local one = connect("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
      local took, got = trickle(one, "x", function()
        serves()
        others = others + 1
      end)
      assert.equal("", got)
      assert.is_true(took > times.body_timeout * 0.9 and took < times.body_timeout + env.seconds(1), took)
      assert.is_true(others > 5)
    end)

    it("refuses chunks at once, and closes those that are slow within them", function()
      for _, text in ipairs { CHUNKED .. "1", CHUNKED .. "1;" .. ("x"):rep(9), CHUNKED .. "0\r\nA: " .. ("x"):rep(9) } do
        open(times)
        local one = connect(text)
        assert.equal(411, (one:answer()))
        assert.is_true((trickle(one, text:sub(-1))) < times.body_timeout + env.seconds(1))
        here.close()
      end
    end)

    it("closes those that send only empty lines", function()
      open(times)
      assert.is_true((trickle(connect(), ("\r\n"):rep(2000))) < times.header_timeout + env.seconds(1))
    end)

    it("closes those that are slow within a later request", function()
      open(times)
      local one = connect(GET)
      take():answer(204)
      assert.equal(204, (one:answer()))
      local took = trickle(one, "GET /" .. ("a"):rep(2000))
      local longest = times.idle_timeout + times.header_timeout
      assert.is_true(took > times.header_timeout and took < longest + env.seconds(1), took)
    end)

    it("lets those finish that are slow but in time", function()
      open(times)
      local one = connect()
      for byte in post("abc"):gmatch(".") do
        one:send(byte)
        here.listener:step()
      end
      take():answer(204)
      assert.equal(204, (one:answer()))
    end)

    it("returns the timeout after which it must be stepped", function()
      open(times)
      connect("GET / HTTP")
      here.drive(function() return here.listener:timeout() ~= 0 end)
      local left = here.listener:timeout()
      assert.is_true(left > 0 and left <= times.header_timeout)
    end)
  end)

  it("closes a connection whose client doesn't receive the answer in time, and serves others meanwhile", function()
    open { answer_timeout = env.seconds(0.4), idle_timeout = 60 }
    local one = connect(GET)
    take():answer(200, nil, ("x"):rep(1 << 25))
    local got, began = 0, listening.now()
    here.drive(function() -- takes a little all the time
      serves()
      local _, why, rest = one.socket:receive(1000)
      got = got + (rest and #rest or 1000)
      return why == "closed" or listening.now() - began > env.seconds(0.6)
    end)
    one:rest()
    assert.is_true(got < 1 << 25)
  end)

  it("never times out a request that waits for its answer", function()
    open { header_timeout = 0.05, body_timeout = 0.05, answer_timeout = 0.05 }
    local one = connect(post("abc"))
    local request, began = take(), listening.now()
    here.drive(function() return listening.now() - began > 0.2 end)
    request:answer(200, nil, "at last")
    assert.equal("at last", select(3, one:answer()))
  end)

  describe("that send what nobody should", function()
    before_each(function() open { body_timeout = env.seconds(1.5) } end)

    local function refused(status, text)
      local one = connect(text)
      assert.equal(status, (one:answer()))
      one:rest()
      assert.is_nil(here.listener:next())
    end

    it("answers 413 to a body one byte larger than 1 MiB, and accepts one of 1 MiB", function()
      local most <const> = ("x"):rep(1 << 20)
      local one = connect()
      one:send(post(most))
      assert.is_true(take():body() == most)
      refused(413, post(most .. "x"))
      serves()
    end)

    -- Servers disagree about the end of such a body, so a proxy may treat the bytes after it as another request.
    it("answers 411 to any body in chunks, and never treats its rest as a request", function()
      for _, chunks in ipairs {
        "5\r\nhello\r\n0\r\n\r\n", "5\nhello\n0\n\n", "5;a=b\r\nhello\r\n0\r\n\r\n", "5;a=b\nhello\r\n0\r\n\r\n",
        "5\r\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\nA: b\r\n\r\n", "5\r\nhello\r\n0\r\nA: b\n\n", "0\r\n\r\n", "0\n\n",
        "\r\n", "x\r\n", "-1\r\n", "+1\r\n", "0x1\r\n", " 1\r\n", "1 \r\n", ";a=b\r\n", "1\0\r\n", "\0", "1\r" .. "x", "1\r\nab\r\n",
        "10000000000000000\r\n", "ffffffffffffffff\r\n" .. ("x"):rep(1 << 21), "ffffffffffffffff\r\n" .. ("x"):rep(1 << 24), "",
      } do
        refused(411, CHUNKED .. chunks .. GET)
      end
      for _, spelling in ipairs { "TRANSFER-ENCODING: Chunked", "Transfer-Encoding:chunked", "transfer-encoding: \tchunked" } do
        refused(411, ("POST / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n0\r\n\r\n"):format(spelling) .. GET)
        refused(411, ("GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n%s\r\n\r\n"):format(spelling))
      end
      serves()
    end)

    it("answers 400 to a NUL anywhere before the body", function()
      for at = 1, #GET do
        local one = connect(GET:sub(1, at - 1) .. "\0" .. GET:sub(at))
        local status = one:answer()
        assert.is_true(status == 400 or status == nil and one:rest() == "", ("at %d: %s"):format(at, status))
        assert.is_nil(here.listener:next())
      end
      refused(400, "GET / HTTP/1.1\r\nHost: x\0junk: y\r\nA: b\r\n\r\n")
      refused(400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\0 0\r\n\r\nabc")
      serves()
    end)

    -- Folded lines used to continue a header. Servers read them differently, so one of them may miss a header.
    it("answers 400 to folded lines, and to lines without CR", function()
      refused(400, "POST / HTTP/1.1\r\nHost: x\r\nContent-: 5\r\n Length\r\n\r\nabcde")
      refused(400, "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n")
      refused(400, "GET / HTTP/1.1\r\n Host: x\r\nHost: x\r\n\r\n")
      refused(400, "GET / HTTP/1.1\nHost: x\n\n")
      refused(400, "GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n")
      refused(400, "GET  / HTTP/1.1\r\nHost: x\r\n\r\n")
      refused(400, "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
      serves()
    end)

    it("limits what surrounds a chunked body", function()
      local one = connect(CHUNKED .. "1;" .. ("x"):rep(1 << 20))
      assert.is_nil(here.listener:next())
      one:close()
      refused(411, CHUNKED .. "0\r\n" .. ("A: b\r\n"):rep(20000) .. "\r\n")
      serves()
    end)

    it("doesn't loop while the line before a chunk is incomplete", function()
      connect(CHUNKED .. "1;" .. ("x"):rep(1 << 16))
      -- Steps the listener like a loop until its timeout isn't 0.
      here.drive(function() return here.listener:timeout() > 0 end)
      local began, steps = listening.now(), 0
      here.drive(function()
        steps = steps + 1
        return listening.now() - began > 0.3
      end, nil, true)
      assert.is_true(steps < 100, steps .. " steps in 0.3 s")
      serves()
    end)

    it("answers requests that arrive together, in order", function()
      local one = connect()
      one:send((post("abc") .. GET .. post("def")):rep(100))
      local bodies = {}
      for i = 1, 300 do
        local request = take()
        bodies[i] = request:body()
        request:answer(200, nil, tostring(i))
      end
      assert.equal(("abc,,def,"):rep(100), table.concat(bodies, ",") .. ",")
      for i = 1, 300 do assert.equal(tostring(i), select(3, one:answer())) end
    end)

    it("answers those that have finished sending, and closes those that finished too early", function()
      here.close()
      open { header_timeout = 0.2, body_timeout = 0.2, idle_timeout = 1 }
      for _, whole in ipairs { GET, post("abc") } do
        local one = connect(whole)
        one.socket:shutdown("send")
        take():answer(200, nil, "yes")
        assert.equal("yes", select(3, one:answer()))
        one:rest()
        local halves = {}
        for at = 1, #whole - 1, 7 do
          halves[#halves + 1] = connect(whole:sub(1, at))
          halves[#halves].socket:shutdown("send")
        end
        for _, half in ipairs(halves) do assert.equal("", half:rest()) end
      end
      assert.is_nil(here.listener:next())
      serves()
    end)
  end)
end)
