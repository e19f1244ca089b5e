-- SPDX-License-Identifier: MIT
local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"
local omni = require "omni"

describe("omni.run", function()
  it("returns all results of its function, nils included", function()
    assert.same({ 1, nil, 3, n = 3 }, table.pack(omni.run(function(...) return ... end, 1, nil, 3)))
  end)

  it("waits for every fiber that was spawned", function()
    local order = {}
    omni.run(function()
      omni.spawn(function()
        omni.sleep(0.01)
        omni.spawn(function() omni.sleep(0.01) order[#order + 1] = "grandchild" end)
        order[#order + 1] = "child"
      end)
      order[#order + 1] = "main"
    end)
    assert.same({ "main", "child", "grandchild" }, order)
  end)

  it("raises the error of its function, with the traceback", function()
    local fine, problem = pcall(omni.run, function()
      local function deep_inside() error("boom") end
      deep_inside()
    end)
    assert.is_false(fine)
    assert.is_true(err.is(problem))
    assert.equal("coroutine_failed", problem.code)
    assert.truthy(tostring(problem):find("boom", 1, true))
    assert.truthy(tostring(problem):find("deep_inside", 1, true))
  end)

  it("keeps an error value's identity", function()
    local mine = err.new { code = "io", message = "no room" }
    local _, problem = pcall(omni.run, function() error(mine) end)
    assert.equal(mine, problem)
    assert.equal("io", problem.code)
  end)

  it("in a fiber waits for what was spawned in it, and not for the others", function()
    local order = {}
    omni.run(function()
      local other <close> = omni.spawn(omni.sleep, 3600) -- luacheck: ignore 211
      assert.equal("inner", omni.run(function()
        omni.spawn(function() omni.sleep(0.01) order[#order + 1] = "child" end)
        return "inner"
      end))
      order[#order + 1] = "main"
    end)
    assert.same({ "child", "main" }, order)
  end)

  it("reports a deadlock when nothing can wake a fiber", function()
    local fine, problem = pcall(omni.run, function() loop.park() end)
    assert.is_false(fine)
    assert.truthy(tostring(problem):find("nothing can wake", 1, true))
  end)

  it("cancels the other fibers when its function fails", function()
    local closed = false
    pcall(omni.run, function()
      omni.spawn(function()
        local guard <close> = setmetatable({}, { __close = function() closed = true end })
        omni.sleep(3600)
        return guard
      end)
      omni.sleep(0)
      error("boom")
    end)
    assert.is_true(closed)
    assert.is_true(loop:empty())
  end)

  it("is usable again after an error", function()
    pcall(omni.run, function() error("boom") end)
    assert.equal(1, omni.run(function() return 1 end))
  end)
end)

describe("a fiber", function()
  it("passes its traceback to the fiber that joins it", function()
    omni.run(function()
      local function the_culprit() error("boom") end
      local fiber = omni.spawn(function() the_culprit() end)
      local fine, problem = pcall(fiber.join, fiber)
      assert.is_false(fine)
      assert.truthy(problem.traceback:find("the_culprit", 1, true))
      assert.is_nil(problem.traceback:find("pcall", 1, true))
    end)
  end)

  it("passes any error value on as the cause", function()
    omni.run(function()
      local value = { mine = true }
      local fiber = omni.spawn(function() error(value) end)
      local _, problem = pcall(fiber.join, fiber)
      assert.equal(value, problem.cause)
    end)
  end)

  it("can be joined several times, and after its end", function()
    omni.run(function()
      local fiber = omni.spawn(function() omni.sleep(0.01) return "done" end)
      local other = omni.spawn(function() return fiber:join() end)
      assert.equal("done", fiber:join())
      assert.equal("done", other:join())
      assert.equal("done", fiber:join())
      assert.is_true(fiber:done())
    end)
  end)

  it("closes its to-be-closed variables when it is cancelled", function()
    local closed = 0
    omni.run(function()
      local fiber = omni.spawn(function()
        local guard <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
        omni.sleep(3600)
        return guard
      end)
      omni.sleep(0)
      fiber:cancel()
      assert.equal(1, closed)
      local fine, problem = pcall(fiber.join, fiber)
      assert.is_false(fine)
      assert.equal("cancelled", problem.code)
      fiber:cancel() -- again is nothing
    end)
    assert.equal(1, closed)
  end)

  it("that is cancelled before its start never runs", function()
    local ran = false
    omni.run(function()
      omni.spawn(function() ran = true end):cancel()
    end)
    assert.is_false(ran)
  end)

  it("is cancelled at the end of its scope by <close>", function()
    local started = core.now()
    omni.run(function()
      local fiber <close> = omni.spawn(function() omni.sleep(3600) end)
      omni.sleep(0)
      assert.is_false(fiber:done())
    end)
    assert.is_true(core.now() - started < 60)
  end)

  it("can neither cancel nor join itself", function()
    omni.run(function()
      local fiber
      fiber = omni.spawn(function()
        assert.is_false((pcall(fiber.cancel, fiber)))
        assert.is_false((pcall(fiber.join, fiber)))
      end)
      fiber:join()
    end)
  end)

  it("fails with a suggestion when it calls coroutine.yield", function()
    omni.run(function()
      local fiber = omni.spawn(function() coroutine.yield() end)
      local _, problem = pcall(fiber.join, fiber)
      assert.truthy(tostring(problem):find("omni.sleep", 1, true))
    end)
  end)

  it("raises when it waits inside a coroutine that omni doesn't run", function()
    omni.run(function()
      local _, problem = coroutine.resume(coroutine.create(function() omni.sleep(0.01) end))
      assert.truthy(tostring(problem):find("omni.spawn", 1, true))
    end)
  end)

  it("leaves nothing behind in the loop when it is cancelled among many", function()
    local woken = {}
    omni.run(function()
      local fibers = {}
      for i = 1, 200 do
        fibers[i] = omni.spawn(function() omni.sleep((i * 7 % 200) / 10000) woken[i] = true end)
      end
      omni.sleep(0)
      for i = 1, 200, 2 do fibers[i]:cancel() end
    end)
    for i = 1, 200 do assert.equal(i % 2 == 0 or nil, woken[i]) end
  end)
end)

describe("omni.sleep", function()
  it("wakes fibers in the order of their deadlines", function()
    local order = {}
    omni.run(function()
      for _, tenths in ipairs { 5, 1, 4, 2, 3, 9, 7, 8, 6 } do
        omni.spawn(function() omni.sleep(tenths / 200) order[#order + 1] = tenths end)
      end
    end)
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9 }, order)
  end)

  it("works outside of omni.run, and never wakes early", function()
    local started = core.now()
    omni.sleep(0.02)
    assert.is_true(core.now() - started >= 0.02)
  end)

  it("refuses a value that isn't a duration", function()
    for _, wrong in ipairs { -1, 0 / 0, "1", {} } do assert.has_error(function() omni.sleep(wrong) end) end
  end)
end)

describe("the loop", function()
  it("is a pollable: another loop can drive it with one descriptor and one timer", function()
    local steps = {}
    omni.spawn(function()
      for i = 1, 3 do
        omni.sleep(0.005)
        steps[i] = true
      end
    end)
    local poller <close> = core.poll_set()
    poller:add(loop:pollfd())
    assert.equal("r", loop:events())
    while not loop:empty() do
      poller:wait(loop:timeout(), {})
      loop:step()
    end
    assert.equal(3, #steps)
    assert.is_nil(loop:timeout())
  end)

  it("steps pollables, which may be added and removed during a step", function()
    local stepped = 0
    local poller <close> = core.poll_set()
    local other <close> = core.poll_set()
    local second = { pollfd = function() return other:pollfd() end, timeout = function() return 0 end }
    function second:step() stepped = stepped + 1 loop.remove(self) end
    local first = { pollfd = function() return poller:pollfd() end, timeout = function() return 0 end }
    function first:step() loop.remove(self) loop.add(second) end
    loop.add(first)
    omni.run(function() while stepped == 0 do omni.sleep(0) end end)
    assert.equal(1, stepped)
  end)

  it("wakes a parked fiber once, with the value, and drops its timeout", function()
    omni.run(function()
      local got = {}
      local fiber = omni.spawn(function()
        got[1] = loop.park(3600)
        got[2] = loop.park(0.01) == nil
      end)
      omni.sleep(0)
      loop.wake(fiber, "value")
      loop.wake(fiber, "too late")
      fiber:join()
      assert.same({ "value", true }, got)
    end)
  end)
end)
