-- SPDX-License-Identifier: MIT
-- JSON as the sandbox needs it, on top of omni.json: objects with their fields in an order, a client's own words echoed as they came,
-- and [] told from {} in what is read.

local core = require "omni.core"
local written = require "omni.json"

local null = written.null
local Raw_mt = {
  __name = "omni.sandbox.raw",
  __tojson = function(value, out) out[#out + 1] = value.text end,
}

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
  local function write(value, out, put)
    local before = "{"
    for _, field in ipairs(order) do
      local item = value[field.name]
      if item ~= nil or not field.optional then
        out[#out + 1] = before
        put(field.name)
        out[#out + 1] = ":"
        local problem = put(item)
        if problem then
          problem.place = "." .. field.name .. problem.place
          return problem
        end
        before = ","
      end
    end
    out[#out + 1] = before == "{" and "{}" or "}"
  end
  local mt = { __name = "omni.sandbox.object", __tojson = write }
  return function(object) return setmetatable(object, mt) end
end

local manner <const> = { empty = "array", repair = true }

---Writes a value; a table that is empty, and no shape nor marked, is an array. Raises for what JSON can't hold.
---@param value any
---@return string
local function encode(value)
  local text, problem = written.text_of(value, manner)
  return text or error("JSON" .. problem.place .. ": " .. problem.why, 0)
end

local printed_manner <const> = { empty = "array", repair = true, printed = true }

---The same for what the program prints: no control character and no bidi control in it is there as it is.
---@param value any
---@return string
local function encode_printed(value)
  local text, problem = written.text_of(value, printed_manner)
  return text or error("JSON" .. problem.place .. ": " .. problem.why, 0)
end

-- --- reading

-- Where a string ends (its closing quote) that begins at `at`.
local function string_end(text, at)
  at = text:find('["\\]', at + 1)
  while text:sub(at, at) == "\\" do at = text:find('["\\]', at + 2) end
  return at
end

-- To the decoder [] and {} are the same empty table. So it reads an empty array as one that holds a sign, which nobody can foresee.
local function with_signs(text, sign)
  local parts, from, at = {}, 1, text:find('["%[]')
  while at do
    local to = text:byte(at) == 34 and string_end(text, at) or text:match("^%[%s*()%]", at)
    if to and text:byte(at) == 91 then
      parts[#parts + 1] = text:sub(from, at) .. '"' .. sign .. '"'
      from = to
    end
    at = text:find('["%[]', (to or at) + 1)
  end
  return table.concat(parts) .. text:sub(from)
end

-- Whole numbers become integers, whatever the decoder made of them; what is empty is marked as what it was.
local function settled(value, sign)
  if type(value) == "number" then return math.tointeger(value) or value end
  if type(value) ~= "table" then return value end
  if next(value) == nil then return written.object(value) end
  if sign and value[1] == sign and #value == 1 then return written.array() end
  for key, item in pairs(value) do
    if type(item) == "table" or math.type(item) == "float" then value[key] = settled(item, sign) end
  end
  return value
end

---Reads JSON text. null is `json.null`; whole numbers are integers; tables that are empty are marked (omni.json, mark_of).
---@param text string
---@return any|nil value
---@return string|nil message  what is wrong with it
local function decode(text)
  if text:find("\0", 1, true) then return nil, "it holds a zero byte" end
  if not utf8.len(text) then return nil, "it isn't UTF-8" end
  local value, problem = core.decode(text)
  if value == nil then return nil, problem end
  if not text:find "%[%s*%]" then return settled(value) end
  local sign = core.token(16)
  return settled(assert(core.decode(with_signs(text, sign))), sign)
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
    local key = core.decode("[" .. text:sub(at, key_end) .. "]")[1]
    local from = text:find("[^%s:]", key_end + 1)
    local to = value_end(text, from)
    texts[key] = text:sub(from, to)
    at = to + 1
  end
end

return { null = null, raw = raw, shape = shape, encode = encode, encode_printed = encode_printed, decode = decode, members = members }
