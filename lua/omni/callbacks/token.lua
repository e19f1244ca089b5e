-- SPDX-License-Identifier: MIT
-- The tokens of a receiver of callbacks (receiver.lua), by their digests: what is known of each, in memory or in the ledger. Memory
-- stays bounded: of tasks that are over only the last are kept, and a task that nobody holds any more isn't held here.

local core = require "omni.core"

local BYTES <const> = 16        -- 128 bits
local KEPT <const> = 10000      -- tokens of tasks that are over, for callbacks that come again
local PATIENCE <const> = 1800   -- seconds after which a submit that was never answered is forgotten here; the ledger knows it still
local SWEEP_LEAST <const> = 1000

---@class omni.Token
---@field hash string       its SHA-256
---@field at number         monotonic seconds: since when it is known here
---@field own? boolean      of a submit of this receiver's client whose outcome isn't unknown: the ledger needn't be asked
---@field task_id? string
---@field ledger? omni.Records  which has its row
---@field row? table        of the ledger, when it isn't our own
---@field unknown? boolean  its submit's outcome is unknown
---@field foreign? boolean  of another service, which this client can't ask about
---@field kept? string      the task id that a callback named before we knew any
---@field heard? boolean    that is on disk
---@field final? boolean    a callback said that the task is over
---@field over? boolean     a query said so
---@field due? boolean      there is something to confirm
---@field in_line? boolean   it is, or will be
---@field tries? integer     queries so far that didn't bear the callback out
---@field fiber? omni.Fiber  that waits until it may be asked for again
---@field next_at? number   monotonic seconds: no query before
---@field waiting? table<omni.Fiber, true>  who waits for it to be settled

---@class omni.Tokens
---@field entries table<string, omni.Token>
---@field tasks table<string, omni.Task>  by digest, as long as somebody holds them
local Tokens_methods = {}
local Tokens_mt = { __name = "omni.tokens", __index = Tokens_methods }

-- Forgets the oldest of those that are over when there are too many.
local function retire(self, entry)
  if entry.over then return end
  entry.over, entry.row, entry.unknown = true, nil, nil
  local slot = self.ended_last % KEPT + 1
  local oldest = self.ended[slot]
  if oldest then self.entries[oldest] = nil end
  self.ended[slot], self.ended_last = entry.hash, slot
end

-- Makes room: of what was seen to be over without a callback, of tasks that nobody holds, and of submits that nobody will answer for.
-- What stands in the ledger is found there again. The cost is spread over as many new ones.
local function sweep(self)
  local now, live, records = core.now(), 0, self.client:ledgers()[1]
  for hash, entry in pairs(self.entries) do
    local task = self.tasks[hash]
    if entry.in_line or entry.waiting and next(entry.waiting) then
      live = live + 1
    elseif not entry.over then
      if task and task:done() or entry.own and entry.task_id and not task and not records then
        retire(self, entry)
      elseif entry.task_id and not task or not entry.task_id and now - entry.at > PATIENCE then
        self.entries[hash] = nil
      else
        live = live + 1
      end
    end
  end
  self.fresh, self.next_sweep = 0, math.max(SWEEP_LEAST, live)
end

-- Named here so that the table has its size at once.
local function add(self, hash, own)
  local entry = {
    hash = hash, at = core.now(), own = own, task_id = nil, final = nil, over = nil, due = nil, in_line = nil, next_at = nil, tries = nil,
  }
  self.fresh = self.fresh + 1
  if self.fresh > self.next_sweep then sweep(self) end
  self.entries[hash] = entry
  return entry
end

---A new token of this client's next submit.
---@return string token
---@return string hash
function Tokens_methods:issue()
  local token = core.token(BYTES)
  local hash = core.sha256(token)
  add(self, hash, true)
  return token, hash
end

---The digest of a token as it stands in a path, or nil when there can be none.
---@param path string
---@return string|nil hash
function Tokens_methods:hash(path) -- luacheck: ignore self
  local token = path:match("^[^?#]*"):match("([^/]+)/?$")
  if not token or #token ~= 2 * BYTES or not token:find("^%x+$") then return nil end
  return core.sha256(token:lower())
end

local ended = { success = true, failed = true, gone = true }

-- What the ledger says, which other programs write, too.
local function learn(self, entry, ledger, row)
  entry.ledger, entry.row, entry.task_id, entry.unknown = ledger, row, row.task_id or entry.task_id, row.state == "unknown" or nil
  entry.foreign = not self.client:serves(row) or nil
  if ended[row.state] then retire(self, entry) end
end

---The entry of a token that this receiver has issued.
---@param hash string
---@return omni.Token
function Tokens_methods:issued(hash)
  return self.entries[hash] or add(self, hash, true)
end

---The row of a submit with this token, and the ledger that has it.
---@param hash string
---@return table|nil row
---@return omni.Records|nil
---@return omni.Error|nil err  a ledger can't be read
function Tokens_methods:look_up(hash)
  local ledgers, problem = self.client:ledgers()
  for _, ledger in ipairs(ledgers) do
    local row, failure = ledger:row("by_token", { token = hash })
    if row then return row, ledger end
    problem = problem or failure
  end
  return nil, nil, problem
end

---The entry of a digest. May ask the ledger, and wait for it.
---@param hash string
---@return omni.Token|nil
---@return omni.Error|nil err  the ledger can't be read
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

---A task is over: callbacks for it are taken without a query from now on.
Tokens_methods.retire = retire

---@param hash string
function Tokens_methods:forget(hash)
  self.entries[hash] = nil
end

---@param client omni.Client
---@return omni.Tokens
local function new(client)
  return setmetatable({
    client = client, entries = {}, tasks = setmetatable({}, { __mode = "v" }), ended = {}, ended_last = 0,
    fresh = 0, next_sweep = SWEEP_LEAST,
  }, Tokens_mt)
end

return { new = new, KEPT = KEPT }
