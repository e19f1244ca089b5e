-- SPDX-License-Identifier: MIT
-- Checks a model's input against the JSON Schema that the service publishes.
--
-- Supported keywords: type, enum, const, nullable; minLength, maxLength, format (uri, url); minimum, maximum, exclusiveMinimum,
-- exclusiveMaximum, multipleOf; items, prefixItems, additionalItems, minItems, maxItems, uniqueItems; properties, required,
-- additionalProperties, minProperties, maxProperties; $ref within the schema; allOf, anyOf, oneOf. The check ignores unsupported keywords
-- (such as pattern, not and if) and keywords with invalid values. If an input violates an ignored keyword, the service refuses the input
-- with HTTP status 422, at no cost.

local core = require "omni.core"
local err = require "omni.error"
local json = require "omni.json"
local messages = require "omni.models.schema.messages"
local placeholder = require "omni.client.placeholder"
local traversal = require "omni.models.schema.traversal"

local function error_of(problem)
  local field = problem.place == "" and "input" or problem.place
  local message = field .. ": " .. problem.text
  if problem.value ~= nil then message = message .. ", not " .. messages.shown(problem.value) end
  if problem.near then message = ("%s; did you mean '%s'?"):format(message, problem.near) end
  return err.new { code = "invalid_input", field = field, message = message, hint = problem.hint,
    unknown = problem.unknown }
end

---Returns the error for a placeholder in an input that must be ready to send.
---@param value omni.Placeholder
---@param place string
---@return omni.Error
local function no_url_yet(value, place)
  local problem = error_of { place = place, text = ("has no URL yet (%s)"):format(tostring(value)) }
  if value.kind == "file" then problem.hint = "client:upload(path) returns a URL" end
  return problem
end

-- --- the copy

local copy_value

local function copy_table(value, place, kinds, placeholders, depth)
  if depth > json.most_depth then return nil, { place = place, text = "is nested too deeply" } end
  local kind, why = json.kind_of(value)
  if not kind then return nil, { place = place, text = why } end
  local copy, names = json.mark_like({}, value), {}
  if kind ~= "empty" then kinds[copy] = kind end
  for name in pairs(value) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local problem
    copy[name], problem = copy_value(value[name], placeholder.place_of(place, name), kinds, placeholders, depth + 1)
    if problem then return nil, problem end
  end
  return copy
end

-- Copies a value, and turns its whole numbers into integers. Returns nil and the problem if the value can't be sent. Stores the kind of
-- each copied table in `kinds`.
function copy_value(value, place, kinds, placeholders, depth)
  local kind = type(value)
  if kind == "string" then
    local good, bad = utf8.len(value)
    return good and value, not good and { place = place, text = "must be valid UTF-8; it has a wrong byte at position " .. bad } or nil
  elseif kind == "number" then
    if not json.number(value) then return nil, { place = place, text = "must be a finite number" } end
    return math.tointeger(value) or value
  elseif placeholder.is(value) then
    if not placeholders then return nil, no_url_yet(value, place) end
    return value
  elseif kind == "table" then
    return copy_table(value, place, kinds, placeholders, depth)
  elseif kind == "boolean" or value == json.null then
    return value
  end
  return nil, { place = place, text = "can't be sent: it is a " .. kind }
end

-- Normalises the strings that the schema declares to be URLs.
local function normalize_urls(value, place, urls)
  if type(value) == "string" and urls[place] then return core.normalize_url(value) or value end
  if type(value) ~= "table" or placeholder.is(value) then return value end
  for name, part in pairs(value) do value[name] = normalize_urls(part, placeholder.place_of(place, name), urls) end
  return value
end

-- --- the check

-- Returns the first problem that the check finds, or nil. If the schema couldn't be evaluated, returns nil and the reason.
local function apply(check, schema, copy)
  local fine, problem = pcall(check.apply, check, schema, copy, "")
  if fine then return problem end
  if problem ~= traversal.given_up then error(problem, 0) end
  return nil, "the schema is too deep, too large, or refers to itself without end"
end

---Checks an input against an untrusted schema. The check's running time is bounded, regardless of the schema's size, depth and references.
---
---If there are several problems, the check always reports the same one. The check looks first for a field with a wrong value (the required
---fields in the schema's order, then the other fields by name), then for an unknown field, and then for a missing field. If a schema
---doesn't specify whether additional fields are allowed (additionalProperties), the check accepts an unknown field, unless its name is a
---misspelling of a known field that the input lacks. A misspelling differs from the known name only in case or separators, or in one
---letter. A misspelling of a name with eight or more letters may differ in two letters.
---@param schema table|boolean
---@param input table                  with the field names that the service uses; omni.null stands for null
---@param opts? { placeholders?: boolean }  whether placeholders may replace strings, except those with a format other than "uri" or "url"
---@return table|nil copy  with whole numbers as integers, URLs normalised, and empty tables marked as the schema requires (omni.json)
---@return omni.Error|nil  code "invalid_input", with `field`
---@return string|nil why   why the schema couldn't be evaluated completely; the copy isn't checked then
local function check(schema, input, opts)
  local kinds = {}
  local copy, problem = copy_value(input, "", kinds, opts and opts.placeholders, 0)
  if problem then return nil, err.is(problem) and problem or error_of(problem) end
  if type(copy) ~= "table" or placeholder.is(copy) or kinds[copy] == "array" then
    local value = kinds[copy] ~= "array" and input or nil
    return nil, error_of { place = "", text = "must be a table of fields" .. (value == nil and ", not an array" or ""), value = value }
  end
  kinds[copy] = "object"
  local state = traversal.new(schema, kinds)
  local why
  problem, why = apply(state, schema, copy)
  if problem then return nil, error_of(problem) end
  if not why then
    for _, value in ipairs(state.decided) do json[kinds[value]](value) end
    if next(state.urls) then normalize_urls(copy, "", state.urls) end
  end
  return copy, nil, why
end

return { check = check, no_url_yet = no_url_yet }
