-- SPDX-License-Identifier: MIT
-- Defines the word `scene` of the board language: the rules for a scene's name and fields, and how a scene inherits the board's defaults.

local placeholder = require "omni.client.placeholder"
local input = require "omni.models.input_rules"
local json = require "omni.json"
local options = require "omni.options"
local problems = require "omni.storyboard.language.errors"

local a, place, problem, quoted = problems.a, problems.place, problems.problem, problems.quoted

local MAX_NAME = 100 -- characters

-- --- declaration

---@class omni.Scene  a declared scene, with unchecked fields
local Scene_mt = { __name = "omni.scene" }

-- Returns why a value can't be a name, or nil if it can. `what` describes the name in the message, such as "a scene's name".
local function wrong_name(name, what)
  if type(name) ~= "string" then return what .. " must be a string, not " .. a(name) end
  local length = utf8.len(name)
  if not length then return what .. " must be valid UTF-8" end
  if length < 1 or length > MAX_NAME then
    return ("%s must have 1 to %d characters, not %d"):format(what, MAX_NAME, length)
  end
  if name:find("%c") or name:find("\xC2[\x80-\x9F]") then
    return what .. " must not contain control characters"
  end
  if not name:find("%S") then return what .. " must not be blank" end
end

local function new(name, where, fields)
  return setmetatable({ name = name, where = where, fields = fields }, Scene_mt)
end

local Unfinished_mt = { __name = "omni.scene.unfinished" }

function Unfinished_mt:__call(fields)
  if type(fields) ~= "table" then
    error(problem(self.where, quoted(self.name), "its fields must be a table, not " .. a(fields), nil,
      ('write scene "%s" { prompt = "..." }'):format(self.name)), 0)
  end
  return new(self.name, self.where, fields)
end

-- Returns a scene without fields; the board calls it with the scene's fields. Raises an error for an invalid name.
local function declare(name, where)
  local wrong = wrong_name(name, "a scene's name")
  if wrong then error(problem(where, nil, wrong, "name"), 0) end
  return setmetatable({ name = name, where = where }, Unfinished_mt)
end

---Declares a scene: `scene "name" { prompt = ..., duration = ..., ... }` (docs/storyboards.md). Raises an `invalid_board` error for an
---invalid name.
---@param name string  1 to 100 characters, no control characters, unique in its board
---@param fields? omni.SceneFields  `omni.scene(name, fields)` is the same as `omni.scene(name)(fields)`
---@return fun(fields: omni.SceneFields): omni.Scene
---@overload fun(name: string, fields: omni.SceneFields): omni.Scene
local function scene(name, fields)
  local unfinished = declare(name, (place()))
  if fields ~= nil then return unfinished(fields) end
  return unfinished
end

-- --- fields

-- The scene's fields that are words of the board language. Every other field belongs to the model. If a model's field has the name of a
-- word, the board gives it in `input`.
local words = {
  model = true, style = true, take = true, input = true,
  references = true, first_frame = true, video = true, continues = true,
}

-- The fields that give a scene's one video. If a scene has one of these fields, it inherits none of these fields from the defaults.
local video_fields = { "video", "continues", "video_list" }

-- For some fields of a model, lists the words of the board language that can set them.
local sources = { img_urls = { "img_urls", "references", "first_frame" }, video_list = video_fields }

-- Returns the fields that a scene (or the defaults) of this model may have; nil if the model accepts any.
local function known_fields(model)
  local of_model = input.fields(model)
  if not of_model then return nil end
  local known = {}
  for name in pairs(words) do known[name] = true end
  for name in pairs(of_model) do known[name] = true end
  return known
end

