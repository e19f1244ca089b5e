-- SPDX-License-Identifier: MIT
-- Encodes Lua values as JSON, and decodes JSON. Uses lua-cjson only for decoding, since different versions of lua-cjson encode differently.
-- Version 2.1.0 of lua-cjson writes numbers with at most 14 digits, and writes every empty table as {}.

local core = require "omni.core"
local err = require "omni.error"

local most_depth <const> = 90 -- maximum nesting depth of tables
local null = core.json.null

-- --- marks that tell an empty array from an empty object

local marks = { array = { __name = "omni.array" }, object = { __name = "omni.object" } }
local kinds = { [marks.array] = "array", [marks.object] = "object" }

-- Marks a table as an array or an object; if the value is nil, marks a new table. For a value that is neither a table nor nil, raises an
-- error that names the line of the caller's caller.
local function mark(value, kind)
  if value ~= nil and type(value) ~= "table" then error(("omni.%s: expected a table, got a %s"):format(kind, type(value)), 3) end
  return setmetatable(value or {}, marks[kind])
end

---Marks a table as an array, which is written as `[]` when it is empty.
---@param value? table  the table to mark (default: a new table)
---@return table value
local function array(value)
  local table = mark(value, "array")
  return table
end

---Marks a table as an object, which is written as `{}` when it is empty.
---@param value? table  the table to mark (default: a new table)
---@return table value
local function object(value)
  local table = mark(value, "object")
  return table
end

---Returns whether a table is marked as an array or an object. Returns nil for a table without a mark.
---@param value any
---@return "array"|"object"|nil
local function mark_of(value)
  return kinds[getmetatable(value)]
end

---If the original table has a mark, gives its copy the same mark.
---@param copy table
---@param original table
---@return table copy
local function mark_like(copy, original)
  local kind = mark_of(original)
  return kind and setmetatable(copy, marks[kind]) or copy
end

---Returns whether a table is an array or an object in JSON. If the table has no mark, its keys determine its kind. Returns nil and a reason
---if the table is neither an array nor an object.
---@param value table
---@return "array"|"object"|"empty"|nil kind  "empty": the table has neither a mark nor content
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

---Formats a number as JSON. Writes whole numbers without a fraction. Writes other numbers with just enough digits to read the same number
---back, and with a decimal point in every locale.
---@param value number
---@return string|nil  nil for infinity and NaN
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

-- Compares two names byte by byte, because `<` depends on the program's locale.
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

-- Patterns for characters that can confuse a terminal or mislead a reader: C1 controls, bidirectional controls, and line and paragraph
-- separators.
local misleading <const> = { "\xC2[\x80-\x9F]", "\xD8\x9C", "\xE2\x80[\x8E\x8F\xA8-\xAE]", "\xE2\x81[\xA6-\xA9]" }

local function escaped_code(char)
  return ("\\u%04x"):format(utf8.codepoint(char))
end

-- Replaces each byte that isn't part of valid UTF-8 with U+FFFD.
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

local write_value

