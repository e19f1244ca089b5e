-- SPDX-License-Identifier: MIT
-- Implements placeholders, which stand in a model's input for URLs that omni doesn't have yet: the URL of a local file to be uploaded, of
-- another scene's clip, or of that clip's last frame.

local core = require "omni.core"
local err = require "omni.error"
local json = require "omni.json"
local paths = require "omni.file.path"

---@class omni.Placeholder
---@field kind "file"|"frame"|"clip"
---@field path? string   for a file: its path
---@field scene? string  for a frame or a clip: the name of the scene that it comes from
---@field yields? omni.Modality  for a clip on a board: what that scene makes
local Placeholder_mt = { __name = "omni.placeholder" }

local words = { file = "file", frame = "last_frame", clip = "clip" } -- kind → the word that creates such a placeholder

function Placeholder_mt:__tostring()
  return ('%s "%s"'):format(words[self.kind], core.clean(self.path or self.scene, 200))
end

---Returns an invented URL for an estimate request. The service doesn't fetch this URL.
---@param placeholder omni.Placeholder
---@return string
local function example_url(placeholder)
  return ("https://omni.invalid/%s/%s"):format(placeholder.kind, core.sha256(placeholder.path or placeholder.scene))
end

---@return boolean
local function is(value)
  return getmetatable(value) == Placeholder_mt
end

local function new(kind, field, value)
  return setmetatable({ kind = kind, [field] = value }, Placeholder_mt)
end

---Returns a deep copy of a placeholder.
---@param placeholder omni.Placeholder
---@return omni.Placeholder
local function copy(placeholder)
  return setmetatable({ kind = placeholder.kind, path = placeholder.path, scene = placeholder.scene, yields = placeholder.yields },
    Placeholder_mt)
end

-- Raises an error unless a value is a non-empty string. The error names the line of the board that called the function whose name is
-- `word`.
local function check_text(value, word, what)
  local wrong = type(value) ~= "string" and "a " .. type(value) or value == "" and "an empty string"
    or value:find("\0", 1, true) and "a string with a NUL"
  if value == nil then wrong = "nothing" end
  if wrong then error(("%s: %s must be a string, not %s"):format(word, what, wrong), 3) end
end

---Returns a board's `file` function, which interprets paths relative to `folder`.
---@param folder? string  nil: the working directory
---@param on_file? fun(name: string)  called with each path, relative to the folder; if it is given, the files must be in the folder
---@return fun(path: string): omni.Placeholder
local function file_in(folder, on_file)
  return function(path)
    check_text(path, "file", "the path")
    if on_file then
      local name = paths.contained(path)
      if not name then
        error(('file: a job has only the files in the board\'s folder, and "%s" isn\'t a path in it, without ".."'):format(
          core.clean(path, 200)), 2)
      end
      on_file(name)
      path = name
    end
    if folder and path:sub(1, 1) ~= "/" then path = (folder .. "/" .. path):gsub("/%./", "/"):gsub("//+", "/") end
    return (new("file", "path", path))
  end
end

---Returns the reason why the service can't fetch a value as a URL, or nil if it can.
---@param value any
---@return string|nil why
local function wrong_url(value)
  if type(value) ~= "string" then return "must be a URL (http or https)" end
  if value:match("^%s*[dD][aA][tT][aA]:") then
    return "must be a public http(s) URL; the service takes no data: URIs"
  end
  if not value:find("^%s*[hH][tT][tT][pP][sS]?://") then return "must be a public http(s) URL" end
  local normal, wrong = core.normalize_url(value)
  if not normal then return wrong end
end

---A board's `url` function: checks and normalises a URL. Raises an error if the service can't fetch the URL.
---@param text string
---@return string
local function url(text)
  local wrong = wrong_url(text)
  if wrong then error("url: " .. wrong, 2) end
  return (core.normalize_url(text))
end

---A board's `last_frame` function: returns a placeholder for the last frame of another scene's clip.
---@param scene string  its name
---@return omni.Placeholder
local function last_frame(scene)
  check_text(scene, "last_frame", "the scene's name")
  return new("frame", "scene", scene)
end

---A board's `clip` function: returns a placeholder for another scene's whole clip.
---@param scene string  its name
---@return omni.Placeholder
local function clip(scene)
  check_text(scene, "clip", "the scene's name")
  return new("clip", "scene", scene)
end

-- Compares two of an object's keys: numbers come before names.
local function is_before(x, y)
  local kind, other = type(x), type(y)
  if kind == other and (kind == "string" or kind == "number") then return x < y end
  if kind == "number" or other == "number" then return kind == "number" end
  return tostring(x) < tostring(y)
end

-- Returns an object's keys in a fixed order.
local function sorted_keys(tree)
  local keys = {}
  for key in pairs(tree) do keys[#keys + 1] = key end
  table.sort(keys, is_before)
  return keys
end

---Returns the location of a value in an input, such as "img_urls[2]" or "video_list[1].url".
local function place_of(place, key)
  if math.type(key) == "integer" then return ("%s[%d]"):format(place, key) end
  local name = core.clean(tostring(key), 60)
  return place == "" and name or place .. "." .. name
end

local function map_part(value, fn, place, depth)
  if is(value) then return fn(value, place) end
  if type(value) ~= "table" then return value end
  if depth > json.most_depth then
    return nil, err.new { code = "invalid_input", field = place, message = place .. ": is nested too deeply" }
  end
  local mapped = json.mark_like({}, value)
  for _, key in ipairs(sorted_keys(value)) do
    local part, problem = map_part(value[key], fn, place_of(place, key), depth + 1)
    if problem then return nil, problem end
    mapped[key] = part
  end
  return mapped
end

---Copies a tree and replaces each placeholder in it with the result of `fn`. Calls `fn` in a fixed order; `fn` can wait. The copy keeps the
---marks that distinguish arrays from objects (omni.json).
---@param tree any
---@param fn fun(placeholder: omni.Placeholder, place: string): any, omni.Error|nil  place: "img_urls[2]", "video_list[1].url"
---@param place? string  the tree's own place ("")
---@return any|nil tree
---@return omni.Error|nil  an error that fn returned; or code "invalid_input" for a tree that is nested too deeply or contains itself
local function map(tree, fn, place)
  return map_part(tree, fn, place or "", 0)
end

---Iterates over a tree's placeholders in a fixed order, down to the maximum nesting depth that JSON allows.
---@param tree any
---@return fun(): omni.Placeholder|nil, string|nil  placeholder, place
local function each(tree)
  local found, index = {}, 0
  map(tree, function(placeholder, place)
    found[#found + 1] = { placeholder, place }
    return true
  end)
  return function()
    index = index + 1
    if found[index] then return found[index][1], found[index][2] end
  end
end

return {
  clip = clip, copy = copy, each = each, file = file_in(nil), file_in = file_in, is = is, last_frame = last_frame, map = map,
  place_of = place_of, example_url = example_url, url = url, wrong_url = wrong_url,
}
