-- SPDX-License-Identifier: MIT
-- Whether a task at the service is the one of a submit whose outcome is unknown; then the ledger's row gets its id. A person says so
-- (storyboard/run/adopt.lua), or a callback with the submit's own token (callbacks/receiver.lua); nothing that the service tells of
-- the task may
-- say otherwise. A person may also name the task of a scene whose row was lost; then it gets a row.

local asset = require "omni.client.placeholder"
local core = require "omni.core"
local entry = require "omni.client.submit_record"
local err = require "omni.error"
local json = require "omni.json"
local models = require "omni.models"

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
  local text = type(value) == "table" and json.write(value, { empty = "object", repair = true }) or core.format("%s", value)
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

-- Whether a value is a URL, or holds one.
local function names_file(value)
  if type(value) == "string" then return value:find "^%a[%w+.-]*://" ~= nil end
  if type(value) ~= "table" then return false end
  for _, part in pairs(value) do
    if names_file(part) then return true end
  end
  return false
end

-- Whether the service may have added a field of the task's that the scene's submit hasn't: it echoes its own defaults. An item of an
-- array is no field, and no default names a file.
local function may_be_added(name, value)
  return type(name) == "string" and not names_file(value)
end

-- Adds to `found` a sentence for each field in which the task isn't what the scene's submit was: all that was sent must be there.
local function compare(place, task, scene, found)
  if type(task) == "table" and type(scene) == "table" then
    local names = {}
    for name in pairs(scene) do names[#names + 1] = name end
    for name, value in pairs(task) do
      if scene[name] == nil and not may_be_added(name, value) then names[#names + 1] = name end
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
  compare("", stripped(param.input) or {}, stripped(core.decode(row.input)) or {}, found)
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

-- The ledger's row that has a task already, as a mismatch, or nothing. `free`: the states in which it may have it all the same.
local function taken(records, row, task_id, free)
  local known, problem = records:ask("by_task", { service = row.service, task_id = task_id })
  if not known then return problem end
  for _, other in ipairs(known) do
    if not free[other.state] then
      return select(2, mismatch(task_id, row, ("the ledger has it already, as number %d%s%s"):format(other.id,
        other.scene and (', scene "%s"'):format(core.clean(other.scene, 100)) or "", other.state == "forgotten" and ", forgotten" or "")))
    end
  end
end

-- Asks for a task; it, and the model and the input that it was submitted with.
local function ask(client, row, key, task_id)
  local task, problem = client:task(task_id)
  if not task then return nil, problem end
  task.key = key or task.key
  task, problem = task:refresh()
  if not task then return nil, problem end
  local param = type(task.raw) == "table" and task.raw.param
  if type(param) ~= "table" or type(param.input) ~= "table" then
    return mismatch(task_id, row, "the service doesn't say what it was submitted with")
  end
  return task, param
end

-- The row has the task now; the ledger hears how that is doing.
local function recorded(client, task, records, row)
  task.ledger, task.row = records, row
  entry.note_state(client, task)
  return task
end

---Gives a task's id to a row, if the task exists, has the model and all of the input that were submitted, and stands nowhere in the
---ledger. The service may have added its defaults to the input.
---@param client omni.Client
---@param records omni.Records  the ledger that has the row
---@param row table             unknown, of this client's service
---@param task_id string
---@return omni.Task|nil task
---@return omni.Error|nil err  codes: task_mismatch, not_found, ledger_failed, ...
local function claim(client, records, row, task_id)
  if not client:serves(row) then
    return mismatch(task_id, row, "its submit was made at another service, " .. core.clean(row.service or "?", 100))
  end
  local problem = taken(records, row, task_id, { forgotten = true, refused = true })
  if problem then return nil, problem end
  local task, param = ask(client, row, client.keyring:of(row.account), task_id) -- else a query finds the key that knows it
  if not task then return nil, param end
  local found = differences(param, row)
  if #found > 0 then return mismatch(task_id, row, table.concat(found, "; ")) end

  local moved
  moved, problem = records:row("adopt", { id = row.id, task_id = task_id })
  if problem then return nil, problem end
  if not moved then return mismatch(task_id, row, "it was decided elsewhere meanwhile") end
  return recorded(client, task, records, row.id)
end

-- A scene's input as it would have been sent. The URL of what was uploaded for it can't be known: any that the task has there will do.
local function filled(value, told)
  if asset.is(value) then return type(told) == "string" and core.normalize_url(told) and told or tostring(value) end
  if type(value) ~= "table" then return value end
  local copy = json.mark_like({}, value)
  for name, part in pairs(value) do copy[name] = filled(part, type(told) == "table" and told[name] or nil) end
  return copy
end

---Makes a row for a task of which the ledger has none, because it was lost: the task must exist, have the model and the input that the
---scene would be submitted with, field by field (except for the URLs of uploaded files), and the ledger must have neither it nor another
---submit of that scene. Submits nothing.
---@param client omni.Client
---@param records omni.Records  the board's ledger
---@param scene table  board, scene, identity, base, take, form, model, input (a scene's: assets may stand in it)
---@param task_id string
---@return omni.Task|nil task
---@return omni.Error|nil err  codes: task_mismatch, not_found, invalid_input, ledger_failed, ...
local function claim_lost(client, records, scene, task_id)
  scene.service = client.service
  local input, problem = models.check(client, scene.model, scene.input, true)
  if not input then return nil, problem end
  local task, param = ask(client, scene, nil, task_id)
  if not task then return nil, param end
  problem = taken(records, scene, task_id, { refused = true })
  if problem then return nil, problem end
  local text
  text, problem = json.encode(filled(input, param.input), "input")
  if not text then return nil, problem end
  local found = differences(param, { model = scene.model, input = text })
  if #found > 0 then return mismatch(task_id, scene, table.concat(found, "; ")) end

  local price = client:estimate(input, { model = scene.model }) -- what it has cost is told when it is over
  local made
  made, problem = records:row("adopt_lost", {
    account = task.key.account, service = client.service, play = client.play, board = scene.board, scene = scene.scene,
    identity = scene.identity, base = scene.base, take = scene.take, form = scene.form, model = scene.model, input = text,
    estimate = price and price.credits, task_id = task_id,
  })
  if problem then return nil, problem end
  if not made then return mismatch(task_id, scene, "it was submitted, or adopted, elsewhere meanwhile") end
  return recorded(client, task, records, made.id)
end

return { claim = claim, claim_lost = claim_lost }
