-- SPDX-License-Identifier: MIT
-- Describes, field by field, how two inputs for a model differ.

local core = require "omni.core"
local json = require "omni.json"

local MAX_LISTED <const> = 6 -- maximum number of differences in one message
local SHOWN <const> = 60     -- maximum length of a value in a message, in bytes

-- Returns a copy of a value without nulls, empty arrays and empty objects.
local function stripped(value)
  if value == core.json.null then return nil end
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, part in pairs(value) do copy[key] = stripped(part) end
  return next(copy) ~= nil and copy or nil
end

local function shown(value)
  if value == nil then return "none" end
  local text = type(value) == "table" and json.write(value, { empty = "object", repair = true }) or core.format("%s", value)
  if math.type(value) == "float" and math.tointeger(value) then text = ("%d"):format(value) end
  return core.clean(text, SHOWN)
end

-- Returns both values as text for an error message. If a string is long, its text starts shortly before the first difference.
local function apart(one, other)
  if type(one) ~= "string" or type(other) ~= "string" or #one <= SHOWN and #other <= SHOWN then return shown(one), shown(other) end
  local at = 1
  while one:byte(at) == other:byte(at) do at = at + 1 end
  at = math.max(1, at - SHOWN // 3)
  while at > 1 and (one:byte(at) or 0) & 0xC0 == 0x80 do at = at - 1 end
  local before = at > 1 and "…" or ""
  return before .. shown(one:sub(at)), before .. shown(other:sub(at))
end

-- Appends a sentence to `found` for each difference.
local function compare(place, one, other, found, how)
  if type(one) == "table" and type(other) == "table" then
    local names = {}
    for name in pairs(other) do names[#names + 1] = name end
    for name, value in pairs(one) do
      if other[name] == nil and not (how.ignored and how.ignored(name, value)) then names[#names + 1] = name end
    end
    table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
    for _, name in ipairs(names) do
      local text = core.clean(tostring(name), SHOWN)
      local inner = math.type(name) and ("%s[%s]"):format(place, text) or place == "" and text or place .. "." .. text
      compare(inner, one[name], other[name], found, how)
    end
  elseif one ~= other and not (how.as_floats and math.type(one) and math.type(other) and one + 0.0 == other + 0.0) then
    local first, second = apart(one, other)
    found[#found + 1] = ("%s: %s has %s, %s %s"):format(place, how.one, first, how.other, second)
  end
end

---Returns up to six sentences, each of which describes one difference between two submits. Fields that are null or empty count as absent.
---@param one { model: string, input: table }
---@param other { model: string, input: table }
---@param how { one: string, other: string, ignored?: fun(name: any, value: any): boolean, as_floats?: boolean }  ignored: fields to skip
---@return string[]
local function list(one, other, how)
  local found = {}
  compare("model", one.model, other.model, found, how)
  compare("", stripped(one.input) or {}, stripped(other.input) or {}, found, how)
  if #found > MAX_LISTED then
    found[MAX_LISTED] = ("%d more fields"):format(#found - MAX_LISTED + 1)
    found = table.move(found, 1, MAX_LISTED, 1, {})
  end
  return found
end

return { list = list }
