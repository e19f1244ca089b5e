-- SPDX-License-Identifier: MIT
-- Assigns a task to a scene whose submit has an unknown outcome, or whose ledger row was lost. A person specifies the task, and the
-- service's data about this task must match the submit.

local arguments = require "omni.storyboard.arguments"
local matching = require "omni.client.match_task"
local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"
local options = require "omni.options"
local plans = require "omni.storyboard.plan"

local function unfit(field, message, hint)
  return nil, err.new { code = "invalid_input", field = field, message = "adopt: " .. message, hint = hint }
end

-- Returns the error for a scene that has already been submitted with a known outcome.
local function submitted_already(scene, row)
  local task = row and row.task_id and (" (task %s)"):format(core.clean(row.task_id, 100)) or ""
  return unfit("scene", ('scene "%s" has no submit with an unknown outcome: it is %s%s')
    :format(core.clean(scene, 100), row and row.state == "success" and "done" or "in flight", task),
    "omni plan BOARD and omni status list the submits with an unknown outcome")
end

-- Finds the ledger row of the submit with an unknown outcome, or recreates the lost row. Writes the task id into the submit's ledger row.
local function adopt(board, given)
  local plan, problem = plans.plan(board, { client = given.client, directory = given.directory, prices = false })
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
  elseif scene.duplicate_of then
    return unfit("scene", ('scene "%s" equals scene "%s": adopt the task for that scene')
      :format(core.clean(given.scene, 100), scene.duplicate_of))
  elseif row and row.task_id == given.task_id then
    return true
  elseif row then
    return submitted_already(given.scene, row)
  else
    done, problem = matching.match_lost(given.client, plan.ledger, {
      board = plan.board_key, scene = scene.scene, identity = scene.identity, base = scene.base, take = scene.take, form = scene.form,
      model = scene.model, input = plan.board.scenes[scene.index].input,
    }, given.task_id)
  end
  return done and true, problem
end

local known_options = { client = "any", directory = "path", scene = "string", task_id = "string" }

---Assigns a task to a scene whose submit has an unknown outcome. The next run waits for the task and fetches its files. The task must
---exist, its model and its input must match the submit, and no other ledger row may contain the task. If the ledger has no row for the
---scene, because the row was lost, the scene gets a new row. Without the lost row, omni doesn't know the URLs of the scene's uploaded
---files, so it can't compare them with the URLs in the task's input. If the scene already has that task, `adopt_task` changes nothing.
---Submits nothing.
---@param board omni.Storyboard|string  a board, or the path of its file
---@param given omni.AdoptOptions
---@return boolean|nil done   true
---@return omni.Error|nil err codes: task_mismatch, not_found, invalid_input (the scene is unknown, or has another task), ledger_failed, ...
local function adopt_task(board, given)
  given = arguments.check(board, given, known_options, "omni.adopt_task", { "scene", "task_id" })
  loop.in_fiber "omni.adopt_task"
  return loop.drive(adopt, board, given)
end

return { adopt = adopt_task }
