-- SPDX-License-Identifier: MIT
-- Simulates polling. polling.lua [TASKS] → for each case (10,000 tasks) the queries for each task, and the mean and the 95th percentile of
-- the seconds between a task's end and the query that reports it. Compares a query every 5 s and every 20 s, omni's poll schedule with
-- none, 20 and 1,000 earlier tasks of the same kind, and the best possible rule for a known distribution of the durations.

local polling = require "omni.client.poll_schedule"

local tasks <const> = tonumber(arg[1]) or 10000
local pasts <const> = 10           -- number of different histories; each is used for a part of a case's tasks
local least <const>, most <const> = 2, 30
local remembered <const> = 100     -- number of durations that lua/omni/client/task_durations.lua keeps

local function normal()
  return math.sqrt(-2 * math.log(1 - math.random())) * math.cos(2 * math.pi * math.random())
end

-- The standard normal distribution (Abramowitz and Stegun, 26.2.17).
local function phi(z)
  local t = 1 / (1 + 0.2316419 * math.abs(z))
  local tail = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    * t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
  return z >= 0 and 1 - tail or tail
end

-- --- what tasks take: parts are { share, median, spread in ln }

local function draw(parts)
  local chance = math.random()
  for _, part in ipairs(parts) do
    chance = chance - part[1]
    if chance < 0 or part == parts[#parts] then return part[2] * math.exp(part[3] * normal()) end
  end
end

local function distribution(parts, seconds)
  local sum = 0
  for _, part in ipairs(parts) do sum = sum + part[1] * phi(math.log(seconds / part[2]) / part[3]) end
  return sum
end

-- --- rules

-- Simulates a case's tasks. `ask(task, age)` returns the number of seconds until the next query.
local function play(parts, ask)
  math.randomseed(20261123)
  local queries, delays, sum = 0, {}, 0
  for task = 1, tasks do
    local took, age = draw(parts), 0
    repeat
      age = age + ask(task, age)
      queries = queries + 1
    until age >= took
    delays[task] = age - took
    sum = sum + age - took
  end
  table.sort(delays)
  return { queries = queries / tasks, mean = sum / tasks, late = delays[math.ceil(tasks * 0.95)] }
end

local function every(seconds)
  return function() return seconds end
end

-- Returns omni's rule for tasks with this history. Each of the plans is used for a part of the tasks.
local function learnt(past, count)
  math.randomseed(count + 1)
  local plans = {}
  for i = 1, pasts do
    local seconds = {}
    for k = 1, math.min(count, remembered) do seconds[k] = math.floor(draw(past) + 0.5) end
    plans[i] = polling.plan(seconds, least, most)
  end
  return function(task, age) return polling.next_query(age, plans[task % pasts + 1], math.random()) end
end

-- --- the bound

-- Returns the queries and the mean delay of the best rule if a query costs as much as `worth` seconds of delay. Computes backwards over a
-- grid of ages.
local function best(left, ended, step, worth)
  local near, far, last = least // step, most // step, #left
  local value, queries = {}, {}
  for i = last, last + far do value[i], queries[i] = 0, 0 end
  for i = last - 1, 0, -1 do
    local cost, gap
    for g = near, far do
      local delay = ended[math.min(i + g, last)] + math.max(0, i + g - last) * step - ended[i] - g * step * (1 - left[i])
      local total = worth * left[i] + delay + value[i + g]
      if not cost or total < cost then cost, gap = total, g end
    end
    value[i], queries[i] = cost, left[i] + queries[i + gap]
  end
  return queries[0], value[0] - worth * queries[0]
end

-- Returns the smallest number of queries for each task with which any rule can keep the mean delay within `allowed`.
local function bound(parts, allowed)
  local longest, step = 0, 0.5
  for _, part in ipairs(parts) do longest = math.max(longest, part[2] * math.exp(3.7 * part[3])) end
  if longest > 800 then step = 1 end
  local left, ended = { [0] = 1 }, { [0] = 0 } -- the chance to last longer; the integral of the chance to be over
  for i = 1, math.ceil(longest / step) do
    left[i] = 1 - distribution(parts, i * step)
    ended[i] = ended[i - 1] + step * (2 - left[i - 1] - left[i]) / 2
  end
  local low, high = math.log(0.001), math.log(100) -- the bounds of what a query is worth
  for _ = 1, 14 do
    local middle = (low + high) / 2
    local _, delay = best(left, ended, step, math.exp(middle))
    if delay <= allowed then low = middle else high = middle end
  end
  return (best(left, ended, step, math.exp(low)))
end

-- --- the tables

local function columns(result, other)
  return ("%6.1f %5s %5.2f %5.1f"):format(result.queries, other and ("%.2f"):format(result.queries / other.queries) or "", result.mean,
    result.late)
end

local function row(name, parts, past)
  local reference = play(parts, every(5))
  local cells = { columns(reference), columns(play(parts, every(20)), reference) }
  for _, count in ipairs { 0, 20, 1000 } do
    cells[#cells + 1] = columns(play(parts, learnt(past or parts, count)), reference)
  end
  local fewest = not past and ("%.2f"):format(bound(parts, reference.mean) / reference.queries) or ""
  print(("%-26s| %s | %s"):format(name, table.concat(cells, " | "), fewest))
end

local function heading(name)
  local cells = {}
  for _, of in ipairs { "every 5 s", "every 20 s", "no history", "20 tasks", "1,000 tasks" } do cells[#cells + 1] = ("%-24s"):format(of) end
  print(("\n%-26s| %s | least"):format("", table.concat(cells, " | ")))
  print(("%-26s|%s"):format(name, (" queries ratio mean  late |"):rep(5))) -- mean, late: seconds of delay
end

heading "durations"
for _, spread in ipairs { 0.1, 0.15, 0.25, 0.4, 0.8 } do
  for _, median in ipairs { 40, 90, 300 } do
    row(("median %d s, spread %g"):format(median, spread), { { 1, median, spread } })
  end
end
row("60 s or 200 s, 0.15", { { 0.6, 60, 0.15 }, { 0.4, 200, 0.15 } })

heading "a past that lies"
for _, factor in ipairs { 0.5, 0.7, 1.5, 2 } do
  row(("90 s, now times %g"):format(factor), { { 1, 90 * factor, 0.25 } }, { { 1, 90, 0.25 } })
end
