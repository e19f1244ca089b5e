-- SPDX-License-Identifier: MIT
-- Stores a callback receiver's tokens. The receiver (receiver.lua) looks tokens up by digest. A token's entry is in memory or in the
-- ledger. To save memory, the receiver drops a finished task's token from memory once enough other tasks have finished. The receiver also
-- drops a task's entry once the application no longer uses the task's handle.

local core = require "omni.core"

local BYTES <const> = 16        -- 128 bits
local KEPT <const> = 10000        -- number of finished tasks whose tokens stay in memory, in case the service repeats a callback
local ANSWERED_BY <const> = 1800  -- seconds after which a submit without a response is dropped from memory; the ledger still contains it
local SWEEP_LEAST <const> = 1000

---@class omni.Token
---@field hash string       the token's SHA-256
---@field at number         when the token was added, in monotonic seconds
---@field own? boolean      the token belongs to a submit of this receiver's client with a known outcome, so the ledger isn't needed
---@field task_id? string
---@field number? integer   the listener's number for the expected callback
---@field ledger? omni.Ledger  the ledger that has the submit's row
---@field row? table        the ledger's row, unless `own`
---@field unknown? boolean  the submit's outcome is unknown
---@field foreign? boolean  the token belongs to another service, which this client can't query
---@field kept? string      the task id in a callback that arrived before omni knew the id
---@field heard? boolean    that id was recorded in the ledger
---@field final? boolean    a callback reported that the task is over
---@field over? boolean     a query confirmed that the task is over
---@field due? boolean      a callback must be confirmed
---@field queued? boolean   the token is in the queue of tokens to confirm, or will be
---@field tries? integer    the number of queries so far that didn't confirm the callback
---@field fiber? omni.Fiber the fiber that waits until the next query is allowed
---@field next_at? number   monotonic seconds: the earliest time of the next query
---@field waiting? table<omni.Fiber, true>  the fibers that wait until the submit is settled

---@class omni.Tokens
---@field entries table<string, omni.Token>
---@field tasks table<string, omni.Task>  tasks by token digest, while the application has a handle
---@field listener? omni.Listener  responds to expected callbacks; nil: the receiver responds to all callbacks
---@field expected table<integer, omni.Token>  tokens by the listener's numbers
local Tokens_methods = {}
local Tokens_mt = { __name = "omni.tokens", __index = Tokens_methods }

local function drop(self, hash)
  local entry = self.entries[hash]
  self.entries[hash] = nil
  if not entry or not entry.number then return end
  self.listener:forget(hash)
  self.expected[entry.number] = nil
end

-- Marks a token's task as finished. If memory holds more than KEPT tokens of finished tasks, drops the oldest of them.
local function retire(self, entry)
  if entry.over then return end
  entry.over, entry.row, entry.unknown = true, nil, nil
  local slot = self.ended_last % KEPT + 1
  local oldest = self.ended[slot]
  if oldest then drop(self, oldest) end
  self.ended[slot], self.ended_last = entry.hash, slot
end

-- Removes tokens from memory if their tasks have ended without callbacks, if the application has no handles for their tasks, or if their
-- submits won't get responses. The tokens that `sweep` removes remain in the ledger. The function `add` starts a sweep once it has added
-- more tokens than the last sweep left in memory.
local function sweep(self)
  local now, live, ledger = core.now(), 0, self.client:ledgers()[1]
  for hash, entry in pairs(self.entries) do
    local task = self.tasks[hash]
    if entry.queued or entry.waiting and next(entry.waiting) then
      live = live + 1
    elseif not entry.over then
      if task and task:done() or entry.own and entry.task_id and not task and not ledger then
        retire(self, entry)
      elseif entry.task_id and not task or not entry.task_id and now - entry.at > ANSWERED_BY then
        drop(self, hash)
      else
        live = live + 1
      end
    end
  end
  self.fresh, self.next_sweep = 0, math.max(SWEEP_LEAST, live)
