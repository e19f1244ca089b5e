-- SPDX-License-Identifier: MIT
-- The keywords of JSON Schema that put schemas together, and one message out of several. Each: (walk, schema, value, place, inner) →
-- problem or nil.

local asset = require "omni.client.placeholder"
local words = require "omni.models.schema.messages"

local combining = {}

local function list(value)
  return type(value) == "table" and value or {}
end

-- --- one message for alternatives that all failed

-- The lists of all problems of a kind, each thing once.
local function joined(problems, kind)
  local all, seen = {}, {}
  for _, problem in ipairs(problems) do
    for _, item in ipairs(problem.kind == kind and problem.list or {}) do
      if not seen[item] then
        seen[item] = true
        all[#all + 1] = item
      end
    end
  end
  return all
end

-- Each: (problems, the value) → text, list, nearest choice.
local tell <const> = {
  kind = function(problems) -- and choices among them, where nothing of another kind is wrong
    local all, choices = joined(problems, "kind"), joined(problems, "choice")
    if #choices > 0 then all[#all + 1] = words.choices(choices) end
    return "must be " .. words.listed(all), all
  end,
  choice = function(problems, value)
    local all = joined(problems, "choice")
    local text, near = words.choices(all, value)
    return "must be " .. text, all, near
  end,
  required = function(problems) -- the first one stands in the place
    local all = joined(problems, "required")
    local others = {}
    for i = 2, #all do others[i - 1] = words.word(all[i]) end
    return #others > 0 and "is required when there is no " .. words.listed(others) or "is required", all
  end,
}

-- What all of them say together of one thing: "kind", "choice" or "required"; nil when they don't.
local function common_kind(problems)
  local first, common = problems[1], problems[1].kind
  for _, problem in ipairs(problems) do
    local kind = problem.kind
    if not kind or problem.at ~= first.at or (kind == "required") ~= (common == "required") then return nil end
    if kind == "required" and #problem.list > 1 then return nil end
    if kind == "kind" then common = kind end
  end
  return common
end

-- How much of the value fitted before it didn't: one of another kind, or with another choice, is less likely what was meant.
local function progress(problem, place)
  if problem.at == place and problem.kind == "kind" then return 0 end
  return problem.kind == "choice" and 1 or 2
end

local function one_of(problems, place)
  local common = common_kind(problems)
  if common then
    local first = problems[1]
    local text, all, near = tell[common](problems, first.value)
    return { place = first.place, at = first.at, text = text, near = near, value = first.value, kind = common, list = all }
  end
  local best = problems[1]
  for _, problem in ipairs(problems) do
    if progress(problem, place) > progress(best, place) then best = problem end
  end
  return best
end

-- --- allOf, anyOf, oneOf, not

local function all_of(walk, node, value, place)
  for _, part in ipairs(list(node.allOf)) do
    local problem = walk:apply(part, value, place, true)
    if problem then return problem end
  end
end

local function any_of(walk, node, value, place)
  local problems = {}
  for i, part in ipairs(list(node.anyOf)) do
    problems[i] = walk:try(part, value, place)
    if not problems[i] then return nil end
  end
  return #problems > 0 and one_of(problems, place) or nil
end

-- The names that schemas require, each once.
local function required(parts)
  local names, seen = {}, {}
  for _, part in ipairs(parts) do
    for _, name in ipairs(list(type(part) == "table" and part.required)) do
      if type(name) == "string" and not seen[name] then
        seen[name] = true
        names[#names + 1] = name
      end
    end
  end
  return names
end

-- What to say when these names stand together and may not.
local function together(names, place, otherwise)
  if #names < 2 then return otherwise end
  local others = {}
  for i = 1, #names - 1 do others[i] = words.word(names[i]) end
  return { place = asset.place_of(place, names[#names]), text = "can't stand together with " .. words.listed(others, "and") }
end

local function exactly_one_of(walk, node, value, place)
  local problems, fits = {}, {}
  for _, part in ipairs(list(node.oneOf)) do
    local problem = walk:try(part, value, place)
    if problem then problems[#problems + 1] = problem else fits[#fits + 1] = part end
    if #fits > 1 then
      return together(required(fits), place, { place = place, text = "fits several forms that exclude each other" })
    end
  end
  return #fits == 0 and #problems > 0 and one_of(problems, place) or nil
end

local function none_of(walk, node, value, place)
  local unwanted = node["not"]
  if type(unwanted) ~= "table" and unwanted ~= true then return nil end
  local known = walk:known()
  local problem = walk:apply(unwanted, value, place, true)
  walk:forget(known)
  if problem then return nil end
  local names = required { unwanted }
  if #names == 1 then return { place = asset.place_of(place, names[1]), text = "must not be given" } end
  local text = type(value) == "table" and "isn't allowed as it is" or "must not be " .. words.shown(value)
  return together(names, place, { place = place, text = text })
end

-- --- if, then, else; what a field brings with it

local function depending(walk, node, value, place)
  if node["if"] == nil then return nil end
  local problem = walk:try(node["if"], value, place)
  local branch = node["then"]
  if problem then branch = node["else"] end
  return walk:apply(branch, value, place, true)
end

local dependent <const> = { "dependentRequired", "dependentSchemas", "dependencies" }

-- A list of names that are required with the field, or a schema.
local function brought(walk, name, what, value, place)
  if type(what) ~= "table" or what[1] == nil then return walk:apply(what, value, place, true) end
  for _, other in ipairs(what) do
    walk:spend(1)
    if type(other) == "string" and value[other] == nil then
      return { place = asset.place_of(place, other), text = ("is required when %s is given"):format(words.word(name)) }
    end
  end
end

local function with_fields(walk, node, value, place)
  if type(value) ~= "table" or walk:kind(value, node) ~= "object" then return nil end
  for _, keyword in ipairs(dependent) do
    for _, name in ipairs(words.sorted_names(list(node[keyword]))) do
      local problem = value[name] ~= nil and brought(walk, name, node[keyword][name], value, place)
      if problem then return problem end
    end
  end
end

-- --- the two steps of a walk

function combining.reference(walk, node, value, place)
  return walk:apply(walk:find(node["$ref"]), value, place, true)
end

function combining.combined(walk, node, value, place)
  return all_of(walk, node, value, place) or any_of(walk, node, value, place) or exactly_one_of(walk, node, value, place)
    or none_of(walk, node, value, place) or depending(walk, node, value, place) or with_fields(walk, node, value, place)
end

return combining
