-- SPDX-License-Identifier: MIT
-- `omni fetch ID --out DIR`: brings the files of a task into a folder, once it is over.

local call = require "omni.cli.service_command"
local common = require "omni.cli.common"

local command = { summary = "Fetch the files of a task, once it is over." }

function command.define(parser)
  parser:argument("id", "The task's id."):argname("ID")
  common.path(parser:option("--out", "The folder (default: this one). It is made when it isn't there."):argname("DIR"))
  parser:mutex(
    common.amount(parser:option("--timeout", "Wait for S seconds at most, when the task isn't over (default: 1800)."):argname("S")),
    parser:flag("--no-wait", "Fetch nothing when the task isn't over."))
  parser:flag("--any", "Take files of any kind, also text and archives; else only what may be a picture, a film or a sound.")
  call.define(parser)
end

-- The task, asked for; or nil and why nothing can be fetched.
local function find(called)
  local given = called.given
  local task, problem = called.client:query(given.id)
  if task and given.no_wait and not task:done() then
    return nil, require("omni.error").new { code = "not_done", task_id = task.id, hint = "leave --no-wait out to wait for it",
      message = ("the task isn't over (%s)"):format(require("omni.core").clean(task.status)) }
  end
  return task, problem
end

---@param given table  what argparse found
---@return integer exit code
function command.run(given)
  local task
  given.out = given.out or "."
  return call.run(given, function(called)
    local problem
    task, problem = find(called)
    return task and require("omni.cli.task_files").follow(called, task) or called:fail(problem)
  end, function(called)
    return require("omni.cli.view.task_progress").tell_interrupted(called, { task or called.client:task(given.id) })
  end)
end

return command
