-- SPDX-License-Identifier: MIT
-- Checks a model's input against a JSON Schema, as services publish them.
--
-- Known are: type, enum, const, nullable; minLength, maxLength, pattern, format (uri, url); minimum, maximum, exclusiveMinimum,
-- exclusiveMaximum, multipleOf; items, prefixItems, additionalItems, minItems, maxItems, uniqueItems; properties, required,
-- additionalProperties, patternProperties, propertyNames, minProperties, maxProperties; $ref within the schema; allOf, anyOf, oneOf, not,
-- if, then, else, dependentRequired, dependentSchemas, dependencies. Any other is passed over, as is one that makes no sense.

local asset = require "omni.client.placeholder"
local core = require "omni.core"
local err = require "omni.error"
local json = require "omni.json"
local walking = require "omni.models.schema.traversal"
local words = require "omni.models.schema.messages"

local function error_of(problem)
  local field = problem.place == "" and "input" or problem.place
  local message = field .. ": " .. problem.text
  if problem.value ~= nil then message = message .. ", not " .. words.shown(problem.value) end
  if problem.near then message = ("%s; did you mean '%s'?"):format(message, problem.near) end
  return err.new { code = "invalid_input", field = field, message = message, hint = problem.hint }
end

---The error for an asset where a URL is due by now.
---@param value omni.Asset
---@param place string
---@return omni.Error
local function no_url_yet(value, place)
  local problem = error_of { place = place, text = ("has no URL yet (%s)"):format(tostring(value)) }
  if value.kind == "file" then problem.hint = "client:upload(path) gives it one" end
  return problem
end

-- --- the copy

local copy_value

local function copy_table(value, place, kinds, assets, depth)
  if depth > json.most_depth then return nil, { place = place, text = "is nested too deeply" } end
  local kind, why = json.kind_of(value)
  if not kind then return nil, { place = place, text = why } end
  local copy, names = json.mark_like({}, value), {}
  if kind ~= "empty" then kinds[copy] = kind end
  for name in pairs(value) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local problem
    copy[name], problem = copy_value(value[name], asset.place_of(place, name), kinds, assets, depth + 1)
    if problem then return nil, problem end
  end
  return copy
end

-- A copy of what can be sent, whole numbers as integers; or nil and a problem. `kinds` gets what its tables are.
function copy_value(value, place, kinds, assets, depth)
  local kind = type(value)
  if kind == "string" then
    local good, bad = utf8.len(value)
    return good and value, not good and { place = place, text = "must be valid UTF-8; it has a wrong byte at position " .. bad } or nil
  elseif kind == "number" then
    if not json.number(value) then return nil, { place = place, text = "must be a finite number" } end
    return math.tointeger(value) or value
  elseif asset.is(value) then
    if not assets then return nil, no_url_yet(value, place) end
    return value
  elseif kind == "table" then
    return copy_table(value, place, kinds, assets, depth)
  elseif kind == "boolean" or value == json.null then
    return value
  end
  return nil, { place = place, text = "can't be sent: it is a " .. kind }
end

-- Puts the URLs of the places that the schema calls URLs into their normal form.
local function normalize_urls(value, place, urls)
  if type(value) == "string" and urls[place] then return core.normalize_url(value) or value end
  if type(value) ~= "table" or asset.is(value) then return value end
  for name, part in pairs(value) do value[name] = normalize_urls(part, asset.place_of(place, name), urls) end
  return value
end

-- --- the check

-- What is wrong, or nil; and as a second value why the schema couldn't be followed.
local function walk_through(walk, schema, copy)
  local fine, problem = pcall(walk.apply, walk, schema, copy, "")
  if fine then return problem end
  if problem ~= walking.given_up then error(problem, 0) end
  return nil, "the schema is too deep, too large, or leads in circles"
end

---Checks an input against a schema, which may be anybody's: its size, depth and references can't make this take long.
---
---Of several wrong fields always the same one is told: one with a wrong value (of those that are required first, the others by name), then
---an unknown one, then a missing one.
---Where a schema doesn't say whether other fields may be there (additionalProperties), one that it doesn't know is taken as it is, unless
---its name is a slip of the pen for a known one that isn't given: a letter (of eight or more two), case, separators apart.
---@param schema table|boolean
---@param input table                  as the service names its fields; omni.null is null
---@param opts? { assets?: boolean }   assets: they may stand where strings are due, but in those of a format other than "uri" or "url"
---@return table|nil copy  whole numbers are integers in it; its empty tables are marked as the schema takes them (omni.json); its URLs
---  are in their normal form
---@return omni.Error|nil  code "invalid_input", with `field`
---@return string|nil why   the schema couldn't be followed to its end: the copy is unchecked then
local function check(schema, input, opts)
  local kinds = {}
  local copy, problem = copy_value(input, "", kinds, opts and opts.assets, 0)
  if problem then return nil, err.is(problem) and problem or error_of(problem) end
  if type(copy) ~= "table" or asset.is(copy) or kinds[copy] == "array" then
    local value = kinds[copy] ~= "array" and input or nil
    return nil, error_of { place = "", text = "must be a table of fields" .. (value == nil and ", not an array" or ""), value = value }
  end
  kinds[copy] = "object"
  local walk = walking.new(schema, kinds)
  local why
  problem, why = walk_through(walk, schema, copy)
  if problem then return nil, error_of(problem) end
  if not why then
    for _, value in ipairs(walk.trail) do json[kinds[value]](value) end
    if next(walk.urls) then normalize_urls(copy, "", walk.urls) end
  end
  return copy, nil, why
end

return { check = check, no_url_yet = no_url_yet }
