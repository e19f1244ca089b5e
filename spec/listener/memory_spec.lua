-- SPDX-License-Identifier: MIT
-- How much memory a client can make the listener use.
local env = require "helper.env"
local listening = require "helper.listening"
local peer = require "helper.peer"

local post = peer.post

describe("the listener, against senders that want its memory", function()
  local here = listening.here(after_each)
  local open, connect, take, serves = here.open, here.connect, here.take, here.serves

  local WHOLE <const> = post(("x"):rep(1 << 20))
  local ALMOST <const> = WHOLE:sub(1, -2)

  local function memory()
    collectgarbage()
    return listening.memory()
  end

  it("gives up the oldest unfinished bodies when all together exceed the limit", function()
    open { max_bodies = 8 << 20 }
    local before, slow = memory(), {}
    for i = 1, 40 do slow[i] = connect(ALMOST) end
    for i = 1, 30 do assert.equal(503, (slow[i]:answer())) end
    assert.is_true(memory() - before < env.slowness * (24 << 20), memory() - before)
    slow[40]:send("x")
    take():answer(200, nil, "yes")
    assert.equal("yes", select(3, slow[40]:answer()))
    serves()
  end)

  it("answers 503 when bodies that wait for their answers fill the limit", function()
    open { max_bodies = 4 << 20 }
    local waiting, requests = {}, {}
    for i = 1, 4 do
      waiting[i] = connect(WHOLE)
      requests[i] = take()
    end
    local one = connect(post("x"))
    local status, headers = one:answer()
    assert.equal(503, status)
    assert.equal("10", headers["retry-after"])
    one:rest()
    requests[1]:answer(204)
    assert.equal(204, (waiting[1]:answer()))
    connect(post("x"))
    assert.equal("x", take():body())
    serves()
  end)

  describe("with a folder for large bodies", function()
    local directory, large
    setup(function() large = ("0123456789abcdef"):rep(1 << 16) end) -- 1 MiB
    before_each(function() directory = env.directory() end)
    after_each(function() directory:close() end)

    it("keeps them there: they can be read or moved, and disappear with their requests", function()
      open { body_directory = directory.path, max_body = 2 << 20 }
      for _, body in ipairs { "", "small", large:sub(1, 65536), large:sub(1, 65537), large } do
        local one = connect(post(body))
        local request = take()
        assert.is_true(body == request:body())
        assert.equal(#body, request:size())
        assert.equal(#body > 65536, request:body_file() ~= nil)
        request:answer(204)
        assert.equal(204, (one:answer()))
      end
      connect(post(large))
      local request = take()
      assert.is_true(large == env.read(request:body_file()))
      assert(os.rename(request:body_file(), directory:file "mine"))
      assert.error_matches(function() request:body() end, "the body can't be read: No such file")
      request = nil -- luacheck: ignore 311
      here.close()
      collectgarbage()
      assert.same({ "mine" }, directory:names())
    end)

    it("removes unfinished ones, and limits all of them together", function()
      open { body_directory = directory.path, max_body = 16 << 20, max_bodies = 64 << 20 }
      local text = post(("x"):rep(16 << 20)):sub(1, -2)
      local before, slow = memory(), {}
      for i = 1, 6 do slow[i] = connect(text) end
      for i = 1, 2 do assert.equal(503, (slow[i]:answer())) end
      here.drive(function() return #directory:names() == 4 end)
      assert.is_true(memory() - before < env.slowness * (8 << 20), memory() - before)
      here.close()
      assert.same({}, directory:names())
    end)

    it("answers 507 when they can't be written", function()
      open { body_directory = directory:file "nowhere" }
      assert.equal(507, (connect(post(large)):answer()))
      connect(post "small")
      assert.equal("small", take():body())
    end)
  end)

  -- Runs in a new process, whose memory was never used.
  it("keeps nothing of requests with too many arguments", function()
    local said = env.output(env.lua .. " -e " .. env.quote [[
      local listener, listening, peer = require "omni.listener", require "helper.listening", require "helper.peer"
      local l = assert(listener.open())
      local text = "GET /?" .. ("&"):rep(15000) .. " HTTP/1.1\r\nHost: x\r\n\r\n"
      local function round()
        local all = {}
        for i = 1, 50 do all[i] = peer.connect(l, text) end
        for _, one in ipairs(all) do one:rest() end
      end
      round()
      collectgarbage()
      local before = listening.memory()
      for _ = 1, 10 do round() end
      collectgarbage()
      print((listening.memory() - before) // 1024)
    ]])
    assert.is_true(tonumber(said) < env.slowness * 6000, said .. " KiB")
  end)

  -- Runs in a new process, since the garbage collector's pause depends on all other objects.
  it("frees its memory, whether a request's body was read or not", function()
    local said = env.output(env.lua .. " -e " .. env.quote [[
      local core, listener = require "omni.core", require "omni.listener"
      local listening, peer = require "helper.listening", require "helper.peer"
      local l = assert(listener.open())
      local text = peer.post(("x"):rep(1 << 20))
      local function round()
        local one, request = peer.connect(l, text), nil
        repeat
          l:step()
          request = l:next()
        until request
        request:answer(404)
        assert(one:answer() == 404)
        one:close()
      end
      for _ = 1, 10 do round() end
      collectgarbage()
      local before = listening.memory()
      for _ = 1, 300 do round() end -- and here without a collection of ours
      print((listening.memory() - before) // 1024)
    ]])
    assert.is_true(tonumber(said) < env.slowness * (100 << 10), said .. " KiB")
  end)
end)
