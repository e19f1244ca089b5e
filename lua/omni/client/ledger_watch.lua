-- SPDX-License-Identifier: MIT
-- Watches the ledger while fibers await tasks. When another program has recorded an awaited task's end in the ledger (after a query or a
-- callback), omni queries the task immediately. A PostgreSQL ledger sends notifications. Since a notification can get lost, and a ledger in
-- a file sends none, omni also reads the ledger every second.

local claims = require "omni.client.claims"
local core = require "omni.core"
local loop = require "omni.loop"
local poller = require "omni.client.poller"

local LOOK_EVERY <const> = 1 -- seconds between two reads of the ledger
local PRUNE_EVERY <const> = 5 -- seconds between two searches for tasks that no fiber awaits
local OVERLAP <const> = 5    -- maximum number of seconds between a task's end time in a row and the commit of that row

---@class omni.LedgerWatch
---@field client omni.Client
---@field tasks table<string, omni.Task[]>  the handles of the awaited tasks, by id
---@field claims omni.Claims
---@field ledger omni.Ledger|nil  the ledger that has their rows
---@field fiber omni.Fiber|nil
---@field prune_at number         monotonic seconds: when to look for tasks that no fiber awaits
---@field seen_until number       monotonic seconds: ends that were recorded before this time are known
local Watch_methods = {}
local Watch_mt = { __name = "omni.ledger_watch", __index = Watch_methods }

-- Removes the task handles that no fiber awaits. If no handle is left, returns one of the removed handles.
local function drop_handles(self, id, handles)
  local last
  for i = #handles, 1, -1 do
    if not poller.is_awaited(handles[i].waiter) then last = table.remove(handles, i) end
  end
  if #handles > 0 then return nil end
  self.tasks[id] = nil
  return last
end

-- Returns whether any fiber awaits a task. Every PRUNE_EVERY seconds, checks all tasks, and removes those that no fiber awaits; otherwise,
-- stops at the first awaited task.
local function is_needed(self)
  if self.client.closed then return false end
  local dropped, is_thorough = {}, core.now() >= self.prune_at
  if is_thorough then self.prune_at = core.now() + PRUNE_EVERY end
  for id, handles in pairs(self.tasks) do
    dropped[#dropped + 1] = drop_handles(self, id, handles)
    if not is_thorough and self.tasks[id] then break end
  end
  if self.ledger.is_shared then self.claims:forget(dropped) end
  return next(self.tasks) ~= nil
end

-- Queries a task whose end another program has recorded. If the query fails, the next read of the ledger leads to another query.
local function confirm(self, id)
  for _, task in ipairs(self.tasks[id] or {}) do
    if not task:done() and not self.confirming[task] then
      self.confirming[task] = loop.background(function()
        local ending <close> = setmetatable({}, { __close = function() self.confirming[task] = nil end }) -- luacheck: ignore 211
        poller.confirm(task)
      end)
    end
  end
end

local function hear(self, text)
  if text == "claims" then return self.claims:expect_changes() end
  local id = text:match "^task (.+)$"
  if id then return confirm(self, id) end
  for _, key in ipairs(self.client.all_keys) do key.row:look(true) end
end

local function look(self)
  local now, from = core.now(), self.seen_until
  self.seen_until = now
  local rows = self.ledger:ask("ended", { seconds = now - from + OVERLAP })
  if not rows then self.seen_until = math.min(self.seen_until, from) end
  for _, row in ipairs(rows or {}) do
    if row.task_id then confirm(self, row.task_id) end
  end
end

local function run(self)
  local listener <close> = self.ledger:listen(function(text) hear(self, text) end) -- luacheck: ignore 211
  repeat
    look(self)
    if self.ledger.is_shared then self.claims:renew() end
    loop.park(LOOK_EVERY)
  until not is_needed(self)
  self.fiber = nil
end

---Begins to watch the row of a task that a fiber awaits. Without a callback receiver, only a shared ledger in PostgreSQL
---needs to be watched.
---@param task omni.Task
function Watch_methods:add(task)
  local client = self.client
  local ledger = task.ledger
  if not ledger and client.shares_ledger then ledger = client:existing_ledger() end
  if not ledger or ledger ~= client.own_ledger or not (client.receiver or ledger.is_shared) then return end
  local handles = self.tasks[task.id]
  if not handles then
    handles = {}
    self.tasks[task.id] = handles
  end
  for _, handle in ipairs(handles) do
    if handle == task then return end
  end
  handles[#handles + 1] = task
  if not self.fiber or self.fiber:done() then
    self.ledger, self.seen_until = ledger, core.now()
    self.fiber = loop.background(run, self)
  end
  if task.since < self.seen_until then self.seen_until = task.since end -- the task's end may be on record already
end

---Ends the watch of a task that is over and that no fiber awaits any longer.
---@param task omni.Task
function Watch_methods:forget(task)
  local handles = self.tasks[task.id]
  if not handles then return end
  for i = #handles, 1, -1 do
    if handles[i] == task then table.remove(handles, i) end
  end
  if handles[1] then return end
  self.tasks[task.id] = nil
  self.claims:drop(task.id)
end

---Returns whether other programs might query this task as well.
---@param task omni.Task
---@return boolean
function Watch_methods:shares(task)
  return self.client.shares_ledger and self.ledger ~= nil and self.tasks[task.id] ~= nil
end

---Sets a task's status to the status that another program has recorded in the ledger.
---@param id string
---@param status string
function Watch_methods:learn(id, status)
  local handles = self.tasks[id] or {}
  for i = #handles, 1, -1 do poller.learn(handles[i], status) end -- backwards, since `learn` may remove the handle
end

---@param client omni.Client
---@return omni.LedgerWatch
local function new(client)
  local self = setmetatable({ client = client, tasks = {}, confirming = {}, prune_at = 0, seen_until = 0 }, Watch_mt)
  self.claims = claims.new(self)
  return self
end

return { new = new }
