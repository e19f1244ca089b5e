-- SPDX-License-Identifier: MIT
local listening = require "helper.listening"
local peer = require "helper.peer"
local uv = require "luv"

local GET <const> = peer.GET

describe("the listener", function()
  local here = listening.here(after_each)
  local open, connect, take, serves = here.open, here.connect, here.take, here.serves

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

    it("has the given status, headers and body", function()
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

    it("is accepted only once", function()
      local one = connect(GET)
      local request = take()
      assert.is_true(request:answer(200, nil, "one"))
      assert.is_false(request:answer(200, nil, "two"))
      assert.is_false(request:drop())
      assert.equal("one", select(3, one:answer()))
      assert.is_false(request:answer(200))
    end)

    it("to HEAD has a length but no body", function()
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

    it("isn't sent when its file can't be read, and another one may follow", function()
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

    it("of any size is sent while others are served, as fast as its client receives it", function()
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
        { 200, nil, { file = path, offset = -1 } }, { 200, nil, { file = path .. "\0" } },
        { 200, nil, "x", { cot = 3 } }, { 200, nil, "x", { cut = -1 } }, { 200, nil, "x", { cut = "all" } },
      } do
        assert.has_error(function() request:answer(table.unpack(bad, 1, 4)) end)
      end
      assert.is_true(request:answer(200, nil, "good"))
      assert.equal("good", select(3, one:answer()))
    end)

    it("is false when the client has reset the connection", function()
      local one = connect(GET)
      local request = take()
      one:reset()
      assert.is_false(request:answer(200, nil, "x"))
      assert.is_false(request:answer(200, nil, "x"))
      serves()
    end)

    it("is harmless when the client has closed the connection", function()
      for _, body in ipairs { "x", { file = path }, ("x"):rep(1 << 22) } do
        local one = connect(GET)
        local request = take()
        one:close()
        request:answer(200, nil, body)
        serves()
      end
    end)

    it("reaches a client that has only finished sending", function()
      local one = connect(GET)
      one.socket:shutdown("send")
      local request = take()
      request:answer(200, nil, "x")
      assert.equal("x", select(3, one:answer()))
    end)
  end)

  describe("for faults, a request", function()
    before_each(function() open() end)

    -- Returns what a client receives: the bytes, and nil or "ECONNRESET".
    local function ending(answer)
      local client, bytes, how, over = uv.new_tcp(), "", nil, false
      client:connect("127.0.0.1", here.listener:port(), function(problem)
        assert(not problem, problem)
        client:write(GET)
        client:read_start(function(wrong, data)
          bytes = bytes .. (data or "")
          how, over = wrong, wrong or not data
        end)
      end)
      here.drive(function()
        uv.run("nowait")
        for request in here.listener.next, here.listener do answer(request) end
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
end)
