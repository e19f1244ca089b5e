-- SPDX-License-Identifier: MIT
-- `omni query ID`: queries a task once, and prints its state.

local service_command = require "omni.cli.service_command"

local command = { summary = "Query the state of a task once." }

function command.define(parser)
  parser:argument("id", "The id of the task."):argname("ID")
  service_command.define(parser)
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  return service_command.run(given, function(called)
    local task, problem = called.client:query(given.id)
    if not task then return called:fail(problem) end
    local view = require "omni.cli.view.task"
    local event = view.event(task)
    event.raw = view.raw(task)
    called:event("task", event)
    called:print(view.lines(task, called.format))
    return 0
  end)
end

return command
