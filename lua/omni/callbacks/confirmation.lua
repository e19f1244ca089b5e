-- SPDX-License-Identifier: MIT
-- Queries the tasks that callbacks named, because omni doesn't trust a callback until a query confirms it. If a submit's outcome is
-- unknown, a callback that names the submit's task can determine the outcome.

local core = require "omni.core"
local loop = require "omni.loop"
local matching = require "omni.client.match_task"
local poller = require "omni.client.poller"

local SETTLES_FOR <const> = 1800 -- seconds after a submit request during which a callback can still determine the submit's outcome
local QUERY_EVERY <const> = 1    -- minimum number of seconds between two queries to confirm callbacks with the same token
local MAX_QUERIES <const> = 10   -- number of unsuccessful queries after which omni stops trying to confirm a callback
local LOOK_EVERY <const> = 2     -- seconds between checks of whether another program has determined a submit's outcome

-- Wakes the fibers that are waiting for a submit's outcome.
local function wake_waiting(entry, task)
  for fiber in pairs(entry.waiting or {}) do loop.wake(fiber, task) end
end

local function report(self, event)
  if self.on_event then self.on_event(event) end
end

-- Checks whether the task that a callback named belongs to a submit with an unknown outcome. Returns true if omni could determine whether
-- the named task belongs to the submit.
local function settle(self, entry)
  local row = entry.row
  local task, problem = matching.match(self.client, entry.ledger, row, entry.kept)
  if task then
    entry.task_id, entry.unknown = task.id, nil
    self.tokens.tasks[entry.hash] = task
    self.counts.settled = self.counts.settled + 1
    if task:done() then self.tokens:retire(entry) end
    wake_waiting(entry, task)
    report(self, { event = "settled", task_id = task.id, state = task.status, scene = row.scene })
    return true
  elseif problem.code == "task_mismatch" then
    entry.kept, entry.heard = nil, nil -- forgets the wrong task, since a callback that names the right task may still arrive
    return true
  end
  return false
end

-- Queries the task that a callback named. Returns true if omni needs no further query to confirm the callback. If the callback reports a
-- finished task, but the query doesn't, omni must query the task again.
local function check(self, entry)
  if entry.unknown then return settle(self, entry) end
  local task, over = self.tokens.tasks[entry.hash]
  if task then
    over = poller.confirm(task)
  else -- without a handle for the task, omni queries it by id, which also updates the ledger
    task = self.client:query(entry.task_id)
    over = task and task:done()
  end
  if over then
    self.counts.confirmed = self.counts.confirmed + 1
    report(self, { event = "confirmed", task_id = task.id, state = task.status })
    self.tokens:retire(entry)
  end
  return over or not entry.final
end

-- --- a queue of tokens and a few worker fibers, however many callbacks arrive at once

---@class omni.ConfirmationQueue
---@field workers table<omni.Fiber, true>
---@field working integer     the number of workers
---@field starting boolean    whether one of the workers hasn't run yet
---@field first integer       the object's array part holds the queue, from `first` to `last`
---@field last integer

---@return omni.ConfirmationQueue
local function new()
  return { workers = {}, working = 0, starting = false, first = 1, last = 0 }
end

local confirm, work -- defined below

local function work_on(self, entry)
  entry.next_at, entry.due, entry.tries = core.now() + QUERY_EVERY, false, (entry.tries or 0) + 1
  local done = entry.over or check(self, entry)
  entry.queued = nil
  if done or entry.tries == MAX_QUERIES then entry.tries = nil else entry.due = true end
  if entry.due then confirm(self, entry) end
end

-- Starts another worker (a fiber that confirms callbacks), unless a worker is already starting or there are already enough workers.
local function start_worker(self)
  local queue = self.confirming
  if queue.starting or queue.working >= self.client.connections then return end
  queue.starting, queue.working = true, queue.working + 1
  queue.workers[loop.background(work, self)] = true
end

local Worker_mt = {
  __close = function(worker)
    worker.queue.workers[worker.fiber], worker.queue.working = nil, worker.queue.working - 1
  end,
}

