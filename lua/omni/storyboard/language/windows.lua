-- SPDX-License-Identifier: MIT
-- The word `windows`: one scene for each stretch of a long film, `windows(file "long.mp4", 8) { prompt = "...", name = "street" }`.

local asset = require "omni.client.placeholder"
local core = require "omni.core"
local problems = require "omni.storyboard.language.errors"
local scenes = require "omni.storyboard.language.scene"

local a, place, problem = problems.a, problems.place, problems.problem

local MAX_WINDOWS <const> = 10000
-- Seconds. A rest shorter than SHORTEST joins the stretch before it; if that became longer than LONGEST, the rest takes what it lacks
-- from that stretch instead.
local SHORTEST <const> = 1
local LONGEST <const> = require("omni.models.input_rules").longest_window

-- Whole numbers as integers; others to the millisecond.
local function tidy(seconds)
  local rounded = math.floor(seconds * 1000 + 0.5) / 1000
  return math.tointeger(rounded) or rounded
end

---The stretches of a length: { from, to } each, together the whole of it, down to the millisecond.
---@param length number  seconds, at least 0.001
---@param step number    seconds, at least 1
---@return { from: number, to: number }[]
local function stretches(length, step)
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

---@class omni.Windows  scenes as it is, and a function that gives them fields
local Windows_mt = { __name = "omni.windows" }

local function fail(where, message, field, hint)
  error(problem(where, "windows", message, field, hint), 0)
end

-- The scenes, each with the fields and its own stretch.
local function expand(windows, fields)
  local name = fields.name
  if name == nil then name = windows.path:match("([^/]+)/*$"):gsub("(.)%.[^.]*$", "%1") end
  local found = {}
  for index, stretch in ipairs(windows.stretches) do
    local numbered = type(name) == "string" and ("%s %d"):format(name, index) or name
    local wrong = scenes.wrong_name(numbered, "a scene's name")
    if wrong then
      fail(windows.where, wrong, "name", fields.name == nil and 'write windows(file "...", 8) { name = "street", ... }' or nil)
    end
    local own = { video = { asset.file(windows.path), from = stretch.from, to = stretch.to } }
    for key, value in pairs(fields) do
      if key ~= "name" then own[key] = value end
    end
    found[index] = scenes.new(numbered, windows.where, own)
  end
  return found
end

local function check_fields(self, fields)
  if type(fields) ~= "table" then
    fail(self.where, "their fields must be a table, not " .. a(fields), nil, 'write windows(file "long.mp4", 8) { prompt = "..." }')
  end
  for _, word in ipairs { "video", "continues", "video_list" } do
    if fields[word] ~= nil then
      fail(self.where, ("field '%s' can't be given: each of these scenes has its stretch of the file as its video"):format(word), word)
    end
  end
end

function Windows_mt:__call(fields)
  check_fields(self, fields)
  return expand(self, fields)
end

---The same windows with fields for their scenes, which are made when `scenes` asks for them.
---@param windows omni.Windows
---@param fields table
---@return omni.Windows
local function with_fields(windows, fields)
  check_fields(windows, fields)
  return setmetatable({ path = windows.path, stretches = windows.stretches, where = windows.where, fields = fields }, Windows_mt)
end

-- Looks at the film. `where` is the place for errors.
local function declare(source, seconds, where)
  if not asset.is(source) or source.kind ~= "file" then
    fail(where, "a file is due, not " .. (asset.is(source) and tostring(source) or a(source)), nil, 'write windows(file "long.mp4", 8)')
  end
  if type(seconds) ~= "number" or not (seconds >= 1 and seconds <= 86400) then
    fail(where, "the stretches' length must be a number of seconds, 1 or more, not "
      .. (type(seconds) == "number" and core.format("%s", seconds) or a(seconds)))
  end
  local found, bad = require("omni.film").probe(source.path)
  if not found then fail(where, bad.message, nil, bad.hint) end
  if not found.video then fail(where, tostring(source) .. " holds no picture") end
  local length = found.video.seconds or found.seconds -- its sound may last longer
  if not (length and length >= 0.001) then fail(where, tostring(source) .. " has no length") end
  if length / seconds > MAX_WINDOWS then
    fail(where, ("%s would give more than %d scenes"):format(tostring(source), MAX_WINDOWS))
  end
  return setmetatable({ path = source.path, stretches = stretches(length, seconds), where = where }, Windows_mt)
end

---The word of the storyboard language. May wait, for a look at the file. What it returns stands among the scenes as it is, or is
---called with the fields that the scenes share (`name` among them: "street" names them "street 1", "street 2", ...; by default the
---file's name). Raises an `invalid_board` error value.
---@param source omni.Asset  a file
---@param seconds number     the length of each stretch, 1 or more; the last one ends with the file
---@return omni.Windows
local function windows(source, seconds)
  local where = place()
  return declare(source, seconds, where)
end

return {
  declare = declare,
  is_windows = function(value) return getmetatable(value) == Windows_mt end,
  scenes = function(value) return expand(value, value.fields or {}) end,
  stretches = stretches,
  windows = windows,
  with_fields = with_fields,
}
