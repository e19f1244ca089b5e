-- SPDX-License-Identifier: MIT
-- Watches the ledger while fibers await tasks: another program may get the callback of such a task, confirm it, and record the task's end.
-- This program then queries the task at once. A ledger in PostgreSQL sends notifications; in case they get lost, and for a ledger in a
-- file, the watch also reads the ledger every second.

local core = require "omni.core"
local loop = require "omni.loop"
local poller = require "omni.client.poller"

local LOOK_EVERY <const> = 1 -- seconds between two reads of the ledger
local OVERLAP <const> = 5    -- seconds: how much later than the time in a row that row may be committed

---@class omni.LedgerWatch
---@field client omni.Client
---@field tasks table<string, omni.Task>  the tasks, by id
---@field ledger omni.Ledger|nil  the ledger that has their rows
---@field fiber omni.Fiber|nil
---@field seen_until number       monotonic seconds: ends that were recorded before this time are known
local Watch_methods = {}
local Watch_mt = { __name = "omni.ledger_watch", __index = Watch_methods }

-- Returns whether any fiber awaits a task. Forgets tasks that no fiber awaits.
local function is_needed(self)
  if self.client.closed then return false end
  for id, task in pairs(self.tasks) do
    if poller.is_awaited(task.waiter) then return true end
    self.tasks[id] = nil
  end
  return false
end

-- Queries a task whose end another program has recorded. If the query fails, the next read of the ledger leads to another query.
local function confirm(self, id)
  local task = self.tasks[id]
  if not task or task:done() or self.confirming[id] then return end
  self.confirming[id] = loop.background(function()
    local ending <close> = setmetatable({}, { __close = function() self.confirming[id] = nil end }) -- luacheck: ignore 211
    poller.confirm(task)
  end)
end

local function hear(self, text)
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
    loop.park(LOOK_EVERY)
  until not is_needed(self)
  self.fiber = nil
end

---Begins to watch the row of a task that a fiber awaits.
---@param task omni.Task
function Watch_methods:add(task)
  if task.ledger ~= self.client.own_ledger or self.tasks[task.id] == task then return end
  self.tasks[task.id] = task
  if not self.fiber or self.fiber:done() then
    self.ledger, self.seen_until = task.ledger, core.now()
    self.fiber = loop.background(run, self)
  end
  if task.since < self.seen_until then self.seen_until = task.since end -- its end may have been recorded before it was awaited
end

---@param client omni.Client
---@return omni.LedgerWatch
local function new(client)
  return setmetatable({ client = client, tasks = setmetatable({}, { __mode = "v" }), confirming = {}, seen_until = 0 }, Watch_mt)
end

return { new = new }
