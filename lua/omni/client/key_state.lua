-- SPDX-License-Identifier: MIT
-- Represents one API key: an account at the service, with its own connections, rate limiter and tasks in flight.

local shared_key_state = require "omni.client.shared_key_state"
local core = require "omni.core"
local credentials = require "omni.client.credentials"
local err = require "omni.error"
local loop = require "omni.loop"
local poller = require "omni.client.poller"
local transports = require "omni.http.transport"

local TASK_LASTS <const> = 3600       -- number of seconds for which a submitted task counts as in flight (csrc/ledger/verbs.h, IN_FLIGHT)
local UNKNOWN_LASTS <const> = 1800    -- number of seconds for which a submit with an unknown outcome counts as in flight
local LOOK_EVERY <const> = 2          -- seconds between two reads of the ledger row of a submit without a task id
local NO_CREDITS_LASTS <const> = 600  -- seconds until omni tries a key without credits again

---@class omni.Key
---@field client omni.Client
---@field name string             the key's fingerprint, which identifies the key without revealing it
---@field account string          the account's name in the ledger: the service and the fingerprint
---@field limit integer|nil       maximum number of tasks in flight
---@field used integer            slots in use: the tasks and submits that this client knows to be in flight
---@field row omni.AccountRow    what programs that share a ledger tell each other about the key
---@field transport omni.Transport
---@field poller omni.Poller
local Key_methods = {}
local Key_mt = { __name = "omni.key", __index = Key_methods }

function Key_mt:__tostring() return "key " .. self.name end

-- --- slots

---Returns whether the key has a free slot for another task.
---@return boolean
function Key_methods:has_slot()
  return not self.limit or self.used < self.limit
end

---Releases one slot.
function Key_methods:release()
  self.used = self.used - 1
  self.client.all_keys:advance()
end

-- Returns whether the ledger counts a task as in flight.
local function is_counted(self, task)
  for _, row in ipairs(task.ledger and task.ledger:ask("in_flight", { account = self.account }) or {}) do
    if row.task_id == task.id then return true end
  end
  return false
end

-- If the key has a limit on tasks in flight, omni polls every task until it is over, even if no fiber awaits the task. Another submit may
-- be waiting for the task's slot. A task that can't be queried keeps its slot while the ledger counts the task as in flight, since the
-- ledger would refuse another submit.
local function poll_until_over(self, task)
  loop.background(function()
    local _, problem = task:await { timeout = TASK_LASTS }
    if problem and err.rejects_key(problem) and #self.client.all_keys > 1 then
      self:disable { code = problem.code, message = problem.message, hint = problem.hint, retry = false, sent = "no" }
    end
    while problem and self.transport.http and is_counted(self, task) do loop.sleep(LOOK_EVERY) end
    self.tasks[task.id] = nil
    self:release()
  end)
end

-- Releases the slots of tasks that were submitted more than an hour ago. If a key has no limit, omni doesn't poll a task that no fiber
-- awaits. A task that no fiber awaits counts as in flight until a query finds that it is over, but for an hour at most.
local function release_old(self)
  local started, time = self.started, core.now()
  while started.first <= started.last and time - started[started.first].at >= TASK_LASTS do
    local id = started[started.first].id
    started[started.first], started.first = nil, started.first + 1
    if self.tasks[id] then
      self.tasks[id] = nil
      self:release()
    end
  end
end

-- Appends a task to the list of tasks, which is ordered by age. Occasionally removes finished tasks from the list of tasks.
local function note_started(self, id)
  release_old(self)
  local started = self.started
  started[started.last + 1] = { id = id, at = core.now() }
  started.last = started.last + 1
  if started.last - started.first < 2 * self.used + 64 then return end
  local kept = { first = 1, last = 0 }
  for i = started.first, started.last do
    if self.tasks[started[i].id] then
      kept.last = kept.last + 1
      kept[kept.last] = started[i]
    end
  end
  self.started = kept
end

---Passes the slot of an accepted submit to its task, which holds the slot until the task is over.
---@param task omni.Task
function Key_methods:hold(task)
  self.tasks[task.id] = true
  if self.limit then return poll_until_over(self, task) end
  note_started(self, task.id)
end

---Returns how many tasks and submits this program knows to be in flight.
---@return integer
function Key_methods:in_flight()
  release_old(self)
  return self.used
end

-- Keeps the slot of a submit that has no task id, until the submit's ledger row has a task id or another final state, or is too old.
local function watch_row(self, ledger, id)
  self:own_row(ledger, id, true)
  loop.background(function()
    local row
    repeat
      loop.sleep(LOOK_EVERY)
      row = ledger:row("row", { id = id })
    until not row or row.state ~= "intended" and (row.state ~= "unknown" or os.time() - row.intended_at > UNKNOWN_LASTS)
    self:own_row(ledger, id, nil)
    if row and row.state == "accepted" and not self.tasks[row.task_id] then
      self.tasks[row.task_id] = true
      return poll_until_over(self, self.client.all_keys.new_task(self, row.task_id, ledger, id))
    end
    self:release()
  end)
