-- SPDX-License-Identifier: MIT
describe("the timers' heap", function()
  local timers
  before_each(function() timers = assert(loadfile "lua/omni/loop/timers.lua")() end) -- a heap that the event loop doesn't use

  -- Checks that each timer is where its fiber says, and that none wakes before its parent.
  local function check(expected)
    local count = 0
    for fiber, at in pairs(expected) do
      count = count + 1
      assert.equal(fiber, timers.fibers[fiber.slot])
      assert.equal(at, timers.times[fiber.slot])
    end
    assert.same({ count, count }, { #timers.fibers, #timers.times })
    for slot = 2, count do assert.is_true(timers.times[slot // 2] <= timers.times[slot]) end
  end

  it("has the timer that is due first at its top, whatever was added and removed", function()
    for seed = 1, 50 do
      math.randomseed(seed)
      local expected, list = {}, {}
      for _ = 1, 100 do
        if math.random() < 0.6 or not list[1] then
          local fiber, at = { slot = false }, math.random(20)
          timers.set(fiber, at)
          expected[fiber], list[#list + 1] = at, fiber
        else
          local fiber = table.remove(list, math.random(#list))
          timers.clear(fiber)
          assert.is_false(fiber.slot)
          expected[fiber] = nil
        end
        check(expected)
      end
      for _, fiber in ipairs(list) do timers.clear(fiber) end
      check {}
    end
  end)

  it("ignores a fiber without a timer", function()
    local fiber = { slot = false }
    timers.set(fiber, 1)
    timers.clear { slot = false }
    check { [fiber] = 1 }
  end)
end)
