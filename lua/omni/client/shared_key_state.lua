-- SPDX-License-Identifier: MIT
-- Represents an API key's row in the client's ledger. Through a key's row, all programs that share the ledger also share the key's rate
-- limit and pauses, and learn whether the service refuses the key. If the ledger fails, each program relies on what it knows about the key.

local core = require "omni.core"
local loop = require "omni.loop"

local LOOK_EVERY <const> = 1 -- seconds between two reads of the key's row while requests with this key start
local LONGEST <const> = 600  -- maximum length of a pause in seconds, after which each program tries a request
local TRY_AGAIN <const> = 30 -- seconds until omni uses the ledger again after the ledger has failed

---@class omni.AccountRow
---@field key omni.Key
---@field since number      monotonic seconds: when this program began to use the key
---@field look_at number    monotonic seconds: when `look` reads the row again
---@field failed_until number  monotonic seconds: until then, the ledger isn't used
local Row_methods = {}
local Row_mt = { __name = "omni.shared_key_state", __index = Row_methods }

-- Runs a verb on the key's row. Returns the row that the verb returns, or nil if there is none or the ledger fails.
local function ask(self, ledger, verb, params)
  params.account = self.key.account
  local row, problem = ledger:row(verb, params)
  if problem then self.failed_until = core.now() + TRY_AGAIN end
  return row
end

-- Returns the client's ledger if it is open and working.
local function open_ledger(self)
  return core.now() >= self.failed_until and self.key.client.own_ledger or nil
end

-- Runs a function in a fiber that nobody waits for. Does nothing if memory runs out, since omni reads the key's row again later.
local function later(...)
  pcall(loop.background, ...)
end

---Returns whether this program shares the key's rate limit with other programs.
---@return boolean
function Row_methods:is_shared()
  return core.now() >= self.failed_until and self.key.client:existing_ledger() ~= nil
end

---Reads the key's row, and pauses the key if another program has paused it. If another program found, after this program had started, that
---the key can't be used, stops using the key. Ignores a problem that was found before this program started, since a person may have solved
---the problem in the meantime.
---@param ledger omni.Ledger
function Row_methods:read(ledger)
  local key = self.key
  local row = ask(self, ledger, "account", {})
  if not row then return end
  if row.pause and row.pause > 0 then key.transport.limiter:join_pause(row.pause) end
  if row.disabled and row.disabled_for >= 0 and row.disabled_for < core.now() - self.since and #key.client.all_keys > 1 then
    key:disable({ code = row.disabled, message = row.message, retry = false, sent = "no" }, row.disabled_for)
  end
end

---Reads the key's row in the background, at most once a second.
---@param at_once? boolean  another program has just changed a row
function Row_methods:look(at_once)
  local now = core.now()
  if now < self.look_at and not at_once then return end
  local ledger = open_ledger(self)
  if not ledger then return end
  self.look_at = now + LOOK_EVERY
  later(self.read, self, ledger)
end

---Reports to other programs that this key is paused. This program's pause ends when the pause in the ledger ends, even if this machine's
---clock and the ledger's clock differ.
---@param seconds number
function Row_methods:pause(seconds)
  local ledger = open_ledger(self)
  if not ledger then return end
  later(function()
    local row = ask(self, ledger, "pause_account", { seconds = math.min(seconds, LONGEST) })
    if row then self.key.transport.limiter:join_pause(row.pause) end
  end)
end

---Reports to the other programs that the service refuses this key.
---@param failure table
function Row_methods:disable(failure)
  local ledger = open_ledger(self)
  if ledger then
    ledger:note("disable_account", { account = self.key.account, error = failure.code, message = core.clean(failure.message or "", 500) })
  end
end

---Reserves the start time of a request. Waits for the ledger.
---@param interval number  seconds between two starts
---@return number|nil wait  seconds until the start; nil: the ledger failed, or there is none
function Row_methods:reserve_start(interval)
  local ledger = self:is_shared() and self.key.client:existing_ledger()
  local row = ledger and ask(self, ledger, "reserve_start", { interval = interval })
  return row and row.wait or nil
end

---@param key omni.Key
---@return omni.AccountRow
local function new(key)
  return setmetatable({ key = key, since = core.now(), look_at = 0, failed_until = 0 }, Row_mt)
end

return { new = new }
