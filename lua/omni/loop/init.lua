-- SPDX-License-Identifier: MIT
-- The loop runs coroutines ("fibers"), timers on the monotonic clock, and pollables. Each Lua state has one loop, which is a pollable
-- itself.

local core = require "omni.core"
local err = require "omni.error"

local now, yield, resume = core.now, coroutine.yield, coroutine.resume
local running, isyieldable = coroutine.running, coroutine.isyieldable

---@class omni.Pollable
---@field pollfd fun(self): integer       a descriptor that is readable when `step` has work
---@field timeout fun(self): number|nil   seconds until `step` must be called anyway; 0: at once, nil: never
---@field step fun(self)                  does the work that is ready; never blocks

---@class omni.Fiber
local Fiber_methods = {}
local Fiber_mt = { __name = "omni.fiber", __index = Fiber_methods }

local poll_set = core.poll_set()
local pollables, pollable_count = {}, 0 -- pollable → its descriptor
local ready, ready_count = {}, 0        -- fibers that the next step will run
local current                           -- the running fiber, if any
local stepping = false                  -- whether the loop is within a step
local alive, live = {}, 0               -- the foreground fibers that haven't ended, and their number
local unjoined = {}                     -- failed fibers that nobody has joined → the order of their failures
local failures = 0

-- --- timers: a binary heap of fibers, ordered by the time when they wake

local heap, heap_size = {}, 0

local function place(fiber, slot)
  heap[slot], fiber.slot = fiber, slot
end

local function rise(fiber, slot)
  while slot > 1 do
    local parent = slot // 2
    if heap[parent].at <= fiber.at then break end
    place(heap[parent], slot)
    slot = parent
  end
  place(fiber, slot)
end

local function sink(fiber, slot)
  while true do
    local child = slot * 2
    if child > heap_size then break end
    if child < heap_size and heap[child + 1].at < heap[child].at then child = child + 1 end
    if fiber.at <= heap[child].at then break end
    place(heap[child], slot)
    slot = child
  end
  place(fiber, slot)
end

