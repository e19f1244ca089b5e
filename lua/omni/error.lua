-- SPDX-License-Identifier: MIT
-- omni's error values. If something goes wrong at run time, omni's functions return nil and an error value.

local core = require "omni.core"

---@class omni.Error
---@field code string          one of the codes in docs/errors.md
---@field message string       a human-readable description of what happened; never contains an API key
---@field status? integer      the service's code (from the envelope, or else the HTTP status), if the service responded
---@field sent? "no"|"maybe"|"answered"  how far a request got
---@field task_id? string      the task that the error is about
---@field call? string         the public function that returned it, such as "client:submit"
---@field field? string        the input field that the error is about
---@field task_status? string  for a timeout: the last status that the service reported
---@field balance? number      the account's credits, if the service reports them when it refuses a task for lack of credits
---@field retry_after? number  number of seconds to wait before a retry, as the service requested
---@field row? integer         for a submit with an unknown outcome: the number of its ledger row
---@field package unknown? boolean  for `invalid_input`: the model has no field with this name
---@field where? string        for an error in a board: its file and line, "board.lua:12"
---@field scene? string        for an error in a board: the name of the scene
---@field problems? omni.Error[]  for a board or a plan with errors: all of them, including this one
---@field changes? string[]    for `plan_changed`: what has changed since the plan was made
---@field hint? string         what you can do about it
---@field cause? any           the error value that caused this one
---@field others? omni.Error[] from `omni.join`: the errors of the other fibers that failed
---@field traceback? string    the stack traceback of the coroutine that failed
local Error_mt = { __name = "omni.error" }
Error_mt.__index = Error_mt

-- Returns a copy of the text that is safe to print to a terminal. Keeps line breaks and tabs, because tracebacks contain them.
local function cleaned(text)
  return (text:gsub("[^\n\t]+", function(part) return (core.clean(part)) end))
end

-- Returns the text that the Lua interpreter prints for an uncaught error. Removes control characters, because an error's message may quote
-- a response from the service.
function Error_mt:__tostring()
  local about = {}
  if self.status then about[#about + 1] = "status " .. self.status end
  if self.task_id then about[#about + 1] = "task " .. self.task_id end
  local text = self.message or self.code
  if self.field and not text:find(self.field, 1, true) then about[#about + 1] = "field " .. self.field end
  local call = self.call
  if call and text:sub(1, #call) ~= call then text = call .. ": " .. text end
  if #about > 0 then text = text .. " (" .. table.concat(about, ", ") .. ")" end
  if self.hint then text = text .. "\n  " .. self.hint end
  if self.traceback then text = text .. "\n" .. self.traceback end
  return cleaned(text)
end

-- Lets programs concatenate an error with a string, as in `"it failed: " .. err`. The error is converted to the text that `print` shows for
-- it.
function Error_mt.__concat(a, b)
  return tostring(a) .. tostring(b)
end

---Turns a table of fields into an error value. Modifies the table in place and returns it.
---@param fields table
---@return omni.Error
local function new(fields)
  return setmetatable(fields, Error_mt)
end

---Returns whether a value is one of omni's error values.
---@param value any
---@return boolean
local function is(value)
  return getmetatable(value) == Error_mt
end

---Returns a copy of an error value, or of an internal failure, so that each of several waiting fibers can change its own copy.
---@generic T: table
---@param problem T
---@return T
local function copy(problem)
  local own = {}
  for name, value in next, problem do own[name] = value end
  return setmetatable(own, getmetatable(problem))
end

-- The public fields of an error. An internal failure also has fields that only omni's own retries use, such as `retry`, `offset`, `stamp`
-- and `redirect`.
local PUBLIC <const> = { "code", "message", "status", "sent", "task_id", "call", "field", "task_status", "balance", "retry_after", "row",
  "hint", "cause" }

---Turns an internal failure into a public error, without the fields that only omni's own retries need.
---@param failure table
---@param task_id? string  the task that the failure is about
---@return omni.Error
local function public(failure, task_id)
  local fields = {}
  for _, name in ipairs(PUBLIC) do fields[name] = failure[name] end
  fields.task_id = task_id or fields.task_id
  return new(fields)
end

---Returns whether an error means that the service rejects the API key because the key is missing, invalid or disabled.
---@param problem table
---@return boolean
local function rejects_key(problem)
  return problem.code == "unauthorized" or problem.code == "key_disabled"
end

---Sets an error's `call` field to the name of the public function that returns the error. Returns the function's results.
---@param call string  "client:submit"
---@param ... any      the function's results: values, or nil and an error
---@return any ...
local function from(call, ...)
  local value, problem = ...
  if value == nil and is(problem) then problem.call = call end
  return ...
end

return { copy = copy, from = from, is = is, new = new, public = public, rejects_key = rejects_key }
