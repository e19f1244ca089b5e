-- SPDX-License-Identifier: MIT
-- Before anything is paid for, checks that each of a scene's files suits the field that names the file. The checks read the first bytes of
-- each file, and get a film's length from ffprobe. The service would refuse an unsuitable file only after the upload, or would accept it
-- and charge for a useless clip.

local core = require "omni.core"
local expected = require "omni.storyboard.plan.expected_clip"
local input_rules = require "omni.models.input_rules"

local SLACK <const> = 0.1 -- number of seconds by which a window may extend past a file's end, since lengths in files are rounded
local CLIP_SLACK <const> = 0.5 -- number of seconds by which a window may extend past the end of a clip that doesn't exist yet

local nouns <const> = { image = "a picture", video = "a film", audio = "sound" }

-- Returns the kind of media that a file must contain at its location in the input, or nil if the kind isn't known.
local function kind_for(reference)
  if reference.role == "first_frame" or reference.role == "reference" or reference.place:find "^img_urls%[" then return "image" end
  if reference.role == "video" or reference.place:find "^video_list%[%d+%]%.url$" then return "video" end
end

-- Returns the name of the board field that refers to a file.
local function word_of(reference)
  if reference.role == "reference" then return "references" end
  return reference.role == "input" and reference.place:match "^[^%.%[]+" or reference.role
end

local function name_of(path) return ('"%s"'):format(core.clean(path:match "[^/]*$", 100)) end

local function seconds(value) return core.format("%.14g s", math.floor(value * 100 + 0.5) / 100) end

-- Returns a hint that shows what to write instead, depending on the required kind of media and the file's kind.
local function hint_for(want, have, path)
  local file = ('file "%s"'):format(core.clean(path:match "[^/]*$", 100))
  if have == "audio" then return ("the music of the film: cut = { audio = %s }"):format(file) end
  return want == "image" and ("for a film write video = %s"):format(file)
    or ("for a picture write first_frame = %s, or references = { %s }"):format(file, file)
end

---@class omni.MediaProblem
---@field message string
---@field field string   the field on the board
---@field code string
---@field hint? string

-- Checks a file's kind based on the file's first bytes. Returns a problem, or nil and the required kind of media.
local function check_kind(reference, files)
  local kind, wrong = files:kind(reference.path)
  if not kind then return { code = wrong.code, message = wrong.message, hint = wrong.hint and "convert it" } end
  local want, have = kind_for(reference), kind.type:match "^%a+"
  if want and have ~= want then
    return { code = "invalid_input", hint = hint_for(want, have, reference.path),
      message = ("%s is %s (%s), not %s"):format(name_of(reference.path), nouns[have], kind.name, nouns[want]) }
  end
  return nil, want
end

-- Checks that a window lies within its film. If there is a problem, returns the problem; otherwise, returns nil and sometimes a notice for
-- the user.
local function check_window(reference, length, what, slack)
  local from, to = reference.from or 0, reference.to
  local shown = ("%s lasts %s"):format(what, seconds(length))
  if from > 0 and from >= length - 0.001 then
    return { code = "invalid_input", message = ("the window begins at %s, and %s"):format(seconds(from), shown) }
  elseif to and to > length + slack then
    return nil, { message = ("the window ends at %s, and %s"):format(seconds(to), shown) }
  end
end

-- Checks a film. If there is a problem, returns the problem; otherwise, returns nil and sometimes a notice for the user.
local function check_film(reference, model, files)
  local seen, problem = files:lengths(reference.path)
  if not seen and problem.code == "process_failed" then return nil end -- `no_ffprobe` reports this failure once for all files
  if not seen then return { code = problem.code, message = problem.message, hint = problem.hint } end
  if not seen.picture then return { code = "invalid_input", message = name_of(reference.path) .. " has no picture" } end
  local longest = input_rules.longest_window
  if not reference.from and not reference.to and model == input_rules.default_model and seen.picture > longest + SLACK then
    local file = ('file "%s"'):format(core.clean(reference.path:match "[^/]*$", 100))
    return { code = "invalid_input",
      message = ("%s lasts %s; the model takes at most %d s of a film"):format(name_of(reference.path), seconds(seen.picture), longest),
      hint = ("write video = { %s, from = 0, to = %d }, or windows(%s, 8) among the scenes"):format(file, longest, file) }
  end
  return check_window(reference, seen.picture, name_of(reference.path), SLACK)
