-- SPDX-License-Identifier: MIT
-- Implements the poller, which queries one API key's tasks while fibers await them. A task has at most one query in flight, however many
-- fibers await it, and a few fibers send all queries. A fiber that awaits a task only parks, so a hundred thousand awaited tasks use little
-- memory.

local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"
local poll_schedule = require "omni.client.poll_schedule"
local queries = require "omni.client.query"
local rate_limiter = require "omni.http.rate_limiter"

---@class omni.Poller
---@field key omni.Key
---@field most integer  maximum number of queries that run at once
local Poller_methods = {}
local Poller_mt = { __name = "omni.poller", __index = Poller_methods }

-- --- the schedule

-- The schedule is a binary heap in two arrays, ordered by the time of the next query. A task has at most one entry in the schedule. A
-- task's `waiter` field is nil if the task has no entry in the schedule, false if no fiber awaits the task any more, and otherwise the
-- awaiting fiber or an array of fibers.

-- Returns whether any fiber that wasn't cancelled still awaits the task.
local function is_awaited(waiter)
  if not waiter then return false end
  if #waiter == 0 then return not waiter:done() end
  for _, fiber in ipairs(waiter) do
    if not fiber:done() then return true end
  end
  return false
end

-- Puts an entry at position `slot` of the heap, or further down if an entry below is due earlier.
local function sink(self, due, task, slot)
  local times, tasks, size = self.times, self.tasks, self.size
  while true do
    local child = slot * 2
    if child < size and times[child + 1] < times[child] then child = child + 1 end
    if child > size or due <= times[child] then break end
    times[slot], tasks[slot] = times[child], tasks[child]
    slot = child
  end
  times[slot], tasks[slot] = due, task
end

local SWEEP_LEAST <const> = 64

