-- SPDX-License-Identifier: MIT
-- Whether a task at the service is the one of a submit whose outcome is unknown; then the ledger's row gets its id. A person says so
-- (storyboard/adopt.lua), or a callback with the submit's own token (callbacks.lua); nothing that the service tells of the task may
-- say otherwise.

local core = require "omni.core"
local entry = require "omni.entry"
local err = require "omni.error"

local MAX_TOLD <const> = 6 -- differences in one message
local SHOWN <const> = 60   -- bytes of a value

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

local function mismatch(id, row, message)
  local what = row.scene and ('scene "%s"'):format(core.clean(row.scene, 100)) or ("submit %d"):format(row.id)
  return nil, err.new { code = "task_mismatch", task_id = id, message = ("this task can't be that of %s: %s"):format(what, message) }
end

---Gives a task's id to a row, if the task exists, has the model and the input that were submitted, field by field, and stands nowhere
---in the ledger.
---@param client omni.Client
---@param row table        of the ledger: unknown, of this client's account
---@param task_id string
---@return omni.Task|nil task
---@return omni.Error|nil err  codes: task_mismatch, not_found, ledger_failed, ...
local function claim(client, row, task_id)
  local key = client.keyring:of(row.account)
  if not key then
    return mismatch(task_id, row, "its submit was made with another key, or at another base URL")
  end
  local records = client:ledger()
  local known, problem = records:ask("by_task", { account = row.account, task_id = task_id })
  if not known then return nil, problem end
  for _, other in ipairs(known) do
    if other.state ~= "forgotten" and other.state ~= "refused" then
      return mismatch(task_id, row, ("the ledger has it already, as number %d%s"):format(other.id,
        other.scene and (', scene "%s"'):format(core.clean(other.scene, 100)) or ""))
    end
  end

  local task
  task, problem = client:task(task_id)
  if not task then return nil, problem end
  task.key = key
  task, problem = task:refresh()
  if not task then return nil, problem end
  local param = type(task.raw) == "table" and task.raw.param
  if type(param) ~= "table" or type(param.input) ~= "table" then
    return mismatch(task_id, row, "the service doesn't say what it was submitted with")
  end
  local found = differences(param, row)
  if #found > 0 then return mismatch(task_id, row, table.concat(found, "; ")) end

  local moved
  moved, problem = records:row("adopt", { id = row.id, task_id = task_id })
  if problem then return nil, problem end
  if not moved then return mismatch(task_id, row, "it was decided elsewhere meanwhile") end
  task.recorded = true
  entry.note_state(client, task)
  return task
end

return { claim = claim }
