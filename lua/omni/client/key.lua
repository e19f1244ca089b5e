-- SPDX-License-Identifier: MIT
-- One API key: an account at the service, with its own connections, its own pace, and its own tasks in flight.

local core = require "omni.core"
local credentials = require "omni.client.credentials"
local err = require "omni.error"
local exchange = require "omni.http.exchange"
local loop = require "omni.loop"
local watch = require "omni.client.poller"

local longest <const> = 3600       -- seconds after its submit for which a task is taken to be in flight (csrc/ledger/verbs.h, IN_ROOM)
local doubt_lasts <const> = 1800   -- seconds for which a submit of unknown outcome is
local look_every <const> = 2       -- seconds between two looks at what only the ledger can tell
local credits_rest <const> = 600   -- seconds until a key that was out of credits is tried again

---@class omni.Key
---@field client omni.Client
---@field name string          its fingerprint: what tells keys apart and gives none away
---@field account string       what the ledger calls it: the service and the key's fingerprint
---@field in_flight integer|nil tasks in flight at most
---@field flying integer       tasks and submits that are in flight, as far as is known
---@field http table|nil       the C client
---@field governor omni.Governor
---@field watch omni.Watch
local Key_methods = {}
local Key_mt = { __name = "omni.key", __index = Key_methods }

function Key_mt:__tostring() return "key " .. self.name end

---Seconds before a failed try is repeated; for http/exchange.lua.
function Key_methods:pause_after(failure, attempt)
  return self.client:pause_after(failure, attempt)
end

-- --- what is in flight

---Whether another task may be submitted with it.
---@return boolean
function Key_methods:has_room()
  return not self.in_flight or self.flying < self.in_flight
end

-- Something is in flight no more.
local function land(self)
  self.flying = self.flying - 1
  self.client.keyring:advance()
end

-- Whether the ledger counts a task as in flight.
local function is_counted(self, task)
  for _, row in ipairs(task.ledger and task.ledger:ask("flying", { account = self.account }) or {}) do
    if row.task_id == task.id then return true end
  end
  return false
end

-- With a limit its tasks are asked for also when nobody waits for them: who would submit the next one does. One that can't be asked for
-- keeps its room for as long as the ledger says so: nothing could be submitted in its place.
local function follow(self, task)
  loop.background(function()
    local _, problem = task:await { timeout = longest }
    if problem and err.refuses_key(problem) and #self.client.keyring > 1 then
      self:set_aside { code = problem.code, message = problem.message, hint = problem.hint, retry = false, sent = "no" }
    end
    while problem and self.http and is_counted(self, task) do loop.sleep(look_every) end
    self.tasks[task.id] = nil
    land(self)
  end)
end

-- Without a limit nobody asks for a task that nobody waits for: it counts until a query says that it is over, for an hour at most.
local function expire(self)
  local taken, time = self.taken, core.now()
  while taken.first <= taken.last and time - taken[taken.first].at >= longest do
    local id = taken[taken.first].id
    taken[taken.first], taken.first = nil, taken.first + 1
    if self.tasks[id] then
      self.tasks[id] = nil
      land(self)
    end
  end
end

-- Those that are over are taken out now and then.
local function note_taken(self, id)
  expire(self)
  local taken = self.taken
  taken.last = taken.last + 1
  taken[taken.last] = { id = id, at = core.now() }
  if taken.last - taken.first < 2 * self.flying + 64 then return end
  local kept = { first = 1, last = 0 }
  for i = taken.first, taken.last do
    if self.tasks[taken[i].id] then
      kept.last = kept.last + 1
      kept[kept.last] = taken[i]
    end
  end
  self.taken = kept
end

---A submit of this key has a task: it counts until it is over.
---@param task omni.Task
function Key_methods:took_off(task)
  self.tasks[task.id] = true
  if self.in_flight then return follow(self, task) end
  note_taken(self, task.id)
end

---Tasks and submits that are in flight, as far as is known.
---@return integer
function Key_methods:in_the_air()
  expire(self)
  return self.flying
end

