-- SPDX-License-Identifier: MIT
-- Reads a model's input fields from its JSON Schema, and lists them as table rows: name, type, whether the field is required, default,
-- allowed values and meaning. A schema comes from the network, so parts that are too deep, too large or recursive are omitted.

local walking = require "omni.models.schema.traversal"
local words = require "omni.models.schema.messages"

local most_rows <const> = 300
local most_depth <const> = 6     -- maximum nesting depth of fields
local most_parts <const> = 20000 -- maximum number of schemas to visit

local same_value <const> = { "allOf", "anyOf", "oneOf" }

local function list(value) return type(value) == "table" and value or {} end

---@class omni.cli.Reader
---@field walk omni.schema.Walk
---@field left integer        number of schemas that may still be visited
---@field rows table[]
local Reader_methods = {}
local Reader_mt = { __index = Reader_methods }

-- Collects all schemas that describe one value: the node itself, the schema that it refers to, and the schemas that it combines. `certain`
-- is false for alternatives (`anyOf`, `oneOf`).
function Reader_methods:parts(node, certain, found, seen)
  if type(node) ~= "table" or seen[node] or self.left <= 0 then return found end
  seen[node], self.left = true, self.left - 1
  found[#found + 1] = { node = node, certain = certain }
  self:parts(self.walk:find(node["$ref"]), certain, found, seen)
  for _, keyword in ipairs(same_value) do
    for _, part in ipairs(list(node[keyword])) do self:parts(part, certain and keyword == "allOf", found, seen) end
  end
  for _, keyword in ipairs { "then", "else" } do self:parts(node[keyword], false, found, seen) end
  return found
end

-- --- one field

local function add(texts, one)
  for _, known in ipairs(texts) do
    if known == one then return end
  end
  texts[#texts + 1] = one
end

-- Returns a type in words, such as "string", "array of object" or "string or null".
function Reader_methods:type_of(node, depth)
  local names = {}
  for _, part in ipairs(self:parts(node, true, {}, {})) do
    local one = part.node
    for _, name in ipairs(type(one.type) == "table" and one.type or { one.type }) do
      if type(name) == "string" then
        if name == "string" and words.is_url(one) then name = "URL" end
        local items = name == "array" and depth > 0 and self:type_of(one.items, depth - 1) or ""
        add(names, words.word(name) .. (items ~= "" and " of " .. items or ""))
      end
    end
    if one.nullable == true then add(names, "null") end
  end
  return words.listed(names)
end

local function number(value) return type(value) == "number" and value or nil end

-- Adds to `texts` the values that one schema allows.
local function allowed_by(node, texts)
  local choices = type(node.enum) == "table" and node.enum or node.const ~= nil and { node.const } or {}
  if #choices > 0 then
    local shown = {}
    for i = 1, math.min(#choices, 40) do shown[i] = words.word(choices[i]) end
    if #choices > #shown then shown[#shown + 1] = "..." end
    add(texts, words.listed(shown))
  end
  local low, high = number(node.minimum), number(node.maximum)
  local over, under = number(node.exclusiveMinimum), number(node.exclusiveMaximum)
  if low or high or over or under then
    local range = words.range(over or low, over ~= nil or node.exclusiveMinimum == true, under or high,
      under ~= nil or node.exclusiveMaximum == true)
    add(texts, (range:gsub("^must be ", "")))
  end
  if number(node.multipleOf) then add(texts, "a multiple of " .. words.shown(node.multipleOf)) end
  for _, kind in ipairs { { "Length", "1 character", "%d characters" }, { "Items", "1 item", "%d items" } } do
    local least, most = number(node["min" .. kind[1]]), number(node["max" .. kind[1]])
    if least or most then add(texts, words.count(least, most, kind[2], kind[3])) end
  end
  if type(node.pattern) == "string" then add(texts, "matches " .. words.word(node.pattern)) end
end

local function first_text(parts, keyword)
  for _, part in ipairs(parts) do
    local value = part.node[keyword]
    if type(value) == "string" and value:find "%S" then return value end
  end
end

function Reader_methods:row(name, node, required)
  local parts, allowed, default = self:parts(node, true, {}, {}), {}, nil
  for _, part in ipairs(parts) do
    allowed_by(part.node, allowed)
    local items = part.node.items
    if type(items) == "table" then
      local each = {}
      for _, one in ipairs(self:parts(items, true, {}, {})) do
        if not one.node.properties then allowed_by(one.node, each) end
      end
      if #each > 0 then add(allowed, "each " .. table.concat(each, ", ")) end
    end
    if default == nil then default = part.node.default end
  end
  local about = { table.concat(allowed, "; ") }
  about[#about + 1] = first_text(parts, "description") or first_text(parts, "title")
  self.rows[#self.rows + 1] = {
    name, self:type_of(node, 2), required and "yes" or "", default ~= nil and words.word(default) or "", about,
  }
end

-- --- all fields

-- Returns an object's fields: their names (required fields first), their schemas, and the set of required names.
function Reader_methods:fields(node, more_required)
  local names, nodes, required = {}, {}, {}
  local function require_all(given)
    for _, name in ipairs(list(given)) do
      if type(name) == "string" and not required[name] then
        required[name], required[#required + 1] = true, name
      end
    end
  end
  require_all(more_required)
  for _, part in ipairs(self:parts(node, true, {}, {})) do
    for _, name in ipairs(words.sorted_names(list(part.node.properties))) do
      if nodes[name] == nil then nodes[name] = part.node.properties[name] end
    end
    if part.certain then require_all(part.node.required) end
  end
  for _, name in ipairs(required) do
    if nodes[name] ~= nil then names[#names + 1] = name end
  end
  for _, name in ipairs(words.sorted_names(nodes)) do
    if not required[name] then names[#names + 1] = name end
  end
  return names, nodes, required
end

function Reader_methods:object(node, prefix, depth, more_required)
  local names, nodes, required = self:fields(node, more_required)
  for _, name in ipairs(names) do
    if #self.rows >= most_rows then return end
    local place = prefix .. words.word(name)
    self:row(place, nodes[name], required[name])
    if depth < most_depth then
      self:object(nodes[name], place .. ".", depth + 1)
      for _, part in ipairs(self:parts(nodes[name], true, {}, {})) do
        if type(part.node.items) == "table" then self:object(part.node.items, place .. "[].", depth + 1) end
      end
    end
  end
end

---Returns the table's rows.
---@param schema any                    the schema of the input, from the service
---@param required_input_fields? any    further names of required fields
---@return table[] rows  { name, type, "yes" or "", default, { allowed, description } }
local function rows_of(schema, required_input_fields)
  if type(schema) ~= "table" then return {} end
  local reader = setmetatable({ walk = walking.new(schema, {}), left = most_parts, rows = {} }, Reader_mt)
  local fine, problem = pcall(reader.object, reader, schema, "", 1, required_input_fields)
  if not fine and problem ~= walking.given_up then error(problem, 0) end
  return reader.rows
end

return { rows_of = rows_of }
