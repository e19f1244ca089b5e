-- SPDX-License-Identifier: MIT
-- Resolves a declared scene within its board: its model, its whole input, and the scenes that it builds on.

local placeholder = require "omni.client.placeholder"
local scenes = require "omni.storyboard.language.scene"
local input = require "omni.models.input_rules"
local placing = require "omni.storyboard.language.media_words"
local problems = require "omni.storyboard.language.errors"

local a, problem = problems.a, problems.problem

---@class omni.ResolvedScene
---@field name string
---@field model string
---@field yields omni.Modality  what the model makes
---@field input table           the model's fields, with placeholders for unknown URLs
---@field take? integer         nil: the latest take
---@field where? string         "board.lua:12"
---@field builds_on string[]    the scenes whose clips or frames it uses, each once
---@field prompt_style? string  the style appended to its prompt
---@field references omni.Reference[]  its images and videos, for people

-- Returns the prompt with the style appended, and the style.
local function styled(prompt, style)
  if not style or style == "" or type(prompt) ~= "string" or prompt == "" then return prompt, nil end
  return prompt .. "\n\n" .. style, style
end

-- Returns the scenes that an input uses; or nil and an error for an unknown scene.
local function needed(checked, items, names)
  local builds_on, seen = {}, {}
  for value, place in placeholder.each(checked) do
    local name = value.scene
    if name and not names[name] then
      local field = items[place] and items[place].field or place
      return nil, { message = field .. ": " .. problems.missing("scene", name, names), field = field }
    elseif name and not seen[name] then
      seen[name] = true
      builds_on[#builds_on + 1] = name
    end
  end
  return builds_on
end

---@param declared omni.Scene
---@param board { defaults: table, style: string|nil, references: table, names: table<string, any>, check: function,
---  yields: table<string, omni.Modality> }  yields: what each scene makes
---@return omni.ResolvedScene|nil, omni.Error|nil
local function resolve(declared, board)
  local own, defaults = declared.fields, board.defaults
  local function fail(message, field, hint)
    return nil, problem(declared.where, problems.quoted(declared.name), message, field, hint)
  end

  local model = own.model or defaults.model or input.default_model
  if type(model) ~= "string" or model == "" then
    return fail("field 'model' must be a model's name, not " .. a(model), "model")
  end
  local message, field = scenes.wrong_field(own, model)
  if message then return fail(message, field) end
  local merged, bad = scenes.merge(defaults, own)
  if not merged then return fail(bad.message, bad.field) end
  local words, given = merged.words, merged.input

  local take = words.take
  if take ~= nil then
    take = type(take) == "number" and math.tointeger(take)
    if not take or take < 1 then return fail("field 'take' must be a whole number, 1 or more", "take") end
  end

  local style = words.style
  if style == nil then style = board.style end
  if style and type(style) ~= "string" then
    return fail("field 'style' must be a string, or false for none, not " .. a(style), "style")
  end
  local prompt_style
  given.prompt, prompt_style = styled(given.prompt, style)

  local items
  items, bad = placing.place(words, given, board)
  if not items then return fail(bad.message, bad.field, bad.hint) end

  for part in placeholder.each(given) do
    if part.kind == "clip" then part.yields = board.yields[part.scene] end
  end
  local checked
  checked, bad = board.check(model, given, true)
  if not checked then
    local name = bad.field:match("^[%w_]+")
    local inherited = scenes.is_inherited(name, defaults, own)
    return fail(bad.message .. (inherited and " (from the board's defaults)" or ""), bad.field, bad.hint)
  end
  local builds_on
  builds_on, bad = needed(checked, items, board.names)
  if not builds_on then return fail(bad.message, bad.field) end
  return {
    name = declared.name, model = model, yields = board.yields[declared.name], input = checked, take = take, where = declared.where,
    builds_on = builds_on,
    prompt_style = prompt_style, references = placing.used(checked, items),
  }
end

return { resolve = resolve }
