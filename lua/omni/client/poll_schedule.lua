-- SPDX-License-Identifier: MIT
-- Decides when to query a task next. csrc/core/poll_schedule.c computes one schedule for each kind of task.

local core = require "omni.core"

-- `jitter` and `quarter` have the same values as in csrc/core/poll_schedule.c.
local jitter <const> = 0.05    -- each wait is randomly lengthened or shortened by up to this fraction
local quarter <const> = 4      -- for each interval between two queries, a schedule contains this many entries
local lasting <const> = 0.25   -- after its schedule's last query, a task is queried each time its age has grown by this fraction

---Returns the number of seconds until a task's next query.
---@param age number      seconds since the task was submitted
---@param times omni.PollSchedule
---@param random number   from 0 to 1, so that tasks that were submitted together aren't queried together
---@return number         between the schedule's `least` and `most`
local function next_query(age, times, random)
  local low, high = 0, #times -- binary search for the last scheduled time that has passed
  while low < high do
    local middle = (low + high + 1) // 2
    if times[middle] <= age then low = middle else high = middle - 1 end
  end
  local wait, following = age * lasting, times[low + quarter + 1]
  if following then
    local from, target = times[low] or 0, times[low + quarter]
    wait = target + (age - from) / (times[low + 1] - from) * (following - target) - age
  end
  wait = math.min(wait, times.most / (1 + jitter)) * (1 - jitter + 2 * jitter * random)
  return math.max(wait, times.least)
end

return { plan = core.poll_schedule, next_query = next_query }
