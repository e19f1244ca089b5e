-- SPDX-License-Identifier: MIT
-- Compares a plan that the user has agreed to with a newly made plan.

local core = require "omni.core"
local digest = require "omni.file.digest"
local json = require "omni.json"
local scene_changes = require "omni.storyboard.plan.scene_changes"

-- Returns how the board's file has changed since the first plan was made, or nil if it hasn't changed. A board that a program has built has
-- no file.
local function file_change(shown, now)
  local path, read = shown.board.path, shown.board.sha256
  if now.board.path ~= path then return "the plan is of another board" end
  if not read then return nil end
  local found = digest.file(path)
  if not found then return ("the board's file %s can't be read any more"):format(core.clean(path)) end
  if found.sha256 ~= read or now.board.sha256 ~= read then return ("the board's file %s was changed"):format(core.clean(path)) end
end

-- Returns the film's settings as text, so that two plans' settings can be compared.
local function cut_form(plan)
  return json.canonical { cut = plan.board.cut or false, audio = plan.audio_sha256 or false }
end

-- Returns the differences between two plans for the same scene. Each difference is a string that can follow "scene NAME: " in a message.
local function of_scene(before, after, scene)
  if before.identity ~= after.identity then
    local found = {}
    for _, change in ipairs(before.form and after.form and scene_changes.difference(before.form, after.form, scene) or {}) do
      found[#found + 1] = change.text
    end
    if before.take ~= after.take then found[#found + 1] = ("take %s instead of %s"):format(after.take, before.take) end
    if #found > 0 then return found end
    return { after.error and core.clean(after.error.message, 200) or "changed" }
  end
  if before.action ~= after.action or before.pays ~= after.pays then
    return { ('the action was "%s" and is "%s" now%s'):format(before.action, after.action, after.why and " (" .. after.why .. ")" or "") }
  end
  if (before.row and before.row.id) ~= (after.row and after.row.id) then return { "the ledger has another submit of it now" } end
  if before.credits and not after.credits then
    return { "its price isn't known any more" .. (after.price_error and ": " .. after.price_error.message or "") }
  elseif before.credits and before.credits ~= after.credits then
    return { core.format("costs about %.14g credits instead of %.14g", after.credits, before.credits) }
  end
  return {}
end

---Returns all differences between the new plan and the plan that the user has seen: in the board's file, the scenes, their files and
---submits, their prices, and the cut. The list is empty if there are no differences.
---@param shown omni.Plan
---@param now omni.Plan
---@return string[] changes  each a sentence without a full stop
local function changes(shown, now)
  local found = { file_change(shown, now) }
  local function add(scene, text) found[#found + 1] = ('scene "%s": %s'):format(core.clean(scene, 100), text) end
  for _, before in ipairs(shown.scenes) do
    local after = now.by_name[before.scene]
    if not after then
      if before.selected then add(before.scene, "isn't on the board any more") end
    elseif before.selected or after.selected then
      for _, text in ipairs(of_scene(before, after, now.board.scenes[after.index])) do add(before.scene, text) end
    end
  end
  for _, after in ipairs(now.scenes) do
    if after.selected and not shown.by_name[after.scene] then add(after.scene, "is new on the board") end
  end
  if cut_form(shown) ~= cut_form(now) then found[#found + 1] = "the cut of the film changed" end
  if shown.board.budget ~= now.board.budget then found[#found + 1] = "the board's budget changed" end
  return found
end

return { changes = changes }
