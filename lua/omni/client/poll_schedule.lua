-- SPDX-License-Identifier: MIT
-- When to ask for a task's state next, and when to try again what failed. Pure functions: they know no clock.
--
-- How long such tasks took is turned into a density over time, and that into a hazard h: how likely a task that isn't over ends in the
-- next second. Queries every sqrt(2 c / h) seconds are the fewest for the delay that they leave (J. B. Keller, "Optimum checking
-- schedules for systems subject to random failure", 1974); c, the seconds of delay that one query is worth, follows from the delay
-- that is aimed at. docs/performance.md, "Polling", has the figures that the numbers here were chosen by.

local step <const> = 0.025     -- of the density's grid: in ln(seconds), as durations scatter in proportion
local jitter <const> = 0.05    -- what a wait differs by, to either side
local aim <const> = 1.3        -- the mean delay that is aimed at, in units of the shortest wait ...
local sparing <const> = 4.1    -- ... but no more queries, all in all, than one in so many units, or than ...
local fewest <const> = 2       -- ... so many
local stuck <const> = 0.005    -- the share of tasks that never end: hence wide waits in the long tail
local quarter <const> = 4      -- a plan says when each quarter of a query is due,
local planned <const> = 1000   -- of so many queries at most

-- What is expected of tasks of which nothing is known: a log-normal with this median (seconds) and spread (in ln).
local prior <const> = { median = 80, spread = 0.85, sparing = 5.0, weight = 1 } -- weight: as much as so many tasks
local usual <const> = 2        -- seconds: the shortest wait for which it holds
local shortest <const> = 0.001 -- seconds: as short as a wait can be asked for
-- Of so few tasks that their own spread says little: the spread to begin with, and the weight that it has.
local few <const> = { spread = 0.3, weight = 3, robust = 8 } -- robust: from so many on, outliers don't widen it
local rounding <const> = 0.4   -- seconds: the service tells whole ones
local quickest <const> = 0.3   -- seconds: what 0 of them is taken for
local lasting <const> = 0.25   -- of its age: when to ask next for a task that lasts longer than anything that is expected

-- --- the density

-- Puts a bell of this weight around `middle` (ln seconds) onto the grid, whose first point is at `first + step`.
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

-- How wide a bell each known task gets (ln seconds), by a rule that is usual for it (Silverman's).
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

-- The chance of each point of the grid, where the grid begins (ln seconds), and how much of it is the prior's.
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
  local width = n > 0 and bell_width(logs)
  for _, x in ipairs(logs) do
    add_bell(density, first, x, math.min(1, math.sqrt(width ^ 2 + (rounding / math.exp(x)) ^ 2)), (1 - doubt) / n)
  end
  return density, first, doubt
end

-- --- the plan

-- For each point of the grid its age, the chance that a task lasts longer, and the gap that is right there for 2 c = 1; and the mean.
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

-- The factor for those gaps, sqrt(2 c): as wide as they can be for the delay that is aimed at, or wider, so that queries stay few.
local function factor_for(density, ages, left, gaps, aimed, few_enough, clip)
  local low, high = -8, 8 -- in ln
  for _ = 1, 20 do
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

---@class omni.PollingPlan
---@field [integer] number  the age, in seconds, at which that many quarters of queries are due
---@field least number
---@field most number

---When tasks of which this is known are to be asked for.
---@param seconds number[]  how long such tasks took, in any order; none: what is usual
---@param least number      seconds: never two queries closer than this. Below 2 the tasks are taken for a sandbox's: quick
---@param most number       seconds: never wider; where it is less than `least` it counts for both
---@return omni.PollingPlan
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
  local function go_on(to, gap) -- until that age with queries that far apart
    local whole = math.floor(math.min(due + quarter * (to - age) / gap, planned * quarter))
    for i = #times + 1, whole do times[i] = age + (i - due) * gap / quarter end
    due, age = due + quarter * (to - age) / gap, to
  end
  go_on(math.exp(first + step / 2), widest)
  for i = 1, #ages do go_on(math.exp(first + (i + 0.5) * step), clip(gaps[i] * factor)) end
  return times
end

---Seconds until the next query of a task of this age.
---@param age number      seconds since the task was submitted
---@param times omni.PollingPlan
---@param random number   0 to 1, by chance: so that many tasks of one moment don't ask in step
---@return number         within the plan's least and most
local function next_query(age, times, random)
  local low, high = 0, #times -- the last that is over
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

---Seconds until the next try of something that may be repeated.
---@param attempt integer     1 for the first that failed
---@param asked number|nil    what the service asked for (Retry-After), which counts if it is longer
---@param least number        the first wait
---@param most number         the longest own wait
---@param random number       0 to 1, by chance
---@return number
local function next_try(attempt, asked, least, most, random)
  local wait = math.min(least * 2 ^ math.min(attempt - 1, 30), most)
  wait = wait * (0.5 + 0.5 * random)
  return math.max(wait, asked and asked + wait * 0.1 or 0)
end

return { plan = plan, next_query = next_query, next_try = next_try }
