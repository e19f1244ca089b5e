-- SPDX-License-Identifier: MIT
-- `omni query ID`: asks for a task's state, once.

local call = require "omni.cli.service_command"

local command = { summary = "Ask for a task's state, once." }

function command.define(parser)
  parser:argument("id", "The task's id."):argname("ID")
  call.define(parser)
end

-- What the service said, as it came: [] isn't {}. The path of the callback URL is left out: it holds a secret, by which whoever has it
-- could send callbacks.
local function raw_of(task)
  local raw = require("omni.json").decode(require("omni.text").unmarked(task.answer)).data
  local param = type(raw.param) == "table" and raw.param or {}
  if type(param.callback_url) == "string" then
    local host = param.callback_url:match "^%a+://[^/?#]*"
    param.callback_url = host and host .. "/..." or "..."
  end
  return raw
end

---@param given table  what argparse found
---@return integer exit code
function command.run(given)
  return call.run(given, function(called)
    local task, problem = called.client:query(given.id)
    if not task then return called:fail(problem) end
    local shown = require "omni.cli.view.task"
    local event = shown.event(task)
    event.raw = raw_of(task)
    called:event("task", event)
    called:print(shown.lines(task, called.manner))
    return 0
  end)
end

return command
