-- SPDX-License-Identifier: MIT
-- What becomes of a callback that was taken over (receiver.lua): a query has to confirm it before anything is believed. One that names
-- the task of a submit whose outcome is unknown settles that.

local claims = require "omni.client.match_task"
local core = require "omni.core"
local loop = require "omni.loop"
local watch = require "omni.client.poller"

local PATIENCE <const> = 1800    -- seconds after a submit in which its callback may settle it
local EVERY <const> = 1          -- seconds between two confirming queries of one token
local MAX_TRIES <const> = 10     -- of those in a row, when the service doesn't confirm at once
local LOOK_EVERY <const> = 2     -- seconds between two looks at whether a submit was settled by another program

-- Wakes those who wait for an unknown submit to be settled.
local function tell(entry, task)
  for fiber in pairs(entry.waiting or {}) do loop.wake(fiber, task) end
end

local function say(self, event)
  if self.on_event then self.on_event(event) end
end

-- A submit whose outcome is unknown: is the task that the callback named the one that was submitted? Answers whether that is done with.
local function settle(self, entry)
  local row = entry.row
  local task, problem = claims.claim(self.client, entry.ledger, row, entry.kept)
  if task then
    entry.task_id, entry.unknown = task.id, nil
    self.tokens.tasks[entry.hash] = task
    self.counts.settled = self.counts.settled + 1
    if task:done() then self.tokens:retire(entry) end
    tell(entry, task)
    say(self, { event = "settled", task_id = task.id, state = task.status, scene = row.scene })
    return true
  elseif problem.code == "task_mismatch" then
    entry.kept, entry.heard = nil, nil -- the right one may come yet
    return true
  end
  return false
end

-- Asks the service about what a callback said. Answers whether that is done with: what isn't over, though it was said to be, is not.
local function ask(self, entry)
  if entry.unknown then return settle(self, entry) end
  local task, over = self.tokens.tasks[entry.hash]
  if task then
    over = watch.confirm(task)
  else -- nobody here holds it: the ledger takes note of how it ended
    task = self.client:query(entry.task_id)
    over = task and task:done()
  end
  if over then
    self.counts.confirmed = self.counts.confirmed + 1
    say(self, { event = "confirmed", task_id = task.id, state = task.status })
    self.tokens:retire(entry)
  end
  return over or not entry.final
end

-- --- who asks: a few fibers for all that stand in line, however many callbacks come at once

---@class omni.Confirming
---@field workers table<omni.Fiber, true>
---@field working integer     how many those are
---@field coming boolean      one of them hasn't run yet
---@field first integer       the line is this object's own array, from `first` to `last`
---@field last integer

---@return omni.Confirming
local function new()
  return { workers = {}, working = 0, coming = false, first = 1, last = 0 }
end

local confirm, work -- below

local function ask_for(self, entry)
  entry.next_at, entry.due, entry.tries = core.now() + EVERY, false, (entry.tries or 0) + 1
  local done = entry.over or ask(self, entry)
  entry.in_line = nil
  if done or entry.tries == MAX_TRIES then entry.tries = nil else entry.due = true end
  if entry.due then confirm(self, entry) end
end

-- One more that asks, unless one is about to, or there are enough.
local function call_worker(self)
  local line = self.confirming
  if line.coming or line.working >= self.client.connections then return end
  line.coming, line.working = true, line.working + 1
  line.workers[loop.background(work, self)] = true
end

local Turn_mt = {
  __close = function(turn)
    turn.line.workers[turn.fiber], turn.line.working = nil, turn.line.working - 1
  end,
}

function work(self)
  local line = self.confirming
  local turn <close> = setmetatable({ line = line, fiber = loop.current() }, Turn_mt) -- luacheck: ignore 211
  line.coming = false
  while line.first <= line.last and not self.closed do
    local entry = line[line.first]
    line[line.first], line.first = nil, line.first + 1
    if line.first > line.last then line.first, line.last = 1, 0 end
    if line.first <= line.last then call_worker(self) end -- this one may have to wait for its answer
    ask_for(self, entry)
  end
end

local function stand_in_line(self, entry)
  local line = self.confirming
  line.last = line.last + 1
  line[line.last] = entry
  call_worker(self)
end

---Has the service asked about what a callback said, at most once a second for a token.
---@param self omni.Receiver
---@param entry omni.Token
function confirm(self, entry)
  if entry.over or entry.foreign or self.closed then return end
  entry.due = true
  if entry.in_line then return end
  entry.in_line = true
  local wait = (entry.next_at or 0) - core.now()
  if wait <= 0 then return stand_in_line(self, entry) end
  entry.fiber = loop.background(function()
    loop.sleep(wait)
    entry.fiber = nil
    stand_in_line(self, entry)
  end)
end

---Nothing is asked for any more; who waits is told.
---@param self omni.Receiver
local function stop(self)
  local fibers = self.confirming.workers
  for _, entry in pairs(self.tokens.entries) do
    if entry.fiber then fibers[entry.fiber] = true end
    tell(entry)
  end
  self.confirming.workers = {}
  for fiber in pairs(fibers) do
    if fiber ~= loop.current() then fiber:cancel() end
  end
end

-- --- submits whose outcome is unknown

-- The task of a submit that another program has settled.
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

---Waits for a callback to settle a submit whose outcome is unknown.
---@param self omni.Receiver
---@param ledger omni.Records
---@param row table  of it, with a token
---@return omni.Task|nil  nil when its time is over
local function await_settled(self, ledger, row)
  local entry = self.tokens:find(row.token)
  if not entry then return nil end
  if entry.task_id then return self.tokens.tasks[entry.hash] or self.client:task(entry.task_id) end
  entry.own, entry.ledger, entry.row, entry.unknown, entry.kept = nil, ledger, entry.row or row, true, entry.kept or row.heard
  if entry.kept then confirm(self, entry) end
  local deadline = core.now() + math.max(0, row.intended_at + PATIENCE - os.time())
  local waiter <close> = setmetatable({ entry = entry, fiber = loop.current() }, Waiter_mt)
  local task
  while not task and core.now() < deadline and not self.closed do
    entry.waiting = entry.waiting or {}
    entry.waiting[waiter.fiber] = true
    task = loop.park(math.min(LOOK_EVERY, deadline - core.now())) or settled_elsewhere(self, entry)
  end
  return task
end

---Settles what callbacks have named while nobody was there to confirm it.
---@param client omni.Client
---@param ledger omni.Records
---@return integer count
local function settle_heard(client, ledger)
  local count = 0
  for _, row in ipairs(ledger:ask("all_heard") or {}) do
    if row.state == "unknown" and client:serves(row) and claims.claim(client, ledger, row, row.heard) then count = count + 1 end
  end
  return count
end

return { new = new, confirm = confirm, stop = stop, await_settled = await_settled, settle_heard = settle_heard }