-- What has no task yet is counted by its row in the ledger: until it has one, or is decided, or is taken to be over.
local function follow_row(self, records, id)
  self:owns_row(records, id, true)
  loop.background(function()
    local row
    repeat
      loop.sleep(look_every)
      row = records:row("row", { id = id })
    until not row or row.state ~= "intended" and (row.state ~= "unknown" or os.time() - row.intended_at > doubt_lasts)
    self:owns_row(records, id, nil)
    if row and row.state == "accepted" and not self.tasks[row.task_id] then
      self.tasks[row.task_id] = true
      return follow(self, self.client.keyring.make(self, row.task_id, records, id))
    end
    land(self)
  end)
end

---A submit of this key has an unknown outcome: it counts for a while.
---@param records omni.Records|nil
---@param id integer|nil  of its row
function Key_methods:doubts(records, id)
  if not self.in_flight then return land(self) end
  if records then return follow_row(self, records, id) end
  loop.background(function()
    loop.sleep(doubt_lasts)
    land(self)
  end)
end

---A task is over, says a query.
---@param task omni.Task
function Key_methods:landed(task)
  if self.in_flight or not self.tasks[task.id] then return end -- with a limit there is a fiber that sees it
  self.tasks[task.id] = nil
  land(self)
end

---Notes that a row is a submit of this program, which is counted already; or that it no longer is.
---@param records omni.Records
---@param id integer
---@param ours true|nil
function Key_methods:owns_row(records, id, ours)
  local rows = self.rows[records] or {}
  self.rows[records], rows[id] = rows, ours
end

---Takes up what is in flight by a ledger: of an earlier run, or of another program.
---@param records omni.Records|nil
function Key_methods:take_up(records)
  for _, row in ipairs(records and records:ask("flying", { account = self.account }) or {}) do
    if row.task_id and not self.tasks[row.task_id] then
      self.tasks[row.task_id], self.flying = true, self.flying + 1
      follow(self, self.client.keyring.make(self, row.task_id, records, row.id))
    elseif not row.task_id and not (self.rows[records] and self.rows[records][row.id]) then
      self.flying = self.flying + 1
      follow_row(self, records, row.id)
    end
  end
end

-- --- set aside

local reasons <const> = {
  unauthorized = "is refused by the service", key_disabled = "is disabled by the service", insufficient_credits = "is out of credits",
}

---Whether the failure of a submit says that the key is of no use.
---@param failure table
---@return boolean
function Key_methods.is_refused(failure)
  return reasons[failure.code] ~= nil
end

---Does without this key from now on, and says so once. One that is out of credits is tried again after ten minutes, as somebody may
---have filled it up: a refusal costs nothing.
---@param failure table
function Key_methods:set_aside(failure)
  local before = self:is_aside()
  self.aside = err.copy(failure)
  self.back_at = failure.code == "insufficient_credits" and core.now() + credits_rest or nil
  if before and before.code == failure.code then return end
  local others = self.client.keyring:any_in_use() and "the others go on" or "no other is left"
  self.client:warn(("the API key %s %s; it is set aside, %s"):format(self.name, reasons[failure.code], others))
end

---Why it isn't used, or nil.
---@return table|nil failure
function Key_methods:is_aside()
  if self.back_at and core.now() >= self.back_at then self.aside, self.back_at = nil, nil end
  return self.aside
end

function Key_methods:close()
  if not self.http then return end
  exchange.close(self)
  self.watch:close { code = "closed", message = "the client was closed", retry = false }
end

---@param client omni.Client
---@param given { key: string, in_flight?: integer, rate?: number }
---@param http table          the C client with this key
---@param connections integer
---@return omni.Key
local function new(client, given, http, connections)
  local self = setmetatable({
    client = client, http = http, name = credentials.fingerprint(given.key), in_flight = given.in_flight, flying = 0, tasks = {},
    rows = setmetatable({}, { __mode = "k" }),
    taken = { first = 1, last = 0 },
    timeout = client.timeout, retry_for = client.retry_for,
  }, Key_mt)
  self.account = client.service .. " " .. self.name
  exchange.attach(self, {
    connections = connections, least = client.retry_min, most = client.retry_max, rate = given.rate,
  })
  self.watch = watch.new(self, connections)
  return self
end

return { new = new }
