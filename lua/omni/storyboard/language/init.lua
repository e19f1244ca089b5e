-- SPDX-License-Identifier: MIT
-- Defines the board language's `storyboard`: `storyboard { title = ..., style = ..., defaults = {...}, references = {...}, scene "name"
-- {...}, ... }` (docs/storyboards.md). `storyboard` returns a board, which is a plain Lua value. Runs don't change it.

local core = require "omni.core"
local placeholder = require "omni.client.placeholder"
local cut_field = require "omni.storyboard.language.cut_field"
local dependency_order = require "omni.storyboard.plan.dependency_order"
local input = require "omni.models.input_rules"
local modality = require "omni.models.modality"
local options = require "omni.options"
local defaults_check = require "omni.storyboard.language.defaults_check"
local errors = require "omni.storyboard.language.errors"
local references = require "omni.storyboard.language.references"
local resolve = require("omni.storyboard.language.scene_input").resolve
local scene_word = require "omni.storyboard.language.scene"
local windows_word = require "omni.storyboard.language.windows"

local a, problem, quoted = errors.a, errors.problem, errors.quoted

-- A notice isn't an error, but it contains something that you should know before you pay.
---@class omni.Notice
---@field message string
---@field where? string  "board.lua:12"
---@field scene? string
---@field field? string
---@field hint? string

---@class omni.Storyboard
---@field title? string
---@field path? string      absolute path of its file, if it was loaded from one
---@field package sha256? string  of that file, as it was loaded
---@field package key? string     identifies the board in the ledger, instead of its path
---@field package files? table<string, "opened"|"named">  the files in its folder that it opens, or names with `file`, by relative path
---@field style? string
---@field budget? number     credits
---@field scenes omni.ResolvedScene[]  in declared order
---@field order integer[]   indexes of the scenes, each after the scenes that it builds on
---@field cut? omni.Cut  nil: no film
---@field package notices omni.Notice[]
---@field package place_of fun(field: string): string|nil  the place of a board's field: "board.lua:12"
local Board_mt = { __name = "omni.storyboard" }

-- The board's fields → their types.
local known = { title = "string", style = "string", defaults = "table", references = "table", budget = "number", cut = "table" }

-- Appends the scenes in an array and its nested arrays to `found`. Skips holes and `false`. Stops after `most` scenes. `place` is the
-- array's location on the board, such as "" or "3.2.".
local function flatten(list, found, fail, place, depth, most)
  if depth > 16 then return fail("scenes are nested too deeply") end
  local indexes = {}
  for key in pairs(list) do
    if math.type(key) == "integer" then
      indexes[#indexes + 1] = key
    elseif depth > 0 then
      return fail(("expected a scene, got a table with the field '%s'"):format(tostring(key)), nil,
        'write scene "name" { ... }', place)
    end
  end
  table.sort(indexes)
  for _, index in ipairs(indexes) do
    local value = list[index]
    if #found > most then return end
    if scene_word.is_scene(value) then
      found[#found + 1] = value
    elseif scene_word.is_unfinished(value) then
      if not value.wrong then
        fail(quoted(value.name) .. " has no fields", nil, ('write scene "%s" { prompt = "..." }'):format(value.name), place .. index)
      end
    elseif windows_word.is_windows(value) then
      flatten(windows_word.scenes(value), found, fail, place .. index .. ".", depth + 1, most)
    elseif type(value) == "table" and getmetatable(value) == nil then
      flatten(value, found, fail, place .. index .. ".", depth + 1, most)
    elseif value ~= false then
      fail(("expected a scene at place %d, got %s"):format(index, a(value)), nil, 'write scene "name" { ... }', place .. index)
    end
  end
end

-- Checks the fields of the storyboard itself, and the names in its `defaults`.
local function check_fields(fields, fail)
  for name in pairs(fields) do
    if type(name) == "string" and not known[name] then
      local of_scene = input.fields(input.default_model)[name] or scene_word.words[name]
      fail(("unknown field '%s'; %s"):format(name,
        of_scene and ("for all scenes write defaults = { %s = ... }"):format(name) or options.unknown(name, known)), name)
    elseif type(name) ~= "string" and math.type(name) ~= "integer" then
      fail("a field's name can't be " .. a(name))
    end
  end
  for _, name in ipairs { "title", "style", "defaults" } do -- other source files check `references` and `cut`
    local value = fields[name]
    if value ~= nil and type(value) ~= known[name] and not (name == "style" and value == false) then
      fail(("field '%s' must be a %s, not %s"):format(name, known[name], a(value)), name)
    end
  end
  local budget = fields.budget
  if budget ~= nil and not (type(budget) == "number" and budget >= 0 and budget < math.huge) then
    local shown = type(budget) == "number" and core.format("%s", budget) or a(budget)
    fail("field 'budget' must be a number of credits, 0 or more, not " .. shown,
      "budget")
  end
  local defaults = type(fields.defaults) == "table" and fields.defaults or {}
  if defaults.style ~= nil then
    fail("defaults: put the style on the board itself: storyboard { style = ... }", "style", nil, "defaults.style")
  end
  for name in pairs(defaults) do
    if type(name) ~= "string" then
      fail("defaults: a value without a field's name; write for example duration = 6", nil, nil, "defaults")
      break
    end
  end
  scene_word.of_model(defaults, function(bad)
    fail(bad.message .. " (in the board's defaults)", bad.field, nil, "defaults." .. bad.field)
  end)
  return defaults
end

-- Returns a table that maps names to the declared scenes. Adds an error for each name that is used twice, but only one error for all
-- windows of one film.
local function by_name(declared, add)
  local first, told = {}, {}
  for _, scene in ipairs(declared) do
    local earlier = first[scene.name]
    if earlier and not (scene.windows and told[scene.windows]) then
      told[scene.windows or 0] = true
      add(problem(scene.where, quoted(scene.name), ("the name is already used at %s"):format(earlier.where or "an earlier place"), "name",
        scene.windows and windows_word.naming_hint(scene.windows) or nil))
    end
    first[scene.name] = earlier or scene
  end
  return first
end

-- Returns a table that maps each scene's name to the kind of media that the scene makes. Each entry is computed when it is first read,
-- since a board can name many models.
local function yields_of(names, defaults, modality_of)
  return setmetatable({}, { __index = function(yields, name)
    local declared = names[name]
    if not declared then return nil end
    local model = scene_word.model_of(declared.fields, defaults)
    yields[name] = type(model) == "string" and modality_of(model) or "video"
    return yields[name]
  end })
end

-- Returns the approximate number of bytes that a value takes up in memory.
local function size_of(value)
  if type(value) == "string" then return #value + 40 end
  if type(value) ~= "table" then return 16 end
  local sum = 56
  for key, part in next, value do sum = sum + size_of(key) + size_of(part) end
  return sum
end

-- Returns the approximate minimum size of each scene in bytes, based on the inherited fields. A scene can replace an inherited field's
-- value, but can't remove the field itself.
local function least_size(defaults)
  local sum = 0
  for _, fields in ipairs { defaults, type(defaults.input) == "table" and defaults.input or nil } do
    for name in next, fields do sum = sum + size_of(name) + 16 end
  end
  return sum
end

-- Reports each unusable file at the place where the board first uses the file. If the board has no other errors, this function isn't
-- called, and the plan reports the unusable files instead.
local function check_files(fields, declared, trouble, fail, add)
  local seen = {}
  local function check(value, report)
    for part, place in placeholder.each(value) do
      if part.kind == "file" and not seen[part.path] then
        seen[part.path] = true
        local bad = trouble(part.path)
        if bad then report(place, bad) end
      end
    end
  end
  for _, name in ipairs { "references", "cut" } do
    check(type(fields[name]) == "table" and fields[name], function(place, bad)
      local field = (name .. "." .. place):gsub("%[.*$", "")
      fail(("%s: %s"):format(field, bad.message), field, bad.hint)
    end)
  end
  for _, scene in ipairs(declared) do
    check(not scene.windows and scene.fields, function(place, bad)
      add(problem(scene.where, quoted(scene.name), ("%s: %s"):format(place:match "^[^%.%[]+", bad.message), place, bad.hint, scene.name))
    end)
  end
end

local no_limits <const> = { scenes = math.huge, bytes = math.huge, problems = math.huge }

-- Resolves the declared scenes. Returns false if the scenes exceed the limit on their total size.
local function resolve_scenes(board, declared, context, limits, add, count)
  local bytes = 0
  if limits.bytes < math.huge and least_size(context.defaults) * #declared > limits.bytes then return false end
  for index, scene in ipairs(declared) do
    local resolved = not scene.broken and resolve(scene, context, add) or nil
    board.scenes[index] = resolved
    if resolved and limits.bytes < math.huge then bytes = bytes + size_of(resolved.input) end
    if bytes > limits.bytes then return false end
    if count() >= limits.problems then break end
  end
  return true
end

---@class omni.BuildOptions
---@field where? string  the place for errors of the whole board
---@field path? string   absolute path of the board's file
---@field check? function  checks a model's input (default: omni.check_input)
---@field limits? { scenes: integer, bytes: integer, problems: integer }  for an untrusted board
---@field modality_of? fun(model: string): omni.Modality  what a model makes (default: as omni knows it)
---@field line_of? fun(field: string): integer|nil  the line of a board's field
---@field file_trouble? fun(path: string): omni.Error|nil  why a file can't be uploaded
---@field problems? omni.Error[]  errors that were found before
---@field incomplete? boolean     a scene has no name because of such an error, so unknown names aren't reported

---Builds a board from the fields that are passed to `storyboard`.
---@param fields table
---@param given omni.BuildOptions
---@return omni.Storyboard|nil board, omni.Error|nil  its field `problems` has every error found
local function build(fields, given)
  local limits, where, problems = given.limits or no_limits, given.where, given.problems or {}
  local function add(bad) problems[#problems + 1] = bad end
  local function place_of(field)
    local line = given.line_of and given.line_of(field)
    return line and where and ("%s:%d"):format(where, line) or where
  end
  local function fail(message, field, hint, place) add(problem(place_of(place or field), nil, message, field, hint)) end
  local declared = {}
  local function result(board)
    if #problems == 0 then return board end
    if given.file_trouble and type(fields) == "table" then check_files(fields, declared, given.file_trouble, fail, add) end
    errors.sort(problems)
    for index = #problems, limits.problems + 1, -1 do problems[index] = nil end
    problems[1].problems = problems
    return nil, problems[1]
  end

  if type(fields) ~= "table" then
    fail("a storyboard must be a table, not " .. a(fields))
    return result()
  end
  local defaults = check_fields(fields, fail)
  local named = references.declared(fields.references, fail)
  flatten(fields, declared, fail, "", 0, limits.scenes)
  if #declared > limits.scenes then
    fail(("a board has at most %d scenes"):format(limits.scenes), nil, "--trust (in a program: trusted = true) lifts this limit")
    return result()
  end
  if #declared == 0 and #problems == 0 then
    fail("a storyboard needs at least one scene", nil, 'write storyboard { scene "dawn" { prompt = "..." } }')
  end

  local style = type(fields.style) == "string" and fields.style or nil
  local board = setmetatable({ title = fields.title, path = given.path, style = style, budget = fields.budget, scenes = {} }, Board_mt)
  local names = by_name(declared, add)
  if given.incomplete then setmetatable(names, { __index = function() return { fields = {} } end }) end
  local context = { defaults = defaults, style = style, references = named, names = names, check = given.check or input.check,
    defaults_check = defaults_check.new(defaults), yields = yields_of(names, defaults, given.modality_of or modality.of) }
  if not resolve_scenes(board, declared, context, limits, add, function() return #problems end) then
    fail(("the scenes, each with the defaults and the style, take more than %d MiB"):format(limits.bytes // 1048576), nil,
      "--trust (in a program: trusted = true) lifts this limit")
    return result()
  end
  board.notices = context.defaults_check:finish(fail, add)
  for _, notice in ipairs(board.notices) do notice.where = place_of(notice.place) end
  board.place_of = place_of
  board.cut = cut_field.cut(fields.cut, declared, names, context.yields, fail)
  if #problems > 0 then return result() end

  local circles
  board.order, circles = dependency_order.order(board.scenes)
  for _, circle in ipairs(circles) do
    local scene = board.scenes[circle.index]
    add(problem(scene.where, quoted(scene.name), "these scenes build on each other in a circle: " .. circle.names))
  end
  return result(board)
end

---Makes a storyboard. If the board isn't valid, raises an `invalid_board` error that names the scene, its file and its line. The error's
---`problems` field lists all of the board's errors.
---
---A scene inherits each field of `defaults` that it doesn't set itself. The text of `style` is appended to every prompt, after an empty
---line. A scene's own `style` replaces the board's `style`, and `style = false` in a scene disables it.
---@param fields omni.BoardFields
---@return omni.Storyboard
local function storyboard(fields)
  local where = errors.place()
  local board, bad = build(fields, { where = where })
  if not board then error(bad, 0) end
  return board
end

return {
  build = build,
  fields = known,
  is_board = function(value) return getmetatable(value) == Board_mt end,
  scene = scene_word.scene,
  storyboard = storyboard,
  windows = windows_word.windows,
}
