-- SPDX-License-Identifier: MIT
-- omni in the event loop of libuv.
local loop = require "omni.loop"
local omni = require "omni"
local omni_luv = require "omni.luv"
local uv = require "luv"

local unheard, before
before_each(function()
  unheard = {}
  before = omni.on_error(function(problem) unheard[#unheard + 1] = problem end)
end)
after_each(function() omni.on_error(before) end)

-- Runs `fn(host)` in a coroutine, with omni attached until uv.run has returned.
local function with_host(opts, fn)
  local host <close> = omni_luv.attach(opts)
  local fine, problem
  coroutine.wrap(function() fine, problem = pcall(fn, host) end)()
  uv.run()
  if not fine then error(problem or "the coroutine hasn't ended", 0) end
  assert.is_true(loop:empty())
end

describe("omni.luv", function()
  it("calls a function in a fiber and passes all its results to a callback; timers run meanwhile", function()
    with_host(nil, function(host)
      local ticks, got = 0, nil
      local ticker = uv.new_timer()
      ticker:start(1, 1, function()
        ticks = ticks + 1
        if got then ticker:close() end
      end)
      host:start(function(...) got = table.pack(...) end, function(...)
        while ticks < 3 do omni.sleep(0.001) end
        return ...
      end, 1, nil, 3)
      assert.is_nil(got)
      host:call(function() while not got do omni.sleep(0.001) end end)
      assert.same({ 1, nil, 3, n = 3 }, got)
    end)
  end)

  it("or returns them in a coroutine, which yields", function()
    with_host(nil, function(host)
      assert.same({ 1, nil, 3, n = 3 }, table.pack(host:call(function(...)
        omni.sleep(0.001)
        return ...
      end, 1, nil, 3)))
    end)
  end)

  it("returns an error as a value, whether it was returned or raised", function()
    with_host(nil, function(host)
      assert.same({ nil, "no" }, { host:call(function() return nil, "no" end) })
      local value = {}
      local none, problem = host:call(error, value)
      assert.is_nil(none)
      assert.same({ "coroutine_failed", true }, { problem.code, problem.cause == value })
    end)
  end)

  it("takes many calls at once, and gives each its own result", function()
    local sum = 0
    with_host(nil, function(host)
      for i = 1, 100 do
        host:start(function(value) sum = sum + value end, function()
          omni.sleep(((i * 7) % 10) / 1000)
          return i
        end)
      end
    end)
    assert.equal(5050, sum)
  end)

  it("reports errors of callbacks and of resumed coroutines, and goes on", function()
    with_host(nil, function(host)
      host:start(function() error { "a table" } end, function() end)
      coroutine.wrap(function()
        host:call(function() end)
        error("in the coroutine", 0)
      end)()
      host:call(omni.sleep, 0.001)
      assert.equal(1, host:call(function() return 1 end))
    end)
    assert.equal(2, #unheard)
    assert.is_true(omni.is_error(unheard[1]))
    assert.equal("in the coroutine", unheard[2].message)
  end)

  it("runs fibers that the program spawns itself, and keeps uv.run going only while one runs", function()
    local host <close> = omni_luv.attach() -- luacheck: ignore 211
    local ran = 0
    for _ = 1, 2 do
      local timer = uv.new_timer()
      timer:start(2, 0, function()
        timer:close()
        omni.spawn(function()
          omni.sleep(0.005)
          ran = ran + 1
        end)
      end)
      assert.is_false(uv.run())
    end
    assert.equal(2, ran)
  end)

  it("cancels the calls under way when it is detached, and can be attached again", function()
    local closed, problem = false, nil
    with_host(nil, function(host)
      host:start(function(_, why) problem = why end, function()
        local held <close> = setmetatable({}, { __close = function() closed = true end }) -- luacheck: ignore 211
        omni.sleep(3600)
      end)
      host:call(omni.sleep, 0)
      host:detach()
      host:detach()
      local fine, misuse = pcall(host.call, host, print)
      assert.is_false(fine)
      assert.matches("host:call: the host is detached", misuse)
    end)
    assert.same({ true, "cancelled" }, { closed, problem.code })
    with_host(nil, function(host) assert.equal(2, host:call(function() return 2 end)) end)
    uv.run()
    assert.is_false(uv.loop_alive())
  end)

  it("ends when the program closes all handles", function()
    local host = omni_luv.attach()
    local problem
    host:start(function(_, why) problem = why end, omni.sleep, 3600)
    uv.run "nowait"
    uv.walk(function(handle)
      if not handle:is_closing() then handle:close() end
    end)
    uv.run()
    omni.spawn(function() end) -- the next change notices
    assert.equal("cancelled", problem.code)
    host:detach()
    omni.run(omni.sleep, 0)
  end)

  it("blocks the loop in a call outside of host:call, or raises if blocking is false", function()
    local function in_callback(host, call)
      local fine, problem
      local timer = uv.new_timer()
      timer:start(0, 0, function()
        timer:close()
        fine, problem = pcall(call)
      end)
      while fine == nil do host:call(omni.sleep, 0.001) end
      return fine, problem
    end
    with_host(nil, function(host) assert.is_true((in_callback(host, function() omni.sleep(0.001) end))) end)
    omni_luv.attach({ blocking = false }):detach()
    local host <close> = omni_luv.attach { blocking = false }
    omni.sleep(0) -- uv.run doesn't run yet
    local problem
    coroutine.wrap(function() problem = select(2, in_callback(host, function() omni.sleep(0.001) end)) end)()
    uv.run()
    assert.matches("^spec/luv_spec%.lua:%d+: omni%.sleep can't wait here: it would block the host's event loop", problem)
  end)

  it("raises for misuse", function()
    assert.error_matches(function() omni_luv.attach { blockng = false } end, "did you mean 'blocking'")
    assert.error_matches(function() omni.run(omni_luv.attach) end, "omni%.run is already driving the loop")
    local host <close> = omni_luv.attach()
    assert.error_matches(function() omni_luv.attach() end, "another host is already driving the loop")
    assert.error_matches(function() host:start(print) end, "host:start: expected a function, got nil")
    assert.error_matches(function() host:start(nil, print) end, "host:start: expected a callback, got nil")
    local _, problem = coroutine.resume(coroutine.create(function()
      return select(2, pcall(string.gsub, "a", "a", function() host:call(print) end))
    end))
    assert.matches("host:call: this isn't a coroutine that can yield; use host:start with a callback", problem)
  end)
end)
