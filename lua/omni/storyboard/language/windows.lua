-- SPDX-License-Identifier: MIT
-- Defines the board language's `windows`, which divides a long film into windows and makes one scene for each window:
--
--   windows(file "long.mp4", 8) { prompt = "...", name = "street" }

local placeholder = require "omni.client.placeholder"
local core = require "omni.core"
local problems = require "omni.storyboard.language.errors"
local scenes = require "omni.storyboard.language.scene"

local a, place, problem = problems.a, problems.place, problems.problem

local MAX_WINDOWS <const> = 10000
-- Lengths in seconds. If the last window would be shorter than SHORTEST seconds, it is merged with the window before it. If the merged
-- window would be longer than LONGEST seconds, the last window begins earlier instead, so that it is SHORTEST seconds long.
local SHORTEST <const> = 1
local LONGEST <const> = require("omni.models.input_rules").longest_window

-- Rounds a number of seconds to milliseconds, and turns whole numbers into integers.
local function tidy(seconds)
  local rounded = math.floor(seconds * 1000 + 0.5) / 1000
  return math.tointeger(rounded) or rounded
end

---Divides a length into windows without gaps, exact to the millisecond.
---@param length number  seconds, at least 0.001
---@param step number    seconds, at least 1
---@return { from: number, to: number }[]
local function ranges(length, step)
  length = tidy(math.floor(length * 1000 + 1e-6) / 1000)
  local result, from = {}, 0
  repeat
    local to = tidy((#result + 1) * step)
    if to < length and length - to < SHORTEST then
      local joined = length - from <= LONGEST or step > LONGEST
      to = joined and length or tidy(length - SHORTEST)
    elseif to > length then
      to = length
    end
    result[#result + 1] = { from = from, to = to }
    from = to
  until to >= length
  return result
end

---@class omni.Windows  represents its scenes, and can be called with the scenes' fields
local Windows_mt = { __name = "omni.windows" }

local function fail(where, message, field, hint)
  error(problem(where, "windows", message, field, hint), 0)
end

-- Returns one scene for each window, with the shared fields and the scene's own window.
local function expand(windows, fields)
  local name = fields.name
  if name == nil then name = windows.path:match("([^/]+)/*$"):gsub("(.)%.[^.]*$", "%1") end
  local found = {}
  for index, window in ipairs(windows.ranges) do
    local numbered = type(name) == "string" and ("%s %d"):format(name, index) or name
    local wrong = scenes.wrong_name(numbered, "a scene's name")
    if wrong then
      fail(windows.where, wrong, "name", fields.name == nil and 'write windows(file "...", 8) { name = "street", ... }' or nil)
    end
    local own = { video = { placeholder.file(windows.path), from = window.from, to = window.to } }
    for key, value in pairs(fields) do
      if key ~= "name" then own[key] = value end
    end
    found[index] = scenes.new(numbered, windows.where, own)
    found[index].windows = windows -- identifies the scenes that the same call of `windows` has created
  end
  return found
end

local function check_fields(self, fields)
  if type(fields) ~= "table" then
    fail(self.where, "their fields must be a table, not " .. a(fields), nil, 'write windows(file "long.mp4", 8) { prompt = "..." }')
  end
  for _, word in ipairs { "video", "continues", "video_list" } do
    if fields[word] ~= nil then
      fail(self.where, ("field '%s' isn't allowed: the video of each scene is its window of the file"):format(word), word)
    end
  end
end

function Windows_mt:__call(fields)
  check_fields(self, fields)
  return expand(self, fields)
end

---Returns the windows together with the fields that their scenes share. The function `scenes` creates the windows' scenes later.
---@param windows omni.Windows
---@param fields table
---@return omni.Windows
local function with_fields(windows, fields)
  check_fields(windows, fields)
  return setmetatable({
    path = windows.path, seconds = windows.seconds, ranges = windows.ranges, where = windows.where, fields = fields,
  }, Windows_mt)
end

---Returns the hint for windows whose scenes need different names.
---@param windows omni.Windows
---@return string
local function naming_hint(windows)
  return core.format('name one of them: windows(file "%s", %.14g) { name = "...", ... }', core.clean(windows.path:match "[^/]*$", 200),
    windows.seconds)
end

-- Reads the film's length, and divides it into windows. `where` is the location of the call on the board, for error messages.
local function declare(source, seconds, where)
  if not placeholder.is(source) or source.kind ~= "file" then
    fail(where, "expected a file, got " .. (placeholder.is(source) and tostring(source) or a(source)), nil,
      core.format('write windows(file "%s", %.14g)', type(source) == "string" and core.clean(source, 200) or "long.mp4",
        type(seconds) == "number" and seconds or 8))
  end
  if type(seconds) ~= "number" or not (seconds >= 1 and seconds <= 86400) then
    fail(where, "expected a length in seconds, 1 or more, got "
      .. (type(seconds) == "number" and core.format("%s", seconds) or a(seconds)))
  end
  local found, bad = require "omni.film.probe"(source.path)
  if not found then fail(where, bad.message, nil, bad.hint) end
  if not found.video then fail(where, tostring(source) .. " has no picture") end
  local length = found.video.seconds or found.seconds -- the audio may last longer than the video
  if not (length and length >= 0.001) then fail(where, tostring(source) .. " has no length") end
  if length / seconds > MAX_WINDOWS then
    fail(where, ("%s would make more than %d scenes"):format(tostring(source), MAX_WINDOWS))
  end
  return setmetatable({ path = source.path, seconds = seconds, ranges = ranges(length, seconds), where = where }, Windows_mt)
end

---Makes one scene for each window of a film. Waits while ffprobe reads the film's length. Put the result of `windows` among the board's
---scenes, or call the result with the fields that the windows' scenes share. The shared field `name = "street"` names the scenes "street
---1", "street 2", ... (default: the file's name). Raises an `invalid_board` error if an argument is invalid or the film can't be read.
---@param source omni.Placeholder  a file
---@param seconds number     length of each window, 1 or more; the last window ends with the file
---@return omni.Windows
local function windows(source, seconds)
  local where = place()
  return declare(source, seconds, where)
end

return {
  declare = declare,
  is_windows = function(value) return getmetatable(value) == Windows_mt end,
  scenes = function(value) return expand(value, value.fields or {}) end,
  naming_hint = naming_hint,
  ranges = ranges,
  windows = windows,
  with_fields = with_fields,
}
