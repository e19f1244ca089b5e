-- SPDX-License-Identifier: MIT
-- Matches a task at the service to a submit whose outcome is unknown, and writes the task id into the submit's row in the ledger. The
-- task id comes from a person (storyboard/run/adopt.lua) or from a callback that contains the submit's own token (callbacks/receiver.lua).
-- This module compares the service's data about the task with the submit. A person can also specify the task of a scene whose ledger row
-- was lost; the scene then gets a new row.

local core = require "omni.core"
local err = require "omni.error"
local input_difference = require "omni.client.input_difference"
local json = require "omni.json"
local models = require "omni.models"
local placeholder = require "omni.client.placeholder"
local task_rows = require "omni.ledger.task_rows"

-- Returns whether a value is or contains a URL.
local function names_file(value)
  if type(value) == "string" then return value:find "^%a[%w+.-]*://" ~= nil end
  if type(value) ~= "table" then return false end
  for _, part in pairs(value) do
    if names_file(part) then return true end
  end
  return false
end

-- Returns whether a field that wasn't submitted could be a default value that the service added. A default value that the service adds is
-- never an array item, and never contains a URL.
local function may_be_added(name, value)
  return type(name) == "string" and not names_file(value)
end

-- Returns the differences between a task's input, as the service returns it, and the input in the submit's ledger row. The task must have
-- every field that was sent.
local function differences(param, row)
  return input_difference.list(param, { model = row.model, input = json.decode(row.input) },
    { one = "the task", other = "the scene", ignored = may_be_added, as_floats = true }) -- the service might store numbers as floats
end

local function mismatch(id, row, message)
  local what = row.scene and ('scene "%s"'):format(core.clean(row.scene, 100)) or ("submit %d"):format(row.id)
  return nil, err.new { code = "task_mismatch", task_id = id, message = ("this task can't be that of %s: %s"):format(what, message) }
end

-- Returns an error if another ledger row already has the task id, unless that row's state is listed in `free`.
local function taken(ledger, row, task_id, free)
  local known, problem = ledger:ask("by_task", { service = row.service, task_id = task_id })
  if not known then return problem end
  for _, other in ipairs(known) do
    if not free[other.state] then
      return select(2, mismatch(task_id, row, ("the ledger already has it, as number %d%s%s"):format(other.id,
        other.scene and (', scene "%s"'):format(core.clean(other.scene, 100)) or "", other.state == "forgotten" and ", forgotten" or "")))
    end
  end
end

-- Queries a task once. Returns the task, and the model and input with which it was submitted.
local function query(client, row, key, task_id)
  local task, problem = client:task(task_id)
  if not task then return nil, problem end
  task.key = key or task.key
  task, problem = task:refresh()
  if not task then return nil, problem end
  local param = type(task.raw) == "table" and task.raw.param
  if type(param) ~= "table" or type(param.input) ~= "table" then
    return mismatch(task_id, row, "the service doesn't say with which input it was submitted")
  end
  return task, param
end

-- Links a task to its ledger row, and records the task's state in that row.
local function with_row(client, task, ledger, row)
  task.ledger, task.row = ledger, row
  task_rows.record_state(client, task)
  return task
end

---Writes the task id into a ledger row if the task exists, has the submitted model and the whole submitted input, and doesn't belong to
---another row. The task's input may also contain default values that the service added.
---@param client omni.Client
---@param ledger omni.Ledger  the ledger that has the row
---@param row table  the row of a submit to this client's service with an unknown outcome
---@param task_id string
---@return omni.Task|nil task
---@return omni.Error|nil err  codes: task_mismatch, not_found, ledger_failed, ...
local function match(client, ledger, row, task_id)
  if not client:serves(row) then
    return mismatch(task_id, row, "it was submitted to another service, " .. core.clean(row.service or "?", 100))
  end
  local problem = taken(ledger, row, task_id, { forgotten = true, refused = true })
  if problem then return nil, problem end
  local task, param = query(client, row, client.all_keys:of(row.account), task_id) -- nil: tries each key
  if not task then return nil, param end
  local found = differences(param, row)
  if #found > 0 then return mismatch(task_id, row, table.concat(found, "; ")) end

  local moved
  moved, problem = ledger:row("adopt", { id = row.id, task_id = task_id })
  if problem then return nil, problem end
  if not moved then return mismatch(task_id, row, "another program has settled it meanwhile") end
  return with_row(client, task, ledger, row.id)
end

-- Returns the input that a submit of a scene contains. For uploaded files, uses the URLs from the task, since omni has no record of the
-- uploads.
local function filled(value, of_task)
  if placeholder.is(value) then return type(of_task) == "string" and core.normalize_url(of_task) and of_task or tostring(value) end
  if type(value) ~= "table" then return value end
  local copy = json.mark_like({}, value)
  for name, part in pairs(value) do copy[name] = filled(part, type(of_task) == "table" and of_task[name] or nil) end
  return copy
end

---Creates a ledger row for a task whose row was lost. The task must exist and have the model and input with which the scene would be
---submitted, except for the URLs of uploaded files. The ledger must contain neither the task nor another submit of the scene. Submits
---nothing.
---@param client omni.Client
---@param ledger omni.Ledger  the board's
---@param scene table  board, scene, identity, base, take, form, model, input (the scene's, with placeholders)
---@param task_id string
---@return omni.Task|nil task
---@return omni.Error|nil err  codes: task_mismatch, not_found, invalid_input, ledger_failed, ...
local function match_lost(client, ledger, scene, task_id)
  scene.service = client.service
  local input, problem = models.check(client, scene.model, scene.input, true)
  if not input then return nil, problem end
  local task, param = query(client, scene, nil, task_id)
  if not task then return nil, param end
  problem = taken(ledger, scene, task_id, { refused = true })
  if problem then return nil, problem end
  local text
  text, problem = json.encode(filled(input, param.input), "input")
  if not text then return nil, problem end
  local found = differences(param, { model = scene.model, input = text })
  if #found > 0 then return mismatch(task_id, scene, table.concat(found, "; ")) end

  local price = client:estimate(input, { model = scene.model }) -- only an estimate; a query of the finished task returns the actual cost
  local made
  made, problem = ledger:row("adopt_lost", {
    account = task.key.account, service = client.service, sandbox = client.is_sandbox, board = scene.board, scene = scene.scene,
    identity = scene.identity, base = scene.base, take = scene.take, form = scene.form, model = scene.model, input = text,
    estimate = price and price.credits, task_id = task_id,
  })
  if problem then return nil, problem end
  if not made then return mismatch(task_id, scene, "another program has submitted or adopted it meanwhile") end
  return with_row(client, task, ledger, made.id)
end

return { match = match, match_lost = match_lost }
