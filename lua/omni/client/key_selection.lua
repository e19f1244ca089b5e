-- SPDX-License-Identifier: MIT
-- Selects one of a client's API keys for a request: for a submit, a key with a free slot; for a query, the key that created the task; for
-- any other call, any working key. Submits wait in one queue until a key has a free slot.

local err = require "omni.error"
local loop = require "omni.loop"
local wait_queue = require "omni.loop.wait_queue"

---@class omni.KeySelection
---@field [integer] omni.Key   in the given order
---@field new_task fun(key: omni.Key, id: string, ledger: omni.Ledger, row: integer): omni.Task
local Selection_methods = {}
local Selection_mt = { __name = "omni.key_selection", __index = Selection_methods }

-- --- a slot for a submit

-- Returns whether key `a` has a shorter pause than key `b` or, if their pauses are equal, a lower load.
local function is_better(a, b)
  local pause, other = a.transport.limiter:paused(), b.transport.limiter:paused()
  if pause ~= other then return pause < other end
  return a:in_flight() / (a.limit or 64) < b:in_flight() / (b.limit or 64)
end

-- Returns the best key with a free slot. If no key has a free slot, returns nil, and also a failure if every key is disabled.
local function choose(self)
  local best, failure
  local enabled = 0
  for _, key in ipairs(self) do
    local disabled = key:disabled()
    if disabled then
      failure = disabled
    else
      enabled = enabled + 1
      if key:has_slot() and (not best or is_better(key, best)) then best = key end
    end
  end
  if enabled == 0 then return nil, err.copy(failure) end
  return best
end

---Wakes the first waiting submit, so that it checks whether a slot is free.
function Selection_methods:advance()
  self.queue:wake_first(1)
end

-- Represents a slot that a submit holds until its outcome is known.
local Slot_methods = {}
local Slot_mt = { __name = "omni.slot", __index = Slot_methods }

---Passes the slot to the submit's task, which now holds it.
---@param task omni.Task
function Slot_methods:keep(task)
  self.kept = true
  self.key:hold(task)
end

---Passes the slot to the submit's ledger row, since the outcome is unknown.
---@param ledger omni.Ledger|nil
---@param id integer|nil  the number of that row
function Slot_methods:keep_unknown(ledger, id)
  self.kept = true
  self.key:hold_unknown(ledger, id)
end

function Slot_mt:__close()
  if not self.kept then self.key:release() end
end

-- Reports to the client's `on_event` hook that the first submit in the queue has begun or stopped waiting for a slot.
local function report_full(self, full)
  local events = self.client.events
  if not events or full == self.full then return end
  self.full = full
  local slots = 0
  for _, key in ipairs(self) do
    if not key:disabled() then slots = slots + (key.limit or 0) end
  end
  events:emit { event = full and "slots_full" or "slots_free", slots = slots }
end

local LOOK_EVERY <const> = 60 -- seconds between two checks of whether a disabled key can be used again

---Waits until a key has a free slot. Waiting submits are served in the order of their arrival.
---@param ledger omni.Ledger|nil  the submit's ledger, whose tasks in flight count
---@return table|nil slot       with a field `key`; close it to release the slot
---@return table|nil failure    why no key can be used
function Selection_methods:reserve(ledger)
  local place <close> = self.queue:join()
  while true do
    if self.queue:is_first(place) then
      if ledger and not self.counted[ledger] then
        self.counted[ledger] = true
        for _, key in ipairs(self) do
          if key.limit then key:count_rows(ledger) end
        end
      end
      local key, failure = choose(self)
      if failure or key then report_full(self, false) end
      if failure then return nil, failure end
      if key then
        key.used = key.used + 1
        return setmetatable({ key = key }, Slot_mt)
      end
      report_full(self, true)
    end
    loop.park(LOOK_EVERY)
    if self.closed then return nil, { code = "closed", message = "the client was closed", retry = false, sent = "no" } end
  end
end

-- --- all other calls

---Returns a key for a call that doesn't concern a task. Prefers keys that aren't paused.
---@return omni.Key|nil
---@return table|nil failure  if every key is rejected
function Selection_methods:any()
  local best, failure
  for _, key in ipairs(self) do
    local disabled = key:disabled()
    if disabled and err.rejects_key(disabled) then
      failure = disabled
    elseif not best or key.transport.limiter:paused() < best.transport.limiter:paused() then
      best = key
    end
  end
  return best, not best and err.copy(failure) or nil
end

---Returns whether any key is enabled.
---@return boolean
function Selection_methods:any_enabled()
  for _, key in ipairs(self) do
    if not key:disabled() then return true end
  end
  return false
end

---Returns the number of seconds until at least one enabled key isn't paused.
---@return number
function Selection_methods:paused()
  local least = math.huge
  for _, key in ipairs(self) do
    if not key:disabled() then least = math.min(least, key.transport.limiter:paused()) end
  end
  return least
end

---Returns the key for an account. `account` is the account's name in the ledger.
---@param account string
---@return omni.Key|nil
function Selection_methods:of(account)
  return self.by_account[account]
end

---Returns the key that created a task, if a ledger contains the task and the client has that key.
---@param task omni.Task
---@return omni.Key|nil
---@return string|nil account  the account that created the task, if the client doesn't have its key
function Selection_methods:owner(task)
  if #self == 1 then return self[1] end
  local other
  for _, ledger in ipairs(task.ledger and { task.ledger } or (self.client:ledgers())) do
    for _, row in ipairs(ledger:ask("find", { task_id = task.id }) or {}) do
      local key = self.by_account[row.account]
      if key then return key end
      other = other or row.account
    end
  end
  return nil, other
end

---Returns the error for a task that none of the client's keys can query, because another account's key created it.
---@param id string
---@param account string
---@return omni.Error
function Selection_methods.missing(id, account)
  return err.new {
    code = "no_key", task_id = id, hint = "add that key: only the account that created a task can query it",
    message = ("this task was created with the key %s, at %s, which isn't among the keys"):format(
      account:match "%S+$", account:match "^(.*) %S+$" or "?"),
  }
end

---Closes all keys. Makes all waiting submits fail with the code "closed".
function Selection_methods:close()
  self.closed = true
  for _, key in ipairs(self) do key:close() end
  self:advance()
end

---@param key omni.Key
function Selection_methods:add(key)
  self[#self + 1] = key
  self.by_account[key.account] = key
end

---@param client omni.Client
---@param new_task fun(key: omni.Key, id: string, ledger: omni.Ledger, row: integer): omni.Task
---@return omni.KeySelection
local function new(client, new_task)
  return setmetatable({
    client = client, new_task = new_task, by_account = {}, counted = setmetatable({}, { __mode = "k" }), queue = wait_queue.new(),
    full = false, -- whether the `on_event` hook knows that a submit is waiting for a slot
  }, Selection_mt)
end

return { new = new }
