-- SPDX-License-Identifier: MIT
-- Percent-encodes strings for URLs. This module doesn't encode slashes, since paths and queries may contain slashes.

local core = require "omni.core"

---Returns a percent-encoded string. Slashes stay unchanged.
---@param text string
---@return string
local function encode(text)
  return (text:gsub("[^%w%-._~/]", function(byte) return ("%%%02X"):format(byte:byte()) end))
end

---Returns the query part of a URL, such as "?modality=video", with the values in the order of `names`. Returns "" if there are no values.
---@param names string[]
---@param values table<string, string|integer|nil>  an empty string counts as none
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