function work(self)
  local queue = self.confirming
  local worker <close> = setmetatable({ queue = queue, fiber = loop.current() }, Worker_mt) -- luacheck: ignore 211
  queue.starting = false
  while queue.first <= queue.last and not self.closed do
    local entry = queue[queue.first]
    queue[queue.first], queue.first = nil, queue.first + 1
    if queue.first > queue.last then queue.first, queue.last = 1, 0 end
    if queue.first <= queue.last then start_worker(self) end -- so that the queue needn't wait until this worker's query ends
    work_on(self, entry)
  end
end

local function enqueue(self, entry)
  local queue = self.confirming
  queue[queue.last + 1] = entry -- raises an error if memory runs out
  queue.last, entry.queued = queue.last + 1, true
  start_worker(self)
end

---Makes a worker query the task that a callback named, at most once per second for each token.
---@param self omni.Receiver
---@param entry omni.Token
function confirm(self, entry)
  if entry.over or entry.foreign or self.closed then return end
  entry.due = true
  if entry.queued then return end
  local wait = (entry.next_at or 0) - core.now()
  if wait <= 0 then return enqueue(self, entry) end
  entry.fiber = loop.background(function()
    loop.sleep(wait)
    entry.fiber = nil
    enqueue(self, entry)
  end)
  entry.queued = true
end

---Stops all queries, and wakes the fibers that are waiting for a submit's outcome.
---@param self omni.Receiver
local function stop(self)
  local fibers = self.confirming.workers
  for _, entry in pairs(self.tokens.entries) do
    if entry.fiber then fibers[entry.fiber] = true end
    wake_waiting(entry)
  end
  self.confirming.workers = {}
  for fiber in pairs(fibers) do
    if fiber ~= loop.current() then fiber:cancel() end
  end
end

-- --- submits with an unknown outcome

-- Returns the submit's task if another program has determined the submit's outcome.
local function settled_elsewhere(self, entry)
  local now = entry.ledger:row("row", { id = entry.row.id })
  return now and now.state ~= "unknown" and now.task_id and self.client:task(now.task_id) or nil
end

local Waiter_mt = {
  __close = function(waiter)
    local waiting = waiter.entry.waiting
    if waiting then waiting[waiter.fiber] = nil end
  end,
}

---Waits for a callback to determine a submit's unknown outcome.
---@param self omni.Receiver
---@param ledger omni.Ledger
---@param row table  the submit's row, with a token
---@return omni.Task|nil  nil if no callback came in time
local function await_settled(self, ledger, row)
  local entry = self.tokens:find(row.token)
  if not entry then return nil end
  if entry.task_id then return self.tokens.tasks[entry.hash] or self.client:task(entry.task_id) end
  entry.own, entry.ledger, entry.row, entry.unknown, entry.kept = nil, ledger, entry.row or row, true, entry.kept or row.callback_task_id
  if entry.kept then confirm(self, entry) end
  local left = row.intended_at + SETTLES_FOR - os.time()
  local deadline = core.now() + math.max(0, math.min(left, SETTLES_FOR)) -- the clock may have jumped back since the submit
  local waiter <close> = setmetatable({ entry = entry, fiber = loop.current() }, Waiter_mt)
  local task
  while not task and core.now() < deadline and not self.closed do
    entry.waiting = entry.waiting or {}
    entry.waiting[waiter.fiber] = true
    task = loop.park(math.min(LOOK_EVERY, deadline - core.now())) or settled_elsewhere(self, entry)
  end
  return task
end

---Determines the outcomes of submits whose callbacks arrived while no program was running that could confirm them.
---@param client omni.Client
---@param ledger omni.Ledger
---@return integer count
local function settle_past_callbacks(client, ledger)
  local count = 0
  for _, row in ipairs(ledger:ask("unconfirmed_callbacks") or {}) do
    local task_id = row.callback_task_id
    if row.state == "unknown" and client:serves(row) and matching.match(client, ledger, row, task_id) then count = count + 1 end
  end
  return count
end

return { new = new, confirm = confirm, stop = stop, await_settled = await_settled, settle_past_callbacks = settle_past_callbacks }