local function write_array(value, out, depth, options)
  for index, item in ipairs(value) do
    out[#out + 1] = index == 1 and "[" or ","
    local problem = write_value(item, out, depth + 1, options)
    if problem then
      problem.place = ("[%d]"):format(index) .. problem.place
      return problem
    end
  end
  out[#out + 1] = #value > 0 and "]" or "[]"
end

-- Writes an object with its fields in the order of `names`.
local function write_object(value, names, out, depth, options)
  for index, name in ipairs(names) do
    out[#out + 1] = index == 1 and "{" or ","
    write_value(name, out, depth, options)
    out[#out + 1] = ":"
    local problem = write_value(value[name], out, depth + 1, options)
    if problem then
      problem.place = "." .. core.clean(name, 60) .. problem.place
      return problem
    end
  end
  out[#out + 1] = #names > 0 and "}" or "{}"
end

local function sorted_names(value)
  local names = {}
  for name in pairs(value) do names[#names + 1] = name end
  table.sort(names, before)
  return names
end

local shapes = setmetatable({}, { __mode = "k" }) -- metatable → fields, as { name =, optional = }
local Raw_mt = { __name = "omni.json.raw" }

-- Returns the names of the fields to write for a table with a shape (see `shape`), in the shape's order.
local function names_of_shape(value, fields)
  local names = {}
  for _, field in ipairs(fields) do
    if value[field.name] ~= nil or not field.optional then names[#names + 1] = field.name end
  end
  return names
end

local function write_table(value, out, depth, options)
  if options.canonical then
    if #value > 0 then return write_array(value, out, depth, options) end
    return write_object(value, sorted_names(value), out, depth, options)
  end
  if depth > most_depth then return trouble("is nested too deeply") end
  local mt = getmetatable(value)
  if mt == Raw_mt then
    out[#out + 1] = value.text
    return nil
  end
  local fields = mt and shapes[mt]
  if fields then return write_object(value, names_of_shape(value, fields), out, depth, options) end
  local kind, why = kind_of(value)
  if not kind then return trouble(why) end
  if kind == "empty" then kind = options.empty end
  if kind == "array" then return write_array(value, out, depth, options) end
  return write_object(value, sorted_names(value), out, depth, options)
end

local function write_string(value, out, options)
  local specials = options.canonical and '[\0-\31"\\]' or '[\0-\31"\\\127]'
  if not options.canonical and not utf8.len(value) then
    if not options.repair then return trouble("must be valid UTF-8") end
    value = repaired(value)
  end
  value = value:gsub(specials, escaped)
  if options.printed and value:find "[\xC2\xD8\xE2]" then
    for _, pattern in ipairs(misleading) do value = value:gsub(pattern, escaped_code) end
  end
  out[#out + 1] = '"' .. value .. '"'
end

-- Encodes any value. If the value can't be written as JSON, returns the problem and its location in the value.
function write_value(value, out, depth, options)
  local kind = type(value)
  if kind == "table" then return write_table(value, out, depth, options) end
  if kind == "string" then return write_string(value, out, options) end
  if kind == "number" then
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

---@class omni.json.Options
---@field empty "array"|"object"  what an empty table without a mark becomes
---@field repair? boolean   replace bytes that aren't valid UTF-8 with U+FFFD instead of refusing them
---@field printed? boolean  escape characters that can confuse a terminal or mislead a reader
---@field canonical? boolean  write the form that digests are computed from (`canonical`)

---Encodes a value as JSON. An object's fields are sorted bytewise by name. The fields of an object with a shape (see `shape`) keep the
---shape's order.
---@param value any
---@param options omni.json.Options
---@return string|nil json
---@return { why: string, place: string }|nil problem  place: ".video_list[1].url"; "" for the value itself
local function write(value, options)
  local out = {}
  local problem = write_value(value, out, 0, options)
  if problem then return nil, problem end
  return table.concat(out)
end

local for_service <const> = { empty = "object" }

---Encodes a value as JSON for a request to the service. An empty table that isn't marked as an array becomes an object.
---@param value any
---@param name string  the value's name in error messages
---@return string|nil json
---@return omni.Error|nil err  code "invalid_input", with the `field` that can't be sent
local function encode(value, name)
  local text, problem = write(value, for_service)
  if text then return text end
  local field = name .. problem.place
  return nil, err.new { code = "invalid_input", field = field, message = field .. ": " .. problem.why }
end

local function write_or_raise(value, options)
  local text, problem = write(value, options)
  return text or error("JSON" .. problem.place .. ": " .. problem.why, 0)
end

local for_text <const> = { empty = "array", repair = true }

---Encodes a value as JSON for omni's own files and the sandbox's responses. An empty table that isn't marked as an object becomes an array.
---Raises an error for a value that JSON can't represent.
---@param value any
---@return string
local function text(value) return write_or_raise(value, for_text) end

local for_terminal <const> = { empty = "array", repair = true, printed = true }

---Encodes a value as `text` does, but escapes characters that can confuse a terminal or mislead a reader.
---@param value any
---@return string
local function printed(value) return write_or_raise(value, for_terminal) end

local for_digests <const> = { canonical = true }

---Encodes a value as canonical JSON, from which digests are computed. In canonical JSON, names are sorted, each number has only one form,
---only necessary escapes are used, and every empty table becomes {}. A scene's identity is a digest of its canonical JSON. Any change to
---canonical JSON would therefore change the identity of every scene on every board.
---@param value any  a value that `encode` accepts
---@return string
local function canonical(value) return write_or_raise(value, for_digests) end

---Returns a function that gives a table a shape, so that `write` writes the table's fields in the order of `fields`. A field that is nil is
---written as null, or omitted if its name in `fields` ends in "?".
---@param fields string[]
---@return fun(object: table): table
local function shape(fields)
  local mt, order = { __name = "omni.json.shape" }, {}
  for i, field in ipairs(fields) do
    order[i] = { name = field:match("^[^?]+"), optional = field:find("?", 1, true) ~= nil }
  end
  shapes[mt] = order
  return function(value) return setmetatable(value, mt) end
end

---Wraps a JSON text so that `write` inserts it unchanged.
---@param json string
local function raw(json)
  return setmetatable({ text = json }, Raw_mt)
end

-- --- reading

-- Returns the position of the quote that closes the JSON string at position `at`.
local function string_end(json, at)
  at = json:find('["\\]', at + 1)
  while json:sub(at, at) == "\\" do at = json:find('["\\]', at + 2) end
  return at
end

-- If the token is a long whole number, returns the token, because the decoder returns only floats and so could change the number. Returns
-- nil if the number is short, fractional or outside the range of Lua's integers.
local function exact_number(token)
  if #token < 16 or not token:find "^%-?%d+$" then return nil end
  return math.type(tonumber(token)) == "integer" and token or nil
end

-- Prepares a JSON text for the decoder, which would turn both [] and {} into an empty table, and long whole numbers into floats. Puts a
-- random string, `sign`, into each empty array, so that the decoded array isn't empty. Replaces each long whole number with a string:
-- `sign` followed by the digits.
local function with_signs(json, sign)
  local parts, from, at = {}, 1, json:find('["%[%-%d]')
  while at do
    local byte = json:byte(at)
    local to -- the position after the current token
    if byte == 34 then -- a string
      to = string_end(json, at) + 1
    elseif byte == 91 then -- an array
      to = json:match("^%[%s*()%]", at)
      if to then
        parts[#parts + 1] = json:sub(from, at) .. '"' .. sign .. '"'
        from = to
      end
    else
      local token = json:match("^[%-+%d.eE]+", at)
      to = at + #token
      if exact_number(token) then
        parts[#parts + 1] = json:sub(from, at - 1) .. '"' .. sign .. token .. '"'
        from = to
      end
    end
    at = json:find('["%[%-%d]', to or at + 1)
  end
  return table.concat(parts) .. json:sub(from)
end

-- Turns the whole numbers in a decoded value into integers, and marks its empty tables as arrays or objects.
local function settled(value, sign)
  local kind = type(value)
  if kind == "number" then return math.tointeger(value) or value end
  if kind == "string" and sign and value:sub(1, #sign) == sign then return math.tointeger(tonumber(value:sub(#sign + 1))) end
  if kind ~= "table" then return value end
  if next(value) == nil then return object(value) end
  if sign and value[1] == sign and #value == 1 then return array() end
  for key, item in pairs(value) do
    kind = type(item)
    if kind == "table" or kind == "string" and sign or math.type(item) == "float" then value[key] = settled(item, sign) end
  end
  return value
end

---Decodes JSON. A null becomes `json.null`, a whole number becomes an integer (exactly, up to 64 bits), and each empty table is marked as
---an array or an object (`mark_of`).
---@param json string
---@return any|nil value
---@return string|nil message
local function decode(json)
  if json:find("\0", 1, true) then return nil, "it holds a zero byte" end
  if not utf8.len(json) then return nil, "it isn't UTF-8" end
  local value, problem = core.decode(json)
  if value == nil then return nil, problem end
  if not json:find "%[%s*%]" and not json:find(("%d"):rep(16)) then return settled(value) end
  local sign = core.token(16)
  return settled(assert(core.decode(with_signs(json, sign))), sign)
end

-- Returns the position of the last byte of the JSON value at position `at`. The text must be valid JSON.
local function value_end(json, at)
  local sign = json:sub(at, at)
  if sign == '"' then return string_end(json, at) end
  if sign ~= "{" and sign ~= "[" then return json:find("[%s,}%]]", at) - 1 end
  local depth = 0
  repeat
    if sign == '"' then
      at = string_end(json, at)
    else
      depth = depth + ((sign == "{" or sign == "[") and 1 or -1)
      if depth == 0 then return at end
    end
    at = json:find('["%[%]{}]', at + 1)
    sign = json:sub(at, at)
  until false
end

---Returns the unchanged JSON text of each of an object's fields. If several fields have the same name, the last one counts, as in `decode`.
---@param json string  an object as valid JSON
---@return table<string, string>
local function members(json)
  local texts = {}
  local at = json:find("{", 1, true) + 1
  while true do
    at = json:find("[^%s,]", at)
    if json:sub(at, at) == "}" then return texts end
    local key_end = value_end(json, at)
    local key = core.decode("[" .. json:sub(at, key_end) .. "]")[1]
    local from = json:find("[^%s:]", key_end + 1)
    local to = value_end(json, from)
    texts[key] = json:sub(from, to)
    at = to + 1
  end
end

return {
  array = array, object = object, mark_of = mark_of, mark_like = mark_like, kind_of = kind_of, null = null, most_depth = most_depth,
  write = write, encode = encode, text = text, printed = printed, canonical = canonical, number = number, shape = shape, raw = raw,
  decode = decode, members = members,
}
