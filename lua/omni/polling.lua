-- SPDX-License-Identifier: MIT
-- When to ask for a task's state next, and when to try again what failed. Pure functions: they know no clock.

---Seconds until the next query of a task that has been known for `age` seconds: close at first, wider the longer it lasts.
---@param age number      seconds since the task was submitted or taken up
---@param least number    never closer than this
---@param most number     never wider than this
---@param jitter number   0 to 1, by chance: so that many tasks of one moment don't ask in step
---@return number
local function next_query(age, least, most, jitter)
  local wait = math.min(math.max(age * 0.2, least), most)
  return wait * (0.9 + 0.2 * jitter)
end

---Seconds until the next try of something that may be repeated.
---@param attempt integer     1 for the first that failed
---@param asked number|nil    what the service asked for (Retry-After), which counts if it is longer
---@param least number        the first wait
---@param most number         the longest own wait
---@param jitter number       0 to 1, by chance
---@return number
local function next_try(attempt, asked, least, most, jitter)
  local wait = math.min(least * 2 ^ math.min(attempt - 1, 30), most)
  wait = wait * (0.5 + 0.5 * jitter)
  return math.max(wait, asked and asked + wait * 0.1 or 0)
end

return { next_query = next_query, next_try = next_try }
