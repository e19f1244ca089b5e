-- SPDX-License-Identifier: MIT
-- Keeps the sandbox's accounts. Each of the sandbox's accounts has a key, a balance, a limit on tasks in flight and a rate limit.

local credentials = require "omni.client.credentials"
local inputs = require "omni.models.input_rules"
local json = require "omni.json"

local most_keys <const> = 1000

local account_object = json.shape { "account", "in_flight", "peak", "charged", "balance" }

---@class omni.sandbox.Account
---@field key string
---@field number integer          counted from 1
---@field account string          the key's fingerprint
---@field balance number
---@field charged number
---@field in_flight integer|nil   maximum number of tasks in flight
---@field rate number|nil         maximum number of requests per second
---@field revoked boolean
---@field running omni.sandbox.Task[]  tasks that weren't final when they were last checked

-- --- reading the options

local fields = { key = true, in_flight = true, credits = true, rate = true }

local function is_amount(value) return type(value) == "number" and value >= 0 and value < math.huge end
local function is_limit(value) return math.type(value) == "integer" and value >= 1 end

-- Returns an error message if any of an account's settings is invalid.
local function wrong_in(wanted, name)
  local key = wanted.key
  if key ~= nil and (type(key) ~= "string" or key == "" or key:find "[%c ]") then return name("key") .. " must have no spaces" end
  if wanted.in_flight and not is_limit(wanted.in_flight) then return name("in_flight") .. " must be a whole number, 1 or more" end
  if not is_amount(wanted.credits) then return name("credits") .. " must be 0 or more" end
  if wanted.rate and not (is_amount(wanted.rate) and wanted.rate > 0) then return name("rate") .. " must be more than 0" end
end

-- Reads one item of the `keys` option. The item is a key's limit on tasks in flight, or a table of the key's settings.
local function one_of(item, number, usual)
  if math.type(item) == "integer" then item = { in_flight = item } end
  if type(item) ~= "table" then
    return nil, ("option 'keys[%d]' must be a limit or { key=, in_flight=, credits=, rate= }"):format(number)
  end
  for field in pairs(item) do
    if not fields[field] then
      return nil, ("option 'keys[%d]' has no '%s'; known are: credits, in_flight, key, rate"):format(number, tostring(field))
    end
  end
  return {
    key = item.key, in_flight = item.in_flight or usual.in_flight,
    credits = item.credits or usual.credits, rate = item.rate or usual.rate,
  }
end

---Reads the options for accounts. The option `keys` is a number of keys, or an array. If `keys` is an array, each item is one key's limit
---on tasks in flight, or a table with the fields key, in_flight, credits and rate. The options in_flight, credits and rate specify default
---values for all keys.
---@param options { key?: string, keys?: integer|table, in_flight?: integer, credits?: number, rate?: number }
---@return { key?: string, in_flight?: integer, credits: number, rate?: number }[]|nil  key: nil if the sandbox makes the key
---@return string|nil message
local function read(options)
  local usual = { in_flight = options.in_flight, credits = options.credits or 10000, rate = options.rate }
  if options.keys == nil then
    local wanted = { key = options.key, in_flight = usual.in_flight, credits = usual.credits, rate = usual.rate }
    local wrong = wrong_in(wanted, function(field) return ("option '%s'"):format(field) end)
    return not wrong and { wanted } or nil, wrong
  end
  if options.key then return nil, "options 'key' and 'keys' exclude each other" end
  local items, all, seen = options.keys, {}, {}
  if math.type(items) == "integer" then
    items = {}
    for i = 1, math.min(options.keys, most_keys + 1) do items[i] = {} end
  end
  local count = inputs.array_length(items) or 0
  if count < 1 or count > most_keys then
    return nil, ("option 'keys' must be a number from 1 to %d, or an array of that many items"):format(most_keys)
  end
  for number, item in ipairs(items) do
    local wanted, message = one_of(item, number, usual)
    message = message or wrong_in(wanted, function(field) return ("option 'keys[%d].%s'"):format(number, field) end)
    if message then return nil, message end
    if wanted.key and seen[wanted.key] then return nil, ("option 'keys[%d].key' is given twice"):format(number) end
    seen[wanted.key or number], all[number] = true, wanted
  end
  return all
