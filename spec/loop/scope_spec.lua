-- SPDX-License-Identifier: MIT
local core = require "omni.core"
local loop = require "omni.loop"
local omni = require "omni"

local function mark(list, name)
  return setmetatable({}, { __close = function() list[#list + 1] = name end })
end

-- Sleeps for an hour; adds its name to the list when it is cancelled.
local function sleeper(list, name)
  local held <close> = mark(list, name) -- luacheck: ignore 211
  omni.sleep(3600)
end

describe("a run", function()
  it("doesn't wait for fibers that were spawned before it, nor for background ones; they go on while something runs", function()
    local steps = 0
    local old = omni.spawn(function()
      while true do
        omni.sleep(0)
        steps = steps + 1
      end
    end)
    omni.run(function() omni.background(omni.sleep, 3600) end)
    assert.is_false(old:done())
    local before = steps
    omni.run(omni.sleep, 0.01)
    assert.is_true(steps > before)
    old:cancel()
  end)

  it("isn't hindered by what a failed run left", function()
    local closed = {}
    assert.is_false((pcall(omni.run, function()
      omni.spawn(sleeper, closed, "left")
      omni.sleep(0)
      error "boom"
    end)))
    assert.same({ "left" }, closed)
    assert.equal(1, omni.run(function() return 1 end))
  end)

  it("waits for what a background fiber, or a function that the loop calls, spawns meanwhile", function()
    local ran = false
    omni.run(function()
      omni.background(function()
        omni.spawn(function()
          omni.sleep(0.01)
          ran = true
        end)
      end)
      omni.sleep(0)
      omni.sleep(0)
    end)
    assert.is_true(ran)
  end)

  it("cancels its fibers when something else ends it", function()
    local closed = {}
    local poller <close> = core.poll_set()
    local pollable = { pollfd = function() return poller:pollfd() end, timeout = function() return 0 end }
    function pollable:step()
      if not closed.started then return end
      loop.remove(self)
      error("from outside", 0)
    end
    loop.add(pollable)
    local _, problem = pcall(omni.run, function()
      closed.started = true
      sleeper(closed, "main")
    end)
    assert.same({ "main" }, { closed[1] })
    assert.equal("from outside", problem)
    assert.is_true(loop:empty())
  end)
end)

describe("omni.scope", function()
  it("returns what its function returns, when all fibers have ended, inside and outside of a fiber", function()
    local function check()
      local ended = false
      assert.same({ 1, nil, 3, n = 3 }, table.pack(omni.scope(function(...)
        omni.spawn(function()
          omni.sleep(0.01)
          ended = true
        end)
        return ...
      end, 1, nil, 3)))
      assert.is_true(ended)
    end
    check()
    omni.run(check)
  end)

  it("raises the error of a fiber that nobody joins, and cancels the function and the other fibers", function()
    local function check()
      local closed = {}
      local _, problem = pcall(omni.scope, function()
        omni.spawn(sleeper, closed, "sibling")
        omni.spawn(function()
          omni.sleep(0)
          error("boom", 0)
        end)
        sleeper(closed, "function")
      end)
      assert.equal("boom", problem.message)
      table.sort(closed)
      assert.same({ "function", "sibling" }, closed)
    end
    check()
    omni.run(check)
  end)

  it("raises the error of its function, and cancels the fibers", function()
    omni.run(function()
      local closed = {}
      local _, problem = pcall(omni.scope, function()
        omni.spawn(sleeper, closed, "fiber")
        omni.sleep(0)
        error("boom", 0)
      end)
      assert.same({ "boom", "fiber" }, { problem.message, closed[1] })
    end)
  end)

  it("leaves an error to whoever joins the fiber", function()
    omni.scope(function()
      local fiber = omni.spawn(error, "heard")
      assert.is_false((pcall(fiber.join, fiber)))
    end)
  end)

  it("passes the error of an inner scope on to the outer one", function()
    local closed = {}
    local _, problem = pcall(omni.scope, function()
      omni.spawn(sleeper, closed, "outer")
      omni.spawn(function()
        omni.scope(function()
          omni.spawn(sleeper, closed, "inner")
          omni.spawn(error, "boom")
        end)
      end)
    end)
    assert.equal("boom", problem.message)
    assert.same({ "inner", "outer" }, closed)
  end)

  it("raises one error and reports the others", function()
    local seen = {}
    local before = omni.on_error(function(problem) seen[#seen + 1] = problem.message end)
    local _, problem = pcall(omni.scope, function()
      omni.spawn(error, "first")
      omni.spawn(error, "second")
    end)
    omni.on_error(before)
    assert.same({ "first", "second" }, { problem.message, seen[1] })
    assert.equal(1, #seen)
  end)

  it("is cancelled together with the fiber that waits in it, even by one of its own fibers, which goes on", function()
    local closed, went_on = {}, false
    omni.run(function()
      local outer
      outer = omni.spawn(omni.scope, function()
        omni.spawn(sleeper, closed, "sibling")
        omni.spawn(function()
          omni.sleep(0)
          outer:cancel()
          went_on = true
        end)
      end)
    end)
    assert.same({ "sibling" }, closed)
    assert.is_true(went_on)
  end)

  it("can't wait where Lua can't suspend, and wants a function", function()
    omni.run(function()
      assert.is_false((pcall(string.gsub, "a", "a", function() omni.scope(print) end)))
      for _, name in ipairs { "run", "scope", "spawn", "background" } do
        local _, problem = pcall(function() omni[name]() end)
        assert.matches("^spec/loop/scope_spec%.lua:%d+: omni%." .. name .. ": expected a function, got nil", problem)
      end
    end)
  end)
end)