-- If the schedule has doubled in size since the last sweep, removes the tasks whose end a callback or another program has reported. These
-- sweeps keep the number of finished tasks in the schedule below about half of all its tasks. Allocates no memory.
local function sweep(self)
  local times, tasks, before, size = self.times, self.tasks, self.size, 0
  if before * 4 < self.sweep_at then self.sweep_at = math.max(SWEEP_LEAST, self.sweep_at // 2) end
  if before < self.sweep_at then return end
  for slot = 1, before do
    local task = tasks[slot]
    if task:done() and not is_awaited(task.waiter) then
      task.waiter = nil
    else
      size = size + 1
      times[size], tasks[size] = times[slot], task
    end
  end
  for slot = size + 1, before do times[slot], tasks[slot] = nil, nil end
  self.size, self.sweep_at = size, math.max(SWEEP_LEAST, size * 2)
  for slot = size // 2, 1, -1 do sink(self, times[slot], tasks[slot], slot) end
end

local function push(self, due, task)
  sweep(self)
  local times, tasks = self.times, self.tasks
  local slot = self.size + 1
  times[slot], tasks[slot] = due, task -- memory can run out on this line, but not on the lines below
  self.size = slot
  while slot > 1 and times[slot // 2] > due do
    times[slot], tasks[slot] = times[slot // 2], tasks[slot // 2]
    slot = slot // 2
  end
  times[slot], tasks[slot] = due, task
  return slot == 1
end

local function pop(self)
  local times, tasks, size = self.times, self.tasks, self.size
  local first, due, task = tasks[1], times[size], tasks[size]
  times[size], tasks[size] = nil, nil
  self.size = size - 1
  if size > 1 then sink(self, due, task, 1) end
  return first
end

-- --- awaiting fibers

-- Copies a failure, so that each fiber gets its own copy and can't change another fiber's error.
local function own(value)
  return type(value) == "table" and err.copy(value) or value
end

-- Wakes the fibers that await a task, and removes them from `task.waiter`. If the task isn't over, each fiber starts awaiting it again. A
-- woken fiber may park for another reason before it awaits the task again; the task must not wake the fiber then.
local function wake_all(task, value)
  local waiter = task.waiter
  if not waiter then return end
  if #waiter == 0 then loop.wake(waiter, own(value)) end
  for _, fiber in ipairs(waiter) do loop.wake(fiber, own(value)) end
  task.waiter = false -- must come last: if memory runs out above, `waiter` must still list the fibers to wake later
  if task:done() then task.client.ledger_watch:forget(task) end
end

local function add_waiter(task)
  local fiber, waiter = loop.current(), task.waiter
  if not waiter then
    task.waiter = fiber
  elseif #waiter > 0 then
    waiter[#waiter + 1] = fiber
  elseif waiter ~= fiber then
    task.waiter = { waiter, fiber }
  end
end

-- --- queries

local function schedule(self, task, wait)
  if push(self, core.now() + wait, task) and self.runner then loop.wake(self.runner) end
end

local function settle(task, value)
  wake_all(task, value)
  task.waiter = nil
end

-- Returns the age of an unfinished task in seconds. If another program submitted the task, derives the age from the service's `created_at`.
local function age_of(task)
  local known = core.now() - task.since
  if task.submitted or not task.created_at then return known end
  return math.max(known, os.time() - task.created_at)
end

-- Returns the number of seconds until the next query of a task of this age. If a callback is expected, queries are rare, and only guard
-- against a lost callback.
local function time_until_query(task, age)
  local client = task.client
  if task.callback and client.receiver and task.status ~= "success" then return client.callback_poll * (0.9 + 0.2 * math.random()) end
  return poll_schedule.next_query(age, client.durations:plan(task), math.random())
end

local CHECK_CLAIM <const> = 5 -- unless `poll_max` is shorter: mean seconds between two checks of whether others query a task

-- Queries a task, unless another program does so. After the query, schedules the task's next query, or wakes the fibers that await the
-- task.
local function poll(self, task)
  if not is_awaited(task.waiter) then
    task.waiter = nil
    return
  end
  local client, before = self.client, task.status
  local claims = client.ledger_watch.claims
  if claims:is_others(task) then return schedule(self, task, math.min(CHECK_CLAIM, client.poll_max) * (0.5 + math.random())) end
  if client.events then client.events:attempt((self.attempts[task] or 0) + 1) end
  local answered, failure = queries.query(task)
  if answered then
    self.attempts[task], self.failures[task] = nil, nil
    claims:recover(task)
    if task:done() then return settle(task, true) end
    if task.status ~= before then wake_all(task, true) elseif task.answer then task.answer = nil end
    schedule(self, task, time_until_query(task, age_of(task)))
  else
    local attempt = (self.attempts[task] or 0) + 1
    local wait = client:wait_before_retry(failure, attempt)
    if not wait then return settle(task, failure) end
    self.failures[task] = failure
    -- during a pause, the query waits in the rate limiter for up to `pause_for` seconds, so `schedule` needs no additional wait
    if rate_limiter.is_pause(failure) then
      local left = self.key.transport.limiter:paused()
      client:report_retry(failure, attempt, left)
      return schedule(self, task, left > client.pause_for and left or 0)
    end
    client:report_retry(failure, attempt, wait)
    self.attempts[task] = attempt
    claims:fail(task)
    schedule(self, task, wait)
  end
end

local SCHEDULE_TRIES <const> = 100 -- maximum number of attempts to schedule a task again after memory has run out

-- When closed, records that a fiber that queries tasks has ended, even if the fiber has failed.
local Work_mt = {
  __close = function(work)
    local self = work.poller
    self.working = self.working - 1
    if self.runner then loop.wake(self.runner) end
  end,
}

-- Runs in a fiber: queries one task after another until no query is due. If memory runs out, queries the task again later.
local function work(self)
  local ending <close> = self.work -- luacheck: ignore 211
  while self.size > 0 and self.times[1] <= core.now() do
    local task = pop(self)
    local fine, problem = pcall(poll, self, task)
    if not fine then
      local tries = 0
      while task.waiter ~= nil and tries < SCHEDULE_TRIES and not pcall(schedule, self, task, self.client.retry_min) do
        tries = tries + 1
        pcall(loop.park, self.client.retry_min)
      end
      error(problem, 0)
    end
  end
end

-- Returns the number of seconds until a task's first query. omni knows when a task started only if this program submitted it, so it queries
-- any other task immediately.
local function first_wait(task)
  return task.submitted and math.max(0, time_until_query(task, 0) - (core.now() - task.since)) or 0
end

-- Schedules the tasks that fibers have begun to await. If a query is due, starts a fiber that runs `work`; otherwise, waits.
local function advance(self)
  for i = 1, self.new do
    local task = self.fresh[i]
    if task then schedule(self, task, first_wait(task)) end
    self.fresh[i] = nil
  end
  if self.new > 0 then self.new, self.fresh = 0, {} end -- a new table, since an emptied table would keep its memory
  local wait = self.size > 0 and self.times[1] - core.now()
  if not wait then
    loop.park()
  elseif wait > 0 then
    loop.park(wait)
  elseif self.working < self.most then
    loop.background(work, self)
    self.working = self.working + 1
    loop.park(0) -- lets `work` take its task from the schedule
  else
    loop.park()
  end
end

local run

-- When closed, starts `run` again if `run` ended early because memory ran out repeatedly.
local Run_mt = {
  __close = function(running)
    local self = running.poller
    self.runner = nil
    if self.size == 0 and self.new == 0 then return end
    local fine, fiber = pcall(loop.background, run, self)
    self.runner = fine and fiber or nil
  end,
}

-- Runs in one fiber for as long as any task is awaited. If memory runs out, `run` tries again.
function run(self)
  local ending <close> = self.running -- luacheck: ignore
  while self.size > 0 or self.new > 0 or self.working > 0 do
    if not pcall(advance, self) then loop.park(self.client.retry_min) end
  end
end

---Makes the running fiber await a task: the poller wakes the fiber with `true` when the task's status has changed, or with a failure when
---the task can't be queried any more. The fiber then parks. A fiber that stops waiting before it is woken must call `leave`.
---@param task omni.Task
---@param reads_raw boolean  whether the caller may read `task.raw` before the task is over
function Poller_methods:join(task, reads_raw)
  -- Frees the memory of the last response. If `task.answer` is false, queries of an unfinished task don't keep the response's text.
  if reads_raw then task.answer = nil elseif not task.waiter then task.answer = false end
  -- Leaves the scheduling of the task to `run`, since scheduling would enlarge this fiber's stack, which keeps its size while the fiber
  -- waits.
  if task.waiter == nil then
    self.fresh[self.new + 1] = task
    self.new = self.new + 1
  end
  add_waiter(task)
  if self.client.receiver or self.client.shares_ledger then self.client.ledger_watch:add(task) end
  if not self.runner or self.runner:done() then
    self.runner = loop.background(run, self)
  elseif self.new == 1 then
    loop.wake(self.runner)
  end
end

---Ends the running fiber's wait for a task.
---@param task omni.Task
local function leave(task)
  local fiber, waiter = loop.current(), task.waiter
  if waiter == fiber then
    task.waiter = false
  elseif waiter and #waiter > 0 then
    for i = #waiter, 1, -1 do
      if waiter[i] == fiber then table.remove(waiter, i) end
    end
    if #waiter == 0 then task.waiter = false end
  end
end

---Queries a task immediately, because a callback named it. Wakes the awaiting fibers if the task's status has changed.
---@param task omni.Task
---@return boolean over
local function confirm(task)
  if task:done() then return true end
  local before = task.status
  if not queries.query(task) then return false end
  if task:done() or task.status ~= before then wake_all(task, true) end
  return task:done()
end

---Sets an unfinished task's status to the status that another program has recorded in the ledger.
---@param task omni.Task
---@param status string
local function learn(task, status)
  if status == task.status or task:done() then return end
  task.status = status
  wake_all(task, true)
  task.client:report_task(task)
end

---Returns why a task's last query failed, or nil if the query succeeded.
---@param task omni.Task
---@return table|nil failure
function Poller_methods:last_failure(task)
  return self.failures[task]
end

---Ends all waits: wakes every fiber that awaits a task, with a failure.
---@param failure table
function Poller_methods:close(failure)
  while self.size > 0 do settle(pop(self), failure) end
  for i = 1, self.new do settle(self.fresh[i], failure) end
  self.new, self.fresh = 0, {}
end

---@param key omni.Key
---@param most integer  maximum number of queries that run at once
---@return omni.Poller
local function new(key, most)
  local self = setmetatable({
    key = key, client = key.client, most = most, working = 0, size = 0, times = {}, tasks = {}, new = 0, fresh = {},
    sweep_at = SWEEP_LEAST, -- the number of entries at which `sweep` removes ended tasks from the schedule
    -- for each task whose last query failed: the number of consecutive failures, and the last failure
    attempts = setmetatable({}, { __mode = "k" }), failures = setmetatable({}, { __mode = "k" }),
  }, Poller_mt)
  self.work, self.running = setmetatable({ poller = self }, Work_mt), setmetatable({ poller = self }, Run_mt)
  return self
end

return { confirm = confirm, is_awaited = is_awaited, learn = learn, leave = leave, new = new }
