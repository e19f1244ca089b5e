-- SPDX-License-Identifier: MIT
-- What can go wrong in the sandbox, one row each, and the words to ask for it: "NAME[:key=value,...]" (docs/sandbox.md).

local err = require "omni.error"
local options = require "omni.options"
local random = require "omni.sandbox.random"

-- What a request can be: calls of the API; a clip, an uploaded file, the bytes of one on their way here.
local api = { submit = true, query = true, estimate = true, balance = true, upload_url = true }
local kinds = { media = true, file = true, upload = true }
for kind in pairs(api) do kinds[kind] = true end

-- What a key's value may be: a function from text to a value, or to nil and what is allowed.
local keys = {}

function keys.on(text)
  if text == "any" then return api end
  local set = {}
  for kind in (text .. "+"):gmatch "([^+]*)%+" do
    if not kinds[kind] then
      return nil, "any, submit, query, estimate, balance, upload_url, upload, file or media (several joined with +)"
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
keys.first = keys.every

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
  if text == "" then return nil, "a text that the prompt contains" end
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

---The date of HTTP headers.
---@param seconds integer  Unix seconds
---@return string
local function http_date(seconds)
  return os.date("!%a, %d %b %Y %H:%M:%S GMT", seconds) --[[@as string]]
end

-- An answer with this code, as HTTP status or under HTTP 200.
local function answering(status, code, message)
  return function(response, fault)
    local wait = fault.retry_after
    response.status, response.code, response.message, response.data = status, code, message, nil
    response.body = nil
    response.headers = { ["Retry-After"] = wait and (wait.seconds or http_date(os.time() + wait.ahead)) or nil }
  end
end

local function hang_up(response, fault)
  response.drop, response.reset = true, fault.reset
end

local function cut(response, fault)
  response.cut, response.reset = true, fault.reset
end

local function with_body(context) return context.method ~= "HEAD" end
local function from_start(context)
  return with_body(context) and (not context.range or context.range:find "^bytes=0%-" ~= nil)
end

---@class omni.sandbox.FaultRow
---@field name string
---@field about string
---@field when "task"|"before"|"after"  at what: a task's fate, or a request before or after it is handled
---@field on? table<string, boolean>    fixed: there is no key `on`
---@field keys? string[]                beside those of every fault
---@field only? fun(context: table): boolean
---@field effect fun(subject: table, fault: table)  edits the task's fate or the response

---@type omni.sandbox.FaultRow[]
local rows = {
  { name = "fail", when = "task", on = { task = true }, keys = { "reason" }, about = "the task fails (its result has code 501)",
    effect = function(fate, fault)
      fate.ends, fate.reason = "failed", fault.reason or "the sandbox was asked to let this task fail"
    end },
  { name = "no-media", when = "task", on = { task = true }, about = "the task succeeds, but without a media URL",
    effect = function(fate) fate.no_media = true end },
  { name = "never", when = "task", on = { task = true }, about = "the task runs and never ends",
    effect = function(fate) fate.never = true end },
  { name = "drop-before", when = "before", keys = { "reset" }, effect = hang_up,
    about = "the connection is closed before the request is handled: nothing is charged" },
  { name = "drop-after", when = "after", keys = { "reset" }, effect = hang_up,
    about = "the request is handled, and charged; then the connection is closed without an answer" },
  { name = "cut", when = "after", keys = { "reset" }, effect = cut, only = with_body,
    about = "the answer breaks off in its middle" },
  { name = "garbage", when = "after", about = "the answer is an HTML page under HTTP 200",
    effect = function(response)
      response.status, response.headers = 200, { ["Content-Type"] = "text/html" }
      response.body = "<!DOCTYPE html>\n<html><body><h1>We'll be back soon</h1></body></html>\n"
    end },
  { name = "slow", when = "after", keys = { "delay" }, about = "the request is handled, and answered late (delay=2)",
    effect = function(response, fault) response.delay = (response.delay or 0) + (fault.delay or 2) end },
  { name = "media-cut", when = "after", on = { media = true }, keys = { "reset" }, effect = cut, only = from_start,
    about = "a download from a clip's beginning breaks off in its middle; one that continues (Range) does not" },
  { name = "media-expired", when = "before", on = { media = true }, about = "a clip isn't there any more: HTTP status 403",
    effect = answering(403, 403, "this file has expired") },
  { name = "upload-expired", when = "before", on = { upload = true }, about = "the presigned URL of an upload has expired: HTTP status 403",
    effect = answering(403, 403, "the presigned URL has expired") },
}

