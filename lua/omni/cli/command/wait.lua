-- SPDX-License-Identifier: MIT
-- `omni wait ID...`: waits until tasks are over, and shows what became of them.

local call = require "omni.cli.service_command"
local common = require "omni.cli.common"

local command = { summary = "Wait until tasks are over." }

function command.define(parser)
  parser:argument("ids", "The tasks' ids."):argname("ID"):args("+")
  common.amount(parser:option("--timeout", "Wait for S seconds at most (default: 1800)."):argname("S"))
  call.define(parser)
end

-- The tasks, each once; or nil and what can't be one.
local function tasks_of(called, ids)
  local tasks, seen = {}, {}
  for _, id in ipairs(ids) do
    local task, problem = called.client:task(id)
    if not task then return nil, problem end
    if not seen[id] then tasks[#tasks + 1] = task end
    seen[id] = true
  end
  return tasks
end

---@param given table  what argparse found
---@return integer exit code
function command.run(given)
  local tasks
  return call.run(given, function(called)
    local problem
    tasks, problem = tasks_of(called, given.ids)
    if not tasks then return called:fail(problem) end
    return require("omni.cli.view.task_progress").wait(called, tasks, given.timeout) and 0 or 1
  end, function(called) return require("omni.cli.view.task_progress").tell_interrupted(called, tasks or {}) end)
end

return command
