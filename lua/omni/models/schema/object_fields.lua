-- SPDX-License-Identifier: MIT
-- Implements the JSON Schema keywords for objects. Checks the value of each field, and reports missing, unknown and misspelt fields.

local messages = require "omni.models.schema.messages"
local options = require "omni.options"
local placeholder = require "omni.client.placeholder"
local value_keywords = require "omni.models.schema.value_keywords"

local function array(value)
  return type(value) == "table" and value[1] ~= nil and value or nil
end

local function map(value)
  return type(value) == "table" and value or nil
end

local function simplify(name)
  return (name:lower():gsub("[_%-%s]", ""))
end

-- Returns the known field that the user probably meant by the misspelt `name`, or nil. Doesn't consider fields that the input already has.
-- The misspelt and the known name may differ only in case or separators, or in one letter. If the misspelt or the known name has eight or
-- more letters, the names may differ in two letters.
local function misspelt(name, known, given)
  if #name > 64 then return nil end
  local simple = simplify(name)
  local free = {}
  for other in pairs(known) do
    if given[other] == nil and #other <= 64 then free[other] = true end
  end
  local near = options.nearest(name, free)
  for _, other in ipairs(messages.sorted_names(free)) do
    if simplify(other) == simple then near = other end
  end
  if not near or simplify(near) == simple then return near end
  local longer = math.max(#name, #near)
  return longer >= 4 and options.distance(name:lower(), near:lower()) <= (longer >= 8 and 2 or 1) and near or nil
end

local HINT <const> = "if the service accepts this field, open the client with schemas = false"

-- Returns the schema for a field that isn't in `properties`, or nil if any value is allowed. If the field isn't allowed, returns nil and
-- the problem. The check can't evaluate `patternProperties`, so it accepts every field if the schema has that keyword.
local function schema_of_other(traversal, node, name, value, place, inner)
  local others = node.additionalProperties
  if type(node.patternProperties) == "table" and next(node.patternProperties) ~= nil then return nil end
  if others == false then
    local text = messages.unknown_field(name, messages.sorted_names(map(node.properties) or {}))
    return nil, { place = placeholder.place_of(place, name), text = text, unknown = true }
  elseif others == nil and not inner then
    local known = traversal:names(node)
    local near = not known[name] and misspelt(name, known, value)
    if near then
      local text = ("unknown field; did you mean '%s'?"):format(messages.word(near))
      return nil, { place = placeholder.place_of(place, name), text = text, hint = HINT }
    end
  end
  return others
end

local function missing(traversal, node, value, place)
  for _, name in ipairs(array(node.required) or {}) do
    traversal:spend(1)
    if type(name) == "string" and value[name] == nil then
      return { place = placeholder.place_of(place, name), at = place, text = "is required", kind = "required", list = { name } }
    end
  end
end

-- Returns the names of the value's fields: first the required fields in the schema's order, then the other fields in alphabetical order.
local function in_order(node, value)
  local names, seen = {}, {}
  for _, name in ipairs(array(node.required) or {}) do
    if type(name) == "string" and value[name] ~= nil and not seen[name] then
      seen[name] = true
      names[#names + 1] = name
    end
  end
  local rest = {}
  for name in pairs(value) do
    if not seen[name] then rest[#rest + 1] = name end
  end
  table.sort(rest)
  return table.move(rest, 1, #rest, #names + 1, names)
end

---Checks an object's fields.
---@param traversal omni.schema.Traversal
---@param node table       the schema
---@param value any        for anything except an object, returns nil
---@param place string
---@param inner? boolean   the schema is a part of another schema for the same value
---@return omni.schema.Problem|nil
local function check(traversal, node, value, place, inner)
  if type(value) ~= "table" or traversal:kind(value, node) ~= "object" then return nil end
  local properties, names, unknown = map(node.properties) or {}, in_order(node, value), nil
  traversal:spend(#names)
  for _, name in ipairs(names) do
    local schema, problem = properties[name], nil
    if schema == nil then schema, problem = schema_of_other(traversal, node, name, value, place, inner) end
    unknown = unknown or problem
    problem = traversal:apply(schema, value[name], placeholder.place_of(place, name))
    if problem then return problem end
  end
  -- Checks for missing fields last, because a missing field, unlike a value that isn't an allowed choice, doesn't show that the user meant
  -- another alternative of an anyOf.
  return unknown or missing(traversal, node, value, place)
    or value_keywords.count(node, "minProperties", "maxProperties", #names, place, "1 field", "%d fields")
end

return { check = check }