end

-- Adds an entry for a token. The table constructor lists even the fields that omni sets later, so that Lua never has to enlarge the entry's
-- table.
local function add(self, hash, own)
  local entry = {
    hash = hash, at = core.now(), own = own, task_id = nil, number = nil, final = nil, over = nil, due = nil, queued = nil, next_at = nil,
    tries = nil,
  }
  self.fresh = self.fresh + 1
  if self.fresh > self.next_sweep then sweep(self) end
  self.entries[hash] = entry
  return entry
end

---Creates a token for the client's next submit.
---@return string token
---@return string hash
function Tokens_methods:issue()
  local token = core.token(BYTES)
  local hash = core.sha256(token)
  add(self, hash, true)
  return token, hash
end

---Returns the digest of the token in a URL path, or nil if the path contains no token.
---@param path string
---@return string|nil hash
function Tokens_methods:hash(path) -- luacheck: ignore self
  local token = path:match("^[^?#]*"):match("([^/]+)/?$")
  if not token or #token ~= 2 * BYTES or not token:find("^%x+$") then return nil end
  return core.sha256(token:lower())
end

local ended = { success = true, failed = true, gone = true }

-- Copies a submit's ledger row into the entry of the submit's token, since other programs may have changed the row.
local function learn(self, entry, ledger, row)
  entry.ledger, entry.row, entry.task_id, entry.unknown = ledger, row, row.task_id or entry.task_id, row.state == "unknown" or nil
  entry.foreign = not self.client:serves(row) or nil
  if ended[row.state] then retire(self, entry) end
end

---Returns the entry for a token that this receiver has issued.
---@param hash string
---@return omni.Token
function Tokens_methods:issued(hash)
  return self.entries[hash] or add(self, hash, true)
end

---Finds the ledger row for the submit with this token.
---@param hash string
---@return table|nil row
---@return omni.Ledger|nil  the ledger that has the row
---@return omni.Error|nil err  why a ledger can't be read
function Tokens_methods:look_up(hash)
  local ledgers, problem = self.client:ledgers()
  for _, ledger in ipairs(ledgers) do
    local row, failure = ledger:row("by_token", { token = hash })
    if row then return row, ledger end
    problem = problem or failure
  end
  return nil, nil, problem
end

---Returns the entry for the token with this digest. `find` may wait while it reads the ledger.
---@param hash string
---@return omni.Token|nil
---@return omni.Error|nil err  why the ledger can't be read
function Tokens_methods:find(hash)
  local entry = self.entries[hash]
  if entry and (entry.own or entry.over) then return entry end
  local row, ledger, problem = self:look_up(hash)
  if problem then return nil, problem end
  entry = self.entries[hash]
  if not row then return entry end
  if row.state == "refused" or row.state == "forgotten" then return nil end
  entry = entry or add(self, hash)
  if not entry.own and not entry.over then learn(self, entry, ledger, row) end
  return entry
end

---Marks a token's task as finished, so that the receiver accepts further callbacks with this token without a query.
Tokens_methods.retire = retire

---@param hash string
function Tokens_methods:forget(hash)
  drop(self, hash)
end

---Lets the listener respond to callbacks with this token if they name the token's task, because such callbacks don't need the ledger.
---@param entry omni.Token  a token of this receiver, with a task id
function Tokens_methods:expect(entry)
  if not self.listener then return end
  local number = self.listener:expect(entry.hash, entry.task_id)
  entry.number, self.expected[number] = number, entry
end

---@param client omni.Client
---@return omni.Tokens
local function new(client)
  return setmetatable({
    client = client, entries = {}, expected = {}, tasks = setmetatable({}, { __mode = "v" }), ended = {}, ended_last = 0,
    fresh = 0, next_sweep = SWEEP_LEAST,
  }, Tokens_mt)
end

return { new = new, KEPT = KEPT }
