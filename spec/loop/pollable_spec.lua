-- SPDX-License-Identifier: MIT
local core = require "omni.core"
local omni = require "omni"
local pollable = require "omni.loop.pollable"

-- Returns an object like those of the C modules, whose `step` is always ready; `steps` counts its calls.
local function source()
  local poll_set = core.poll_set()
  local object = { steps = 0, pollfd = function() return poll_set:pollfd() end, timeout = function() return 0 end }
  function object:step()
    self.steps = self.steps + 1
    return self.steps >= 3
  end
  function object:close() poll_set:close() end -- luacheck: ignore 212
  return object
end

describe("a driver", function()
  it("steps its object from start until its work is done, and again after the next start", function()
    omni.run(function()
      local object = source()
      local driver <close> = pollable.driver(object, object.step)
      omni.sleep(0)
      assert.equal(0, object.steps)
      for _ = 1, 2 do
        driver:start()
        driver:start() -- no effect
        while driver.started do omni.sleep(0) end
        local steps = object.steps
        omni.sleep(0)
        assert.equal(steps, object.steps)
      end
      assert.equal(4, object.steps)
    end)
  end)

  it("can be stopped before its work is done", function()
    omni.run(function()
      local object = source()
      do
        local driver <close> = pollable.driver(object, object.step)
        driver:start()
      end
      omni.sleep(0)
      omni.sleep(0)
      assert.equal(0, object.steps)
      object:close()
    end)
  end)
end)

describe("a job", function()
  it("is stepped until it has ended, with a call after each step", function()
    omni.run(function()
      local job, calls = source(), 0
      pollable.finish(job, function() calls = calls + 1 end)
      assert.is_true(job.steps >= 3 and calls >= 1)
    end)
  end)

  it("isn't stepped any more when its fiber is cancelled, or when the call raises", function()
    omni.run(function()
      local job = source()
      local fiber = omni.spawn(pollable.finish, job)
      omni.sleep(0)
      fiber:cancel()
      local steps = job.steps
      omni.sleep(0)
      omni.sleep(0)
      assert.equal(steps, job.steps)
      local other = source()
      assert.is_false((pcall(pollable.finish, other, function() error "enough" end)))
      steps = other.steps
      omni.sleep(0)
      omni.sleep(0)
      assert.equal(steps, other.steps)
    end)
  end)
end)