local function clear_timer(fiber)
  local slot = fiber.slot
  if not slot then return end
  local last = heap[heap_size]
  heap[heap_size] = nil
  heap_size = heap_size - 1
  fiber.slot = nil
  if last ~= fiber then
    if slot > 1 and heap[slot // 2].at > last.at then rise(last, slot) else sink(last, slot) end
  end
end

-- --- fibers

local function make_ready(fiber, value)
  ready_count = ready_count + 1
  ready[ready_count] = fiber
  fiber.value = value
end

--- Wakes a parked fiber: the fiber's call of `park` returns the value. Does nothing if the fiber isn't parked.
---@param fiber omni.Fiber
---@param value any
local function wake(fiber, value)
  if not fiber.parked then return end
  fiber.parked = nil
  if fiber.slot then clear_timer(fiber) end
  make_ready(fiber, value)
end

-- --- checking whether the caller can wait

-- The beginning of the chunk names of omni's own files: "@omni/" in the program.
local own_chunks = debug.getinfo(1, "S").source:match("^(.*)loop/init%.lua$") or "@omni/"

-- Returns "file:line: " of the innermost function on the stack that isn't part of omni.
local function place_of_caller()
  local level = 3
  while true do
    local info = debug.getinfo(level, "Sl")
    if not info then return "" end
    if info.what ~= "C" and info.source:sub(1, #own_chunks) ~= own_chunks then
      return ("%s:%d: "):format(info.short_src, info.currentline)
    end
    level = level + 1
  end
end

local function in_finalizer()
  local level = 3
  while true do
    local info = debug.getinfo(level, "n")
    if not info then return false end
    if info.name == "__gc" and info.namewhat == "metamethod" then return true end
    level = level + 1
  end
end

-- Returns why the caller can't wait, or nil.
local function why_no_wait()
  if not current then
    if stepping then return "the loop called this function; use omni.spawn" end
    if in_finalizer() then return "a finalizer (__gc) can't wait; use omni.spawn" end
  elseif running() ~= current.co then
    return "a coroutine that omni doesn't run can't wait; use omni.spawn instead of coroutine.create"
  elseif not isyieldable() then
    return "the call comes through a C function (string.gsub, table.sort, require, a metamethod, a __close handler, ...), which Lua"
      .. " can't suspend; wait before or after that, or use omni.spawn"
  end
end

--- Returns whether the caller runs in a fiber and can park; outside of a fiber, use `drive`. Raises an error at the line that called omni
--- if neither is possible: within a C function that Lua can't suspend, in a coroutine that omni doesn't run, in a finalizer. Every function
--- that waits calls `in_fiber` first.
---@param name? string  the function's name for the message, such as "client:submit"
---@return boolean
local function in_fiber(name)
  if current and isyieldable() and running() == current.co then return true end
  local why = why_no_wait()
  if why then error(("%s%s can't wait here: %s"):format(place_of_caller(), name or "omni", why), 0) end
  return false
end

---Parks the running fiber until `wake` is called, for at most `timeout` seconds.
---@param timeout? number  seconds; nil: no limit
---@return any value       the value that `wake` received; nil after the timeout
local function park(timeout)
  local fiber = current
  if not in_fiber() then error("there is no running fiber; call this inside omni.run or omni.spawn", 2) end
  fiber.parked = true
  if timeout then
    fiber.at = now() + timeout
    heap_size = heap_size + 1
    rise(fiber, heap_size)
  end
  return yield()
end

-- Returns the error of a failed fiber, with a traceback. Wraps an error that isn't one of omni's error values.
local function failure_of(co, problem)
  local traceback = debug.traceback(co)
  if err.is(problem) then
    problem.traceback = problem.traceback or traceback
    return problem
  end
  return err.new { code = "coroutine_failed", message = tostring(problem), cause = problem, traceback = traceback }
end

local function finish(fiber, failure, results)
  fiber.co, fiber.failure, fiber.results, fiber.ended = nil, failure, results, true
  if alive[fiber] then
    alive[fiber] = nil
    live = live - 1
  end
  local joiners = fiber.joiners
  if joiners then
    fiber.joiners = nil
    for _, joiner in ipairs(joiners) do wake(joiner, fiber) end
  elseif failure and failure.code ~= "cancelled" then
    failures = failures + 1
    unjoined[fiber] = failures
  end
end

local function after_resume(fiber, fine, ...)
  if fiber.parked then return end
  if coroutine.status(fiber.co) == "suspended" then
    coroutine.close(fiber.co)
    finish(fiber, err.new { code = "coroutine_failed", message = "coroutine.yield was called in a fiber; use omni.sleep or omni.join" })
  elseif fine then
    finish(fiber, nil, select("#", ...) > 0 and table.pack(...) or nil)
  else
    local failure = failure_of(fiber.co, (...))
    coroutine.close(fiber.co) -- closes the fiber's to-be-closed variables
    finish(fiber, failure)
  end
end

local function run_fiber(fiber)
  local before = current
  current = fiber
  local first = fiber.first
  if first then
    fiber.first = nil
    after_resume(fiber, resume(fiber.co, table.unpack(first, 1, first.n)))
  else
    local value = fiber.value
    fiber.value = nil
    after_resume(fiber, resume(fiber.co, value))
  end
  current = before
end

local function start(background, fn, ...)
  local fiber = setmetatable({ co = coroutine.create(fn) }, Fiber_mt)
  if not background then
    alive[fiber] = true
    live = live + 1
  end
  if select("#", ...) > 0 then fiber.first = table.pack(...) end
  make_ready(fiber)
  return fiber
end

---Starts `fn(...)` in a new fiber, at the loop's next step.
---@param fn function
---@return omni.Fiber
local function spawn(fn, ...)
  if type(fn) ~= "function" then error("omni.spawn: expected a function, got " .. type(fn), 2) end
  return start(false, fn, ...)
end

--- Starts `fn(...)` in a new fiber for which `omni.run` doesn't wait. For example, a server handles each request in such a fiber.
local function background(fn, ...)
  return start(true, fn, ...)
end

-- --- steps

local ready_fds, due = {}, {}

-- Steps the pollables whose descriptor is ready or whose timeout has passed. Makes a list of these pollables first, since a pollable's step
-- may add or remove pollables.
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

-- Marks the loop's step as ended, also if a pollable raises an error.
local Step <const> = setmetatable({}, { __close = function() stepping = false end })

-- Waits at most `timeout` seconds (nil: no limit) until there is work, then does it once.
local function step(timeout)
  local ending <close> = Step -- luacheck: ignore 211
  stepping = true
  poll_set:wait(timeout, ready_fds)
  if pollable_count > 0 then step_pollables() end
  if heap_size > 0 then
    local time = now()
    while heap_size > 0 and heap[1].at <= time do wake(heap[1]) end
  end
  local batch, count = ready, ready_count
  ready, ready_count = {}, 0
  for i = 1, count do
    local fiber = batch[i]
    if not fiber.ended then run_fiber(fiber) end
  end
end

local function time_left()
  if ready_count > 0 then return 0 end
  local least
  if heap_size > 0 then least = math.max(0, heap[1].at - now()) end
  for pollable in pairs(pollables) do
    local left = pollable:timeout()
    if left and (not least or left < least) then least = left end
  end
  return least
end

local function cancel_all()
  while next(alive) do next(alive):cancel() end
end

local function step_until(done)
  while not done() do
    local left = time_left()
    if not left and pollable_count == 0 then
      cancel_all()
      error("deadlock: every fiber waits, and nothing can wake one", 0)
    end
    step(left)
  end
end

local function results_of(fiber)
  unjoined[fiber] = nil
  local failure = fiber.failure
  if failure then
    if fiber.raised then failure = err.copy(failure) end -- each caller of join gets its own error
    fiber.raised = true
    error(failure, 0)
  end
  local results = fiber.results
  if results then return table.unpack(results, 1, results.n) end
end

---Runs `fn(...)`: directly in a fiber; outside of a fiber, runs the loop until the function has ended. Raises what `fn` raises.
---@param fn function
---@return any ...  what fn returned
local function drive(fn, ...)
  if in_fiber() then return fn(...) end
  local fiber = spawn(fn, ...)
  step_until(function() return fiber.ended end)
  local failure = fiber.failure
  -- raises the original error, since the caller doesn't know about fibers
  if failure and failure.code == "coroutine_failed" and failure.cause ~= nil then
    unjoined[fiber] = nil
    error(failure.cause, 0)
  end
  return results_of(fiber)
end

-- Returns the oldest failure of a fiber that nobody joined, and forgets all other such failures.
local function take_unjoined()
  local first
  for fiber, time in pairs(unjoined) do
    if not first or time < unjoined[first] then first = fiber end
  end
  unjoined = {}
  return first and first.failure
end

--- Runs `fn(...)` in a fiber, and the loop until that fiber and all spawned fibers have ended. If `fn` raises an error, `run` cancels the
--- other fibers and raises that error. `run` also raises the error of a fiber that nobody joined.
---@param fn function
---@return any ...  what fn returned
local function run(fn, ...)
  if type(fn) ~= "function" then error("omni.run: expected a function, got " .. type(fn), 2) end
  if current then error("omni.run can't be called inside omni.run; use omni.spawn", 2) end
  in_fiber "omni.run" -- raises an error if the caller can't wait
  local fiber = spawn(fn, ...)
  step_until(function() return fiber.ended and (live == 0 or fiber.failure) end)
  if fiber.failure then cancel_all() end
  unjoined[fiber] = nil
  local others = take_unjoined()
  local failure = fiber.failure or others
  if failure then error(failure, 0) end
  return results_of(fiber)
end

---Waits while other fibers run.
---@param seconds number  0 or more
local function sleep(seconds)
  if type(seconds) ~= "number" or seconds ~= seconds or seconds < 0 then
    error("omni.sleep: expected a number of seconds, 0 or more", 2)
  end
  if not in_fiber "omni.sleep" then return drive(sleep, seconds) end
  local deadline = now() + seconds
  repeat -- another event may wake the fiber too early
    park(seconds)
    seconds = deadline - now()
  until seconds <= 0
end

local function wait_for(fiber, name)
  if fiber.ended then return end
  if not in_fiber(name) then return step_until(function() return fiber.ended end) end
  if fiber == current then error("a fiber can't join itself", 3) end
  local joiners = fiber.joiners
  if joiners then joiners[#joiners + 1] = current else fiber.joiners = { current } end
  repeat park() until fiber.ended
end

--- Waits until the fiber has ended. If the fiber failed, raises its error, with its traceback.
---@return any ...  what its function returned
function Fiber_methods:join()
  wait_for(self, "fiber:join")
  return results_of(self)
end

--- Ends the fiber at the point where it waits. Closes the fiber's to-be-closed variables, which cancels its requests. `join` on the fiber
--- then raises an error with the code "cancelled". Does nothing if the fiber has ended.
function Fiber_methods:cancel()
  if self.ended then return end
  if self == current or coroutine.status(self.co) ~= "suspended" then error("a fiber can't cancel itself", 2) end
  self.parked = nil
  clear_timer(self)
  local fine, problem = coroutine.close(self.co)
  finish(self, fine and err.new { code = "cancelled", message = "the fiber was cancelled" } or failure_of(self.co, problem))
end

Fiber_mt.__close = Fiber_methods.cancel

---Returns whether the fiber has ended.
---@return boolean
function Fiber_methods:done()
  return self.ended == true
end

--- Waits until all fibers have ended, then returns the first result of each, in order. If some fibers failed, raises the error of the
--- failed fiber that comes first in the list.
---@param ... omni.Fiber
---@return any ...
local function join(...)
  local fibers = table.pack(...)
  for i = 1, fibers.n do
    if getmetatable(fibers[i]) ~= Fiber_mt then
      error(("omni.join: argument %d isn't a fiber (omni.spawn returns one)"):format(i), 2)
    end
  end
  for i = 1, fibers.n do wait_for(fibers[i], "omni.join") end
  local results = {}
  for i = 1, fibers.n do results[i] = (results_of(fibers[i], 0)) end
  return table.unpack(results, 1, fibers.n)
end

-- --- pollables, and the loop as a pollable

---Adds a pollable. The loop steps it until `remove`.
---@param pollable omni.Pollable
local function add(pollable)
  local fd = pollable:pollfd()
  poll_set:add(fd)
  pollables[pollable] = fd
  pollable_count = pollable_count + 1
end

--- Removes a pollable. Does nothing if the pollable isn't in the loop.
---@param pollable omni.Pollable
local function remove(pollable)
  local fd = pollables[pollable]
  if not fd then return end
  poll_set:remove(fd)
  pollables[pollable] = nil
  pollable_count = pollable_count - 1
end

local loop = {
  run = run, spawn = spawn, background = background, sleep = sleep, join = join, drive = drive,
  in_fiber = in_fiber, park = park, wake = wake, add = add, remove = remove,
}

---Returns the running fiber, or nil.
---@return omni.Fiber|nil
function loop.current() return current end

--- Returns a descriptor for another event loop (poll, epoll, cqueues, luv). The descriptor is readable when `step` has work.
function loop:pollfd() return poll_set:pollfd() end -- luacheck: ignore self

function loop:events() return "r" end -- luacheck: ignore self

---Returns the seconds until `step` must be called anyway, or nil.
function loop:timeout() return time_left() end -- luacheck: ignore self

--- Does the work that is ready, without waiting. If every fiber has ended, raises the error of a failed fiber that nobody joined.
function loop:step() -- luacheck: ignore self
  if current or stepping then error("the loop is running already", 2) end
  step(0)
  local failure = live == 0 and next(unjoined) and take_unjoined()
  if failure then error(failure, 0) end
end

---Returns whether every fiber has ended.
---@return boolean
function loop:empty() return live == 0 end -- luacheck: ignore self

return loop
