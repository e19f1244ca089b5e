-- SPDX-License-Identifier: MIT
-- The keywords of JSON Schema that say something of one value. Each function: (walk, schema, value, place, inner) → problem or nil. A
-- keyword whose own value can't be one is passed over.

local asset = require "omni.client.placeholder"
local json = require "omni.json"
local options = require "omni.options"
local words = require "omni.models.schema.messages"

local function limit(value)
  return type(value) == "number" and value == value and math.abs(value) ~= math.huge and value or nil
end

local function array(value)
  return type(value) == "table" and value[1] ~= nil and value or nil
end

local function map(value)
  return type(value) == "table" and value or nil
end

local keywords = {}

-- --- enum, const

local function is_one_of(walk, value, choices)
  for _, choice in ipairs(choices) do
    if walk:equal(value, choice) then return true end
  end
  return false
end

local function unlike(walk, choices, value, place)
  if not choices or is_one_of(walk, value, choices) then return nil end
  local text, near = words.choices(choices, value)
  return { place = place, at = place, text = "must be " .. text, value = value, near = near, kind = "choice", list = choices }
end

function keywords.choice(walk, node, value, place)
  return unlike(walk, node.const ~= nil and { node.const }, value, place) or unlike(walk, array(node.enum), value, place)
end

-- --- type

local tests <const> = {
  array = function(kind) return kind == "array" end,
  boolean = function(kind) return kind == "boolean" end,
  integer = function(kind, value) return kind == "number" and math.tointeger(value) ~= nil end,
  null = function(kind) return kind == "null" end,
  number = function(kind) return kind == "number" end,
  object = function(kind) return kind == "object" end,
  -- A URL may come to stand where an asset is, unless the string is said to be something else.
  string = function(kind, _, node) return kind == "string" or kind == "asset" and (node.format == nil or words.is_url(node)) end,
}

