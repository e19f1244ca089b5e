-- SPDX-License-Identifier: MIT
-- `omni wait ID...`: waits until tasks have ended, and prints each task.

local options = require "omni.cli.options"
local service_command = require "omni.cli.service_command"

local command = { summary = "Wait until tasks have ended." }

function command.define(parser)
  parser:argument("ids", "The ids of the tasks."):argname("ID"):args("+")
  options.amount(parser:option("--timeout", "Wait at most S seconds (default: 1800)."):argname("S"))
  service_command.define(parser)
end

-- Returns the tasks with these ids, without duplicates. If an argument isn't a task id, returns nil and an error.
local function tasks_of(client, ids)
  local tasks, seen = {}, {}
  for _, id in ipairs(ids) do
    local task, problem = client:task(id)
    if not task then return nil, problem end
    if not seen[id] then tasks[#tasks + 1] = task end
    seen[id] = true
  end
  return tasks
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  local progress = require "omni.cli.view.task_progress"
  local tasks
  return service_command.run(given, function(called)
    local problem
    tasks, problem = tasks_of(called.client, given.ids)
    if not tasks then return called:fail(problem) end
    return progress.wait(called, tasks, given.timeout) and 0 or 1
  end, function(called) return progress.interrupted(called, tasks or {}) end)
end

return command
