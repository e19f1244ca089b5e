-- SPDX-License-Identifier: MIT
-- Implements the JSON Schema keywords for choices, types, strings, numbers and arrays. Each of this module's functions takes (traversal,
-- schema, value, place, inner) and returns a problem or nil. These functions ignore schema keywords with invalid values.

local json = require "omni.json"
local messages = require "omni.models.schema.messages"
local placeholder = require "omni.client.placeholder"

-- Returns the value if it is a finite number, else nil.
local function limit(value)
  return type(value) == "number" and value == value and math.abs(value) ~= math.huge and value or nil
end

local function array(value)
  return type(value) == "table" and value[1] ~= nil and value or nil
end

local keywords = {}

-- --- enum, const

local function is_one_of(traversal, value, choices)
  for _, choice in ipairs(choices) do
    if traversal:equal(value, choice) then return true end
  end
  return false
end

local function check_choice(traversal, choices, value, place)
  if not choices or is_one_of(traversal, value, choices) then return nil end
  local text, near = messages.choices(choices, value)
  return { place = place, at = place, text = "must be " .. text, value = value, near = near, kind = "choice", list = choices }
end

function keywords.choice(traversal, node, value, place)
  return check_choice(traversal, node.const ~= nil and { node.const }, value, place)
    or check_choice(traversal, array(node.enum), value, place)
end

-- --- type

local tests <const> = {
  array = function(kind) return kind == "array" end,
  boolean = function(kind) return kind == "boolean" end,
  integer = function(kind, value) return kind == "number" and math.tointeger(value) ~= nil end,
  null = function(kind) return kind == "null" end,
  number = function(kind) return kind == "number" end,
  object = function(kind) return kind == "object" end,
  -- A placeholder later becomes a URL, so it is valid wherever the schema allows a string and requires no format other than a URL.
  string = function(kind, _, node)
    return kind == "string" or kind == "placeholder" and (node.format == nil or messages.is_url(node))
  end,
}

function keywords.kind(traversal, node, value, place)
  local wanted = type(node.type) == "string" and { node.type } or array(node.type)
  if not wanted then return nil end
  local kind, expected = traversal:kind(value, node), {}
  for _, name in ipairs(wanted) do
    local test = tests[name]
    if not test or test(kind, value, node) then return nil end
    if not kind and (name == "array" or name == "object") then return nil end -- an empty table can be an array or an object
    for _, word in ipairs { messages.type_of(name, node) } do expected[#expected + 1] = word end
  end
  return { place = place, at = place, text = "must be " .. messages.listed(expected), value = value, kind = "kind", list = expected }
end

-- --- strings

function keywords.text(traversal, node, value, place)
  if type(value) ~= "string" then return nil end
  local least, most = limit(node.minLength), limit(node.maxLength)
  local length = (least or most) and utf8.len(value)
  if least and length < least or most and length > most then
    local text = ("must have %s, not %d"):format(messages.count(least, most, "1 character", "%d characters"), length)
    return { place = place, text = text }
  end
  if messages.is_url(node) then
    local wrong = placeholder.wrong_url(value)
    if wrong then return { place = place, text = wrong, value = not wrong:find("data:", 1, true) and value or nil } end
    traversal.urls[place] = true
  end
end

-- --- numbers

local function is_multiple(value, step)
  local times = value / step
  local nearest = math.floor(times + 0.5)
  return math.abs(times - nearest) <= 1e-9 * math.max(1, math.abs(nearest))
end

function keywords.range(_, node, value, place)
  if type(value) ~= "number" then return nil end
  local low, above = limit(node.minimum), limit(node.exclusiveMinimum)
  local high, below = limit(node.maximum), limit(node.exclusiveMaximum)
  if low and value < low or above and value <= above or high and value > high or below and value >= below then
    local low_open, high_open = above and not (low and low > above), below and not (high and high < below)
    local text = messages.range(low_open and above or low, low_open, high_open and below or high, high_open)
    return { place = place, text = text, value = value }
  end
  local step = limit(node.multipleOf)
  if step and step > 0 and step < math.huge and not is_multiple(value, step) then
    return { place = place, text = "must be a multiple of " .. messages.word(step), value = value }
  end
end

-- --- arrays

---Returns a problem if a count isn't within the limits that the schema sets.
---@param node table
---@param least_name string  the keyword of the lower limit: "minItems"
---@param most_name string
---@param count integer
---@param place string
---@param one string   "1 item"
---@param many string  "%d items"
---@return omni.schema.Problem|nil
function keywords.count(node, least_name, most_name, count, place, one, many)
  local least, most = limit(node[least_name]), limit(node[most_name])
  if least and count < least or most and count > most then
    return { place = place, text = ("takes %s, not %d"):format(messages.count(least, most, one, many), count) }
  end
end

local function find_duplicate(traversal, value, place)
  local seen = {}
  for i, item in ipairs(value) do
    local text = json.write(item, { empty = "array" }) or "" -- `json.write` writes a placeholder like any other table
    traversal:spend(1 + #text // 8)
    if seen[text] then
      local first = placeholder.place_of(place, seen[text])
      return { place = placeholder.place_of(place, i), text = "is the same as " .. first .. "; no item may be repeated" }
    end
    seen[text] = i
  end
end

function keywords.list(traversal, node, value, place)
  if type(value) ~= "table" or traversal:kind(value, node) ~= "array" then return nil end
  local problem = keywords.count(node, "minItems", "maxItems", #value, place, "1 item", "%d items")
    or node.uniqueItems == true and find_duplicate(traversal, value, place)
  if problem then return problem end
  local first = array(node.prefixItems)
  local rest = node.items
  if not first and array(node.items) then first, rest = node.items, node.additionalItems end
  for i, item in ipairs(value) do
    local of_item = rest
    if first and first[i] ~= nil then of_item = first[i] end
    if of_item == false then
      return { place = place, text = ("takes %s, not %d"):format(messages.count(nil, i - 1, "1 item", "%d items"), #value) }
    end
    problem = traversal:apply(of_item, item, placeholder.place_of(place, i))
    if problem then return problem end
  end
end

return keywords
