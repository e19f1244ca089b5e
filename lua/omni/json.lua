-- SPDX-License-Identifier: MIT
-- Lua values to JSON for the service, by our own instance of lua-cjson (core.json), and what that would silently spoil refused.

local core = require "omni.core"
local err = require "omni.error"

local function refuse(field, why)
  return err.new { code = "invalid_input", field = field, message = field .. ": " .. why }
end

-- Returns an error value when lua-cjson would raise on the value, or write another one.
local function trouble(value, field, depth)
  local kind = type(value)
  if kind == "string" then
    if not utf8.len(value) then return refuse(field, "must be valid UTF-8") end
  elseif kind == "number" then
    if value ~= value or value == math.huge or value == -math.huge then return refuse(field, "must be a finite number") end
    if tonumber(("%.14g"):format(value)) ~= value then
      return refuse(field, "a number can have at most 14 digits; give it as a string if the model takes one")
    end
  elseif kind == "table" then
    if depth > 90 then return refuse(field, "is nested too deeply") end
    local array, count = #value > 0, 0
    for key, item in pairs(value) do
      count = count + 1
      if array and (math.type(key) ~= "integer" or key < 1 or key > #value) or not array and type(key) ~= "string" then
        return refuse(field, "must be an array (1 to n, without holes) or an object (names only)")
      end
      if not array and not utf8.len(key) then return refuse(field, "the name of a field must be valid UTF-8") end
      local problem = trouble(item, array and ("%s[%d]"):format(field, key) or field .. "." .. core.clean(key, 60), depth + 1)
      if problem then return problem end
    end
    if array and count < #value then return refuse(field, "must be an array without holes") end
  elseif kind ~= "boolean" and value ~= core.json.null then
    return refuse(field, "can't be sent: it is a " .. kind)
  end
end

---@param value any
---@param name string  what the value is called in an error
---@return string|nil json
---@return omni.Error|nil err  code "invalid_input", with the `field` that can't be sent
local function encode(value, name)
  local problem = trouble(value, name, 0)
  if problem then return nil, problem end
  return core.json.encode(value)
end

return { encode = encode, null = core.json.null }
