-- SPDX-License-Identifier: MIT
-- The event loop runs coroutines ("fibers"), timers on the monotonic clock, and pollables. Each Lua state has one event loop, which is
-- itself a pollable.

local core = require "omni.core"
local failures = require "omni.loop.failure"
local joins = require "omni.loop.join"
local scheduler = require "omni.loop.scheduler"
local scopes = require "omni.loop.scope"

local in_fiber, now, park = scheduler.in_fiber, core.now, scheduler.park

---Waits for the given number of seconds while other fibers run.
---@param seconds number  how long to wait, 0 or more
local function sleep(seconds)
  if type(seconds) ~= "number" or seconds ~= seconds or seconds < 0 then
    error("omni.sleep: expected a number of seconds, 0 or more", 2)
  end
  if not in_fiber "omni.sleep" then return scopes.drive(sleep, seconds) end
  local deadline = now() + seconds
  repeat -- another event may wake the fiber before the time is up
    park(seconds)
    seconds = deadline - now()
  until seconds <= 0
end

local loop = {
  run = scopes.run, scope = scopes.scope, spawn = scopes.spawn, background = scopes.background, drive = scopes.drive,
  join = joins.all, begin_join = joins.begin, on_error = failures.on_error, sleep = sleep,
  in_fiber = scheduler.in_fiber, current = scheduler.current, park = scheduler.park, wake = scheduler.wake,
  add = scheduler.add, remove = scheduler.remove,
}

---Returns a descriptor for use in another event loop (poll, epoll, cqueues, luv). The descriptor is readable when `step` has work to do.
function loop:pollfd() return scheduler.pollfd() end -- luacheck: ignore self

function loop:events() return "r" end -- luacheck: ignore self

---Returns the number of seconds until `step` must be called even if the descriptor isn't readable, or nil if there is no limit.
function loop:timeout() return scheduler.time_left() end -- luacheck: ignore self

---Performs all pending work without waiting. Errors go to `omni.on_error`, never to the caller.
function loop:step() -- luacheck: ignore self
  if scheduler.is_stepping() then error("the loop is running already", 2) end
  local fine, failure = xpcall(scheduler.step, failures.handler, 0)
  if not fine then failures.report(failure) end
end

---Returns whether every fiber has ended.
---@return boolean
function loop:empty() return scopes.is_empty() end -- luacheck: ignore self

return loop