function keywords.kind(walk, node, value, place)
  local wanted = type(node.type) == "string" and { node.type } or array(node.type)
  if not wanted then return nil end
  local kind, told = walk:kind(value, node), {}
  for _, name in ipairs(wanted) do
    local test = tests[name]
    if not test or test(kind, value, node) then return nil end
    if not kind and (name == "array" or name == "object") then return nil end -- an empty table that may be both
    for _, word in ipairs { words.wanted(name, node) } do told[#told + 1] = word end
  end
  return { place = place, at = place, text = "must be " .. words.listed(told), value = value, kind = "kind", list = told }
end

-- --- strings

function keywords.text(walk, node, value, place)
  if type(value) ~= "string" then return nil end
  local least, most = limit(node.minLength), limit(node.maxLength)
  local length = (least or most) and utf8.len(value)
  if least and length < least or most and length > most then
    local text = ("must be of %s, not %d"):format(words.count(least, most, "1 character", "%d characters"), length)
    return { place = place, text = text }
  end
  if words.is_url(node) then
    local wrong = asset.wrong_url(value)
    if wrong then return { place = place, text = wrong, value = not wrong:find("data:", 1, true) and value or nil } end
    walk.urls[place] = true
  end
  if node.pattern ~= nil and walk:matches(node.pattern, value) == false then
    return { place = place, text = "must match the pattern " .. words.word(node.pattern), value = value }
  end
end

-- --- numbers

-- A limit and whether it is out itself: draft 4 says that beside it, by a boolean.
local function bound(plain, exclusive, is_tighter)
  if exclusive == true then return plain, true end
  exclusive = limit(exclusive)
  if exclusive and (not plain or not is_tighter(plain, exclusive)) then return exclusive, true end
  return plain, false
end

local function greater(a, b) return a > b end
local function less(a, b) return a < b end

local function is_multiple(value, step)
  local times = value / step
  local nearest = math.floor(times + 0.5)
  return math.abs(times - nearest) <= 1e-9 * math.max(1, math.abs(nearest))
end

function keywords.range(_, node, value, place)
  if type(value) ~= "number" then return nil end
  local low, low_open = bound(limit(node.minimum), node.exclusiveMinimum, greater)
  local high, high_open = bound(limit(node.maximum), node.exclusiveMaximum, less)
  if low and (value < low or low_open and value == low) or high and (value > high or high_open and value == high) then
    return { place = place, text = words.range(low, low_open, high, high_open), value = value }
  end
  local step = limit(node.multipleOf)
  if step and step > 0 and step < math.huge and not is_multiple(value, step) then
    return { place = place, text = "must be a multiple of " .. words.word(step), value = value }
  end
end

-- --- arrays

local function counted(node, least_name, most_name, count, place, one, many)
  local least, most = limit(node[least_name]), limit(node[most_name])
  if least and count < least or most and count > most then
    return { place = place, text = ("takes %s, not %d"):format(words.count(least, most, one, many), count) }
  end
end

local function twice(walk, value, place)
  local seen = {}
  for i, item in ipairs(value) do
    local text = json.write(item, { empty = "array" }) or "" -- an asset is a table, too
    walk:spend(1 + #text // 8)
    if seen[text] then
      local first = asset.place_of(place, seen[text])
      return { place = asset.place_of(place, i), text = "is the same as " .. first .. "; each may stand there once" }
    end
    seen[text] = i
  end
end

function keywords.list(walk, node, value, place)
  if type(value) ~= "table" or walk:kind(value, node) ~= "array" then return nil end
  local problem = counted(node, "minItems", "maxItems", #value, place, "1 item", "%d items")
    or node.uniqueItems == true and twice(walk, value, place)
  if problem then return problem end
  local first = array(node.prefixItems)
  local rest = node.items
  if not first and array(node.items) then first, rest = node.items, node.additionalItems end
  for i, item in ipairs(value) do
    local of_item = rest
    if first and first[i] ~= nil then of_item = first[i] end
    if of_item == false then
      return { place = place, text = ("takes %s, not %d"):format(words.count(nil, i - 1, "1 item", "%d items"), #value) }
    end
    problem = walk:apply(of_item, item, asset.place_of(place, i))
    if problem then return problem end
  end
end

-- --- objects

local function plainer(name)
  return (name:lower():gsub("[_%-%s]", ""))
end

-- The known field that a name is a slip of the pen for: one letter (of eight two), case or separators apart. What the input has already
-- isn't meant.
local function meant(name, known, given)
  if #name > 64 then return nil end
  local plain = plainer(name)
  local free = {}
  for other in pairs(known) do
    if given[other] == nil and #other <= 64 then free[other] = true end
  end
  local near = options.nearest(name, free)
  for _, other in ipairs(words.sorted_names(free)) do
    if plainer(other) == plain then near = other end
  end
  if not near or plainer(near) == plain then return near end
  local longer = math.max(#name, #near)
  return longer >= 4 and options.distance(name:lower(), near:lower()) <= (longer >= 8 and 2 or 1) and near or nil
end

local unsure <const> = "if the service knows it all the same, open the client with schemas = false"

-- What a field that no property and no pattern names must fit; or, with nil, what is wrong with its being there.
local function of_other(walk, node, name, value, place, inner)
  local others = node.additionalProperties
  if others == false then
    local text = words.unknown_field(name, words.sorted_names(map(node.properties) or {}))
    return nil, { place = asset.place_of(place, name), text = text }
  elseif others == nil and not inner then
    local known = walk:names(node)
    local near = not known[name] and meant(name, known, value)
    if near then
      local text = ("unknown field; did you mean '%s'?"):format(words.word(near))
      return nil, { place = asset.place_of(place, name), text = text, hint = unsure }
    end
  end
  return others ~= nil and { others } or {}
end

-- The schemas that a field must fit; or nil and why it can't be there.
local function schemas_of(walk, node, patterns, name, value, place, inner)
  local schemas, judged = {}, true
  if type(node.properties) == "table" then schemas[1] = node.properties[name] end
  for _, expression in ipairs(patterns) do
    local found = walk:matches(expression, name)
    if found then schemas[#schemas + 1] = node.patternProperties[expression] end
    judged = judged and found ~= nil
  end
  if #schemas > 0 or not judged then return schemas end
  return of_other(walk, node, name, value, place, inner)
end

local function missing(walk, node, value, place)
  for _, name in ipairs(array(node.required) or {}) do
    walk:spend(1)
    if type(name) == "string" and value[name] == nil then
      return { place = asset.place_of(place, name), at = place, text = "is required", kind = "required", list = { name } }
    end
  end
end

-- The value's fields: those that are required first, in the schema's order, then the others by name.
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

function keywords.fields(walk, node, value, place, inner)
  if type(value) ~= "table" or walk:kind(value, node) ~= "object" then return nil end
  local names, unknown = in_order(node, value), nil
  local patterns = words.sorted_names(map(node.patternProperties) or {})
  walk:spend(#names)
  for _, name in ipairs(names) do
    local inside = asset.place_of(place, name)
    local problem = walk:apply(node.propertyNames, name, inside)
    if problem then
      problem.text = "the name of this field " .. problem.text
      return problem
    end
    local schemas, stray = schemas_of(walk, node, patterns, name, value, place, inner)
    unknown = unknown or stray
    for _, schema in ipairs(schemas or {}) do
      problem = walk:apply(schema, value[name], inside)
      if problem then return problem end
    end
  end
  -- In this order, so that of several forms the one is found that was meant: a wrong choice says that it wasn't, a missing field doesn't.
  return unknown or missing(walk, node, value, place)
    or counted(node, "minProperties", "maxProperties", #names, place, "1 field", "%d fields")
end

return keywords
