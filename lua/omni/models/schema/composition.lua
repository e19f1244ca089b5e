-- SPDX-License-Identifier: MIT
-- Implements the JSON Schema keywords that combine schemas: $ref, allOf, anyOf, oneOf. Each of this module's functions takes (traversal,
-- schema, value, place) and returns a problem or nil.

local placeholder = require "omni.client.placeholder"
local messages = require "omni.models.schema.messages"

local composition = {}

local function list(value)
  return type(value) == "table" and value or {}
end

-- --- one problem out of the problems of alternatives

-- Returns the items of the `list` fields of all problems of one kind, without duplicates.
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

-- Functions that join several problems of one kind into a single problem. Each function takes the problems and the wrong value. Each
-- function returns the joined problem's message and list, and the choice that is most similar to the value.
local join <const> = {
  kind = function(problems) -- may include choices
    local all, choices = joined(problems, "kind"), joined(problems, "choice")
    if #choices > 0 then all[#all + 1] = messages.choices(choices) end
    return "must be " .. messages.listed(all), all
  end,
  choice = function(problems, value)
    local all = joined(problems, "choice")
    local text, near = messages.choices(all, value)
    return "must be " .. text, all, near
  end,
  required = function(problems) -- the error message already begins with the first missing field's name, so the text lists only the others
    local all = joined(problems, "required")
    local others = {}
    for i = 2, #all do others[i - 1] = messages.word(all[i]) end
    return #others > 0 and "is required when there is no " .. messages.listed(others) or "is required", all
  end,
}

-- If all problems concern the same location in the value and are of the same kind, returns that kind; otherwise returns nil.
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

-- Ranks the problem that one alternative of an anyOf or a oneOf reports, by how well the value matches that alternative. If an alternative
-- doesn't allow the value's type, or the value isn't one of the alternative's choices, the user probably didn't mean that alternative.
local function progress(problem, place)
  if problem.at == place and problem.kind == "kind" then return 0 end
  return problem.kind == "choice" and 1 or 2
end

local function join_problems(problems, place)
  local common = common_kind(problems)
  if common then
    local first = problems[1]
    local text, all, near = join[common](problems, first.value)
    return { place = first.place, at = first.at, text = text, near = near, value = first.value, kind = common, list = all }
  end
  local best = problems[1]
  for _, problem in ipairs(problems) do
    if progress(problem, place) > progress(best, place) then best = problem end
  end
  return best
end

-- --- allOf, anyOf, oneOf

local function all_of(traversal, node, value, place)
  for _, part in ipairs(list(node.allOf)) do
    local problem = traversal:apply(part, value, place, true)
    if problem then return problem end
  end
end

local function any_of(traversal, node, value, place)
  local problems = {}
  for i, part in ipairs(list(node.anyOf)) do
    problems[i] = traversal:try(part, value, place)
    if not problems[i] then return nil end
  end
  return #problems > 0 and join_problems(problems, place) or nil
end

-- Returns the problem for a value that matches two alternatives of a oneOf. The message names the fields that the alternatives require.
local function matches_both(one, other, place)
  local names, seen = {}, {}
  for _, part in ipairs { one, other } do
    for _, name in ipairs(list(type(part) == "table" and part.required)) do
      if type(name) == "string" and not seen[name] then
        seen[name] = true
        names[#names + 1] = name
      end
    end
  end
  if #names < 2 then return { place = place, text = "matches several alternatives that exclude each other" } end
  local last = table.remove(names)
  for i, name in ipairs(names) do names[i] = messages.word(name) end
  return { place = placeholder.place_of(place, last), text = "can't be given together with " .. messages.listed(names, "and") }
end

local function one_of(traversal, node, value, place)
  local problems, matched = {}, nil
  for _, part in ipairs(list(node.oneOf)) do
    local problem = traversal:try(part, value, place)
    if problem then
      problems[#problems + 1] = problem
    elseif matched ~= nil then
      return matches_both(matched, part, place)
    else
      matched = part
    end
  end
  return matched == nil and #problems > 0 and join_problems(problems, place) or nil
end

function composition.reference(traversal, node, value, place)
  return traversal:apply(traversal:find(node["$ref"]), value, place, true)
end

function composition.combined(traversal, node, value, place)
  return all_of(traversal, node, value, place) or any_of(traversal, node, value, place) or one_of(traversal, node, value, place)
end

return composition
