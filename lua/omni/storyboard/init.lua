-- SPDX-License-Identifier: MIT
-- The storyboard language: `storyboard { title = ..., style = ..., defaults = {...}, scene "name" {...}, ... }`.
--
-- A board is a plain value: { title, scenes = { { name, model, input, where }, ... } }. Nothing that runs it changes it.

local input = require "omni.input"
local options = require "omni.options"
local words = require "omni.storyboard.scene"

local problem = words.problem

local Board_mt = { __name = "omni.storyboard" }

local known = { title = true, style = true, defaults = true }

-- Puts the scenes of an array, and of the arrays within it, into `found` in their order; holes and `false` stand for no scene.
local function flatten(list, found, fail, depth)
  if depth > 16 then return fail("scenes are nested too deeply") end
  local indexes = {}
  for key in pairs(list) do
    if math.type(key) == "integer" then
      indexes[#indexes + 1] = key
    elseif depth > 0 then
      return fail(("expected a scene, found a table with the field '%s'"):format(tostring(key)), nil,
        'write scene "name" { ... }')
    end
  end
  table.sort(indexes)
  for _, index in ipairs(indexes) do
    local value = list[index]
    if words.is_scene(value) then
      found[#found + 1] = value
    elseif words.is_unfinished(value) then
      fail(words.quoted(value.name) .. " has no fields", nil, ('write scene "%s" { prompt = "..." }'):format(value.name))
    elseif type(value) == "table" and getmetatable(value) == nil then
      flatten(value, found, fail, depth + 1)
    elseif value ~= false then
      fail(("expected a scene at place %d, found %s"):format(index, words.a(value)), nil, 'write scene "name" { ... }')
    end
  end
end

-- The names of the board's own fields, and of its defaults.
local function check_fields(fields, fail)
  for name in pairs(fields) do
    if type(name) == "string" and not known[name] then
      local of_scene = input.fields(input.default_model)[name] or name == "model"
      fail(("unknown field '%s'; %s"):format(name,
        of_scene and ("for all scenes write defaults = { %s = ... }"):format(name) or options.unknown(name, known)), name)
    elseif type(name) ~= "string" and math.type(name) ~= "integer" then
      fail("a field's name can't be " .. words.a(name))
    end
  end
  for name, kind in pairs { title = "string", style = "string", defaults = "table" } do
    local value = fields[name]
    if value ~= nil and type(value) ~= kind and not (name == "style" and value == false) then
      fail(("field '%s' must be a %s, not %s"):format(name, kind, words.a(value)), name)
    end
  end
  local defaults = type(fields.defaults) == "table" and fields.defaults or {}
  if defaults.style ~= nil then
    fail("defaults: the style stands on the board itself: storyboard { style = ... }", "style")
  end
  local message, field = words.wrong_field(defaults, defaults.model or input.default_model)
  if message then fail("defaults: " .. message, field) end
  return defaults
end

---Builds a board out of what the word `storyboard` was given.
---@param fields table
---@param where string|nil  the place for errors about the board as a whole
---@return omni.Storyboard|nil board, omni.Error|nil  with `problems`: everything that was found wrong
local function build(fields, where)
  local problems = {}
  local function fail(message, field, hint)
    problems[#problems + 1] = problem(where, nil, message, field, hint)
  end
  local function result(board)
    if #problems == 0 then return board end
    problems[1].problems = problems
    return nil, problems[1]
  end

  if type(fields) ~= "table" then
    fail("a storyboard must be a table, not " .. words.a(fields))
    return result()
  end
  local defaults = check_fields(fields, fail)
  local declared = {}
  flatten(fields, declared, fail, 0)
  if #declared == 0 and #problems == 0 then
    fail("a storyboard needs at least one scene", nil, 'write storyboard { scene "dawn" { prompt = "..." } }')
  end
  if #problems > 0 then return result() end

  local board = setmetatable({ title = fields.title, scenes = {} }, Board_mt)
  local first = {} -- name → the first scene of that name
  for index, scene in ipairs(declared) do
    local twin = first[scene.name]
    if twin then
      problems[#problems + 1] = problem(scene.where, words.quoted(scene.name),
        ("this name is taken already, at %s"):format(twin.where or "an earlier place"), "name")
    end
    first[scene.name] = twin or scene
    local resolved, bad = words.resolve(scene, defaults, fields.style or nil)
    if resolved then board.scenes[index] = resolved else problems[#problems + 1] = bad end
  end
  return result(board)
end

---The word of the storyboard language. Raises an `invalid_board` error value (a table that reads well) naming the scene,
---its file and line; its field `problems` lists everything that was found wrong.
---
---A scene inherits each field of `defaults` that it doesn't set itself. `style` is a text added to every prompt after an
---empty line; a scene's own `style` stands in its place, and `style = false` switches it off.
---@param fields { title?: string, style?: string, defaults?: table, [integer]: omni.Scene|omni.Scene[] }
---@return omni.Storyboard
local function storyboard(fields)
  local where = words.place()
  local board, bad = build(fields, where)
  if not board then error(bad, 0) end
  return board
end

return {
  build = build,
  is_board = function(value) return getmetatable(value) == Board_mt end,
  scene = words.scene,
  storyboard = storyboard,
}
