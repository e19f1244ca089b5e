-- SPDX-License-Identifier: MIT
-- The sandbox's clock follows the monotonic clock. Instead of waiting, a test can move the sandbox's clock ahead. When the clock moves
-- ahead, all events between the old time and the new time happen in chronological order.

local core = require "omni.core"
local loop = require "omni.loop"

---@class omni.sandbox.Clock
---@field ahead number                    seconds ahead of the monotonic clock
---@field target number                   the time at which the current step ends
---@field parked table<omni.Fiber, table> fiber → its entry in the agenda
---@field working table<omni.Fiber, true> the fibers that a step waits for
---@field busy integer                    number of working fibers that aren't parked
---@field agenda? table[]                 during a step: the entries, the earliest last
local Clock_methods = {}
local Clock_mt = { __name = "omni.sandbox.clock", __index = Clock_methods }

---Returns the sandbox's time in seconds.
---@return number
function Clock_methods:now() return core.now() + self.ahead end

-- --- waiting

-- Wakes the fibers that are waiting in `wait_until`.
local function notice(self)
  for fiber in pairs(self.watching) do loop.wake(fiber) end
end

---Makes every waiting `wait_until` check its condition again.
Clock_methods.notice = notice

---Waits until a condition is true or the clock is closed. Call `notice` whenever the condition may have become true.
---@param condition fun(): boolean
function Clock_methods:wait_until(condition)
  local fiber = loop.current()
  while not self.closed and not condition() do
    self.watching[fiber] = true
    loop.park()
    self.watching[fiber] = nil
  end
end

local function comes_later(a, b)
  if a.at ~= b.at then return a.at > b.at end
  return a.number > b.number
end

-- Adds an entry to the agenda of a step of the clock. The agenda is sorted by time.
local function insert(agenda, entry)
  local low, high = 1, #agenda + 1
  while low < high do
    local middle = (low + high) // 2
    if comes_later(agenda[middle], entry) then low = middle + 1 else high = middle end
  end
  table.insert(agenda, low, entry)
end

local function set_busy(self, fiber, change)
  if not self.working[fiber] then return end
  self.busy = self.busy + change
  if self.busy == 0 then notice(self) end
end

-- Wakes a parked fiber.
local function wake(self, fiber)
  self.parked[fiber] = nil
  set_busy(self, fiber, 1)
  loop.wake(fiber)
end

---Parks the current fiber until the given time, until a step of the clock ends, or until `wake` is called for the fiber. When `park`
---returns, the caller must check the time again.
---@param at? number  a time on this clock; nil: no limit
function Clock_methods:park(at)
  local fiber = loop.current()
  self.number = self.number + 1
  local entry = { fiber = fiber, at = at or math.huge, number = self.number }
  self.parked[fiber] = entry
  if self.agenda then insert(self.agenda, entry) end
  set_busy(self, fiber, -1)
  loop.park(at and math.max(0, at - self:now()))
  if self.parked[fiber] ~= entry then return end -- `wake` has already removed this fiber's entry
  self.parked[fiber] = nil
  set_busy(self, fiber, 1)
end

---Wakes a fiber that is parked on this clock.
---@param fiber omni.Fiber
function Clock_methods:wake(fiber)
  if self.parked[fiber] then wake(self, fiber) end
end

---Waits until the given time.
---@param at number  a time on this clock
function Clock_methods:sleep_until(at)
  while self:now() < at do self:park(at) end
end

---Runs `fn(...)` in a background fiber. Whenever the fiber isn't parked on this clock, a step of the clock waits for the fiber.
---@param fn function
---@return omni.Fiber
function Clock_methods:spawn(fn, ...)
  local fiber
  fiber = loop.background(function(...)
    local work <close> = setmetatable({}, { __close = function() -- luacheck: ignore 211
      if not self.parked[fiber] then set_busy(self, fiber, -1) end
      self.parked[fiber], self.working[fiber] = nil, nil
    end })
    fn(...)
  end, ...)
  self.working[fiber] = true
  set_busy(self, fiber, 1)
  return fiber
end

-- --- steps

local function set_ahead(self, time) self.ahead = math.max(self.ahead, time - core.now()) end

-- Moves the clock to `self.target` in steps, from one agenda entry to the next.
local function step(self)
  local ending <close> = setmetatable({}, { __close = function() -- luacheck: ignore 211
    self.agenda = nil
    notice(self)
  end })
  local agenda = {}
  for _, entry in pairs(self.parked) do agenda[#agenda + 1] = entry end
  table.sort(agenda, comes_later)
  self.agenda = agenda
  local function is_quiet() return self.busy == 0 end
  self:wait_until(is_quiet)
  while not self.closed and agenda[1] and agenda[#agenda].at <= self.target do
    local entry = table.remove(agenda)
    if self.parked[entry.fiber] == entry then
      set_ahead(self, entry.at)
      wake(self, entry.fiber)
      self:wait_until(is_quiet)
    end
  end
  set_ahead(self, self.target)
  for fiber in pairs(self.parked) do loop.wake(fiber) end -- wakes the parked fibers, so that they shorten their timers
end

---Moves the clock ahead. Returns once all events up to the new time have happened in chronological order.
---@param seconds number
function Clock_methods:advance(seconds)
  local target = math.max(self.agenda and self.target or 0, self:now()) + seconds
  self.target = target
  while not self.closed and self:now() < target do
    if self.agenda then
      self:wait_until(function() return not self.agenda end)
    else
      step(self)
    end
  end
end

---Ends all steps.
function Clock_methods:close()
  self.closed = true
  notice(self)
end

local function weak() return setmetatable({}, { __mode = "k" }) end

---@return omni.sandbox.Clock
local function open()
  return setmetatable({
    ahead = 0, target = 0, number = 0, busy = 0, parked = weak(), working = weak(), watching = weak(),
  }, Clock_mt)
end

return { open = open }
