-- SPDX-License-Identifier: MIT
-- Defines the board language's `scene`: the rules for a scene's name and fields, and how a scene inherits the board's defaults.

local placeholder = require "omni.client.placeholder"
local core = require "omni.core"
local input = require "omni.models.input_rules"
local json = require "omni.json"
local options = require "omni.options"
local problems = require "omni.storyboard.language.errors"

local a, place, problem, quoted = problems.a, problems.place, problems.problem, problems.quoted

local MAX_NAME = 100 -- characters

-- --- declaration

---@class omni.Scene  a declared scene, with unchecked fields
local Scene_mt = { __name = "omni.scene" }

-- Returns the reason why a value can't be a name, or nil if it can. `what` describes the name in the message, such as "a scene's name".
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

-- Adds an error to `found.problems`, or raises the error if `found` is nil.
local function report(found, bad)
  if not found then error(bad, 0) end
  found.problems[#found.problems + 1] = bad
end

function Unfinished_mt:__call(fields)
  if self.wrong then return false end
  if type(fields) == "table" then return new(self.name, self.where, fields) end
  report(self.found, problem(self.where, quoted(self.name), "its fields must be a table, not " .. a(fields), nil,
    ('write scene "%s" { prompt = "..." }'):format(self.name), self.name))
  local scene = new(self.name, self.where, {})
  scene.broken = true
  return scene
end

---Returns a scene without fields; to set the fields, the board calls the scene.
---@param name any
---@param where string|nil
---@param found? { problems: omni.Error[], incomplete?: boolean }  collects the errors; without it, an error is raised
---@return table
local function declare(name, where, found)
  local wrong = wrong_name(name, "a scene's name")
  if wrong then
    local given = type(name) == "table" and rawget(name, "name")
    local hint = type(name) == "table"
      and ('write scene "%s" { prompt = "..." }'):format(type(given) == "string" and core.clean(given, 100) or "name") or nil
    report(found, problem(where, nil, wrong, "name", hint))
    found.incomplete = true
  end
  return setmetatable({ name = name, where = where, found = found, wrong = wrong ~= nil }, Unfinished_mt)
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

-- The fields of a scene that belong to the board language. All fields of a scene that aren't listed here belong to the scene's model. If a
-- model's field has the same name as a field of the board language, a scene can set the model's field in its `input` table.
local words = {
  model = true, style = true, take = true, input = true,
  references = true, first_frame = true, video = true, continues = true,
}

-- The fields that can specify a scene's video. A scene that sets one of these video fields inherits no other video field from the defaults.
local video_fields = { "video", "continues", "video_list" }

-- Maps some of a model's fields to the scene fields that can set them.
local sources = { img_urls = { "img_urls", "references", "first_frame" }, video_list = video_fields }

-- Returns the fields that a scene with this model may have, or nil if the model accepts any field.
local function known_fields(model)
  local of_model = input.fields(model)
  if not of_model then return nil end
  local known = {}
  for name in pairs(words) do known[name] = true end
  for name in pairs(of_model) do known[name] = true end
  return known
end

---Checks the names of a scene's fields. Calls `fail` for each invalid name. A scene can disable any default, whatever the scene's model.
---@param fields table
---@param defaults table
---@param model string
---@param fail fun(bad: { message: string, field?: string, meant?: string })  meant: the field that was probably misspelt
---@return table  the fields with valid names
local function named_fields(fields, defaults, model, fail)
  local known, unknown, rest, unnamed = known_fields(model), {}, {}, false
  for name, value in pairs(fields) do
    if type(name) ~= "string" then
      unnamed = true
    elseif known and not known[name] then
      if value ~= false or defaults[name] == nil then unknown[#unknown + 1] = name end
    else
      rest[name] = value
    end
  end
  if unnamed then fail { message = 'a value without a field\'s name; write for example prompt = "..."', meant = "prompt" } end
  table.sort(unknown)
  for _, name in ipairs(unknown) do
    fail { message = ("unknown field '%s'; %s"):format(name, options.unknown(name, known)), field = name,
      meant = options.nearest(name, known) }
  end
  return rest
end

---Returns those fields of a scene (or of the defaults) that belong to the model, including the fields in `input`.
---@param fields table
---@param fail fun(bad: { message: string, field: string })
---@return table
local function of_model(fields, fail)
  local found = {}
  for name, value in pairs(fields) do
    if not words[name] then found[name] = value end
  end
  local more = fields.input or nil
  if more == nil then return found end
  if type(more) ~= "table" or placeholder.is(more) then
    fail { field = "input", message = "field 'input' must be a table of the model's fields, not " .. a(more) }
    return found
  end
  for name, value in pairs(more) do
    if type(name) ~= "string" then
      fail { field = "input", message = "field 'input': a value without a field's name" }
    elseif found[name] ~= nil then
      fail { field = name, message = ("field '%s' is also in 'input'; it can be given only once"):format(name) }
    else
      found[name] = value
    end
  end
  return found
end

-- Returns a copy of a value, including its placeholders. Returns nil and an error if the value can't be sent as JSON.
local function sendable(value, name)
  -- a fast path for booleans and integers, since a board may contain a million of them
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

-- Returns whether the value of a video field specifies a video. `false` and an empty array don't specify a video.
local function is_given(value)
  return value ~= nil and value ~= false and (type(value) ~= "table" or next(value) ~= nil)
end

-- Returns whether `false` in a scene disables a field. In a model's boolean field, `false` is an ordinary value. If omni doesn't know the
-- model's fields, a field counts as boolean if its default is a boolean.
local function is_disabled(name, value, default, model)
  if value ~= false then return false end
  return name == "video_list" or input.fields(model) ~= nil and not words[name] or default ~= nil and type(default) ~= "boolean"
end

---Merges the board's defaults with a scene's own fields. `false` in a scene disables a default.
---@param defaults table
---@param own table
---@param model string
---@param fail fun(bad: { message: string, field: string })  called for each error
---@return { words: table, input: table }  words: the board language's fields as given; input: copies of the model's fields
local function merge(defaults, own, model, fail)
  local base = of_model(defaults, function() end) -- ignores errors in the defaults, since the board's own check reports them
  local given = of_model(own, fail)

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
  if own.input == false and type(defaults.input) == "table" then
    for name in pairs(defaults.input) do base[name] = nil end
  end

  for name, value in pairs(given) do
    if is_disabled(name, value, base[name], model) then base[name] = nil else base[name] = value end
  end
  local names = {}
  for name in pairs(base) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local bad
    merged.input[name], bad = sendable(base[name], name)
    if bad then fail { message = bad.message, field = name } end
  end

  local first
  for _, name in ipairs(video_fields) do
    local from = name == "video_list" and merged.input or merged.words
    if is_given(from[name]) and first then
      fail { field = name, message = ("'%s' and '%s' can't be combined: a scene has at most one video"):format(first, name) }
      from[name] = nil
    elseif is_given(from[name]) then
      first = name
    end
  end
  return merged
end

---Returns a scene's model without checking it. `model = false` in a scene disables the default model.
---@param own table
---@param defaults table
---@return any
local function model_of(own, defaults)
  local model = own.model
  if model == nil then model = defaults.model end
  return model or input.default_model
end

---Returns the names of the scene fields that can set a field of the model's input: for "img_urls", also `references` and `first_frame`.
---@param name string
---@return string[]
local function sources_of(name) return sources[name] or { name } end

---Returns whether a field of the model's input is a setting, such as a duration. Images and videos aren't settings, since a scene without
---its images or video would show something different.
---@param name string
---@param value any
---@return boolean
local function is_setting(name, value)
  return not sources[name] and not placeholder.is(value) and not (type(value) == "table" and placeholder.each(value)())
end

---Returns the name of the default from which a field of the model's input comes, or nil if the scene sets the field itself.
---@param name string
---@param defaults table
---@param own table
---@return string|nil source
local function inherited_as(name, defaults, own)
  local inherited
  for _, source in ipairs(sources_of(name)) do
    if own[source] ~= nil or type(own.input) == "table" and own.input[source] ~= nil then return nil end
    if defaults[source] ~= nil or type(defaults.input) == "table" and defaults.input[source] ~= nil then inherited = inherited or source end
  end
  return inherited
end

return {
  declare = declare,
  inherited_as = inherited_as,
  is_setting = is_setting,
  is_scene = function(value) return getmetatable(value) == Scene_mt end,
  is_unfinished = function(value) return getmetatable(value) == Unfinished_mt end,
  merge = merge,
  model_of = model_of,
  of_model = of_model,
  named_fields = named_fields,
  new = new,
  scene = scene,
  sources_of = sources_of,
  words = words,
  wrong_name = wrong_name,
}
