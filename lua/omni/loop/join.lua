-- SPDX-License-Identifier: MIT
-- Waits until fibers have ended, and collects their results or errors.

local core = require "omni.core"
local err = require "omni.error"
local options = require "omni.options"
local scheduler = require "omni.loop.scheduler"

local current, in_fiber, park = scheduler.current, scheduler.in_fiber, scheduler.park

--- A caller that waits until fibers have ended. An `omni.Join` is an array of the fibers that the caller waits for. When an `omni.Join` is
--- closed, errors that the caller hasn't taken go to the fibers' scopes.
---@class omni.Join
---@field n integer
---@field left integer            how many of the fibers haven't ended
---@field fiber omni.Fiber|false  the waiting fiber; false: the caller is outside of a fiber
---@field fail_fast boolean|nil   wait only until the first fiber fails
---@field failed boolean          whether a fiber has failed
local Join_methods = {}
local Join_mt = { __name = "omni.join", __index = Join_methods }

---Begins to wait for fibers. Until the returned object is closed, the fibers keep their errors for the caller of `begin`.
---@param fibers omni.Fiber[]  with the field `n`; this table becomes the result
---@param name string          the public function, for messages
---@param fail_fast? boolean
---@return omni.Join
local function begin(fibers, name, fail_fast)
  local join = setmetatable(fibers, Join_mt)
  local waiter = in_fiber(name) and current()
  join.fiber, join.left, join.failed, join.fail_fast = waiter, 0, false, fail_fast -- set first, since memory may run out in the loop below
  for i = 1, join.n do
    local fiber = join[i]
    if fiber == waiter then
      join.n = i - 1
      Join_mt.__close(join)
      error("a fiber can't join itself", 3)
    end
    local joins = fiber.joins
    if not joins then
      joins = {}
      fiber.joins = joins
    end
    if not joins[join] then
      joins[join] = true
      if fiber.co then join.left = join.left + 1 else join.failed = join.failed or fiber.failure ~= nil end
    end
  end
  return join
end

---Waits until all fibers have ended or, with `fail_fast`, until one of them has failed.
---@param timeout? number  seconds
---@return boolean         false: the time is up
function Join_methods:wait(timeout)
  if self.fiber and not timeout then
    while not (self.left == 0 or self.fail_fast and self.failed) do park() end
    return true
  end
  return scheduler.wait_until(function() return self.left == 0 or self.fail_fast and self.failed end, timeout and core.now() + timeout)
end

function Join_mt.__close(join)
  for i = 1, join.n do
    local fiber = join[i]
    fiber.joins[join] = nil
    if fiber.failure and not fiber.delivered then scheduler.note_failure(fiber) end
  end
end

-- Returns a fiber's error, for `join` to raise. Each caller of `join` gets its own copy of the error.
local function take_failure(fiber)
  local failure = fiber.failure
  if fiber.delivered then failure = err.copy(failure) end
  fiber.delivered = true
  return failure
end

---Returns the results of a fiber that has ended, or raises the fiber's error.
---@param fiber omni.Fiber
---@return any ...
local function results_of(fiber)
  if fiber.failure then error(take_failure(fiber), 0) end
  local results = fiber.value
  if results then return table.unpack(results, 1, results.n) end
end

local function timed_out(timeout)
  return nil, err.new { code = "timeout", message = core.format("the coroutine hasn't ended within %g seconds", timeout) }
end

---@class omni.Fiber
local Fiber_methods = scheduler.Fiber_methods

---Waits until the fiber has ended. If the fiber failed, `join` raises the fiber's error, with the traceback. If the timeout expires before
---the fiber has ended, the fiber continues to run.
---@param opts? omni.JoinOptions
---@return any ...  the results of the fiber's function; after a timeout, nil and an error with the code "timeout"
function Fiber_methods:join(opts)
  local timeout = opts and options.check(opts, { timeout = "timeout" }, "fiber:join").timeout
  if not self.co then return results_of(self) end
  local join <close> = begin({ self, n = 1, left = 0, fiber = false, failed = false }, "fiber:join")
  if not join:wait(timeout) then return timed_out(timeout) end
  return results_of(self)
end

local join_options <const> = { timeout = "timeout", fail_fast = "boolean" }

-- Returns the fibers and the options that were passed to `omni.join`, either as separate arguments or as a list followed by options.
local function arguments_of(first, ...)
  if type(first) == "table" and getmetatable(first) == nil then
    return table.move(first, 1, #first, 1, { n = #first }), options.check(..., join_options, "omni.join", 3)
  end
  return table.pack(first, ...), {}
end

-- Raises the error of the first failed fiber in the list. The error's `others` field contains the errors of the other failed fibers.
local function raise_failures(join)
  local first, others
  for i = 1, join.n do
    if join[i].failure then
      local failure = take_failure(join[i])
      if first then
        others = others or {}
        others[#others + 1] = failure
      else
        first = failure
      end
    end
  end
  first.others = others
  error(first, 0)
end

---Waits until all fibers have ended, then returns the first result of each fiber, in order. If any fiber failed, `omni.join` raises the
---error of the first failed fiber in the list. The error's `others` field contains the errors of the other failed fibers.
---
---`omni.join(fibers, opts)` takes a list of fibers and a table of options. After `timeout` seconds, `omni.join` returns nil and an error
---with the code "timeout". With `fail_fast = true`, `omni.join` raises an error as soon as one fiber fails. After a timeout, or after a
---failure with `fail_fast`, the fibers that haven't ended continue to run; `omni.scope` would cancel them.
---@param ... omni.Fiber
---@return any ...
local function join_all(...)
  local fibers, opts = arguments_of(...)
  for i = 1, fibers.n do
    if getmetatable(fibers[i]) ~= scheduler.Fiber_mt then
      error(("omni.join: argument %d isn't a fiber (omni.spawn returns one)"):format(i), 2)
    end
  end
  local join <close> = begin(fibers, "omni.join", opts.fail_fast)
  if not join:wait(opts.timeout) then return timed_out(opts.timeout) end
  if join.failed then raise_failures(join) end
  local results = {}
  for i = 1, join.n do results[i] = join[i].value and join[i].value[1] end
  return table.unpack(results, 1, join.n)
end

options.guard(Fiber_methods, scheduler.Fiber_mt, "fiber")

return { all = join_all, begin = begin, results_of = results_of }
