-- SPDX-License-Identifier: MIT
-- Implements scopes: a fiber belongs to the `omni.run` or `omni.scope` in which it was spawned. A scope waits for its fibers, and cancels
-- them if the scope ends early.

local failures = require "omni.loop.failure"
local joins = require "omni.loop.join"
local scheduler = require "omni.loop.scheduler"

local current, in_fiber, results_of, start = scheduler.current, scheduler.in_fiber, joins.results_of, scheduler.start
local wait_until = scheduler.wait_until

---@class omni.Scope
---@field fibers table<omni.Fiber, true>  the fibers that haven't ended
---@field live integer                    the number of these fibers
---@field open boolean                    the scope hasn't ended
---@field owner omni.Fiber|nil            the fiber that waits for these fibers; nil: the caller is outside of a fiber
---@field fail_fast boolean|nil           the error of a fiber that nobody is waiting to join ends the scope
---@field failure omni.Error|nil          that error
---@field before omni.Scope|nil           the previous value of `outermost`
local Scope_mt = {}

local function new(owner, fail_fast)
  return setmetatable({ fibers = {}, live = 0, open = true, owner = owner, fail_fast = fail_fast }, Scope_mt)
end

local root = new()     -- the scope of fibers that are spawned outside of any `omni.run`
local outermost = root -- the scope of fibers that are spawned outside of fibers or in background fibers

-- Makes a fiber independent of its scope.
local function move_to_root(scope, fiber)
  scope.fibers[fiber], scope.live = nil, scope.live - 1
  root.fibers[fiber], root.live, fiber.scope = true, root.live + 1, root
end

local CANCEL_TRIES <const> = 100 -- maximum number of attempts to cancel a scope's fibers when memory runs out

-- Cancels the fibers that haven't ended. The running fiber can't cancel itself, so it continues outside of the scope.
function Scope_mt.__close(scope)
  scope.open = false
  if scope.before then outermost = scope.before end
  local tries = 0
  while true do
    local fiber = next(scope.fibers)
    if not fiber then return end
    if coroutine.status(fiber.co) ~= "suspended" then
      move_to_root(scope, fiber)
    elseif not pcall(fiber.cancel, fiber) then
      tries = tries + 1
      if tries == CANCEL_TRIES then error("not enough memory", 0) end
    end
  end
end

local function check_function(fn, name)
  if type(fn) ~= "function" then error(("%s: expected a function, got %s"):format(name, type(fn)), 3) end
end

---Starts `fn(...)` in a new fiber, in the event loop's next turn. The fiber belongs to the `omni.run` or `omni.scope` in which it was
---spawned, and that call waits for the fiber. If the fiber fails while nobody is waiting to join it, its error goes to its scope, or to
---`omni.on_error`.
---@param fn function
---@return omni.Fiber
local function spawn(fn, ...)
  if type(fn) ~= "function" then check_function(fn, "omni.spawn") end
  local fiber = current()
  return start(fiber and fiber.scope or outermost, fn, ...)
end

---Starts `fn(...)` in a new fiber, like `omni.spawn`, but no `omni.run` or `omni.scope` waits for this fiber or cancels it. A background
---fiber runs whenever the event loop runs. A server that `omni.serve` returns handles each request in a background fiber.
---@param fn function
---@return omni.Fiber
local function background(fn, ...)
  check_function(fn, "omni.background")
  return start(nil, fn, ...)
end

local function enter(name, fail_fast, fn, ...)
  local inside = in_fiber(name)
  local scope <close> = new(inside and current() or nil, fail_fast)
  if not inside then scope.before, outermost = outermost, scope end
  local main = start(scope, fn, ...)
  main.delivered = true -- the caller of `run` gets the error
  wait_until(function() return main.failure ~= nil or scope.failure ~= nil or scope.live == 0 end)
  if main.failure and scope.failure then failures.report(scope.failure) end
  local failure = main.failure or scope.failure
  if failure then error(failure, 0) end
  return results_of(main)
end

---Runs `fn(...)` in a fiber, and waits until that fiber and all fibers that were spawned in it have ended. Outside of a fiber, `omni.run`
---drives the event loop while it waits. If `fn` raises an error, `omni.run` cancels the other fibers and raises that error. If another
---fiber fails while nobody is waiting to join it, its error goes to `omni.on_error`, and the other fibers continue.
---@param fn function
---@return any ...  the results of `fn`
local function run(fn, ...)
  check_function(fn, "omni.run")
  return enter("omni.run", false, fn, ...)
end

---Works like `omni.run`, but if any fiber fails while nobody is waiting to join it, `omni.scope` cancels all other fibers in the scope and
---raises that fiber's error.
---@param fn function
---@return any ...  the results of `fn`
local function scope(fn, ...)
  check_function(fn, "omni.scope")
  return enter("omni.scope", true, fn, ...)
end

---Runs `fn(...)`. Inside a fiber, calls `fn` directly; outside of a fiber, runs the event loop until `fn` has returned. Raises any error
---that `fn` raises.
---@param fn function
---@return any ...  the results of `fn`
local function drive(fn, ...)
  if in_fiber() then return fn(...) end
  local fiber <close> = start(outermost, fn, ...)
  fiber.delivered = true -- the caller of `drive` gets the error
  wait_until(function() return not fiber.co end)
  local failure = fiber.failure
  -- raises the original error value, since the caller of `drive` doesn't know about fibers
  if failure and failure.code == "coroutine_failed" and failure.cause ~= nil then failure = failure.cause end
  if failure then error(failure, 0) end
  return results_of(fiber)
end

---Returns whether all fibers have ended, apart from background fibers.
---@return boolean
local function is_empty() return root.live == 0 end

return { background = background, drive = drive, is_empty = is_empty, run = run, scope = scope, spawn = spawn }
