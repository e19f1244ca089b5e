-- SPDX-License-Identifier: MIT
-- Runs fibers in turns. In each turn, the scheduler waits for descriptors and timers, then runs each ready fiber until it parks or ends.
-- Each Lua state has one scheduler. The public functions in join.lua and scope.lua are built on the scheduler.

local caller = require "omni.loop.caller"
local core = require "omni.core"
local err = require "omni.error"
local failures = require "omni.loop.failure"
local timers = require "omni.loop.timers"

local now, yield, resume, status = core.now, coroutine.yield, coroutine.resume, coroutine.status
local running, isyieldable = coroutine.running, coroutine.isyieldable
local times <const> = timers.times

---@class omni.Pollable
---@field pollfd fun(self): integer       a descriptor that is readable when `step` has work to do
---@field timeout fun(self): number|nil   seconds until `step` must be called in any case; 0: immediately, nil: never
---@field step fun(self)                  performs all pending work; never blocks

--- A waiting fiber's table has only four fields, since Lua would double the table's size for a fifth field.
---@class omni.Fiber
---@field package co thread|nil           the fiber's coroutine; nil: the fiber has ended
---@field package slot integer|false      the index of the fiber's timer (timers.lua)
---@field package value any               PARKED while it is parked; then the value for its next turn; when it has ended, its results
---@field package failure omni.Error|nil  why the fiber failed
---@field package scope omni.Scope|nil    nil: a background fiber
---@field package joins table<omni.Join, true>|nil  the callers that wait until the fiber has ended
---@field package delivered boolean|nil   the fiber's failure was raised or reported
local Fiber_methods = {}
local Fiber_mt = { __name = "omni.fiber", __index = Fiber_methods }

local poll_set = core.poll_set()
local pollables, pollable_count = {}, 0 -- pollable → its descriptor
-- `ready` contains the fibers that the next turn will run, and `batch` contains the fibers that this turn runs. The arrays `ready` and
-- `batch` have room for every fiber that hasn't ended, so that waking a fiber allocates no memory.
local ready, ready_count = {}, 0
local batch, batch_at, batch_count = {}, 0, 0
local places, live = 0, 0
local failed, failed_count = {}, 0      -- fibers that failed in this turn
local current                           -- the running fiber, if any
local interrupted                       -- a fiber whose turn ended with an error in the scheduler itself, because memory ran out
local stepping = false                  -- the coroutine that runs a step, if any
local step                              -- defined below
local on_change                         -- the function that was passed to `set_on_change`, if any

-- --- parking and waking

local PARKED <const> = {} -- the value that a fiber yields when it parks, and the fiber's `value` until it is woken

-- Adds a place for one more fiber to the arrays of ready fibers.
local function make_place()
  if live < places then return end
  ready[places + 1], batch[places + 1] = false, false
  places = places + 1
end

local function make_ready(fiber, value)
  fiber.value = value
  ready[ready_count + 1] = fiber
  ready_count = ready_count + 1
  if on_change and not stepping then on_change() end
end

---Wakes a parked fiber, whose call to `park` then returns `value`. Does nothing if the fiber isn't parked.
---@param fiber omni.Fiber
---@param value any
local function wake(fiber, value)
  if fiber.value ~= PARKED then return end
  if fiber.slot then timers.clear(fiber) end
  make_ready(fiber, value or false)
end

---Returns whether a fiber is parked.
---@param fiber omni.Fiber
---@return boolean
local function is_parked(fiber)
  return fiber.value == PARKED
end

local function end_step()
  interrupted, current, stepping = current, nil, false
end

-- Returns whether the coroutine in `stepping` is still running a step. A step may end without a call to `end_step` if memory runs out
-- repeatedly.
local function is_on_stack()
  local level = 0
  while true do
    local info = debug.getinfo(stepping, level, "f")
    if not info or info.func == step then return info ~= nil end
    level = level + 1
  end
end

---Returns whether the caller runs in a fiber and can park; outside of a fiber, use `drive`. Raises an error at the line that called omni if
---the caller can neither park nor call `drive`: inside a C function that Lua can't suspend, in a coroutine that omni doesn't run, or in a
---finalizer. Every function that waits calls `in_fiber` first.
---@param name? string  the function's name for the message, such as "client:submit"
---@return boolean
local function in_fiber(name)
  if current and isyieldable() and running() == current.co then return true end
  if stepping and not is_on_stack() then end_step() end
  caller.check(current, stepping ~= false, name)
  return false
end

---Parks the running fiber until `wake` is called, for at most `timeout` seconds.
---@param timeout? number  seconds; nil: no limit
---@return any value       the value that was passed to `wake`; nil after the timeout
local function park(timeout)
  local fiber = current
  if not in_fiber() then error("there is no running fiber; call this inside omni.run or omni.spawn", 2) end
  if fiber.slot then timers.clear(fiber) end -- clears the timer of an earlier call to `park` that failed because memory ran out
  if timeout then timers.set(fiber, now() + timeout) end
  fiber.value = PARKED
  return yield(PARKED)
