-- SPDX-License-Identifier: MIT
-- Compares two forms of a scene (identity.lua) field by field. Describes each difference briefly; plans show these descriptions as the
-- reason for submitting a scene again.

local placeholder = require "omni.client.placeholder"
local core = require "omni.core"

local SHOWN <const> = 60 -- maximum number of bytes of a string that a difference shows

-- Returns the position at which a UTF-8 character begins; `at` is the position of any of the character's bytes.
local function at_character(text, at)
  while at > 1 and (text:byte(at) or 0) & 0xC0 == 0x80 do at = at - 1 end
  return at
end

-- Shortens two strings to the parts around their first difference.
local function cut_texts(old, new)
  if #old <= SHOWN and #new <= SHOWN then return core.clean(old, SHOWN), core.clean(new, SHOWN) end
  local same = 0
  while same < #old and old:byte(same + 1) == new:byte(same + 1) do same = same + 1 end
  local function cut(text)
    local from = at_character(text, math.max(1, math.min(same - SHOWN // 3, #text)))
    return (from > 1 and "…" or "") .. core.clean(text:sub(from), SHOWN)
  end
  return cut(old), cut(new)
end

local kinds = { file = "file", clip = "clip", frame = "last_frame" }

-- Returns a placeholder's kind, or nil if a form's value isn't a placeholder.
local function kind_of(value)
  local kind = type(value) == "table" and next(value)
  return kinds[kind] and type(value[kind]) == "string" and #value[kind] == 64 and next(value, kind) == nil and kind or nil
end

-- Returns a single value from a form as text.
local function shown(value)
  if value == nil then return nil end
  local kind = kind_of(value)
  if kind then return ("%s %s"):format(kinds[kind], value[kind]:sub(1, 12)) end
  if type(value) == "table" then return next(value) == nil and "{}" or "{ ... }" end
  if type(value) == "number" and math.tointeger(value) then return ("%d"):format(value) end
  if type(value) == "string" then return core.clean(value, SHOWN) end
  return value == core.json.null and "null" or core.format("%s", value)
end

-- Returns a sorted list of the keys that occur in at least one of two tables.
local function keys_of(old, new)
  local keys, seen = {}, {}
  for _, side in ipairs { old, new } do
    for key in pairs(side) do
      if not seen[key] then
        seen[key] = true
        keys[#keys + 1] = key
      end
    end
  end
  table.sort(keys, function(x, y)
    if math.type(x) and math.type(y) then return x < y end
    return tostring(x) < tostring(y)
  end)
  return keys
end

-- Calls `report(place, old, new, kind)` for each individual value that differs.
local function compare(old, new, place, report)
  local both = type(old) == "table" and type(new) == "table" and not kind_of(old) and not kind_of(new)
  if both then
    for _, key in ipairs(keys_of(old, new)) do
      local name = core.clean(tostring(key), SHOWN)
      local part = math.type(key) and ("%s[%s]"):format(place, name) or place == "" and name or place .. "." .. name
      compare(old[key], new[key], part, report)
    end
  elseif kind_of(old) and kind_of(old) == kind_of(new) then
    local kind = kind_of(old)
    if old[kind] ~= new[kind] then report(place, old, new, kind) end
  elseif type(old) == "table" and type(new) == "table" or old ~= new then
    report(place, old, new)
  end
end

local function decoded(form)
  local tree = core.decode(form)
  return type(tree) == "table" and type(tree.input) == "table" and tree or nil
end

-- Returns the labels of a scene's references: place → label.
local function labels_of(scene)
  local labels = {}
  for _, reference in ipairs(scene and scene.references or {}) do labels[reference.place] = reference.label end
  return labels
end

-- Returns the scenes that a scene builds on: place → name.
local function sources_of(scene)
  local sources = {}
  for part, place in placeholder.each(scene and scene.input or {}) do sources[place] = part.scene end
  return sources
end

local function sentence(change, label)
  local field = change.field
  if change.scene then return ('"%s" changed'):format(change.scene) end
  if change.kind == "file" then return ("%s: the file's content changed"):format(label and ('"%s"'):format(label) or field) end
  if change.kind then return field .. ": a scene that it builds on changed" end
  if not change.old then return ("%s: added (%s)"):format(field, change.new) end
  if not change.new then return ("%s: removed (was %s)"):format(field, change.old) end
  if field == "prompt" then return "prompt changed" end
  return ("%s: %s → %s"):format(field, change.old, change.new)
end

---@class omni.Difference
---@field field string   the field of the model: "prompt", "duration", "img_urls[2]"; or "model"
---@field old? string    shortened to the difference; nil if the field is new
---@field new? string
---@field kind? "file"|"clip"|"frame"  the kind of a placeholder whose content has changed
---@field scene? string  the scene that the placeholder refers to
---@field text string    a sentence: "duration: 6 → 8", "\"dawn\" changed"

---Returns the differences between two forms, sorted by field.
---@param old_form string
---@param new_form string
---@param scene? omni.ResolvedScene  the scene that has the new form, for names that a form doesn't contain
---@return omni.Difference[]
local function difference(old_form, new_form, scene)
  if old_form == new_form then return {} end
  local old, new = decoded(old_form), decoded(new_form)
  if not old or not new or old.version ~= new.version then
    return { { field = "version", text = "this version of omni computes identities differently" } }
  end
  local result, labels, sources = {}, labels_of(scene), sources_of(scene)
  local function report(place, was, is, kind)
    local change = { field = place, kind = kind, scene = kind and sources[place] }
    if type(was) == "string" and type(is) == "string" then
      change.old, change.new = cut_texts(was, is)
    else
      change.old, change.new = shown(was), shown(is)
    end
    change.text = sentence(change, labels[place])
    result[#result + 1] = change
  end
  if old.model ~= new.model then report("model", old.model, new.model) end
  compare(old.input, new.input, "", report)
  return result
end

return { difference = difference }
