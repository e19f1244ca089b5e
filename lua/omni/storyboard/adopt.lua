-- SPDX-License-Identifier: MIT
-- Gives a task that exists at the service to a scene whose submit has an unknown outcome: a person says that it is that one, and
-- nothing that the service tells of it may say otherwise.

local claims = require "omni.claim"
local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"
local options = require "omni.options"
local plans = require "omni.storyboard.plan"

local function unfit(field, message, hint)
  return nil, err.new { code = "invalid_input", field = field, message = "adopt: " .. message, hint = hint }
end

-- The submit of unknown outcome that is to get the task; nothing when it has it already.
local function submit_of(board, given)
  local plan, problem = plans.make(board, { client = given.client, directory = given.directory, prices = false })
  if not plan then return nil, problem end
  local entry = plan.by_name[given.scene]
  if not entry then
    return unfit("scene", ('the board has no scene "%s"; %s')
      :format(core.clean(given.scene, 100), options.unknown(given.scene, plan.by_name)))
  end
  local row = entry.row
  if row and row.task_id == given.task_id and entry.action ~= "unknown" then return nil end
  if entry.action ~= "unknown" then
    return unfit("scene", ('scene "%s" has no submit of unknown outcome'):format(core.clean(entry.scene)),
      "see what has one: omni plan BOARD, omni status")
  end
  return row
end

local function adopt(board, given)
  local row, problem = submit_of(board, given)
  if not row then return not problem or nil, problem end
  local task
  task, problem = claims.claim(given.client, row, given.task_id)
  if not task then return nil, problem end
  return true
end

local known_options = { client = "any", directory = "string", scene = "string", task_id = "string" }

---Says that a task is the one of a scene's submit whose outcome is unknown; the next run waits for it, and fetches it, as if its id had
---come back then. The task must exist, have the model and the input that were submitted, field by field, and stand nowhere in the
---ledger. Nothing changes when the scene has that task already. Submits nothing.
---@param board omni.Storyboard
---@param given { client: omni.Client, directory: string, scene: string, task_id: string }  directory: that of omni.run_storyboard
---@return boolean|nil done   true
---@return omni.Error|nil err codes: task_mismatch, not_found, invalid_input (no such scene, nothing of it is unknown), ledger_failed, ...
local function adopt_task(board, given)
  options.check(given, known_options, "omni.adopt_task")
  for _, name in ipairs { "client", "directory", "scene", "task_id" } do
    if not given or given[name] == nil then error(("omni.adopt_task: option '%s' is missing"):format(name), 2) end
  end
  loop.in_fiber "omni.adopt_task"
  return loop.drive(adopt, board, given)
end

return { adopt = adopt_task }
