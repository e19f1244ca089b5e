-- SPDX-License-Identifier: MIT
-- Computes the poll schedule: when to query a task next. All functions in this module are pure, and none reads a clock.
--
-- The durations of similar tasks determine a hazard h for each age: the chance that an unfinished task ends within the next second. A query
-- every sqrt(2 c / h) seconds needs the fewest queries for a given mean delay (Keller, "Optimum checking schedules for systems subject to
-- random failure", 1974). The cost c of a query, in seconds of delay, follows from the target delay. docs/performance.md, "Polling",
-- describes the measurements behind the constants.

local step <const> = 0.025     -- distance between grid points in ln(seconds); the grid is logarithmic because longer durations vary more
local jitter <const> = 0.05    -- each wait is randomly lengthened or shortened by up to this fraction
local aim <const> = 1.3        -- target for the mean delay, as a multiple of the minimum wait
local sparing <const> = 4.1    -- the average interval between queries is at least the minimum wait times this factor
local fewest <const> = 2       -- a task can always be queried at least this many times, whatever the average interval
local stuck <const> = 0.005    -- assumed fraction of tasks that never end; this makes omni query old tasks less often
local quarter <const> = 4      -- a schedule contains this many entries for each interval between queries
local planned <const> = 1000   -- number of queries in a schedule

-- The assumed distribution if no durations have been observed: a log-normal distribution with this median (seconds) and spread (in ln).
-- This assumption has the weight of `weight` observed tasks.
local prior <const> = { median = 80, spread = 0.85, sparing = 5.0, weight = 1 }
local usual <const> = 2        -- the prior's `sparing` applies if the minimum wait is at least this many seconds
local shortest <const> = 0.001 -- shortest allowed minimum wait, in seconds
-- If few tasks were observed, `spread`, with the weight of `weight` tasks, influences the estimated spread. With `robust` or more tasks,
-- outliers don't increase the estimate.
local few <const> = { spread = 0.3, weight = 3, robust = 8 }
local rounding <const> = 0.4   -- uncertainty of a duration in seconds, since the service reports whole seconds
local quickest <const> = 0.3   -- a reported duration of 0 counts as this many seconds
local lasting <const> = 0.25   -- after its schedule's last query, a task is queried each time its age has grown by this fraction

-- --- the density

-- Adds a bell curve around `middle` (ln seconds) to the grid, whose first point is at `first + step`.
local function add_bell(density, first, middle, width, weight)
  local centre, reach = (middle - first) // step, math.ceil(4 * width / step)
  local from, to = math.tointeger(math.max(1, centre - reach)), math.tointeger(math.min(#density, centre + reach))
  local shares, sum = {}, 0
  for i = from, to do
    local share = math.exp(-0.5 * ((first + i * step - middle) / width) ^ 2)
    shares[i], sum = share, sum + share
  end
  for i = from, to do density[i] = density[i] + weight * shares[i] / sum end
end

-- Returns the width in ln(seconds) of the bell curve for each observed task, according to Silverman's rule.
local function bell_width(logs)
  local n, sum, squares = #logs, 0, 0
  for _, x in ipairs(logs) do sum = sum + x end
  for _, x in ipairs(logs) do squares = squares + (x - sum / n) ^ 2 end
  local spread = math.sqrt((few.weight * few.spread ^ 2 + squares) / (few.weight + n - 1))
  if n >= few.robust then
    local quartiles = logs[math.ceil(n * 0.75)] - logs[math.ceil(n * 0.25)]
    if quartiles > 0 then spread = math.min(spread, quartiles / 1.34) end
  end
  return 0.65 * spread * n ^ -0.2
end

-- Returns the probability density of the durations on the grid, the grid's start in ln(seconds), and the prior's share of the density.
local function expectation(seconds, scale)
  local logs = {}
  for i, took in ipairs(seconds) do logs[i] = math.log(math.max(took, quickest)) end
  table.sort(logs)
  local n, middle = #logs, math.log(prior.median * scale)
  local first = math.min(middle - 4 * prior.spread, (logs[1] or middle) - 1)
  local last = math.max(middle + 4 * prior.spread, (logs[n] or middle) + 2)
  local density = {}
  for i = 1, math.ceil((last - first) / step) do density[i] = 0 end
  local doubt = prior.weight / (prior.weight + n)
  add_bell(density, first, middle, prior.spread, doubt)
  local width, equal = n > 0 and bell_width(logs), 0
  for i, x in ipairs(logs) do
    equal = equal + 1
    if x ~= logs[i + 1] then -- one bell curve for all equal durations, which are frequent, since the service reports whole seconds
      add_bell(density, first, x, math.min(1, math.sqrt(width ^ 2 + (rounding / math.exp(x)) ^ 2)), equal * (1 - doubt) / n)
      equal = 0
    end
  end
  return density, first, doubt
end

-- --- the schedule

-- Returns three lists with a value for each grid point: the age, the probability that a task lasts longer than this age, and the optimal
-- gap between queries for 2 c = 1. The fourth result is the mean duration.
local function hazards(density, first)
  local ages, left, gaps, beyond, mean = {}, {}, {}, stuck, 0
  for i = #density, 1, -1 do
    local chance, age = density[i], math.exp(first + i * step)
    ages[i], left[i] = age, beyond + chance / 2
    gaps[i] = chance > 0 and math.sqrt(left[i] * age * step / chance) or math.huge
    beyond, mean = beyond + chance, mean + chance * age
  end
  return ages, left, gaps, mean
end

-- Returns the factor sqrt(2 c) by which to multiply the gaps: the largest factor that meets the target delay, or a larger factor if that
-- one would cause too many queries.
local function factor_for(density, ages, left, gaps, aimed, few_enough, clip)
  local low, high = -8, 8 -- in ln
  for _ = 1, 11 do -- enough iterations to determine the factor to within 1 %
    local middle = (low + high) / 2
    local factor, delay, queries = math.exp(middle), 0, 0.5
    for i = 1, #ages do
      local gap = clip(gaps[i] * factor)
      delay = delay + density[i] * gap / 2
      queries = queries + left[i] * ages[i] * step / gap
    end
    if delay < aimed or queries > few_enough then low = middle else high = middle end
  end
  return math.exp(high)
end

---@class omni.PollSchedule
---@field [integer] number  the age in seconds at each quarter of an interval between queries
---@field least number
---@field most number

---Computes the poll schedule for one kind of task.
---@param seconds number[]  durations of such tasks, in any order; may be empty
---@param least number      seconds: the shortest gap between queries; below 2, tasks are assumed to be as short as in a sandbox
---@param most number       seconds: the longest gap; if it is less than `least`, it also replaces `least`
---@return omni.PollSchedule
local function plan(seconds, least, most)
  least = math.max(math.min(least, most), shortest)
  most = math.max(most, least)
  local quick = math.min(1, least / usual)
  local density, first, doubt = expectation(seconds, quick ^ 2)
  local ages, left, gaps, mean = hazards(density, first)
  local widest, unit = most / (1 + jitter), math.min(least, usual) * (seconds[1] and 1 or quick)
  local function clip(gap)
    return gap > widest and widest or gap < least and least or gap
  end
  local few_enough = math.max(mean / (unit * (sparing + (prior.sparing - sparing) * doubt)), fewest)
  local factor = factor_for(density, ages, left, gaps, aim * unit, few_enough, clip)
  local times, due, age = { least = least, most = most }, 0, 0
  local function extend(to, gap) -- adds queries up to the age `to`, with this gap between them
    local whole = math.floor(math.min(due + quarter * (to - age) / gap, planned * quarter))
    for i = #times + 1, whole do times[i] = age + (i - due) * gap / quarter end
    due, age = due + quarter * (to - age) / gap, to
  end
  extend(math.exp(first + step / 2), widest)
  for i = 1, #ages do extend(math.exp(first + (i + 0.5) * step), clip(gaps[i] * factor)) end
  return times
end

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

return { plan = plan, next_query = next_query }
