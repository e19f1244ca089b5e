-- SPDX-License-Identifier: MIT
-- The sandbox's clock: the monotonic clock, which a test can move ahead instead of waiting.

local core = require "omni.core"
local loop = require "omni.loop"

local Clock_methods = {}
local Clock_mt = { __name = "omni.sandbox.clock", __index = Clock_methods }

---Returns the time in seconds.
---@return number
function Clock_methods:now() return core.now() + self.ahead end

---Parks the fiber until a time, until `advance`, or until another fiber wakes it.
---@param at? number  time of this clock; nil: no limit
function Clock_methods:park(at)
  local fiber = loop.current()
  self.parked[fiber] = true
  loop.park(at and math.max(0, at - self:now()))
  self.parked[fiber] = nil
end

---Waits until a time.
---@param at number  time of this clock
function Clock_methods:sleep_until(at)
  while self:now() < at do self:park(at) end
end

---Moves the clock ahead and wakes the fibers that wait for it.
---@param seconds number
function Clock_methods:advance(seconds)
  self.ahead = self.ahead + seconds
  for fiber in pairs(self.parked) do loop.wake(fiber) end
end

local function open()
  return setmetatable({ ahead = 0, parked = setmetatable({}, { __mode = "k" }) }, Clock_mt)
end

return { open = open }
