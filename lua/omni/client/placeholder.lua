-- SPDX-License-Identifier: MIT
-- Assets: values that stand, anywhere in a model's input, for a URL that isn't known yet: a local file that will be uploaded,
-- another scene's clip, the last frame of one.

local core = require "omni.core"
local err = require "omni.error"
local json = require "omni.json"

---@class omni.Asset
---@field kind "file"|"frame"|"clip"
---@field path? string   of a file
---@field scene? string  of a frame or clip: the name of the scene that it is taken from
local Asset_mt = { __name = "omni.asset" }

local words = { file = "file", frame = "last_frame", clip = "clip" } -- kind → the word that makes it

function Asset_mt:__tostring()
  return ('%s "%s"'):format(words[self.kind], core.clean(self.path or self.scene, 200))
end

---A URL in an asset's place where nothing is fetched: where only a price is asked.
---@param asset omni.Asset
---@return string
local function stand_in(asset)
  return ("https://omni.invalid/%s/%s"):format(asset.kind, core.sha256(asset.path or asset.scene))
end

---@return boolean
local function is(value)
  return getmetatable(value) == Asset_mt
end

local function new(kind, field, value)
  return setmetatable({ kind = kind, [field] = value }, Asset_mt)
end

---A copy that shares nothing with the original.
---@param asset omni.Asset
---@return omni.Asset
local function copy(asset)
  return setmetatable({ kind = asset.kind, path = asset.path, scene = asset.scene }, Asset_mt)
end

-- Raises at the line of the code that used the word.
local function check_text(value, word, what)
  local wrong = type(value) ~= "string" and "a " .. type(value) or value == "" and "an empty string"
    or value:find("\0", 1, true) and "a string with a zero byte"
  if value == nil then wrong = "nothing" end
  if wrong then error(("%s: %s must be a string, not %s"):format(word, what, wrong), 3) end
end

---The word `file` for paths that are relative to a folder.
---@param folder? string  the working directory when nil
---@return fun(path: string): omni.Asset
local function file_in(folder)
  return function(path)
    check_text(path, "file", "the path")
    if folder and path:sub(1, 1) ~= "/" then path = (folder .. "/" .. path):gsub("/%./", "/"):gsub("//+", "/") end
    return (new("file", "path", path))
  end
end

---Why a value can't be used as a URL of something that the service is to fetch, or nil when it can.
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

---The word `url`: the URL itself, checked and normalised. Raises when it can't be used.
---@param text string
---@return string
local function url(text)
  local wrong = wrong_url(text)
  if wrong then error("url: " .. wrong, 2) end
  return (core.normalize_url(text))
end

---The word `last_frame`: the last picture of another scene's clip.
---@param scene string  its name
---@return omni.Asset
local function last_frame(scene)
  check_text(scene, "last_frame", "the scene's name")
  return new("frame", "scene", scene)
end

---The word `clip`: another scene's clip, whole.
---@param scene string  its name
---@return omni.Asset
local function clip(scene)
  check_text(scene, "clip", "the scene's name")
  return new("clip", "scene", scene)
end

-- An object's names, in an order that is always the same.
local function sorted_keys(tree)
  local keys = {}
  for key in pairs(tree) do keys[#keys + 1] = key end
  table.sort(keys, function(x, y)
    if math.type(x) and math.type(y) then return x < y end
    return tostring(x) < tostring(y)
  end)
  return keys
end

---Where a part of a tree stands: "img_urls[2]", "video_list[1].url".
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

---A copy of a tree with each of its assets replaced. `fn` may wait; the order of its calls is always the same. What is marked as an
---array or object (omni.json) is so in the copy, too.
---@param tree any
---@param fn fun(asset: omni.Asset, place: string): any, omni.Error|nil  place: "img_urls[2]", "video_list[1].url"
---@param place? string  what the tree itself is called ("")
---@return any|nil tree
---@return omni.Error|nil  what fn said; or code "invalid_input" for a tree that is nested too deeply (or in itself)
local function map(tree, fn, place)
  return map_part(tree, fn, place or "", 0)
end

---Goes through the assets of a tree, always in the same order; a tree that is nested too deeply has those above that depth.
---@param tree any
---@return fun(): omni.Asset|nil, string|nil  asset, place
local function each(tree)
  local found, index = {}, 0
  map(tree, function(asset, place)
    found[#found + 1] = { asset, place }
    return true
  end)
  return function()
    index = index + 1
    if found[index] then return found[index][1], found[index][2] end
  end
end

return {
  clip = clip, copy = copy, each = each, file = file_in(nil), file_in = file_in, is = is, last_frame = last_frame, map = map,
  place_of = place_of, stand_in = stand_in, url = url, wrong_url = wrong_url,
}
