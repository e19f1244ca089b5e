-- SPDX-License-Identifier: MIT
-- The one way to write a value down: JSON with sorted names, one form for each number, and no escape that isn't needed.
--
-- What makes a scene the same is a digest of such text: a change here would make every scene of every board a new one.

local json = require "omni.json"

-- The C locale's order; `<` follows whatever locale the program has set.
local function before(x, y)
  for i = 1, math.min(#x, #y) do
    local p, q = x:byte(i), y:byte(i)
    if p ~= q then return p < q end
  end
  return #x < #y
end

local short = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escaped(char)
  return short[char] or ("\\u%04x"):format(char:byte())
end

local write

local function write_table(value, out)
  if #value > 0 then
    for index, item in ipairs(value) do
      out[#out + 1] = index == 1 and "[" or ","
      write(item, out)
    end
    out[#out + 1] = "]"
    return
  end
  local names = {}
  for name in pairs(value) do names[#names + 1] = name end
  table.sort(names, before)
  out[#out + 1] = "{"
  for index, name in ipairs(names) do
    if index > 1 then out[#out + 1] = "," end
    write(name, out)
    out[#out + 1] = ":"
    write(value[name], out)
  end
  out[#out + 1] = "}"
end

function write(value, out)
  local kind = type(value)
  if kind == "table" then
    write_table(value, out)
  elseif kind == "string" then
    out[#out + 1] = '"' .. value:gsub('[\0-\31"\\]', escaped) .. '"'
  elseif kind == "number" then
    out[#out + 1] = json.number(value) -- 8.0 is 8, -0.0 is 0
  else
    out[#out + 1] = value == json.null and "null" or tostring(value)
  end
end

---@param value any  what lua/omni/json.lua lets pass
---@return string
local function canonical(value)
  local out = {}
  write(value, out)
  return table.concat(out)
end

return canonical
