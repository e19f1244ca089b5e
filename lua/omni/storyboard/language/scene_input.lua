-- SPDX-License-Identifier: MIT
-- Resolves a declared scene within its board: determines its model, its complete input, and the scenes that it builds on.

local placeholder = require "omni.client.placeholder"
local core = require "omni.core"
local scenes = require "omni.storyboard.language.scene"
local placing = require "omni.storyboard.language.media_words"
local problems = require "omni.storyboard.language.errors"

local a, problem = problems.a, problems.problem

---@class omni.ResolvedScene
---@field name string
---@field model string
---@field yields omni.Modality  what the model makes
---@field input table           the model's fields, with placeholders for unknown URLs
---@field take? integer         nil for the latest take
---@field where? string         "board.lua:12"
---@field builds_on string[]    the scenes whose clips or frames it uses, each once
---@field prompt_style? string  the style appended to its prompt
---@field references omni.Reference[]  its images and videos, to show to people

-- Returns the prompt with the style appended, and also the style on its own.
local function styled(prompt, style)
  if not style or style == "" or type(prompt) ~= "string" or prompt == "" then return prompt, nil end
  return prompt .. "\n\n" .. style, style
end

-- Returns the names of the scenes whose clips or frames an input uses. Calls `fail` for each unknown scene.
local function needed(checked, items, names, fail)
  local builds_on, seen = {}, {}
  for value, place in placeholder.each(checked) do
    local name = value.scene
    if name and not names[name] then
      local field = items[place] and items[place].field or place
      fail { message = field .. ": " .. problems.missing("scene", name, names), field = field }
    elseif name and not seen[name] then
      seen[name] = true
      builds_on[#builds_on + 1] = name
    end
  end
  return builds_on
end

-- Returns the value of a scene's `take` field, or nil and an error if the value isn't valid.
local function take_of(value)
  if not value then return nil end
  local take = type(value) == "number" and math.tointeger(value)
  if take and take >= 1 then return take end
  return nil, { message = "field 'take' must be a whole number, 1 or more", field = "take" }
end

local function style_of(value, of_board)
  if value == nil then return of_board end
  if not value or type(value) == "string" then return value end
  return nil, { message = "field 'style' must be a string, or false for none, not " .. a(value), field = "style" }
end

-- Returns the top-level field to which a location in an input belongs, such as "img_urls" for "img_urls[2]".
local function field_at(place) return place:match "^[^%.%[]+" end

-- If a string looks like a file's path where the model expects a URL, returns a hint that shows what to write instead.
local function file_hint(given, place)
  local value = given
  for key in place:gmatch "[^%.%[%]]+" do
    value = type(value) == "table" and not placeholder.is(value) and value[math.tointeger(tonumber(key)) or key] or nil
  end
  if type(value) ~= "string" or value:find("://", 1, true) or not value:find "^[^\n]+%.%w+$" then return nil end
  return ('for a file write file "%s"'):format(core.clean(value, 200))
end

-- Rephrases an error about the end of a film's window, using the board's fields `from` and `to` instead of the model's `start` and `ends`.
local function in_words(bad, items)
  local item = bad.field == "video_list[1].ends" and items["video_list[1].url"]
  if not item then return bad end
  local text = bad.message:gsub("^[^:]*: ", ""):gsub(" %('to' in a storyboard%)", "")
  text = text:gsub("^is required with start", "is required with 'from'"):gsub("after start %(", "after 'from' (")
  bad.message = ("%s: 'to' %s"):format(item.field, text)
  return bad
end

-- Checks a scene's input. After an error, removes the invalid field and checks the input again, to find the next error. A setting from the
-- defaults that the model doesn't have isn't an error here; `board.defaults_check` collects such settings. Returns a checked copy of the
-- input, or nil if there was an error.
local function check(declared, model, given, items, board, fail)
  local own, sound = declared.fields, true
  while true do
    local checked, bad = board.check(model, given, true)
    if checked then
      board.defaults_check:took(declared, checked)
      return sound and checked or nil
    end
    local name = field_at(bad.field)
    local value, source = given[name], scenes.inherited_as(name, board.defaults, own)
    if source and bad.unknown and bad.field == name and scenes.is_setting(name, value) then
      board.defaults_check:ignored(declared, model, name)
    else
      sound = false
      if bad.message:find("URL", 1, true) then bad.hint = bad.hint or file_hint(given, bad.field) end
      fail(in_words(bad, items), name, source)
    end
    given[name] = nil
    if value == nil then
      board.defaults_check:took(declared, given)
      return nil
    end
  end
end

---@class omni.SceneContext
---@field defaults table
---@field style string|nil
---@field references table
---@field names table<string, any>
---@field check function
---@field yields table<string, omni.Modality>  what each scene makes
---@field defaults_check omni.DefaultsCheck

---@param declared omni.Scene
---@param board omni.SceneContext
---@param add fun(problem: omni.Error)  called for each error
---@return omni.ResolvedScene|nil  nil if there was an error
local function resolve(declared, board, add)
  local own, defaults, reported, sound = declared.fields, board.defaults, {}, true
  local model = scenes.model_of(own, defaults)
  -- `source` is the name of the invalid default, if the error is in a default.
  local function fail(bad, field, source)
    if not bad then return end
    sound = false
    for _, name in ipairs(field and scenes.sources_of(field) or {}) do
      if reported[name] then return end -- the field is missing only because its name or its value was invalid
    end
    reported[bad.field and field_at(bad.field) or 0], reported[bad.meant or 0] = true, true
    if source then
      board.defaults_check:wrong(declared, model, source, bad)
    else
      add(problem(declared.where, problems.quoted(declared.name), bad.message, bad.field, bad.hint, declared.name))
    end
  end

  if type(model) ~= "string" or model == "" then
    fail { message = "field 'model' must be a model's name, not " .. a(model), field = "model" }
    return nil
  end
  local fields = scenes.named_fields(own, defaults, model, fail)
  local merged = scenes.merge(board.defaults_check:of_scene(declared, model), fields, model, fail)
  local words, given = merged.words, merged.input
  local take, style, bad
  take, bad = take_of(words.take)
  fail(bad)
  style, bad = style_of(words.style, board.style)
  fail(bad)
  local prompt_style
  given.prompt, prompt_style = styled(given.prompt, style)

  local items = placing.place(words, given, board, fail)
  for part in placeholder.each(given) do
    if part.kind == "clip" then part.yields = board.yields[part.scene] end
  end
  local checked = check(declared, model, given, items, board, fail)
  local builds_on = needed(checked or given, items, board.names, fail)
  if not sound then return nil end
  return {
    name = declared.name, model = model, yields = board.yields[declared.name], input = checked, take = take, where = declared.where,
    builds_on = builds_on,
    prompt_style = prompt_style, references = placing.used(checked, items),
  }
end

return { resolve = resolve }
