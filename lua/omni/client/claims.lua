-- SPDX-License-Identifier: MIT
-- Agrees with other programs on which program queries a task, so that programs that share a ledger in PostgreSQL don't all query the same
-- tasks. Each program claims the tasks that its fibers await. If another program has claimed a task, this program doesn't query the task,
-- but waits until the task's end is recorded in the ledger (ledger_watch.lua). A claim ends when its program ends, stalls, or gives up the
-- claim.

local core = require "omni.core"
local loop = require "omni.loop"

local RENEW_EVERY <const> = 15 -- seconds after which a program claims all awaited tasks again
local TRUSTED_FOR <const> = 50 -- number of seconds for which a program relies on a claim; the ledger keeps the claim for 60 seconds
local TRY_AGAIN <const> = 30   -- seconds until the next claim after the ledger has failed; until then, this program queries all its tasks

---@class omni.Claims
---@field watch omni.LedgerWatch
---@field others table<string, boolean>  whether another program has claimed a task, by id; nil: not known yet
---@field failing table<string, true>    tasks whose last query by this program failed: others may claim these
---@field fiber omni.Fiber|nil           runs `claim`
---@field renew_at number                monotonic seconds: when to claim all awaited tasks again
---@field trusted_until number           monotonic seconds: until when this program's claims surely count
---@field failed_until number            monotonic seconds: until then, the ledger isn't used
local Claims_methods = {}
local Claims_mt = { __name = "omni.claims", __index = Claims_methods }

-- Claims the tasks that haven't been claimed yet or, if it is time to renew the claims, all awaited tasks.
local function claim(self)
  local watch, begun = self.watch, core.now()
  local ids, is_renewal = {}, begun >= self.renew_at or begun >= self.trusted_until
  if is_renewal then self.renew_at = begun + RENEW_EVERY end
  for id in pairs(watch.tasks) do
    if not self.failing[id] and (is_renewal or self.others[id] == nil) then ids[#ids + 1] = id end
  end
  local rows = watch.ledger:ask("claim", { service = watch.client.service, task_ids = table.concat(ids, "\n") })
  if not rows then
    self.failed_until, self.others = core.now() + TRY_AGAIN, {}
    return
  end
  self.trusted_until = begun + TRUSTED_FOR
  for _, id in ipairs(ids) do
    if watch.tasks[id] then self.others[id] = false end -- if not, no fiber awaits the task any more
  end
  for _, row in ipairs(rows) do
    if watch.tasks[row.task_id] then self.others[row.task_id] = true end
    watch:learn(row.task_id, row.status or "pending")
  end
end

-- Runs `claim` in a separate fiber, so that any number of fibers can wait for it.
local function claim_once(self)
  if not self.fiber or self.fiber:done() then self.fiber = loop.background(claim, self) end
  self.fiber:join()
end

---Returns whether another program queries a task that a fiber awaits. Claims the task unless another program has claimed it.
---@param task omni.Task
---@return boolean
function Claims_methods:is_others(task)
  local id = task.id
  if not self.watch:shares(task) or self.failing[id] then return false end
  for _ = 1, 2 do -- a second try, since a claim that was already running may not include this task
    local now = core.now()
    if now < self.failed_until then return false end
    if self.others[id] ~= nil and now < self.trusted_until then break end
    claim_once(self)
  end
  return self.others[id] or false
end

---Claims all awaited tasks again if the claims must be renewed.
function Claims_methods:renew()
  local now = core.now()
  if now >= self.renew_at and now >= self.failed_until then claim_once(self) end
end

---Makes the next call to `renew` claim all awaited tasks again, because another program has changed its claims.
function Claims_methods:expect_changes()
  self.renew_at = 0
end

-- Gives up the claims to tasks, so that other programs can claim these tasks immediately.
local function release(self, ids)
  if #ids == 0 then return end
  self.watch.ledger:note("release", { service = self.watch.client.service, task_ids = table.concat(ids, "\n") })
end

---Gives up the claim to a task that this program can't query at present.
---@param task omni.Task
function Claims_methods:fail(task)
  local id = task.id
  if self.failing[id] or not self.watch:shares(task) then return end
  self.failing[id], self.others[id] = true, nil
  release(self, { id })
end

---Records that this program can query a task again, so that it can claim the task.
---@param task omni.Task
function Claims_methods:recover(task)
  self.failing[task.id] = nil
end

---Forgets what is known about a task's claims.
---@param id string
function Claims_methods:drop(id)
  self.others[id], self.failing[id] = nil, nil
end

---Gives up the claims to tasks that no fiber awaits any longer.
---@param tasks omni.Task[]
function Claims_methods:forget(tasks)
  local ids = {}
  for _, task in ipairs(tasks) do
    local id = task.id
    if self.others[id] == false and not task:done() then ids[#ids + 1] = id end
    self:drop(id)
  end
  release(self, ids)
end

---@param watch omni.LedgerWatch
---@return omni.Claims
local function new(watch)
  return setmetatable({ watch = watch, others = {}, failing = {}, renew_at = 0, trusted_until = 0, failed_until = 0 }, Claims_mt)
end

return { new = new }
