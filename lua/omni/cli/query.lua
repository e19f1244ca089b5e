-- SPDX-License-Identifier: MIT
-- `omni query ID`: asks for a task's state, once.

local call = require "omni.cli.call"

local command = { summary = "Ask for a task's state, once." }

function command.define(parser)
  parser:argument("id", "The task's id."):argname("ID")
  call.define(parser)
end

---@param given table  what argparse found
---@return integer exit code
function command.run(given)
  return call.run(given, function(called)
    local task, problem = called.client:query(given.id)
    if not task then return called:fail(problem) end
    local shown = require "omni.cli.task"
    local event = shown.event(task)
    event.raw = require("omni.sandbox.json").decode(task.answer).data -- as it came: [] isn't {}
    called:event("task", event)
    called:print(shown.lines(task, called.manner))
    return 0
  end)
end

return command
