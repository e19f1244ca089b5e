-- SPDX-License-Identifier: MIT
-- Parses fault specs of the form "NAME[:key=value,...]" (docs/sandbox.md), and decides when a fault occurs. The faults themselves are
-- defined in fault_kinds.lua.

local err = require "omni.error"
local options = require "omni.options"
local random = require "omni.sandbox.random"
local rows = require "omni.sandbox.fault_kinds"

-- The request kinds that a fault spec can name: API calls, downloads of clips and of uploaded files, and uploads.
local api = {
  submit = true, query = true, estimate = true, older_estimate = true, balance = true, models = true, templates = true,
  upload_url = true,
}
local kinds = { media = true, file = true, upload = true }
for kind in pairs(api) do kinds[kind] = true end

-- Key → a function that reads its value; it returns nil and the allowed values for a wrong one.
local keys = {}

function keys.on(text)
  if text == "any" then return api end
  local set = {}
  for kind in (text .. "+"):gmatch "([^+]*)%+" do
    if not kinds[kind] then
      return nil, "any, submit, query, estimate, older_estimate, balance, models, templates, upload_url, upload, file or media "
        .. "(several joined with +)"
    end
    set[kind] = true
  end
  return set
end

function keys.every(text)
  local n = math.tointeger(tonumber(text:match "^%d+$"))
  if not n or n < 1 then return nil, "a whole number, 1 or more" end
  return n
end
keys.first, keys.key, keys.skip = keys.every, keys.every, keys.every

function keys.chance(text)
  local p = tonumber(text:match "^[%d.]+$")
  if not p or p > 1 then return nil, "a number from 0 to 1" end
  return p
end

function keys.delay(text)
  local seconds = tonumber(text:match "^[%d.]+$")
  if not seconds then return nil, "a number of seconds" end
  return seconds
end

function keys.retry_after(text)
  local seconds = text:match "^%d+$"
  local ahead = text == "date" and "2" or text:match "^date%+(%d+)$"
  if not seconds and not ahead then return nil, "whole seconds, date, or date+SECONDS" end
  return { seconds = seconds, ahead = math.tointeger(tonumber(ahead)) }
end

function keys.match(text)
  if text == "" then return nil, "a part of the prompt" end
  return text
end

function keys.reason(text) return text end

local function one_of(values)
  return function(text)
    if values[text] == nil then return nil, options.unknown(text, values) end
    return values[text]
  end
end
keys.reset = one_of { yes = true, no = false }
keys.when = one_of { before = "before", after = "after" }
keys.kind = one_of { status = "status", id = "id", garbage = "garbage" }

local by_name = {}
for _, row in ipairs(rows) do
  by_name[row.name] = row
  row.known = { every = true, first = true, skip = true, chance = true, match = true, key = true, on = not row.on or nil }
  for _, key in ipairs(row.keys or {}) do row.known[key] = true end
end

local function refuse(spec, message)
  return nil, err.new { code = "invalid_fault", field = "faults", message = ("fault '%s': %s"):format(spec, message),
    hint = "a fault is NAME or NAME:key=value,key=value; see docs/sandbox.md" }
end

-- Parses a single fault spec. A value in double quotes may contain commas.
local function parse(spec)
  if type(spec) ~= "string" then return refuse(tostring(spec), "expected a string, got " .. type(spec)) end
  local name, rest = spec:match "^%s*([^:%s]*)%s*:?(.*)$"
  local row = by_name[name]
  if not row then return refuse(spec, ("there is no fault '%s'; %s"):format(name, options.unknown(name, by_name))) end
  local fault = { row = row, when = row.when, on = row.on or api, seen = 0, fired = 0 }
  local given = {}
  rest = rest:match "^%s*(.-)%s*$"
  while rest ~= "" do
    local key, value, more = rest:match '^([^=,]-)%s*=%s*"([^"]*)"%s*,?%s*(.*)$'
    if not key then key, value, more = rest:match "^([^=,]-)%s*=%s*([^,]-)%s*,%s*(.*)$" end
    if not key then key, value, more = rest:match "^([^=,]-)%s*=%s*([^,]-)%s*$" end
    if not key then return refuse(spec, ("'%s' isn't key=value"):format(rest:match "^[^,]*")) end
    if not row.known[key] then
      return refuse(spec, ("%s takes no '%s'; %s"):format(name, key, options.unknown(key, row.known)))
    end
    if given[key] then return refuse(spec, ("'%s' is given twice"):format(key)) end
    local read, allowed = keys[key](value)
    if read == nil then return refuse(spec, ("%s=%s: %s"):format(key, value, allowed)) end
    given[key], fault[key], rest = true, read, more or ""
  end
  return fault
end

-- Returns whether a fault applies to this request. Counts every matching request, then applies the fault's `skip`, `every`, `chance` and
-- `first`, in this order.
local function strikes(fault, kind, context)
  if not fault.on[kind] then return false end
  if fault.row.only and not fault.row.only(context) then return false end
  if fault.match and not (context.prompt or ""):find(fault.match, 1, true) then return false end
  if fault.key and context.key ~= fault.key then return false end
  fault.seen = fault.seen + 1
  local seen = fault.seen - (fault.skip or 0)
  if seen < 1 or fault.every and seen % fault.every ~= 0 then return false end
  if fault.chance and random.fraction(fault.stream) >= fault.chance then return false end
  if fault.first and fault.fired >= fault.first then return false end
  fault.fired = fault.fired + 1
  return true
end

local Faults_methods = {}
local Faults_mt = { __name = "omni.sandbox.faults", __index = Faults_methods }

---Returns the faults that apply to the current event, in the order of their specs. The sandbox calls `strike` once for each request, once
---for each task, and once for each task's callbacks.
---@param kind string  the kind of a request (`kinds`), "task" or "callback"
---@param context { prompt?: string, method?: string, range?: string, key?: integer }  key: the number of the key, counting from 1
---@return table[]
function Faults_methods:strike(kind, context)
  local struck = {}
  for _, fault in ipairs(self) do
    if strikes(fault, kind, context) then struck[#struck + 1] = fault end
  end
  return struck
end

---Applies those of the `struck` faults whose `when` has the given value. The faults change the subject, for example a response.
---@param struck table[]
---@param when "task"|"callback"|"before"|"after"
---@param subject table
---@return boolean changed
local function apply(struck, when, subject)
  local changed = false
  for _, fault in ipairs(struck) do
    if fault.when == when and not (when == "before" and changed) then
      fault.row.effect(subject, fault)
      changed = true
    end
  end
  return changed
end

---Parses the fault specs in the sandbox's options.
---@param specs? string[]
---@param seed? integer  seed for the faults' `chance` (default 1)
---@return table|nil faults  `faults:strike(kind, context)`
---@return omni.Error|nil
local function open(specs, seed)
  local faults = setmetatable({}, Faults_mt)
  for i, spec in ipairs(specs or {}) do
    local fault, failure = parse(spec)
    if not fault then return nil, failure end
    fault.stream = random.stream(seed or 1, "fault " .. i)
    faults[i] = fault
  end
  return faults
end

return { open = open, apply = apply, rows = rows }
