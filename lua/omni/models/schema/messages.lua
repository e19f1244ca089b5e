-- SPDX-License-Identifier: MIT
-- Composes the error messages for invalid inputs. Each message states what the schema expects and what the input contains. A schema comes
-- from the network, so its texts are shortened and their control characters are removed.

local core = require "omni.core"
local json = require "omni.json"
local options = require "omni.options"
local placeholder = require "omni.client.placeholder"

local null <const> = json.null
local MAX_SHOWN_BYTES <const> = 60
local MAX_SHOWN_CHOICES <const> = 12
local MAX_COMPARED_NAMES <const> = 500 -- maximum number of names in a search for the most similar one
local MAX_COMPARED_BYTES <const> = 64  -- longer names aren't compared

local PLACEHOLDERS <const> = { file = "a file", frame = "another scene's frame", clip = "another scene's clip" }

---Returns a value from the input as text that is safe to print to a terminal.
---@param value any
---@return string
local function shown(value)
  if placeholder.is(value) then return PLACEHOLDERS[value.kind] end
  if type(value) == "string" then return ("'%s'"):format((core.clean(value, MAX_SHOWN_BYTES))) end
  if type(value) == "number" then return json.number(value) or core.format("%s", value) end
  if value == null then return "null" end
  if type(value) == "table" and (#value > 0 or json.mark_of(value) == "array") then return "an array" end
  return type(value) == "boolean" and tostring(value) or "a " .. type(value)
end

---Returns a value from the schema, such as a name or a choice, as text that is safe to print to a terminal.
---@param value any
---@return string
local function word(value)
  if type(value) == "string" then return (core.clean(value, MAX_SHOWN_BYTES)) end
  if type(value) ~= "table" then return shown(value) end
  return (core.clean(json.write(value, { empty = "array", repair = true }) or "a table", MAX_SHOWN_BYTES))
end

---Joins a list of words for use in a sentence: "a", "a or b", or "a, b or c".
---@param list string[]
---@param last? string  "or" by default
---@return string
local function listed(list, last)
  if #list < 2 then return list[1] or "" end
  return ("%s %s %s"):format(table.concat(list, ", ", 1, #list - 1), last or "or", list[#list])
end

---Returns the known name that is most similar to `name`. Compares only a limited number of names, since the names come from the network.
---@param name any
---@param names string[]
---@return table<string, true> known  the names that were compared
---@return string|nil nearest
local function nearest(name, names)
  local known = {}
  for i = 1, math.min(#names, MAX_COMPARED_NAMES) do
    if type(names[i]) == "string" and #names[i] <= MAX_COMPARED_BYTES then known[core.clean(names[i])] = true end
  end
  return known, type(name) == "string" and #name <= MAX_COMPARED_BYTES and options.nearest(name, known) or nil
end

---Returns the error message for an unknown field.
---@param name string
---@param names string[]  the known names
---@return string
local function unknown_field(name, names)
  if #names == 0 then return "unknown field; none are known here" end
  local known, near = nearest(name, names)
  if near or #names <= MAX_SHOWN_CHOICES and next(known) then return "unknown field; " .. options.unknown(name, known) end
  return ("unknown field; %d others are known"):format(#names)
end

---Returns the allowed choices as text. If there are too many choices to list, also returns the one that is most similar to the value.
---@param list any[]
---@param value any
---@return string text
---@return string|nil nearest
local function choices(list, value)
  local words = {}
  for i = 1, math.min(#list, MAX_SHOWN_CHOICES) do words[i] = word(list[i]) end
  if #list <= MAX_SHOWN_CHOICES then return listed(words) end
  local _, near = nearest(value, list)
  return ("one of %s, ... (%d in all)"):format(table.concat(words, ", "), #list), near
end

---Returns the error message for a number outside its range.
---@param low number|nil
---@param low_open boolean|nil   the limit itself isn't allowed
---@param high number|nil
---@param high_open boolean|nil
---@return string
local function range(low, low_open, high, high_open)
  local from, to = low and json.number(low), high and json.number(high)
  if from and to and not low_open and not high_open then return ("must be from %s to %s"):format(from, to) end
  from = from and (low_open and "more than " .. from or not to and from .. " or more" or "at least " .. from)
  to = to and (high_open and "less than " .. to or not from and to .. " or less" or "at most " .. to)
  return "must be " .. table.concat({ from or to, from and to }, " and ")
end

---Describes how many things are allowed: "at most 2 items", "1 to 3 characters".
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
    if #names > MAX_COMPARED_NAMES then break end
  end
  table.sort(names)
  return names
end

-- Returns the names of an object's fields, with the required ones first. Returns "" if there are no fields, or if there are too many fields
-- to list.
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

-- Returns "an array of URLs", or "an array" if the schema doesn't specify the items.
local function an_array(node)
  local items = type(node.items) == "table" and node.items or {}
  local of = items.type == "string" and (is_url(items) and "URLs" or "strings")
    or (items.type == "integer" or items.type == "number") and "numbers" or items.type == "object" and fields(items) or ""
  return of == "" and "an array" or "an array of " .. of
end

---Describes the type that a schema expects: "a string", "an array of URLs", "a table { url, ends, start }". Returns two descriptions for
---a boolean: "true" and "false".
---@param kind string  a type of JSON Schema
---@param node table   the schema
---@return string ...  to be listed with "or"
local function type_of(kind, node)
  if kind == "boolean" then return "true", "false" end
  if kind == "array" then return an_array(node) end
  if kind == "object" then return (("a table " .. fields(node)):gsub(" $", "")) end
  return kind == "string" and is_url(node) and "a URL (http or https)" or plain[kind]
end

return {
  choices = choices, count = count, is_url = is_url, listed = listed, nearest = nearest, range = range, shown = shown,
  sorted_names = sorted_names, type_of = type_of, unknown_field = unknown_field, word = word,
}
