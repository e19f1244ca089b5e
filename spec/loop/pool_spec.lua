-- SPDX-License-Identifier: MIT
local loop = require "omni.loop"
local omni = require "omni"
local pool = require "omni.loop.pool"

describe("a pool", function()
  it("runs at most its number of jobs at a time, in the order in which they came", function()
    omni.run(function()
      local jobs, running, most, started, parked = pool.new(2), 0, 0, {}, {}
      for i = 1, 5 do
        jobs:add(function(number)
          running = running + 1
          most, started[#started + 1] = math.max(most, running), number
          parked[#parked + 1] = loop.current()
          loop.park()
          running = running - 1
        end, i)
      end
      loop.background(function()
        while #started < 5 or running > 0 do
          local fiber = table.remove(parked)
          if fiber then loop.wake(fiber) end
          omni.sleep(0)
        end
      end)
      jobs:join()
      assert.same({ 1, 2, 3, 4, 5 }, started)
      assert.equal(2, most)
      assert.equal(0, running)
    end)
  end)

  it("raises the error of a job at the join, and still runs the jobs behind it", function()
    omni.run(function()
      local jobs, ran = pool.new(1), false
      jobs:add(error, "boom")
      jobs:add(function() ran = true end)
      local fine, problem = pcall(jobs.join, jobs)
      jobs:join()
      assert.is_false(fine)
      assert.matches("boom", tostring(problem))
      assert.is_true(ran)
    end)
  end)

  it("raises the error of a worker that ended in the middle of a job, and still runs the jobs behind it", function()
    omni.run(function()
      local jobs, ran = pool.new(1), false
      jobs:add(coroutine.yield) -- the scheduler ends a fiber that yields
      jobs:add(function() ran = true end)
      local fine, problem = pcall(jobs.join, jobs)
      jobs:join()
      assert.is_false(fine)
      assert.matches("coroutine.yield was called in a fiber", tostring(problem))
      assert.is_true(ran)
    end)
  end)

  it("cancels running jobs and drops waiting ones when it is closed", function()
    omni.run(function()
      local jobs, ran, closed = pool.new(1), 0, false
      local function job()
        local mark <close> = setmetatable({}, { __close = function() closed = true end }) -- luacheck: ignore 211
        ran = ran + 1
        loop.park()
      end
      jobs:add(job)
      jobs:add(job)
      omni.sleep(0)
      jobs:close()
      jobs:add(job)
      jobs:join()
      omni.sleep(0)
      assert.equal(1, ran)
      assert.is_true(closed)
    end)
  end)

  it("lets omni.run end while a background job still waits", function()
    omni.run(function() pool.new(1, true):add(loop.park) end)
  end)
end)

describe("each", function()
  it("starts no call after one that failed, and returns its error", function()
    omni.run(function()
      local called = {}
      local fine, problem = pool.each(5, 1, function(i)
        called[#called + 1] = i
        if i == 2 then return nil, "no" end
        return true
      end)
      assert.is_nil(fine)
      assert.equal("no", problem)
      assert.same({ 1, 2 }, called)
      assert.is_true(pool.each(0, 3, error))
    end)
  end)

  it("cancels the running calls when it is cancelled", function()
    omni.run(function()
      local closed = 0
      local fiber = omni.spawn(pool.each, 3, 2, function()
        local mark <close> = setmetatable({}, { __close = function() closed = closed + 1 end }) -- luacheck: ignore 211
        loop.park()
      end)
      omni.sleep(0)
      omni.sleep(0)
      fiber:cancel()
      assert.equal(2, closed)
    end)
  end)
end)