---Checks the names of a scene's (or the defaults') fields. Returns a message for the first wrong name.
---@return string|nil message, string|nil field
local function wrong_field(fields, model)
  local known = known_fields(model)
  local unknown = {}
  for name in pairs(fields) do
    if type(name) ~= "string" then return 'a value without a field\'s name; write for example prompt = "..."' end
    if known and not known[name] then unknown[#unknown + 1] = name end
  end
  table.sort(unknown)
  local name = unknown[1]
  if name then return ("unknown field '%s'; %s"):format(name, options.unknown(name, known)), name end
end

-- Returns the model's fields of a scene (or of the defaults), including the fields in `input`; or nil and an error.
local function of_model(fields)
  local found = {}
  for name, value in pairs(fields) do
    if not words[name] then found[name] = value end
  end
  local more = fields.input
  if more == nil then return found end
  if type(more) ~= "table" or placeholder.is(more) then
    return nil, { field = "input", message = "field 'input' must be a table of the model's fields, not " .. a(more) }
  end
  for name, value in pairs(more) do
    if type(name) ~= "string" then
      return nil, { field = "input", message = "field 'input': a value without a field's name" }
    end
    if found[name] ~= nil then
      return nil, { field = name, message = ("field '%s' is also in 'input'; it can be given once"):format(name) }
    end
    found[name] = value
  end
  return found
end

-- Returns a copy of a value with its placeholders, or nil and an error if the value can't be sent as JSON.
local function sendable(value, name)
  -- fast path, since a board may have a million of these values
  if type(value) == "boolean" or math.type(value) == "integer" then return value end
  local copy, sent = value, value
  if type(value) == "table" then
    local bad
    copy, bad = placeholder.map(value, placeholder.copy, name)
    if bad then return nil, bad end
    sent = placeholder.map(value, function() return "" end, name)
  end
  local _, bad = json.encode(sent, name)
  if bad then return nil, bad end
  return copy
end

-- Returns whether the value of a video field names a video: `false` and an empty array don't.
local function is_given(value)
  return value ~= nil and value ~= false and (type(value) ~= "table" or next(value) ~= nil)
end

---Merges the board's defaults and a scene's own fields.
---@param defaults table
---@param own table
---@return { words: table, input: table }|nil  the words as given; copies of the model's fields
---@return { message: string, field: string }|nil bad
local function merge(defaults, own)
  local base, bad = of_model(defaults)
  if not base then return nil, { message = bad.message .. " (in the board's defaults)", field = bad.field } end
  local given
  given, bad = of_model(own)
  if not given then return nil, bad end

  local merged = { words = {}, input = {} }
  for name in pairs(words) do
    local value = own[name]
    if value == nil then value = defaults[name] end
    merged.words[name] = value
  end
  local own_video = own.video ~= nil or own.continues ~= nil or given.video_list ~= nil
  if own_video then
    merged.words.video, merged.words.continues, base.video_list = own.video, own.continues, nil
  end

  for name, value in pairs(given) do base[name] = value end
  for name, value in pairs(base) do
    merged.input[name], bad = sendable(value, name)
    if bad then return nil, { message = bad.message, field = name } end
  end

  local first
  for _, name in ipairs(video_fields) do
    local value = merged.words[name]
    if name == "video_list" then value = merged.input[name] end
    if is_given(value) then
      if first then
        return nil, { field = name, message = ("'%s' and '%s' can't be combined: a scene has at most one video"):format(first, name) }
      end
      first = name
    end
  end
  return merged
end

---Returns whether a field of the model's input comes only from the board's defaults.
---@param name string
---@param defaults table
---@param own table
---@return boolean
local function is_inherited(name, defaults, own)
  local inherited = false
  for _, source in ipairs(sources[name] or { name }) do
    if own[source] ~= nil or type(own.input) == "table" and own.input[source] ~= nil then return false end
    if defaults[source] ~= nil or type(defaults.input) == "table" and defaults.input[source] ~= nil then inherited = true end
  end
  return inherited
end

return {
  declare = declare,
  is_inherited = is_inherited,
  is_scene = function(value) return getmetatable(value) == Scene_mt end,
  is_unfinished = function(value) return getmetatable(value) == Unfinished_mt end,
  merge = merge,
  new = new,
  scene = scene,
  words = words,
  wrong_field = wrong_field,
  wrong_name = wrong_name,
}
