-- SPDX-License-Identifier: MIT
-- Lua values as JSON, and what JSON can't hold refused. lua-cjson only decodes: 2.1.0 writes at most 14 digits and every empty table
-- as {}, and newer ones write other text.

local core = require "omni.core"
local err = require "omni.error"

local most_depth <const> = 90 -- of nested tables
local null = core.json.null

-- --- arrays and objects that say so, which matters where they are empty

local marks = { array = { __name = "omni.array" }, object = { __name = "omni.object" } }
local kinds = { [marks.array] = "array", [marks.object] = "object" }

---Marks a table as an array: `[]` when it is empty.
---@param value? table  a new one by default
---@return table value
local function array(value)
  return setmetatable(value or {}, marks.array)
end

---Marks a table as an object: `{}` when it is empty.
---@param value? table  a new one by default
---@return table value
local function object(value)
  return setmetatable(value or {}, marks.object)
end

---What a table is marked as.
---@param value any
---@return "array"|"object"|nil
local function mark_of(value)
  return kinds[getmetatable(value)]
end

---Marks a copy as its original is marked, if it is.
---@param copy table
---@param original table
---@return table copy
local function mark_like(copy, original)
  local kind = mark_of(original)
  return kind and setmetatable(copy, marks[kind]) or copy
end

---What a table is in JSON: as it is marked, or as its keys say. Nil with a reason when it is neither.
---@param value table
---@return "array"|"object"|"empty"|nil kind  empty: nothing in it, and not marked
---@return string|nil why
local function kind_of(value)
  local marked, length = mark_of(value), #value
  local is_array, count = marked == "array" or not marked and length > 0, 0
  for key in pairs(value) do
    count = count + 1
    if is_array and (math.type(key) ~= "integer" or key < 1 or key > length) or not is_array and type(key) ~= "string" then
      return nil, "must be an array (1 to n, without holes) or an object (names only)"
    end
    if not is_array and not utf8.len(key) then return nil, "the name of a field must be valid UTF-8" end
  end
  if is_array and count < length then return nil, "must be an array without holes" end
  return marked or (count == 0 and "empty" or is_array and "array" or "object")
end

-- --- writing

---A number as JSON: whole ones as integers, others with as few digits as give the number back, in every locale with a point.
---@param value number
---@return string|nil  nil for what isn't finite
local function number(value)
  local whole = math.tointeger(value)
  if whole then return ("%d"):format(whole) end
  if value ~= value or value == math.huge or value == -math.huge then return nil end
  local text
  for digits = 14, 17 do
    text = core.format("%." .. digits .. "g", value)
    if tonumber(text) == value then break end
  end
  return text
end

local short = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escaped(char)
  return short[char] or ("\\u%04x"):format(char:byte())
end

-- What a terminal, or a reader of the text, could be misled by: C1 controls, Unicode's Bidi_Control, line and paragraph separators.
local misleading <const> = { "\xC2[\x80-\x9F]", "\xD8\x9C", "\xE2\x80[\x8E\x8F\xA8-\xAE]", "\xE2\x81[\xA6-\xA9]" }

local function escaped_code(char)
  return ("\\u%04x"):format(utf8.codepoint(char))
end

-- Bytes that aren't UTF-8 become U+FFFD.
local function repaired(text)
  local good, bad = utf8.len(text)
  while not good do
    text = text:sub(1, bad - 1) .. "\u{FFFD}" .. text:sub(bad + 1)
    good, bad = utf8.len(text, bad)
  end
  return text
end

local function trouble(why)
  return { why = why, place = "" }
end

local write

local function write_array(value, out, depth, manner)
  for index, item in ipairs(value) do
    out[#out + 1] = index == 1 and "[" or ","
    local problem = write(item, out, depth + 1, manner)
    if problem then
      problem.place = ("[%d]"):format(index) .. problem.place
      return problem
    end
  end
  out[#out + 1] = #value > 0 and "]" or "[]"
end

local function write_object(value, out, depth, manner)
  local names = {}
  for name in pairs(value) do names[#names + 1] = name end
  table.sort(names)
  for index, name in ipairs(names) do
    out[#out + 1] = index == 1 and "{" or ","
    write(name, out, depth, manner)
    out[#out + 1] = ":"
    local problem = write(value[name], out, depth + 1, manner)
    if problem then
      problem.place = "." .. core.clean(name, 60) .. problem.place
      return problem
    end
  end
  out[#out + 1] = #names > 0 and "}" or "{}"
end

local function write_table(value, out, depth, manner)
  if depth > most_depth then return trouble("is nested too deeply") end
  local mt = getmetatable(value)
  if mt and mt.__tojson then
    return mt.__tojson(value, out, function(item) return write(item, out, depth + 1, manner) end)
  end
  local kind, why = kind_of(value)
  if not kind then return trouble(why) end
  if kind == "empty" then kind = manner.empty end
  return (kind == "array" and write_array or write_object)(value, out, depth, manner)
end

-- Returns what is wrong, with its place, when the value can't be written.
function write(value, out, depth, manner)
  local kind = type(value)
  if kind == "table" then
    return write_table(value, out, depth, manner)
  elseif kind == "string" then
    if not utf8.len(value) then
      if not manner.repair then return trouble("must be valid UTF-8") end
      value = repaired(value)
    end
    value = value:gsub('[\0-\31"\\\127]', escaped)
    if manner.printed and value:find "[\xC2\xD8\xE2]" then
      for _, pattern in ipairs(misleading) do value = value:gsub(pattern, escaped_code) end
    end
    out[#out + 1] = '"' .. value .. '"'
  elseif kind == "number" then
    local text = number(value)
    if not text then return trouble("must be a finite number") end
    out[#out + 1] = text
  elseif kind == "boolean" then
    out[#out + 1] = tostring(value)
  elseif value == nil or value == null then
    out[#out + 1] = "null"
  else
    return trouble("can't be sent: it is a " .. kind)
  end
end

---Writes a value as JSON, objects with their names in order.
---@param value any  a table whose metatable has `__tojson(value, out, put)` writes itself: texts to the end of `out`, other values by
---  `put(value)`, and returns what that returns
---@param manner { empty: "array"|"object", repair?: boolean, printed?: boolean }  empty: what an empty table is that isn't marked;
---  repair: bytes that aren't UTF-8 become U+FFFD instead of being refused; printed: for a terminal, on which C1 controls and bidi controls
---  must not come as they are
---@return string|nil json
---@return { why: string, place: string }|nil problem  place: ".video_list[1].url"; "" for the value itself
local function text_of(value, manner)
  local out = {}
  local problem = write(value, out, 0, manner)
  if problem then return nil, problem end
  return table.concat(out)
end

local as_object <const> = { empty = "object" }

---Writes a value as JSON for the service. An empty table is an object, unless it is marked as an array.
---@param value any
---@param name string  what the value is called in an error
---@return string|nil json
---@return omni.Error|nil err  code "invalid_input", with the `field` that can't be sent
local function encode(value, name)
  local text, problem = text_of(value, as_object)
  if text then return text end
  local field = name .. problem.place
  return nil, err.new { code = "invalid_input", field = field, message = field .. ": " .. problem.why }
end

return {
  array = array, object = object, mark_of = mark_of, mark_like = mark_like, kind_of = kind_of,
  encode = encode, number = number, text_of = text_of, null = null, most_depth = most_depth,
}
