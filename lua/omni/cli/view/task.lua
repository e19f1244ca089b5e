-- SPDX-License-Identifier: MIT
-- Formats a task as text and as a `task` event.

local table_of = require "omni.cli.view.table"
local text = require "omni.cli.view.text"

---Returns how many seconds a task took according to the service.
---@param task omni.Task
---@return number|nil
local function took(task)
  return task.duration or task.completed_at and task.created_at and task.completed_at - task.created_at or nil
end

---Returns a task's fields as lines.
---@param task omni.Task
---@param options { columns?: integer, paint?: function, sandbox?: boolean }  as for omni.cli.table
---@return string[]
local function lines(task, options)
  local seconds, problem = took(task), task.error
  return table_of.list({
    { "task", task.id },
    { "status", task.status, task.status },
    { "model", task.model },
    { "created", task.created_at and text.moment(task.created_at) },
    { "took", seconds and seconds >= 0 and text.elapsed(seconds) or nil },
    { "cost", task.credits and text.credits(task.credits, options.sandbox) },
    { "reserved", task.reserved_credits and text.credits(task.reserved_credits, options.sandbox) },
    { "media", task.media },
    { "error", problem and (problem.message or problem.code) },
    { "", problem and problem.hint },
  }, options)
end

---Describes a task in one line, such as "d696...  success in 0:42, 40 credits".
---@param task omni.Task
---@param options { sandbox?: boolean }
---@return string
local function line(task, options)
  local seconds = took(task)
  return ("%s  %s%s%s"):format(task.id, text.clean(task.status), seconds and seconds >= 0 and " in " .. text.elapsed(seconds) or "",
    task.credits and ", " .. text.credits(task.credits, options.sandbox) or "")
end

---Returns the fields of a `task` event (json_events.lua).
---@param task omni.Task
---@return table
local function event(task)
  return {
    task_id = task.id, status = task.status, model = task.model, created_at = task.created_at, completed_at = task.completed_at,
    duration = task.duration, credits = task.credits, reserved_credits = task.reserved_credits,
    media = task.media, error = task.error,
  }
end

---Returns the task object from the response, with empty arrays ([]) and empty objects ({}) kept distinct. Removes the callback URL's path,
---because anybody who knows this secret path could send callbacks.
---@param task omni.Task
---@return table
local function raw(task)
  local data = require("omni.json").decode(require("omni.text_encoding").unmarked(task.answer)).data
  local param = type(data.param) == "table" and data.param or {}
  if type(param.callback_url) == "string" then
    local host = param.callback_url:match "^%a+://[^/?#]*"
    param.callback_url = host and host .. "/..." or "..."
  end
  return data
end

return { event = event, line = line, lines = lines, raw = raw }
