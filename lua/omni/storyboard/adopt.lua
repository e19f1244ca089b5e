-- SPDX-License-Identifier: MIT
-- Gives a task that exists at the service to a scene whose submit has an unknown outcome: a person says that it is that one, and
-- nothing that the service tells of it may say otherwise.

local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"
local options = require "omni.options"
local plans = require "omni.storyboard.plan"

local MAX_TOLD <const> = 6 -- differences in one message
local SHOWN <const> = 60   -- bytes of a value

-- --- what differs

-- Without what says no more than nothing: null, and arrays and objects that are empty.
local function stripped(value)
  if value == core.json.null then return nil end
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, part in pairs(value) do copy[key] = stripped(part) end
  return next(copy) ~= nil and copy or nil
end

local function shown(value)
  if value == nil then return "none" end
  local text = type(value) == "table" and core.json.encode(value):gsub("\\/", "/") or tostring(value)
  if math.type(value) == "float" and math.tointeger(value) then text = ("%d"):format(value) end
  return core.clean(text, SHOWN)
end

-- Two texts, the longer ones from a little before the place where they differ.
local function apart(task, scene)
  if type(task) ~= "string" or type(scene) ~= "string" or #task <= SHOWN and #scene <= SHOWN then return shown(task), shown(scene) end
  local at = 1
  while task:byte(at) == scene:byte(at) do at = at + 1 end
  at = math.max(1, at - SHOWN // 3)
  while at > 1 and (task:byte(at) or 0) & 0xC0 == 0x80 do at = at - 1 end
  local before = at > 1 and "…" or ""
  return before .. shown(task:sub(at)), before .. shown(scene:sub(at))
end

-- Adds to `found` a sentence for each field in which two JSON values differ.
local function compare(place, task, scene, found)
  if type(task) == "table" and type(scene) == "table" then
    local names = {}
    for name in pairs(task) do names[#names + 1] = name end
    for name in pairs(scene) do
      if task[name] == nil then names[#names + 1] = name end
    end
    table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
    for _, name in ipairs(names) do
      local text = core.clean(tostring(name), SHOWN)
      local inner = math.type(name) and ("%s[%s]"):format(place, text) or place == "" and text or place .. "." .. text
      compare(inner, task[name], scene[name], found)
    end
  elseif task ~= scene then
    found[#found + 1] = ("%s: the task has %s, the scene %s"):format(place, apart(task, scene))
  end
end

-- What the service's echo of the task and the submit's row don't agree on.
local function differences(param, row)
  local found = {}
  compare("model", param.model, row.model, found)
  compare("", stripped(param.input) or {}, stripped(core.json.decode(row.input)) or {}, found)
  if #found > MAX_TOLD then
    found[MAX_TOLD] = ("%d more fields"):format(#found - MAX_TOLD + 1)
    found = table.move(found, 1, MAX_TOLD, 1, {})
  end
  return found
end

-- --- what speaks against it

local function unfit(field, message, hint)
  return nil, err.new { code = "invalid_input", field = field, message = "adopt: " .. message, hint = hint }
end

local function mismatch(id, scene, message)
  return nil, err.new { code = "task_mismatch", task_id = id, message = ('this task can\'t be scene "%s": %s'):format(scene, message) }
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
  if row.account ~= given.client.account then
    return mismatch(given.task_id, entry.scene, "its submit was made with another key, or at another base URL")
  end
  return row
end

local function adopt(board, given)
  local row, problem = submit_of(board, given)
  if not row then return not problem or nil, problem end

  local records = given.client:ledger()
  local known
  known, problem = records:ask("by_task", { account = row.account, task_id = given.task_id })
  if not known then return nil, problem end
  for _, other in ipairs(known) do
    if other.state ~= "forgotten" and other.state ~= "refused" then
      return mismatch(given.task_id, given.scene, ("the ledger has it already, as number %d%s"):format(other.id,
        other.scene and (', scene "%s"'):format(core.clean(other.scene, 100)) or ""))
    end
  end

  local task
  task, problem = given.client:query(given.task_id)
  if not task then return nil, problem end
  local param = type(task.raw) == "table" and task.raw.param
  if type(param) ~= "table" or type(param.input) ~= "table" then
    return mismatch(given.task_id, given.scene, "the service doesn't say what it was submitted with")
  end
  local found = differences(param, row)
  if #found > 0 then return mismatch(given.task_id, given.scene, table.concat(found, "; ")) end

  local moved
  moved, problem = records:row("adopt", { id = row.id, task_id = given.task_id })
  if problem then return nil, problem end
  if not moved then
    return unfit("scene", ('scene "%s" was decided elsewhere meanwhile'):format(core.clean(given.scene)), "look again: omni plan BOARD")
  end
  return true
end

local known_options = { client = "any", directory = "string", scene = "string", task_id = "string" }

---Says that a task is the one of a scene's submit whose outcome is unknown; the next run waits for it, and fetches it, as if its id had
---come back then. The task must exist, have the model and the input that were submitted, field by field, and stand nowhere in the
---ledger. Nothing changes when the scene has that task already. Submits nothing.
---@param board omni.Storyboard
---@param given { client: omni.Client, directory: string, scene: string, task_id: string }  directory: that of omni.run_storyboard
---@return boolean|nil done   true
---@return omni.Error|nil err codes: task_mismatch, not_found, invalid_input (no such scene, or nothing of it is unknown), ledger_failed, ...
local function adopt_task(board, given)
  options.check(given, known_options, "omni.adopt_task")
  for _, name in ipairs { "client", "directory", "scene", "task_id" } do
    if not given or given[name] == nil then error(("omni.adopt_task: option '%s' is missing"):format(name), 2) end
  end
  return loop.drive(adopt, board, given)
end

return { adopt = adopt_task }