end

---Keeps a submit's slot occupied for a while, because the submit's outcome is unknown.
---@param ledger omni.Ledger|nil
---@param id integer|nil  the number of the submit's row
function Key_methods:hold_unknown(ledger, id)
  if not self.limit then return self:release() end
  if ledger then return watch_row(self, ledger, id) end
  loop.background(function()
    loop.sleep(UNKNOWN_LASTS)
    self:release()
  end)
end

---Releases a task's slot after a query has found that the task is over.
---@param task omni.Task
function Key_methods:task_over(task)
  if self.limit or not self.tasks[task.id] then return end -- if the key has a limit, `poll_until_over` releases the slot
  self.tasks[task.id] = nil
  self:release()
end

---Records that a ledger row belongs to one of this program's own submits, which already have slots. If `own` is nil, removes this record.
---@param ledger omni.Ledger
---@param id integer
---@param own true|nil
function Key_methods:own_row(ledger, id, own)
  local rows = self.own_rows[ledger] or {}
  self.own_rows[ledger], rows[id] = rows, own
end

---Takes slots for all tasks and submits that the ledger lists as in flight, including those of earlier runs and other programs.
---@param ledger omni.Ledger|nil
function Key_methods:count_rows(ledger)
  for _, row in ipairs(ledger and ledger:ask("in_flight", { account = self.account }) or {}) do
    if row.task_id and not self.tasks[row.task_id] then
      self.tasks[row.task_id], self.used = true, self.used + 1
      poll_until_over(self, self.client.all_keys.new_task(self, row.task_id, ledger, row.id))
    elseif not row.task_id and not (self.own_rows[ledger] and self.own_rows[ledger][row.id]) then
      self.used = self.used + 1
      watch_row(self, ledger, row.id)
    end
  end
end

-- --- disabling

local REASONS <const> = {
  unauthorized = "is rejected by the service", key_disabled = "is disabled by the service", insufficient_credits = "is out of credits",
}

---Returns whether a failed submit shows that the key can't be used.
---@param failure table
---@return boolean
function Key_methods.is_unusable(failure)
  return REASONS[failure.code] ~= nil
end

---Stops using this key, and warns once. If the key has no credits, omni tries it again after ten minutes, since somebody may have added
---credits and a refusal costs nothing. All running programs that share a ledger stop using the key.
---@param failure table
---@param ago? number  for a failure of another program: seconds since that program disabled the key
function Key_methods:disable(failure, ago)
  local before = self:disabled()
  if ago and (before or failure.code == "insufficient_credits" and ago >= NO_CREDITS_LASTS) then return end
  self.failure = err.copy(failure)
  self.disabled_until = failure.code == "insufficient_credits" and core.now() + NO_CREDITS_LASTS - (ago or 0) or nil
  if not ago then self.row:disable(failure) end
  if before and before.code == failure.code then return end
  local events = self.client.events
  if events then events:emit { event = "key_disabled", key = self.name, reason = failure.code, error = err.public(failure) } end
  local rest = self.client.all_keys:any_enabled() and "the other keys are used instead" or "no other key is left"
  self.client:warn(("the API key %s %s; %s"):format(self.name, REASONS[failure.code], rest))
end

---Returns the failure that disabled the key, or nil if the key is enabled.
---@return table|nil failure
function Key_methods:disabled()
  if self.disabled_until and core.now() >= self.disabled_until then self.failure, self.disabled_until = nil, nil end
  return self.failure
end

-- --- calls

---Queries the account's balance without retries.
---@param timeout? number  seconds
---@return number|nil
---@return table|nil failure
function Key_methods:balance(timeout)
  local data, failure = self.transport:perform(nil, timeout, "call", "GET", "/api/v1/client/account/balance")
  if failure then return nil, failure end
  local value = type(data) == "table" and data.balance
  if type(value) == "number" and value - value == 0 then return math.tointeger(value) or value end -- neither NaN nor infinite
  return nil, { code = "bad_answer", message = "the response contains no valid balance", retry = false }
end

function Key_methods:close()
  if not self.transport.http then return end
  self.transport:close()
  self.poller:close { code = "closed", message = "the client was closed", retry = false }
end

---@param client omni.Client
---@param given { key: string, in_flight?: integer, rate?: number }
---@param http table          the C client with this key
---@param connections integer
---@return omni.Key
local function new(client, given, http, connections)
  local self = setmetatable({
    client = client, name = credentials.fingerprint(given.key), limit = given.in_flight, used = 0, tasks = {},
    own_rows = setmetatable({}, { __mode = "k" }),
    started = { first = 1, last = 0 },
  }, Key_mt)
  self.account = client.service .. " " .. self.name
  self.row = shared_key_state.new(self)
  self.transport = transports.new(http, {
    connections = connections, least = client.retry_min, most = client.retry_max, rate = given.rate, timeout = client.timeout,
    max_pause = client.pause_for, events = client.events, key = self.name, shared = self.row,
  })
  self.poller = poller.new(self, connections)
  return self
end

return { new = new }