local codes = {
  { 429, "rate limited" }, { 455, "under maintenance" }, { 500, "unexpected server error" },
  { 503, "temporarily unavailable" }, { 505, "this feature is disabled" },
}
for _, row in ipairs(codes) do
  local code, message = row[1], row[2]
  rows[#rows + 1] = { name = "status-" .. code, when = "before", keys = { "retry_after", "when" },
    about = ("HTTP status %d: %s"):format(code, message), effect = answering(code, code, message) }
  rows[#rows + 1] = { name = "envelope-" .. code, when = "before", keys = { "retry_after", "when" },
    about = ("HTTP status 200 with code %d in the envelope"):format(code), effect = answering(200, code, message) }
end

local by_name = {}
for _, row in ipairs(rows) do
  by_name[row.name] = row
  row.known = { every = true, first = true, chance = true, match = true, on = not row.on or nil }
  for _, key in ipairs(row.keys or {}) do row.known[key] = true end
end

local function refuse(spec, message)
  return nil, err.new { code = "invalid_fault", field = "faults", message = ("fault '%s': %s"):format(spec, message),
    hint = "a fault is NAME or NAME:key=value,key=value; see docs/sandbox.md" }
end

-- One fault of a spec. A value in double quotes may hold commas.
local function parse(spec)
  if type(spec) ~= "string" then return refuse(tostring(spec), "a fault is a string, not a " .. type(spec)) end
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
    if given[key] then return refuse(spec, ("'%s' stands there twice"):format(key)) end
    local read, allowed = keys[key](value)
    if read == nil then return refuse(spec, ("%s=%s: %s"):format(key, value, allowed)) end
    given[key], fault[key], rest = true, read, more or ""
  end
  return fault
end

-- Whether a fault strikes now. Every matching one is counted; what every, chance and first say is asked in this order.
local function strikes(fault, kind, context)
  if not fault.on[kind] then return false end
  if fault.row.only and not fault.row.only(context) then return false end
  if fault.match and not (context.prompt or ""):find(fault.match, 1, true) then return false end
  fault.seen = fault.seen + 1
  if fault.every and fault.seen % fault.every ~= 0 then return false end
  if fault.chance and random.fraction(fault.stream) >= fault.chance then return false end
  if fault.first and fault.fired >= fault.first then return false end
  fault.fired = fault.fired + 1
  return true
end

local Faults_methods = {}
local Faults_mt = { __name = "omni.sandbox.faults", __index = Faults_methods }

---The faults that strike now, in the order in which they were asked for. Asked once for each request and each task.
---@param kind "submit"|"query"|"estimate"|"balance"|"upload_url"|"upload"|"file"|"media"|"task"
---@param context { prompt?: string, method?: string, range?: string }
---@return table[]
function Faults_methods:strike(kind, context)
  local struck = {}
  for _, fault in ipairs(self) do
    if strikes(fault, kind, context) then struck[#struck + 1] = fault end
  end
  return struck
end

---Lets those of `struck` that work at `when` edit the subject.
---@param struck table[]
---@param when "task"|"before"|"after"
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

---Reads what is asked for.
---@param specs? string[]
---@param seed? integer  decides what `chance` does (default 1)
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

return { open = open, apply = apply, rows = rows, http_date = http_date }
