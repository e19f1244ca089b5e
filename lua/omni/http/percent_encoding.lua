-- SPDX-License-Identifier: MIT
-- Texts in URLs: percent-encoded, slashes left as they are (they may stand in a path and in a query).

local core = require "omni.core"

---@param text string
---@return string
local function encode(text)
  return (text:gsub("[^%w%-._~/]", function(byte) return ("%%%02X"):format(byte:byte()) end))
end

---A query out of what is given, in the order of `names`: "?modality=video"; "" when nothing is.
---@param names string[]
---@param values table<string, string|integer|nil>  an empty string is as none
---@return string
local function query(names, values)
  local parts = {}
  for _, name in ipairs(names) do
    local value = values[name]
    if value ~= nil and value ~= "" then parts[#parts + 1] = name .. "=" .. encode(core.format("%s", value)) end
  end
  return #parts > 0 and "?" .. table.concat(parts, "&") or ""
end

return { encode = encode, query = query }
