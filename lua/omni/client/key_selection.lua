-- SPDX-License-Identifier: MIT
-- The keys of a client: which one a submit goes to, and whose a task is. Who submits stands in line until a key has room.

local err = require "omni.error"
local loop = require "omni.loop"

---@class omni.Keyring
---@field [integer] omni.Key   in the order in which they were given
local Keyring_methods = {}
local Keyring_mt = { __name = "omni.keyring", __index = Keyring_methods }

-- --- room for a submit

-- Which of two keys rather: one whose traffic isn't paused, then the one with more room, then the one with less to do.
local function is_better(a, b)
  local pause, other = a.governor:paused(), b.governor:paused()
  if pause ~= other then return pause < other end
  local load, less = a:in_the_air() / (a.in_flight or 64), b:in_the_air() / (b.in_flight or 64)
  return load < less
end

-- The key for the next submit; or nil, and the failure when there is none left.
local function choose(self)
  local best, failure
  local left = 0
  for _, key in ipairs(self) do
    local aside = key:is_aside()
    if aside then
      failure = aside
    else
      left = left + 1
      if key:has_room() and (not best or is_better(key, best)) then best = key end
    end
  end
  if left == 0 then return nil, err.copy(failure) end
  return best
end

---Lets the first in line look whether there is room.
function Keyring_methods:advance()
  local line = self.line
  while line.first <= line.last and not line[line.first].fiber do
    line[line.first] = nil
    line.first = line.first + 1
  end
  if line.first <= line.last then loop.wake(line[line.first].fiber, true) end
end

local Place_mt = {
  __close = function(place)
    place.fiber = nil
    place.ring:advance()
  end,
}

-- Room that was promised to a submit, until it is known what became of that.
local Room_methods = {}
local Room_mt = { __name = "omni.room", __index = Room_methods }

---The submit has a task, which has the room now.
---@param task omni.Task
function Room_methods:keep(task)
  self.kept = true
  self.key:took_off(task)
end

---The submit's outcome is unknown.
---@param records omni.Records|nil
---@param id integer|nil  of its row in the ledger
function Room_methods:doubt(records, id)
  self.kept = true
  self.key:doubts(records, id)
end

function Room_mt:__close()
  if self.kept then return end
  self.key.flying = self.key.flying - 1
  self.key.client.keyring:advance()
end

local look_every <const> = 60 -- seconds: a key that was set aside may be back

---Parks the fiber until a key has room; first come, first served.
---@param records omni.Records|nil  the ledger that the submit stands in: what it has in flight counts
---@return table|nil room       with its `key`; to be closed
---@return table|nil failure    no key can be used
function Keyring_methods:room(records)
  local line = self.line
  local place <close> = setmetatable({ fiber = loop.current(), ring = self }, Place_mt) -- luacheck: ignore 211
  line.last = line.last + 1
  line[line.last] = place
  while true do
    if line[line.first] == place then
      if records and not self.taken_up[records] then
        self.taken_up[records] = true
        for _, key in ipairs(self) do
          if key.in_flight then key:take_up(records) end
        end
      end
      local key, failure = choose(self)
      if failure then return nil, failure end
      if key then
        key.flying = key.flying + 1
        return setmetatable({ key = key }, Room_mt)
      end
    end
    loop.park(look_every)
    if self.closed then return nil, { code = "closed", message = "the client was closed", retry = false, sent = "no" } end
  end
end

-- --- for all other calls

---A key for a call that is about no task: one that isn't paused, if there is one.
---@return omni.Key|nil
---@return table|nil failure
function Keyring_methods:any()
  local best, failure
  for _, key in ipairs(self) do
    local aside = key:is_aside()
    if aside and err.refuses_key(aside) then
      failure = aside
    elseif not best or key.governor:paused() < best.governor:paused() then
      best = key
    end
  end
  return best, not best and err.copy(failure) or nil
end

---Whether a key is left that isn't set aside.
---@return boolean
function Keyring_methods:any_in_use()
  for _, key in ipairs(self) do
    if not key:is_aside() then return true end
  end
  return false
end

---Seconds until one of the keys that are used may be used again.
---@return number
function Keyring_methods:paused()
  local least = math.huge
  for _, key in ipairs(self) do
    if not key:is_aside() then least = math.min(least, key.governor:paused()) end
  end
  return least
end

---The key of an account of the ledger's.
---@param account string
---@return omni.Key|nil
function Keyring_methods:of(account)
  return self.by_account[account]
end

---The key that made a task, by the ledger; nil when it isn't here, or nothing is known of it.
---@param task omni.Task
---@return omni.Key|nil
---@return string|nil account  whose task it is, when its key isn't here
function Keyring_methods:owner(task)
  if #self == 1 then return self[1] end
  local other
  for _, records in ipairs(task.ledger and { task.ledger } or (self.client:ledgers())) do
    for _, row in ipairs(records:ask("named", { task_id = task.id }) or {}) do
      local key = self.by_account[row.account]
      if key then return key end
      other = other or row.account
    end
  end
  return nil, other
end

---The error of a task that no key knows and that another key made.
---@param id string
---@param account string
---@return omni.Error
function Keyring_methods.missing(id, account)
  return err.new {
    code = "no_key", task_id = id, hint = "add that key: only the account that made a task can ask for it",
    message = ("this task was made with the key %s, at %s, which isn't among the keys"):format(
      account:match "%S+$", account:match "^(.*) %S+$" or "?"),
  }
end

---Closes them all. Who waits is told.
function Keyring_methods:close()
  self.closed = true
  for _, key in ipairs(self) do key:close() end
  self:advance()
end

---@param client omni.Client
---@param make fun(key: omni.Key, id: string, ledger: omni.Records, row: integer): omni.Task
---@return omni.Keyring
local function new(client, make)
  return setmetatable({
    client = client, make = make, by_account = {}, taken_up = setmetatable({}, { __mode = "k" }), line = { first = 1, last = 0 },
  }, Keyring_mt)
end

---@param key omni.Key
function Keyring_methods:add(key)
  self[#self + 1] = key
  self.by_account[key.account] = key
end

return { new = new }
