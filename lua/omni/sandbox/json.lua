-- SPDX-License-Identifier: MIT
-- JSON as the sandbox needs it: the same text out of lua-cjson 2.1.0 and of newer ones, and a client's own words echoed as they came.
--
-- lua-cjson decodes; what is written is put together here, because 2.1.0 writes at most 14 digits and every empty table as {}.

local cjson = require("cjson").new()
cjson.decode_invalid_numbers(false)
cjson.decode_max_depth(100)

local null = cjson.null
local Raw_mt = { __name = "omni.sandbox.raw" }

---JSON text that is written as it is.
---@param text string
local function raw(text)
  return setmetatable({ text = text }, Raw_mt)
end

---A kind of object: its fields in the order of writing. A field that is nil is written as null; one whose name ends in "?" is left out.
---@param fields string[]
---@return fun(object: table): table  marks a table as such an object
local function shape(fields)
  local order = {}
  for i, field in ipairs(fields) do order[i] = { name = field:match("^[^?]+"), optional = field:find("?", 1, true) ~= nil } end
  local mt = { __name = "omni.sandbox.object", order = order }
  return function(object) return setmetatable(object, mt) end
end

local function number(value)
  if math.type(value) == "integer" then return ("%d"):format(value) end
  if value ~= value or value == math.huge or value == -math.huge then error("a number that JSON can't hold", 0) end
  if value == math.floor(value) and math.abs(value) < 2 ^ 53 then return ("%d"):format(math.tointeger(value)) end
  for digits = 14, 16 do
    local text = ("%." .. digits .. "g"):format(value)
    if tonumber(text) == value then return text end
  end
  return ("%.17g"):format(value)
end

local write

local function write_object(value, order, out)
  local before = "{"
  for _, field in ipairs(order) do
    local item = value[field.name]
    if item ~= nil or not field.optional then
      out[#out + 1] = before .. cjson.encode(field.name) .. ":"
      write(item, out)
      before = ","
    end
  end
  out[#out + 1] = before == "{" and "{}" or "}"
end

function write(value, out)
  local kind, mt = type(value), getmetatable(value)
  if value == nil or value == null then
    out[#out + 1] = "null"
  elseif kind == "string" then
    out[#out + 1] = cjson.encode(value)
  elseif kind == "number" then
    out[#out + 1] = number(value)
  elseif kind == "boolean" then
    out[#out + 1] = tostring(value)
  elseif mt == Raw_mt then
    out[#out + 1] = value.text
  elseif kind == "table" and mt and mt.order then
    write_object(value, mt.order, out)
  elseif kind == "table" then
    out[#out + 1] = "["
    for i = 1, #value do
      if i > 1 then out[#out + 1] = "," end
      write(value[i], out)
    end
    out[#out + 1] = "]"
  else
    error("JSON can't hold a " .. kind, 0)
  end
end

---Writes a value: shapes as objects, other tables as arrays.
---@param value any
---@return string
local function encode(value)
  local out = {}
  write(value, out)
  return table.concat(out)
end

-- Whole numbers become integers, whatever the decoder made of them.
local function whole(value)
  if type(value) == "number" then return math.tointeger(value) or value end
  if type(value) == "table" then
    for key, item in pairs(value) do
      if type(item) == "table" or math.type(item) == "float" then value[key] = whole(item) end
    end
  end
  return value
end

---Reads JSON text. null is `json.null`; whole numbers are integers.
---@param text string
---@return any|nil value
---@return string|nil message  what is wrong with it
local function decode(text)
  if text:find("\0", 1, true) then return nil, "it holds a zero byte" end
  if not utf8.len(text) then return nil, "it isn't UTF-8" end
  local ok, value = pcall(cjson.decode, text)
  if not ok then return nil, tostring(value) end
  return whole(value)
end

-- Where a string ends (its closing quote) that begins at `at`.
local function string_end(text, at)
  at = text:find('["\\]', at + 1)
  while text:sub(at, at) == "\\" do at = text:find('["\\]', at + 2) end
  return at
end

-- Where a value that begins at `at` ends (its last byte), in text that is known to be valid JSON.
local function value_end(text, at)
  local sign = text:sub(at, at)
  if sign == '"' then return string_end(text, at) end
  if sign ~= "{" and sign ~= "[" then return text:find("[%s,}%]]", at) - 1 end
  local depth = 0
  repeat
    if sign == '"' then
      at = string_end(text, at)
    else
      depth = depth + ((sign == "{" or sign == "[") and 1 or -1)
      if depth == 0 then return at end
    end
    at = text:find('["%[%]{}]', at + 1)
    sign = text:sub(at, at)
  until false
end

---The texts of an object's members, each as it was written; of members with one name the last counts, as for the decoder.
---@param text string  valid JSON, known to be an object
---@return table<string, string>
local function members(text)
  local texts = {}
  local at = text:find("{", 1, true) + 1
  while true do
    at = text:find("[^%s,]", at)
    if text:sub(at, at) == "}" then return texts end
    local key_end = value_end(text, at)
    local key = cjson.decode("[" .. text:sub(at, key_end) .. "]")[1]
    local from = text:find("[^%s:]", key_end + 1)
    local to = value_end(text, from)
    texts[key] = text:sub(from, to)
    at = to + 1
  end
end

return { null = null, raw = raw, shape = shape, encode = encode, decode = decode, members = members }
