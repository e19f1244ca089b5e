-- SPDX-License-Identifier: MIT
-- One kind of error value: what can go wrong at run time is returned as `nil, err`, and `err` is one of these.

local core = require "omni.core"

---@class omni.Error
---@field code string          a short name out of the documented set (docs/errors.md)
---@field message string       what happened, fit for a person; never holds a key
---@field status? integer      the service's number (envelope code, else HTTP status), if it answered
---@field sent? "no"|"maybe"|"answered"  how far a request got
---@field task_id? string      the task that it is about
---@field field? string        the input's field that it is about
---@field task_status? string  of a time-out: what the service last said of the task
---@field balance? number      credits that the account has, where a refusal for lack of them says it
---@field retry_after? number  seconds that the service asked us to wait
---@field hint? string         what the user can do
---@field cause? any           the error value underneath
---@field traceback? string    where a coroutine failed
local Error_mt = { __name = "omni.error" }
Error_mt.__index = Error_mt

-- Fit for a terminal; line breaks and tabs, as a traceback has them, stay.
local function cleaned(text)
  return (text:gsub("[^\n\t]+", function(part) return (core.clean(part)) end))
end

-- It may hold what a service said, and is what Lua's own interpreter prints.
function Error_mt:__tostring()
  local about = {}
  if self.status then about[#about + 1] = "status " .. self.status end
  if self.task_id then about[#about + 1] = "task " .. self.task_id end
  local text = self.message or self.code
  if #about > 0 then text = text .. " (" .. table.concat(about, ", ") .. ")" end
  if self.hint then text = text .. "\n  " .. self.hint end
  if self.traceback then text = text .. "\n" .. self.traceback end
  return cleaned(text)
end

---Makes an error value out of a table of its fields (the table itself is used).
---@param fields table
---@return omni.Error
local function new(fields)
  return setmetatable(fields, Error_mt)
end

---Tells whether a value is one of omni's error values.
---@param value any
---@return boolean
local function is(value)
  return getmetatable(value) == Error_mt
end

---A copy of an error value, or of a failure that isn't one yet: what one of several waiters does with its own changes nobody else's.
---@generic T: table
---@param problem T
---@return T
local function copy(problem)
  local own = {}
  for name, value in next, problem do own[name] = value end
  return setmetatable(own, getmetatable(problem))
end

---Whether an error says that the service doesn't take the key: it is missing, not valid, or disabled.
---@param problem table
---@return boolean
local function refuses_key(problem)
  return problem.code == "unauthorized" or problem.code == "key_disabled"
end

return { copy = copy, is = is, new = new, refuses_key = refuses_key }
