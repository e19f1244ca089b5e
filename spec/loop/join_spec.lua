-- SPDX-License-Identifier: MIT
local omni = require "omni"

local function fails(message) return omni.spawn(function() error(message, 0) end) end

describe("omni.join", function()
  it("returns the first result of each fiber, in the given order", function()
    omni.run(function()
      local slow = omni.spawn(function() omni.sleep(0.02) return "slow", "ignored" end)
      local quick = omni.spawn(function() return "quick" end)
      assert.same({ "slow", "quick" }, { omni.join(slow, quick) })
      assert.same({ "slow", "quick" }, { omni.join { slow, quick } })
      assert.same({}, { omni.join {} })
    end)
  end)

  it("waits for all fibers before it raises the first error, which has those of the others", function()
    omni.run(function()
      local ended = false
      local bad, good, worse = fails "bad", omni.spawn(function() omni.sleep(0.02) ended = true end), fails "worse"
      local fine, problem = pcall(omni.join, bad, good, worse)
      assert.is_false(fine)
      assert.equal("bad", problem.message)
      assert.same({ 1, "worse" }, { #problem.others, problem.others[1].message })
      assert.is_true(ended)
    end)
  end)

  it("with fail_fast raises the first error at once, and lets the others go on", function()
    omni.run(function()
      local other = omni.spawn(function() omni.sleep(0.02) return "done" end)
      local _, problem = pcall(omni.join, { other, fails "bad" }, { fail_fast = true })
      assert.equal("bad", problem.message)
      assert.is_false(other:done())
      assert.equal("done", other:join())
    end)
  end)

  it("with a timeout returns an error after it, and lets the fibers go on", function()
    local function check()
      local slow, quick = omni.spawn(function() omni.sleep(0.05) return "slow" end), omni.spawn(function() return "quick" end)
      local value, problem = omni.join({ slow, quick }, { timeout = 0.001 })
      assert.same({ nil, "timeout" }, { value, problem.code })
      assert.same({ "slow", "quick" }, { omni.join({ slow, quick }, { timeout = 3600 }) })
    end
    check()
    omni.run(check)
  end)

  it("names the argument that isn't a fiber, and the option that it doesn't know", function()
    omni.run(function()
      local fiber = omni.spawn(function() end)
      local _, problem = pcall(omni.join, fiber, 3)
      assert.matches("omni%.join: argument 2 isn't a fiber", problem)
      _, problem = pcall(function() omni.join({ fiber }, { timout = 1 }) end)
      assert.matches("^spec/loop/join_spec%.lua:%d+: omni%.join: unknown option 'timout'; did you mean 'timeout'", problem)
    end)
  end)
end)

describe("fiber:join", function()
  it("with a timeout returns an error after it; the fiber goes on and can be joined again", function()
    omni.run(function()
      local fiber = omni.spawn(function() omni.sleep(0.05) return "done" end)
      local value, problem = fiber:join { timeout = 0.001 }
      assert.same({ nil, "timeout" }, { value, problem.code })
      assert.equal("done", fiber:join { timeout = 3600 })
    end)
  end)

  it("raises for what can't be a timeout", function()
    omni.run(function()
      local fiber = omni.spawn(function() end)
      local _, problem = pcall(function() fiber:join { timeout = 0 } end)
      assert.matches("^spec/loop/join_spec%.lua:%d+: fiber:join: option 'timeout' must be a number of seconds above 0", problem)
      fiber:join()
    end)
  end)
end)