end

-- Checks that a window lies within another scene's clip. If there is a problem, returns the problem; otherwise, returns nil and sometimes a
-- notice for the user.
local function check_clip(reference, lengths)
  if not reference.from and not reference.to then return nil end
  local length, stated = lengths(reference.scene, math.max(reference.to or 0, reference.from or 0))
  if not length then return nil end
  return check_window(reference, length, ('scene "%s"'):format(reference.scene), stated and CLIP_SLACK or SLACK)
end

---Returns whether a program is installed in one of the folders that PATH lists.
---@param program string
---@return boolean
local function is_installed(program)
  for folder in ((os.getenv "PATH" or "") .. ":"):gmatch "([^:]*):" do
    local info = core.stat((folder == "" and "." or folder) .. "/" .. program)
    if info and info.kind == "file" and info.mode & 73 ~= 0 then return true end -- 0111
  end
  return false
end

local INSTALL <const> = "install ffmpeg (it includes ffprobe)"

---Checks a scene's files and windows.
---@param scene omni.ResolvedScene
---@param files omni.MediaFiles
---@param lengths fun(scene: string, needed: number): number|nil, boolean  from `lengths_of`
---@return omni.MediaProblem[] problems
---@return { message: string, field: string }[] notices
local function check(scene, files, lengths)
  local problems, notices = {}, {}
  for _, reference in ipairs(scene.references) do
    local problem, notice, want
    if reference.kind == "file" then
      problem, want = check_kind(reference, files)
      if want == "video" then problem, notice = check_film(reference, scene.model, files) end
    elseif reference.kind == "clip" then
      problem, notice = check_clip(reference, lengths)
    elseif reference.kind == "frame" and not is_installed "ffmpeg" then
      problem = { code = "process_failed", message = "omni can't take the last frame of a clip without ffmpeg", hint = INSTALL }
    end
    for _, found in ipairs { problem or notice } do
      found.field = word_of(reference)
      found.message = ("%s: %s"):format(found.field, found.message)
      table.insert(problem and problems or notices, found)
    end
  end
  return problems, notices
end

---Returns the paths of the films that `check` probes.
---@param scenes omni.ResolvedScene[]
---@return string[]
local function films(scenes)
  local list, seen = {}, {}
  for _, scene in ipairs(scenes) do
    for _, reference in ipairs(scene.references) do
      local path = reference.kind == "file" and kind_for(reference) == "video" and reference.path
      if path and not seen[path] then
        seen[path] = true
        list[#list + 1] = path
      end
    end
  end
  return list
end

---Returns a function that returns the length of a scene's clip, and whether that length is only expected, because the clip doesn't exist
---yet. Probes a clip only if the caller needs more seconds of the clip than its scene requests.
---@param plan omni.Plan
---@param files omni.MediaFiles
---@return fun(scene: string, needed: number): number|nil, boolean
local function lengths_of(plan, files)
  return function(name, needed)
    local planned = plan.by_name[name]
    local stated = expected.seconds(plan.board.scenes[planned.index])
    if stated and needed <= stated then return stated, true end
    local seen = planned.files and files:lengths(planned.files[1])
    if seen and seen.picture then return seen.picture, false end
    return stated, true
  end
end

return {
  INSTALL = INSTALL, check = check, films = films, is_installed = is_installed, lengths_of = lengths_of, seconds = seconds,
}