end

-- --- the end of a fiber

-- If nobody is waiting to join a fiber that failed, passes its failure to the fiber's scope, or reports the failure.
local function pass_on(fiber)
  local scope = fiber.scope
  fiber.delivered = true
  if not (scope and scope.fail_fast and scope.open) or scope.failure then return failures.report(fiber.failure) end
  scope.failure = fiber.failure
  if scope.owner then wake(scope.owner) end
end

local function pass_on_failures()
  while failed_count > 0 do
    local fibers, count = failed, failed_count
    failed, failed_count = {}, 0
    for i = 1, count do
      local fiber = fibers[i]
      if not fiber.delivered and not (fiber.joins and next(fiber.joins)) then pass_on(fiber) end
    end
  end
end

---Makes the scheduler report a fiber's failure at the end of this turn, unless somebody joins the fiber before then. A cancellation isn't a
---failure.
---@param fiber omni.Fiber
local function note_failure(fiber)
  if fiber.failure.code == "cancelled" then return end
  failed_count = failed_count + 1
  failed[failed_count] = fiber
  if not stepping then pass_on_failures() end
end

-- Only this function's first line allocates memory. If the function's first line raises an error, the fiber hasn't ended yet (see
-- `settle`).
local function finish(fiber, failure, results)
  fiber.failure = failure
  fiber.co, fiber.value = nil, results or false
  live = live - 1
  local scope, joins = fiber.scope, fiber.joins
  if scope then
    scope.fibers[fiber] = nil
    scope.live = scope.live - 1
    if scope.owner and (scope.live == 0 or failure) then wake(scope.owner) end
  end
  if joins then
    for join in next, joins do
      join.left, join.failed = join.left - 1, join.failed or failure ~= nil
      if join.fiber and (join.left == 0 or failure and join.fail_fast) then wake(join.fiber) end
    end
  end
  if failure then note_failure(fiber) end
end

local function after_resume(fiber, fine, ...)
  if ... == PARKED then return end
  if fiber.slot then timers.clear(fiber) end -- clears the timer of a call to `park` that failed because memory ran out
  if fine and status(fiber.co) == "suspended" then
    coroutine.close(fiber.co)
    finish(fiber, err.new { code = "coroutine_failed", message = "coroutine.yield was called in a fiber; use omni.sleep or omni.join" })
  elseif fine then
    finish(fiber, nil, select("#", ...) > 0 and table.pack(...) or nil)
  else
    local failure = failures.of((...), debug.traceback(fiber.co))
    coroutine.close(fiber.co) -- closes the fiber's to-be-closed variables
    finish(fiber, failure)
  end
end

-- Ends a fiber whose turn was interrupted, unless it has parked or ended properly.
local function settle()
  local fiber = interrupted
  if fiber and fiber.co and not (is_parked(fiber) and status(fiber.co) == "suspended") then
    if fiber.slot then timers.clear(fiber) end
    coroutine.close(fiber.co)
    finish(fiber, err.new { code = "coroutine_failed", message = "not enough memory" })
  end
  interrupted = nil
end

local First_mt <const> = {} -- the metatable of a new fiber's `value`, which contains the arguments of the fiber's function

local function run_fiber(fiber)
  current = fiber
  local value = fiber.value
  fiber.value = false
  if getmetatable(value) == First_mt then
    after_resume(fiber, resume(fiber.co, table.unpack(value, 1, value.n)))
  else
    after_resume(fiber, resume(fiber.co, value or nil))
  end
  current = nil
end

---Starts `fn(...)` in a new fiber, in the event loop's next turn.
---@param scope omni.Scope|nil  nil: no `omni.run` waits for the fiber
---@param fn function
---@return omni.Fiber
local function start(scope, fn, ...)
  local first = select("#", ...) > 0 and setmetatable(table.pack(...), First_mt)
  local fiber = setmetatable({ co = coroutine.create(fn), scope = scope, slot = false, value = first }, Fiber_mt)
  make_place()
  if scope then
    scope.fibers[fiber] = true
    scope.live = scope.live + 1
  end
  live = live + 1
  make_ready(fiber, first)
  return fiber
end

---Ends the fiber at the point where it is waiting. Closes the fiber's to-be-closed variables, which cancels its requests. Joining a
---cancelled fiber raises an error with the code "cancelled". If the fiber has already ended, `cancel` does nothing.
function Fiber_methods:cancel()
  if not self.co then return end
  if self == current or status(self.co) ~= "suspended" then error("a fiber can't cancel itself", 2) end
  local failure = err.new { code = "cancelled", message = "the fiber was cancelled" }
  self.failure = failure -- the lines above allocate memory, the lines below don't
  self.value = false
  timers.clear(self)
  local co <const> = self.co
  local fine, problem = coroutine.close(co)
  finish(self, fine and failure or failures.of(problem, debug.traceback(co)))
end

