-- SPDX-License-Identifier: MIT
-- The event loop's timers: a binary heap of fibers in two arrays, ordered by the time at which each fiber wakes. `fiber.slot` is a fiber's
-- index in the heap.

local times, fibers, size = {}, {}, 0

local function place(fiber, at, slot)
  times[slot], fibers[slot], fiber.slot = at, fiber, slot
end

local function rise(fiber, at, slot)
  while slot > 1 do
    local parent = slot // 2
    if times[parent] <= at then break end
    place(fibers[parent], times[parent], slot)
    slot = parent
  end
  place(fiber, at, slot)
end

local function sink(fiber, at, slot)
  while true do
    local child = slot * 2
    if child > size then break end
    if child < size and times[child + 1] < times[child] then child = child + 1 end
    if at <= times[child] then break end
    place(fibers[child], times[child], slot)
    slot = child
  end
  place(fiber, at, slot)
end

---Adds a timer for a fiber that doesn't have one yet. If memory runs out, raises an error and adds no timer.
---@param fiber omni.Fiber
---@param at number  monotonic seconds
local function set(fiber, at)
  local slot = size + 1
  fibers[slot] = fiber
  times[slot] = at
  size = slot
  rise(fiber, at, slot)
end

---Removes a fiber's timer, if it has one.
---@param fiber omni.Fiber
local function clear(fiber)
  local slot = fiber.slot
  if not slot then return end
  local last, at = fibers[size], times[size]
  fibers[size], times[size] = nil, nil
  size = size - 1
  fiber.slot = false
  if last ~= fiber then
    if slot > 1 and times[slot // 2] > at then rise(last, at, slot) else sink(last, at, slot) end
  end
end

-- `fibers[1]` is the fiber that wakes first, and `times[1]` is its wake time. Other modules must not change the arrays `fibers` and
-- `times`.
return { clear = clear, fibers = fibers, set = set, times = times }
