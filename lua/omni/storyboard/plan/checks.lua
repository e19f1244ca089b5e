-- SPDX-License-Identifier: MIT
-- Checks a plan before anything is paid for: the files of the scenes that a run would submit (media_check.lua), and the film that the run
-- would cut (film_check.lua). A scene with unusable files becomes invalid.

local err = require "omni.error"
local errors = require "omni.storyboard.language.errors"
local film_check = require "omni.storyboard.plan.film_check"
local listed = require("omni.storyboard.language.defaults_check").listed
local media_check = require "omni.storyboard.plan.media_check"

-- The error codes of scenes whose identity can't be computed because of their files.
local of_files <const> = { io = true, invalid_input = true }

-- Adds a notice or, if there is already a notice with the same text, adds the scene to the existing notice.
local function add_notice(notices, found, scene)
  for _, other in ipairs(notices) do
    if scene and other.text == found.message then
      other.names[#other.names + 1] = scene.name
      other.message = ("%s: %s"):format(listed(other.names), other.text)
      return
    end
  end
  notices[#notices + 1] = {
    message = scene and ("%s: %s"):format(errors.quoted(scene.name), found.message) or found.message, text = found.message,
    names = scene and { scene.name }, scene = scene and scene.name, where = scene and scene.where or found.where, field = found.field,
    hint = found.hint,
  }
end

---Checks the files of the scenes that a run would submit. Sets `problems` on each invalid scene.
---@param plan omni.Plan  whose scenes have an action
---@param files omni.MediaFiles
---@param sandbox boolean  the run costs nothing, so a missing ffmpeg is a notice
local function check_scenes(plan, files, sandbox)
  local board, checked = plan.board, {}
  for index, planned in ipairs(plan.scenes) do
    if planned.action == "submit" or planned.error and of_files[planned.error.code] then checked[#checked + 1] = board.scenes[index] end
  end
  files:prepare(media_check.films(checked))
  local lengths = media_check.lengths_of(plan, files)
  for _, scene in ipairs(checked) do
    local planned = plan.by_name[scene.name]
    local problems, notices = media_check.check(scene, files, lengths)
    for i = #problems, 1, -1 do
      local problem = err.new(problems[i])
      problems[i] = problem
      if sandbox and problem.code == "process_failed" then table.insert(notices, 1, table.remove(problems, i)) end
    end
    if #problems > 0 then
      planned.action, planned.why, planned.error, planned.problems = "invalid", problems[1].message, problems[1], problems
    end
    for _, notice in ipairs(notices) do add_notice(plan.notices, notice, scene) end
  end
end

---Checks the film that a run would cut. Sets the plan's `problems`.
---@param plan omni.Plan   whose scenes are selected and counted
---@param files omni.MediaFiles
---@param sandbox boolean  the run costs nothing
local function check_film(plan, files, sandbox)
  local function place_of(field) return plan.board.place_of and plan.board.place_of(field) end
  local function notice(field, message, hint)
    add_notice(plan.notices, { field = field, message = ("%s: %s"):format(field, message), hint = hint, where = place_of(field) })
  end
  film_check.check(plan, files, function(field, message, hint, code)
    if plan.submits == 0 or sandbox and code == "process_failed" then return notice(field, message, hint) end
    table.insert(plan.problems, err.new { code = code, field = field, message = ("%s: %s"):format(field, message), hint = hint,
      where = place_of(field) })
  end, notice)
  if files.no_ffprobe then
    add_notice(plan.notices, { hint = media_check.INSTALL,
      message = "there is no ffprobe, so omni didn't check the length of films and sounds" })
  end
  errors.sort(plan.notices)
end

return { check_film = check_film, check_scenes = check_scenes }
