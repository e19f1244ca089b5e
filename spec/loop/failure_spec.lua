-- SPDX-License-Identifier: MIT
-- Each error of a fiber is reported exactly once: to whoever joins it, to its scope, or to omni.on_error.
local core = require "omni.core"
local env = require "helper.env"
local loop = require "omni.loop"
local omni = require "omni"

local function fails(message) return omni.spawn(function() error(message, 0) end) end

describe("an error that nobody joins", function()
  local seen, before
  before_each(function()
    seen = {}
    before = omni.on_error(function(problem) seen[#seen + 1] = problem end)
  end)
  after_each(function() omni.on_error(before) end)

  local function messages()
    local list = {}
    for i, problem in ipairs(seen) do list[i] = problem.message end
    return list
  end

  it("goes to omni.on_error at the end of the turn, with its traceback and cause, and the run goes on", function()
    local value = {}
    local reported
    omni.run(function()
      omni.spawn(function()
        local function the_culprit() error(value) end
        the_culprit()
      end)
      omni.sleep(0)
      omni.sleep(0)
      reported = #seen
    end)
    assert.same({ 1, 1 }, { reported, #seen })
    assert.is_true(omni.is_error(seen[1]))
    assert.equal(value, seen[1].cause)
    assert.matches("the_culprit", seen[1].traceback)
  end)

  it("of a background fiber goes there, too", function()
    omni.run(function()
      omni.background(error, "in the background")
      omni.sleep(0)
      omni.sleep(0)
    end)
    assert.same({ "in the background" }, messages())
  end)

  it("is reported once for each fiber, whatever they raise", function()
    local same = {}
    omni.run(function()
      for _ = 1, 3 do omni.spawn(error, same) end
    end)
    assert.equal(3, #seen)
  end)

  it("doesn't go there if somebody joins the fiber in the same turn", function()
    omni.run(function()
      local fiber = fails "heard"
      omni.sleep(0) -- the fiber fails in the turn in which this returns
      assert.is_false((pcall(fiber.join, fiber)))
      omni.sleep(0)
    end)
    assert.same({}, seen)
  end)

  it("doesn't go there if the fiber is joined, alone or with others, inside or outside of a fiber", function()
    local function check()
      assert.is_false((pcall(omni.join, fails "a", omni.spawn(omni.sleep, 0.01), fails "b")))
      local fiber = fails "c"
      assert.is_false((pcall(fiber.join, fiber)))
    end
    check()
    omni.run(check)
    assert.same({}, seen)
  end)

  it("goes to each of several joiners, to each its own", function()
    local problems = {}
    omni.run(function()
      local fiber = omni.spawn(function() omni.sleep(0) error("heard", 0) end)
      for i = 1, 3 do
        omni.spawn(function() problems[i] = select(2, pcall(fiber.join, fiber)) end)
      end
    end)
    assert.same({}, seen)
    assert.same({ "heard", "heard", "heard" }, { problems[1].message, problems[2].message, problems[3].message })
    assert.is_true(problems[1] ~= problems[2] and problems[2] ~= problems[3])
  end)

  it("is reported if who joined it is cancelled before it got the error", function()
    omni.run(function()
      local parked
      local fiber = omni.spawn(function() parked = loop.current() loop.park() error("lost?", 0) end)
      local joiner = omni.spawn(fiber.join, fiber)
      omni.sleep(0)
      omni.sleep(0)
      loop.wake(parked)
      while not fiber:done() do omni.sleep(0) end
      joiner:cancel()
    end)
    assert.is_true(#seen <= 1)
    omni.run(function()
      seen = {}
      local fiber = omni.spawn(function() omni.sleep(0.01) error("kept", 0) end)
      omni.spawn(fiber.join, fiber):cancel()
    end)
    assert.same({ "kept" }, messages())
  end)

  it("is reported if the join ended before: by its timeout, or by the error of another fiber", function()
    omni.run(function()
      local fiber = omni.spawn(function() omni.sleep(0.02) error("late", 0) end)
      assert.is_nil((fiber:join { timeout = 0.001 }))
      assert.is_false((pcall(omni.join, { fiber, fails "first" }, { fail_fast = true })))
      assert.same({}, seen)
    end)
    assert.same({ "late" }, messages())
  end)

  it("is no error if the fiber was cancelled", function()
    omni.run(function() omni.spawn(omni.sleep, 3600):cancel() end)
    assert.same({}, seen)
  end)

  it("of a to-be-closed variable of a cancelled fiber is one", function()
    omni.run(function()
      local fiber = omni.spawn(function()
        local bad <close> = setmetatable({}, { __close = function() error("in __close", 0) end }) -- luacheck: ignore 211
        omni.sleep(3600)
      end)
      omni.sleep(0)
      omni.sleep(0)
      fiber:cancel()
    end)
    assert.same({ "in __close" }, messages())
  end)

  it("is raised by a later join all the same, and not reported again", function()
    omni.run(function()
      local fiber = fails "once"
      omni.sleep(0.01)
      assert.same({ "once" }, messages())
      assert.is_false((pcall(fiber.join, fiber)))
    end)
    assert.equal(1, #seen)
  end)

  it("leaves nothing behind: 80,000 of them take no memory", function()
    local function round()
      omni.run(function()
        for _ = 1, 80 do
          for _ = 1, 1000 do fails "x" end
          omni.sleep(0)
        end
      end)
      seen = {}
      collectgarbage()
      collectgarbage()
      return collectgarbage "count"
    end
    local count = 0
    omni.on_error(function() count = count + 1 end)
    local first = round()
    assert.is_true(round() - first < 500)
    assert.equal(160000, count)
  end)

  it("goes to the function and not to the program that steps the loop; so does the error of a pollable", function()
    fails "unheard"
    local poller <close> = core.poll_set()
    local pollable = { pollfd = function() return poller:pollfd() end, timeout = function() return 0 end }
    function pollable:step()
      loop.remove(self)
      error { "a table" }
    end
    loop.add(pollable)
    while not loop:empty() do assert.is_nil(loop:step()) end
    loop:step()
    assert.same({ "unheard", true }, { seen[#seen].message, omni.is_error(seen[1]) })
    assert.equal(2, #seen)
  end)

  it("can have a function that spawns, but none that waits", function()
    local ran, problem = false, nil
    omni.on_error(function()
      problem = select(2, pcall(omni.sleep, 1))
      omni.spawn(function() ran = true end)
    end)
    omni.run(function() fails "x" end)
    assert.matches("omni%.sleep can't wait here: the event loop called this function; use omni%.spawn", problem)
    omni.run(omni.sleep, 0)
    assert.is_true(ran)
  end)

  it("wants a function", function()
    assert.error_matches(function() omni.on_error "print" end, "omni%.on_error: expected a function or nil, got string")
  end)
end)

describe("without omni.on_error", function()
  local function stderr_of(script)
    return env.output(("%s -e %s 2>&1 >/dev/null"):format(env.lua, env.quote('local omni = require "omni" ' .. script)))
  end

  it("an error that nobody joins is printed at once, with its traceback", function()
    local text = stderr_of [[
      omni.run(function()
        omni.spawn(function() local function the_culprit() error "unheard" end the_culprit() end)
        omni.sleep(0.01)
        io.stderr:write "later\n"
      end)]]
    assert.matches("^omni: an error that nobody waits for: %(command line%):%d+: unheard\n.*the_culprit.*\nlater\n$", text)
  end)

  it("so are both errors if the function raises", function()
    local text = stderr_of 'omni.on_error(function() error "worse" end) omni.run(function() omni.spawn(error, "bad") end)'
    assert.matches("bad.*worse", text)
  end)
end)
