-- SPDX-License-Identifier: MIT
-- Records how a board's scenes use the board's defaults. If scenes have different models, a default may be valid for only some of them.

local placeholder = require "omni.client.placeholder"
local options = require "omni.options"
local input = require "omni.models.input_rules"
local errors = require "omni.storyboard.language.errors"
local scenes = require "omni.storyboard.language.scene"

local SHOWN <const> = 3 -- maximum number of scenes that a message names

---@class omni.DefaultsCheck
local Check_methods = {}
local Check_mt = { __index = Check_methods }

-- Lists scenes for a message: returns a string such as 'scene "a"', 'scenes "a" and "b"', or 'scenes "a", "b", "c" and 4 more'.
local function listed(names)
  local parts = {}
  for i = 1, math.min(#names, SHOWN) do parts[i] = ('"%s"'):format(names[i]) end
  if #names > SHOWN then parts[#parts + 1] = ("%d more"):format(#names - SHOWN) end
  local last = #parts > 1 and " and " .. table.remove(parts) or ""
  return (#names == 1 and "scene " or "scenes ") .. table.concat(parts, ", ") .. last
end

---Records which defaults a scene's input contains.
---@param scene omni.Scene
---@param fields table  the scene's checked input
function Check_methods:took(scene, fields)
  for name in pairs(fields) do
    if scenes.inherited_as(name, self.defaults, scene.fields) then self.taken[name] = true end
  end
end

---Records a default that a scene ignores because the scene's model doesn't have the field.
---@param scene omni.Scene
---@param model string
---@param field string
function Check_methods:ignored(scene, model, field)
  self.unknown[model] = self.unknown[model] or {}
  self.unknown[model][field] = true
  local entry = self.left[field]
  if not entry then
    entry = { field = field, models = {}, names = {}, model = model }
    self.left[field], self.left[#self.left + 1] = entry, entry
  end
  if not entry.models[model] then
    entry.models[model], entry.models[#entry.models + 1] = true, model
  end
  entry.names[#entry.names + 1] = scene.name
end

-- Returns the defaults in `fields`, except those that the scene's model doesn't have. Records each omitted field.
local function without_unknown(self, fields, known, scene, model)
  local unknown, rest = self.unknown[model], {}
  for name, value in pairs(fields) do
    local is_unknown = known and not known[name] or unknown and unknown[name]
    if is_unknown and not scenes.words[name] and scenes.is_setting(name, value) then
      if scenes.inherited_as(name, self.defaults, scene.fields) then self:ignored(scene, model, name) end
    else
      if known and known[name] then self.taken[name] = true end -- the default is valid, even if every scene with this model overrides it
      rest[name] = value
    end
  end
  return rest
end

---Returns the defaults that apply to a scene: those whose names are fields of the scene's model, or all of them if omni doesn't know the
---model's fields.
---@param scene omni.Scene
---@param model string
---@return table defaults
function Check_methods:of_scene(scene, model)
  local rest = without_unknown(self, self.defaults, input.fields(model), scene, model)
  if type(rest.input) == "table" and not placeholder.is(rest.input) then
    rest.input = without_unknown(self, rest.input, nil, scene, model) -- the service may accept more fields than omni knows
  end
  return rest
end

---Records a default whose value isn't valid for a scene.
---@param scene omni.Scene
---@param model string
---@param source string  the default's name
---@param bad { message: string, field: string, hint?: string }
function Check_methods:wrong(scene, model, source, bad)
  local entry = self.bad[bad.message]
  if not entry then
    entry = { bad = bad, source = source, names = {}, scene = scene, model = model }
    self.bad[bad.message], self.bad[#self.bad + 1] = entry, entry
  end
  entry.names[#entry.names + 1] = scene.name
end

-- Reports a default whose value isn't valid for some of the scenes. The error's location is the default itself, or the scene if the scene
-- sets its own model.
local function report_wrong(self, entry, fail, add)
  local bad, source = entry.bad, entry.source
  local what = #entry.names == 1 and errors.quoted(entry.names[1]) or listed(entry.names)
  local message = ("%s (from the board's defaults)"):format(bad.message)
  if entry.model == (self.defaults.model or input.default_model) then
    return fail(what .. ": " .. message, bad.field, bad.hint, "defaults." .. source)
  end
  add(errors.problem(entry.scene.where, what, message, bad.field,
    bad.hint or ("write %s = ... in the scene, or %s = false"):format(source, source)))
end

---Reports the errors in the board's defaults, and returns the notices about the defaults. A default is an error if it sets a field that no
---scene's model has.
---@param fail fun(message: string, field: string, hint?: string, place: string)  called for each error whose place is a default
---@param add fun(problem: omni.Error)                                            called for each error whose place is a scene
---@return { message: string, field: string }[] notices
function Check_methods:finish(fail, add)
  local notices = {}
  for _, entry in ipairs(self.bad) do report_wrong(self, entry, fail, add) end
  for _, entry in ipairs(self.left) do
    local name, known = entry.field, {}
    for _, field in ipairs(input.fields(entry.model) or {}) do known[field.name] = true end
    for word in pairs(scenes.words) do known[word] = true end
    local models = table.concat(entry.models, ", ")
    if self.taken[name] then
      notices[#notices + 1] = { field = name, place = "defaults." .. name,
        message = ("defaults: %s isn't a field of %s; %s %s it"):format(name, models, listed(entry.names),
          #entry.names == 1 and "ignores" or "ignore") }
    else
      local text = input.fields(entry.model) and options.unknown(name, known) or ("no scene's model has it (%s)"):format(models)
      fail(("defaults: unknown field '%s'; %s"):format(name, text), name, nil, "defaults." .. name)
    end
  end
  return notices
end

---@param defaults table  the board's defaults
---@return omni.DefaultsCheck
local function new(defaults)
  return setmetatable({ defaults = defaults, taken = {}, unknown = {}, left = {}, bad = {} }, Check_mt)
end

return { listed = listed, new = new }
