-- SPDX-License-Identifier: MIT
-- How it is said what is wrong with an input: what was wanted, what is allowed, what was given. A schema's words come from the network.

local asset = require "omni.client.placeholder"
local core = require "omni.core"
local json = require "omni.json"
local options = require "omni.options"

local null <const> = json.null
local shown_bytes <const> = 60     -- of a text
local shown_choices <const> = 12   -- of more than that only the first are told
local nearest_names <const> = 500  -- among which a nearest name is looked for
local nearest_bytes <const> = 64   -- of each of them

local assets <const> = { file = "a file", frame = "another scene's frame", clip = "another scene's clip" }

---A value that was given, fit for a terminal.
---@param value any
---@return string
local function shown(value)
  if asset.is(value) then return assets[value.kind] end
  if type(value) == "string" then return ("'%s'"):format((core.clean(value, shown_bytes))) end
  if type(value) == "number" then return json.number(value) or core.format("%s", value) end
  if value == null then return "null" end
  if type(value) == "table" and (#value > 0 or json.mark_of(value) == "array") then return "an array" end
  return type(value) == "boolean" and tostring(value) or "a " .. type(value)
end

---A word of the schema's own: a name, a choice.
---@param value any
---@return string
local function word(value)
  if type(value) == "string" then return (core.clean(value, shown_bytes)) end
  if type(value) ~= "table" then return shown(value) end
  return (core.clean(json.write(value, { empty = "array", repair = true }) or "a table", shown_bytes))
end

---"a", "a or b", "a, b or c".
---@param list string[]
---@param last? string  "or" by default
---@return string
local function listed(list, last)
  if #list < 2 then return list[1] or "" end
  return ("%s %s %s"):format(table.concat(list, ", ", 1, #list - 1), last or "or", list[#list])
end

---The name that is meant most likely, out of names that anybody may have made.
---@param name any
---@param names string[]
---@return table<string, true> known  those that can be compared
---@return string|nil nearest
local function nearest(name, names)
  local known = {}
  for i = 1, math.min(#names, nearest_names) do
    if type(names[i]) == "string" and #names[i] <= nearest_bytes then known[core.clean(names[i])] = true end
  end
  return known, type(name) == "string" and #name <= nearest_bytes and options.nearest(name, known) or nil
end

---What to say of a field that isn't known.
---@param name string
---@param names string[]  the known ones
---@return string
local function unknown_field(name, names)
  if #names == 0 then return "unknown field; none are known here" end
  local known, near = nearest(name, names)
  if near or #names <= shown_choices and next(known) then return "unknown field; " .. options.unknown(name, known) end
  return ("unknown field; %d others are known"):format(#names)
end

---Choices in words; and the one that is nearest to a value, where they are too many to be told.
---@param list any[]
---@param value any
---@return string text
---@return string|nil nearest
local function choices(list, value)
  local words = {}
  for i = 1, math.min(#list, shown_choices) do words[i] = word(list[i]) end
  if #list <= shown_choices then return listed(words) end
  local _, near = nearest(value, list)
  return ("one of %s, ... (%d in all)"):format(table.concat(words, ", "), #list), near
end

---What to say of a number out of its range.
---@param low number|nil
---@param low_open boolean   the limit itself is out, too
---@param high number|nil
---@param high_open boolean
---@return string
local function range(low, low_open, high, high_open)
  local from, to = low and json.number(low), high and json.number(high)
  if from and to and not low_open and not high_open then return ("must be from %s to %s"):format(from, to) end
  from = from and (low_open and "more than " .. from or not to and from .. " or more" or "at least " .. from)
  to = to and (high_open and "less than " .. to or not from and to .. " or less" or "at most " .. to)
  return "must be " .. table.concat({ from or to, from and to }, " and ")
end

---What to say of a number of things that is out of its range.
---@param least integer|nil
---@param most integer|nil
---@param one string   "1 item"
---@param many string  "%d items"
---@return string
local function count(least, most, one, many)
  local function of(number) return number == 1 and one or (many:gsub("%%d", json.number(number))) end
  if least and most and least > 0 and least ~= most then return ("%s to %s"):format(json.number(least), of(most)) end
  if least and least == most then return "exactly " .. of(most) end
  return most and "at most " .. of(most) or "at least " .. of(least)
end

local plain <const> = {
  integer = "a whole number", number = "a number", null = "null", string = "a string",
}

local function sorted_names(map)
  local names = {}
  for name in pairs(map) do
    if type(name) == "string" then names[#names + 1] = name end
    if #names > nearest_names then break end
  end
  table.sort(names)
  return names
end

-- The names of an object's fields, those that are required first; "" when there are none, or too many to be told.
local function fields(node)
  local names, seen = {}, {}
  local properties = type(node.properties) == "table" and node.properties or {}
  for _, name in ipairs(type(node.required) == "table" and node.required or {}) do
    if #names > 8 then return "" end
    if type(name) == "string" and properties[name] ~= nil and not seen[name] then names[#names + 1] = name end
    seen[name] = true
  end
  for _, name in ipairs(sorted_names(properties)) do
    if not seen[name] then names[#names + 1] = name end
  end
  if #names == 0 or #names > 8 then return "" end
  for i, name in ipairs(names) do names[i] = word(name) end
  return ("{ %s }"):format(table.concat(names, ", "))
end

local function is_url(node)
  return node.format == "uri" or node.format == "url"
end

-- "an array of URLs", as far as the schema says.
local function an_array(node)
  local items = type(node.items) == "table" and node.items or {}
  local of = items.type == "string" and (is_url(items) and "URLs" or "strings")
    or (items.type == "integer" or items.type == "number") and "numbers" or items.type == "object" and fields(items) or ""
  return of == "" and "an array" or "an array of " .. of
end

---What a schema wants, in words: "a string", "an array of URLs", "a table { url, ends, start }", "true", "false".
---@param kind string  one of JSON Schema's types
---@param node table   the schema
---@return string ...  to be listed with "or"
local function wanted(kind, node)
  if kind == "boolean" then return "true", "false" end
  if kind == "array" then return an_array(node) end
  if kind == "object" then return (("a table " .. fields(node)):gsub(" $", "")) end
  return kind == "string" and is_url(node) and "a URL (http or https)" or plain[kind]
end

return {
  choices = choices, count = count, is_url = is_url, listed = listed, nearest = nearest, range = range, shown = shown,
  sorted_names = sorted_names, unknown_field = unknown_field, wanted = wanted, word = word,
}
