-- SPDX-License-Identifier: MIT
-- omni in the event loop of cqueues.
local condition = require "cqueues.condition"
local cqueues = require "cqueues"
local loop = require "omni.loop"
local omni = require "omni"
local omni_cqueues = require "omni.cqueues"

-- Runs `fn(host, controller)` in a coroutine of a controller, with omni attached until it has returned.
local function with_host(opts, fn)
  local controller = cqueues.new()
  local host = omni_cqueues.attach(controller, opts)
  controller:wrap(function()
    local held <close> = host -- luacheck: ignore 211
    fn(host, controller)
  end)
  assert(controller:loop())
  assert.is_true(loop:empty())
end

describe("omni.cqueues", function()
  it("calls a function in a fiber and returns all its results; other coroutines run meanwhile", function()
    local others = 0
    with_host(nil, function(host, controller)
      controller:wrap(function()
        for _ = 1, 3 do
          others = others + 1
          cqueues.sleep(0.001)
        end
      end)
      assert.same({ 1, nil, 3, n = 3 }, table.pack(host:call(function(...)
        while others < 3 do omni.sleep(0.001) end
        return ...
      end, 1, nil, 3)))
      assert.equal(0, select("#", host:call(function() end)))
    end)
  end)

  it("returns an error as a value, whether it was returned or raised", function()
    with_host(nil, function(host)
      assert.same({ nil, "no" }, { host:call(function() return nil, "no" end) })
      local value = {}
      local none, problem = host:call(error, value)
      assert.is_nil(none)
      assert.same({ "coroutine_failed", true }, { problem.code, problem.cause == value })
      none, problem = host:call(function() return assert(omni.client { api_key = "a b" }) end)
      assert.is_nil(none)
      assert.matches("the API key can't be used", problem.message)
    end)
  end)

  it("takes many calls at once, and gives each its own result", function()
    local sum, left, done = 0, 100, condition.new()
    with_host(nil, function(host, controller)
      for i = 1, 100 do
        controller:wrap(function()
          local value = host:call(function(n)
            omni.sleep(((n * 7) % 10) / 1000)
            return n
          end, i)
          sum = sum + value
          left = left - 1
          if left == 0 then done:signal() end
        end)
      end
      while left > 0 do done:wait() end
    end)
    assert.equal(5050, sum)
  end)

  it("waits for what the function spawned, and reports errors that nobody joins", function()
    local seen = {}
    local before = omni.on_error(function(problem) seen[#seen + 1] = problem.message end)
    with_host(nil, function(host)
      local ended = false
      host:call(function()
        omni.spawn(error, "unheard")
        omni.spawn(function()
          omni.sleep(0.005)
          ended = true
        end)
      end)
      assert.is_true(ended)
    end)
    omni.on_error(before)
    assert.same({ "unheard" }, seen)
  end)

  it("runs fibers that the program spawns itself, after any time without one", function()
    with_host(nil, function(host)
      for _ = 1, 2 do
        local ran = condition.new()
        cqueues.sleep(0.005)
        omni.spawn(function()
          omni.sleep(0.001)
          ran:signal()
        end)
        ran:wait()
      end
      assert.equal(1, host:call(function() return 1 end))
    end)
  end)

  it("cancels the calls under way when it is detached, and can be attached again", function()
    local closed, problem = false, nil
    with_host(nil, function(host, controller)
      local started, returned = condition.new(), condition.new()
      controller:wrap(function()
        problem = select(2, host:call(function()
          local held <close> = setmetatable({}, { __close = function() closed = true end }) -- luacheck: ignore 211
          started:signal()
          omni.sleep(3600)
        end))
        returned:signal()
      end)
      started:wait()
      host:detach()
      if not problem then returned:wait() end
      host:detach()
      local fine, misuse = pcall(host.call, host, print)
      assert.is_false(fine)
      assert.matches("host:call: the host is detached", misuse)
    end)
    assert.same({ true, "cancelled" }, { closed, problem.code })
    with_host(nil, function(host) assert.equal(2, host:call(function() return 2 end)) end)
  end)

  it("can be detached after its controller has ended or failed", function()
    local controller = cqueues.new()
    local host = omni_cqueues.attach(controller)
    controller:wrap(error, "the program failed")
    assert.is_falsy((controller:loop()))
    host:detach()
    assert.equal(1, omni.run(function() return 1 end))
  end)

  it("blocks the controller in a call outside of host:call, or raises if blocking is false", function()
    with_host(nil, function()
      assert.is_true((pcall(omni.sleep, 0.001)))
      assert.equal(1, omni.run(function() return 1 end))
    end)
    with_host({ blocking = false }, function(host)
      for _, call in ipairs { function() omni.sleep(0) end, function() omni.run(print) end } do
        local fine, problem = pcall(call)
        assert.is_false(fine)
        assert.matches("^spec/cqueues_spec%.lua:%d+: omni%.%l+ can't wait here: it would block the host's event loop", problem)
      end
      host:call(omni.sleep, 0)
    end)
    omni.sleep(0)
  end)

  it("raises for misuse", function()
    local controller = cqueues.new()
    assert.error_matches(function() omni_cqueues.attach {} end, "omni%.cqueues%.attach: expected a controller")
    assert.error_matches(function() omni_cqueues.attach(controller, { blockng = false }) end, "did you mean 'blocking'")
    assert.error_matches(function() omni.run(omni_cqueues.attach, controller) end, "omni%.run is already driving the loop")
    with_host(nil, function(host)
      assert.error_matches(function() omni_cqueues.attach(controller) end, "another host is already driving the loop")
      assert.error_matches(function() host:call() end, "host:call: expected a function, got nil")
      local _, problem = host:call(function() host:call(print) end)
      assert.matches("host:call", problem.message)
    end)
    local host <close> = omni_cqueues.attach(controller)
    assert.error_matches(function() host:call(print) end, "host:call: this isn't a coroutine of cqueues")
  end)
end)
