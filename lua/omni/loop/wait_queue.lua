-- SPDX-License-Identifier: MIT
-- A first-in, first-out wait queue of fibers. The queue's owner decides when the first fibers may continue. The queue keeps the fibers'
-- order, even if fibers in the middle of the queue are cancelled.

local loop = require "omni.loop"

---@class omni.WaitQueue
---@field first integer  the object's array part holds the queue, from `first` to `last`
---@field last integer
local Queue_methods = {}
local Queue_mt = { __name = "omni.wait_queue", __index = Queue_methods }

-- A fiber's place in the queue. Closing the place removes the fiber from the queue.
local Place_mt = {
  __close = function(place)
    place.fiber = nil
    place.queue:wake_first(1)
  end,
}

---Adds the running fiber to the queue. A fiber with a number goes before all fibers with higher numbers; a fiber without a number goes to
---the end of the queue.
---@param number? integer
---@return table place  close it when the fiber no longer waits
function Queue_methods:join(number)
  local place = setmetatable({ fiber = loop.current(), queue = self, number = number }, Place_mt)
  local at = self.last + 1
  self[at] = place -- raises an error if memory runs out; the lines below allocate no memory
  self.last = at
  while number and at > self.first and (self[at - 1].number or 0) > number do
    self[at] = self[at - 1]
    at = at - 1
  end
  self[at] = place
  return place
end

-- Removes places from the front of the queue if the places' fibers have left the queue.
local function trim(self)
  while self.first <= self.last and not self[self.first].fiber do
    self[self.first] = nil
    self.first = self.first + 1
  end
end

---Returns whether a place is first in the queue.
---@param place table
---@return boolean
function Queue_methods:is_first(place)
  return self[self.first] == place
end

---Returns whether no fiber is waiting in the queue.
---@return boolean
function Queue_methods:is_empty()
  return self.first > self.last
end

---Wakes up to `count` fibers at the front of the queue, so that each of them checks whether it may continue.
---@param count number
function Queue_methods:wake_first(count)
  trim(self)
  for i = self.first, math.min(self.last, self.first + count - 1) do
    if self[i].fiber then loop.wake(self[i].fiber, true) end
  end
end

---@return omni.WaitQueue
local function new()
  return setmetatable({ first = 1, last = 0 }, Queue_mt)
end

return { new = new }
