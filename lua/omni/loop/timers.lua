-- SPDX-License-Identifier: MIT
-- The event loop's timers: a binary heap of fibers in two arrays, ordered by the time at which each fiber wakes. `fiber.slot` is a fiber's
-- index in the heap. Functions that change the heap call no other functions, since even a function call can allocate memory and so fail
-- in the middle of a change.

local times, fibers, size = {}, {}, 0

---Adds a timer for a fiber that doesn't have one yet. If memory runs out, raises an error and adds no timer.
---@param fiber omni.Fiber
---@param at number  monotonic seconds
local function set(fiber, at)
  local slot = size + 1
  fibers[slot] = false
  times[slot] = at -- the lines above allocate memory, the lines below don't
  size = slot
  while slot > 1 and times[slot // 2] > at do
    local parent = slot // 2
    local moved = fibers[parent]
    times[slot], fibers[slot], moved.slot = times[parent], moved, slot
    slot = parent
  end
  times[slot], fibers[slot], fiber.slot = at, fiber, slot
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
  if last == fiber then return end
  while slot > 1 and times[slot // 2] > at do
    local parent = slot // 2
    local moved = fibers[parent]
    times[slot], fibers[slot], moved.slot = times[parent], moved, slot
    slot = parent
  end
  while slot * 2 <= size do
    local child = slot * 2
    if child < size and times[child + 1] < times[child] then child = child + 1 end
    if at <= times[child] then break end
    local moved = fibers[child]
    times[slot], fibers[slot], moved.slot = times[child], moved, slot
    slot = child
  end
  times[slot], fibers[slot], last.slot = at, last, slot
end

-- `fibers[1]` is the fiber that wakes first, and `times[1]` is its wake time. Other modules must not change the arrays `fibers` and
-- `times`.
return { clear = clear, fibers = fibers, set = set, times = times }