end

-- --- the accounts

local Accounts_methods = {}
local Accounts_mt = { __name = "omni.sandbox.accounts", __index = Accounts_methods }

---@param key string|nil
---@return omni.sandbox.Account|nil
function Accounts_methods:find(key)
  return self.by_key[key or ""]
end

---Returns whether a string contains any account's key.
---@param text string
---@return boolean
function Accounts_methods:leaks(text)
  for _, account in ipairs(self) do
    if text:find(account.key, 1, true) then return true end
  end
  return false
end

---Counts a request against the account's rate limit. A burst can contain as many requests as the limit allows in one second.
---@param account omni.sandbox.Account
---@return number|nil wait  seconds until a request would be allowed; nil if this one is allowed
function Accounts_methods:wait(account)
  if not account.rate then return nil end
  local now, most = self.now(), math.max(1, account.rate)
  account.allowed = math.min(most, (account.allowed or most) + (now - (account.counted or now)) * account.rate)
  account.counted = now
  if account.allowed < 1 then return (1 - account.allowed) / account.rate end
  account.allowed = account.allowed - 1
  return nil
end

---Returns the number of an account's tasks that aren't final.
---@param account omni.sandbox.Account
---@param tasks table
---@return integer
function Accounts_methods:count(account, tasks) -- luacheck: ignore self
  local still = {}
  for _, task in ipairs(account.running) do
    tasks:settle(task)
    if not task.completed then still[#still + 1] = task end
  end
  account.running = still
  return #still
end

---Charges an account for a new task.
---@param account omni.sandbox.Account
---@param task omni.sandbox.Task
function Accounts_methods:charge(account, task) -- luacheck: ignore self
  account.balance, account.charged = account.balance - task.credits, account.charged + task.credits
  account.running[#account.running + 1] = task
end

-- Returns the largest number of tasks that were in flight at the same time, computed from the tasks' start and end times. Counting the
-- tasks at each submit would be slow with thousands of tasks in flight.
local function peak_of(spans)
  table.sort(spans.began)
  table.sort(spans.over)
  local peak, over = 0, 0
  for begun, at in ipairs(spans.began) do
    while over + 1 < begun and spans.over[over + 1] <= at do over = over + 1 end
    peak = math.max(peak, begun - over)
  end
  return peak
end

---Returns the accounts in the form in which the charge ledger lists them.
---@param all omni.sandbox.Task[]  settled
---@return table[]
function Accounts_methods:rows(all)
  local spans, entries = {}, {}
  for _, account in ipairs(self) do spans[account] = { began = {}, over = {} } end
  for _, task in ipairs(all) do
    local of = spans[task.account]
    of.began[#of.began + 1], of.over[#of.over + 1] = task.began, task.over or math.huge
  end
  for i, account in ipairs(self) do
    entries[i] = account_object {
      account = account.account, in_flight = account.in_flight, peak = peak_of(spans[account]), charged = account.charged,
      balance = account.balance,
    }
  end
  return entries
end

---@param wanted table[]  from `read`
---@param settings { now: (fun(): number), seed?: integer, port?: integer }  seed, port: the sandbox keys depend on them
local function open(wanted, settings)
  local accounts = setmetatable({ by_key = {}, now = settings.now }, Accounts_mt)
  for number, one in ipairs(wanted) do
    local key = one.key or credentials.sandbox_key(number, settings.seed, settings.port)
    local account = {
      key = key, number = number, account = credentials.fingerprint(key), balance = one.credits, charged = 0,
      in_flight = one.in_flight, rate = one.rate, revoked = false, running = {},
    }
    accounts[number], accounts.by_key[key] = account, account
  end
  return accounts
end

return { open = open, read = read }
