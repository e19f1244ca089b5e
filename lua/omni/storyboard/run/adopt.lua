-- SPDX-License-Identifier: MIT
-- Gives a task that exists at the service to a scene whose submit has an unknown outcome, or whose row in the ledger was lost: a person
-- says that it is that one, and nothing that the service tells of it may say otherwise.

local matching = require "omni.client.match_task"
local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"
local options = require "omni.options"
local plans = require "omni.storyboard.plan"

local function unfit(field, message, hint)
  return nil, err.new { code = "invalid_input", field = field, message = "adopt: " .. message, hint = hint }
end

-- Why the scene's submit can't get the task.
local function submitted_already(scene, row)
  local task = row and row.task_id and (" (task %s)"):format(core.clean(row.task_id, 100)) or ""
  return unfit("scene", ('scene "%s" has no submit of unknown outcome: it is %s%s')
    :format(core.clean(scene, 100), row and row.state == "success" and "done" or "in flight", task),
    "see what has one: omni plan BOARD, omni status")
end

-- Finds the scene's submit of unknown outcome, or the place of one that was lost, and gives it the task.
local function adopt(board, given)
  local plan, problem = plans.make(board, { client = given.client, directory = given.directory, prices = false })
  if not plan then return nil, problem end
  local scene = plan.by_name[given.scene]
  if not scene then
    return unfit("scene", ('the board has no scene "%s"; %s')
      :format(core.clean(given.scene, 100), options.unknown(given.scene, plan.by_name)))
  end
  local row = scene.row
  local done
  if scene.action == "unknown" then
    done, problem = matching.match(given.client, plan.ledger, row, given.task_id)
  elseif scene.error then
    return nil, scene.error
  elseif scene.twin then
    return unfit("scene", ('scene "%s" is equal to scene "%s": give the task to that one'):format(core.clean(given.scene, 100), scene.twin))
  elseif row and row.task_id == given.task_id then
    return true
  elseif row then
    return submitted_already(given.scene, row)
  else
    done, problem = matching.match_lost(given.client, plan.ledger, {
      board = plan.board_key, scene = scene.scene, identity = scene.identity, base = scene.base, take = scene.take, form = scene.form,
      model = scene.model, input = board.scenes[scene.index].input,
    }, given.task_id)
  end
  return done and true, problem
end

local known_options = { client = "any", directory = "path", scene = "string", task_id = "string" }

---Says that a task is the one of a scene's submit whose outcome is unknown; the next run waits for it, and fetches it, as if its id had
---come back then. The task must exist, have the model and the input that were submitted, field by field, and stand nowhere in the
---ledger. A scene that the ledger knows nothing of, because it was lost, gets a row for it; the URLs of files that were uploaded for it
---can't be compared then. Nothing changes when the scene has that task already. Submits nothing.
---@param board omni.Storyboard
---@param given omni.AdoptOptions
---@return boolean|nil done   true
---@return omni.Error|nil err codes: task_mismatch, not_found, invalid_input (no such scene, it has another task), ledger_failed, ...
local function adopt_task(board, given)
  options.check(given, known_options, "omni.adopt_task")
  for _, name in ipairs { "client", "directory", "scene", "task_id" } do
    if not given or given[name] == nil then error(("omni.adopt_task: option '%s' is missing"):format(name), 2) end
  end
  loop.in_fiber "omni.adopt_task"
  return loop.drive(adopt, board, given)
end

return { adopt = adopt_task }