Fiber_mt.__close = Fiber_methods.cancel

---Returns whether the fiber has ended.
---@return boolean
function Fiber_methods:done()
  return self.co == nil
end

-- --- turns

local ready_fds, due = {}, {}

-- Steps the pollables whose descriptor is ready or whose timeout has passed. Copies the ready pollables to a list first, since a pollable's
-- step may add or remove pollables.
local function step_pollables()
  local count = 0
  for pollable, fd in pairs(pollables) do
    local left = not ready_fds[fd] and pollable:timeout()
    if ready_fds[fd] or left and left <= 0 then
      count = count + 1
      due[count] = pollable
    end
  end
  for fd in pairs(ready_fds) do ready_fds[fd] = nil end
  for i = 1, count do
    local pollable = due[i]
    due[i] = nil
    if pollables[pollable] then pollable:step() end
  end
end

-- Ends a turn, even if a pollable raises an error. The next turn runs the fibers that the ended turn didn't reach.
local Turn <const> = setmetatable({}, {
  __close = function()
    interrupted, current = current, nil
    if failed_count > 0 then pass_on_failures() end
    stepping = false
  end,
})

---Waits for work for at most `timeout` seconds (nil: no limit), then runs one turn. If a pollable raises an error, `step` raises the same
---error.
---@param timeout number|nil
function step(timeout)
  local ending <close> = Turn -- luacheck: ignore 211
  stepping = running()
  if interrupted then settle() end
  poll_set:wait(timeout, ready_fds)
  if pollable_count > 0 then step_pollables() end
  if times[1] then
    local time = now()
    while times[1] and times[1] <= time do
      local fiber = timers.fibers[1]
      if is_parked(fiber) then wake(fiber) else timers.clear(fiber) end
    end
  end
  if batch_at == batch_count then
    ready, batch, batch_at, batch_count, ready_count = batch, ready, 0, ready_count, 0
  end
  while batch_at < batch_count do
    batch_at = batch_at + 1
    local fiber = batch[batch_at]
    batch[batch_at] = false
    if fiber.co then run_fiber(fiber) end
  end
end

---Returns the number of seconds until `step` has work to do even if no descriptor is ready, or nil if there is no such time.
---@return number|nil
local function time_left()
  if ready_count > 0 or batch_at < batch_count or interrupted then return 0 end
  local least = times[1]
  if least then least = math.max(0, least - now()) end
  for pollable in pairs(pollables) do
    local left = pollable:timeout()
    if left and (not least or left < least) then least = left end
  end
  return least
end

---Parks the running fiber, or runs the event loop, until `done()` returns true.
---@param done fun(): boolean
---@param deadline? number  monotonic seconds
---@return boolean          false: the deadline has passed
local function wait_until(done, deadline)
  local fine = done()
  while not fine do
    local rest = deadline and deadline - now()
    if rest and rest <= 0 then break end
    if current then
      park(rest)
    else
      local left = time_left()
      if rest then left = math.min(rest, left or rest) end
      if not left and pollable_count == 0 then error("deadlock: every fiber is waiting, and nothing can wake one", 0) end
      step(left)
    end
    fine = done()
  end
  if on_change and not current then on_change() end
  return fine
end

-- --- pollables

---Adds a pollable. The event loop steps the pollable until `remove` is called.
---@param pollable omni.Pollable
local function add(pollable)
  local fd = pollable:pollfd()
  pollables[pollable] = fd
  pollable_count = pollable_count + 1
  local fine, problem = pcall(poll_set.add, poll_set, fd)
  if not fine then
    pollables[pollable] = nil
    pollable_count = pollable_count - 1
    error(problem, 0)
  end
  if on_change and not stepping then on_change() end
end

---Removes a pollable. Does nothing if the pollable isn't in the event loop.
---@param pollable omni.Pollable
local function remove(pollable)
  local fd = pollables[pollable]
  if not fd then return end
  poll_set:remove(fd)
  pollables[pollable] = nil
  pollable_count = pollable_count - 1
end

---Returns the running fiber, or nil if no fiber is running.
---@return omni.Fiber|nil
local function get_current() return current end

---Returns whether a step is running.
---@return boolean
local function is_stepping()
  if stepping and not is_on_stack() then end_step() end
  return stepping ~= false
end

---Sets a function that the scheduler calls when something changes outside of a step: a fiber or a pollable was added, or the event loop
---ran. A host event loop uses the function to read the scheduler's timeout again.
---@param fn (fun())|nil
local function set_on_change(fn) on_change = fn end

---@return integer
local function pollfd() return poll_set:pollfd() end

return {
  add = add, current = get_current, Fiber_methods = Fiber_methods, Fiber_mt = Fiber_mt, in_fiber = in_fiber, is_parked = is_parked,
  is_stepping = is_stepping, note_failure = note_failure, on_change = set_on_change, park = park, pollfd = pollfd, remove = remove,
  start = start, step = step, time_left = time_left, wait_until = wait_until, wake = wake,
}
