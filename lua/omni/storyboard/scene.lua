-- SPDX-License-Identifier: MIT
-- The word `scene`, and what becomes of a scene once the board's defaults and style are known.

local err = require "omni.error"
local input = require "omni.input"
local json = require "omni.json"
local options = require "omni.options"

local MAX_NAME = 100 -- characters

local Scene_mt = { __name = "omni.scene" }

---Makes the error value that says what is wrong with a board.
---@param where string|nil      "board.lua:12"
---@param what string|nil       "scene \"dawn\"", "defaults"
---@param message string
---@param field? string
---@param hint? string
---@return omni.Error
local function problem(where, what, message, field, hint)
  local text = message
  if what then text = what .. ": " .. text end
  if where then text = where .. ": " .. text end
  return err.new { code = "invalid_board", message = text, where = where, field = field, hint = hint }
end

-- "file:line" of the code that called the function that calls this; nil where Lua doesn't know (a tail call, C).
local function place()
  if debug.getinfo(2, "t").istailcall then return nil end
  local caller = debug.getinfo(3, "Sl")
  if not caller or caller.currentline <= 0 then return nil end
  return (caller.source:match("^@(.*)") or caller.short_src) .. ":" .. caller.currentline
end

local function a(value)
  local kind = type(value)
  return kind == "nil" and "nothing" or "a " .. kind
end

-- What is wrong with a scene's name, or nil.
local function wrong_name(name)
  if type(name) ~= "string" then return "a scene's name must be a string, not " .. a(name) end
  local length = utf8.len(name)
  if not length then return "a scene's name must be valid UTF-8" end
  if length < 1 or length > MAX_NAME then
    return ("a scene's name must have 1 to %d characters, not %d"):format(MAX_NAME, length)
  end
  if name:find("%c") or name:find("\xC2[\x80-\x9F]") then
    return "a scene's name must not hold control characters"
  end
  if not name:find("%S") then return "a scene's name must not be blank" end
end

local function quoted(name)
  return 'scene "' .. name .. '"'
end

-- A copy that shares nothing with the original, which is known to be finite.
local function copy(value)
  if type(value) ~= "table" then return value end
  local copied = {}
  for key, part in pairs(value) do copied[key] = copy(part) end
  return copied
end

local Unfinished_mt = { __name = "omni.scene.unfinished" }

function Unfinished_mt:__call(fields)
  if type(fields) ~= "table" then
    error(problem(self.where, quoted(self.name), "its fields must be a table, not " .. a(fields), nil,
      ('write scene "%s" { prompt = "..." }'):format(self.name)), 0)
  end
  return setmetatable({ name = self.name, where = self.where, fields = fields }, Scene_mt)
end

---The word of the storyboard language: `scene "name" { prompt = ..., duration = ..., ... }`.
---Raises an `invalid_board` error value when the name isn't usable.
---@param name string  1 to 100 characters, no control characters, unique in its board
---@return fun(fields: table): omni.Scene
local function scene(name, fields)
  local where = place()
  local wrong = wrong_name(name)
  if wrong then error(problem(where, nil, wrong, "name"), 0) end
  local unfinished = setmetatable({ name = name, where = where }, Unfinished_mt)
  if fields ~= nil then return unfinished(fields) end
  return unfinished
end

-- The fields that a scene (or the defaults) of this model may have; nil when the model takes any.
local function known_fields(model)
  local of_model = input.fields(model)
  if not of_model then return nil end
  local known = { model = true, style = true }
  for name in pairs(of_model) do known[name] = true end
  return known
end

---Says what is wrong with the names of a scene's (or the defaults') fields.
---@return string|nil message, string|nil field
local function wrong_field(fields, model)
  local known = known_fields(model)
  local names = {}
  for name in pairs(fields) do names[#names + 1] = name end
  table.sort(names, function(x, y) return tostring(x) < tostring(y) end)
  for _, name in ipairs(names) do
    if type(name) ~= "string" then
      return 'a value without a field\'s name; write for example prompt = "..."'
    elseif known and not known[name] then
      return ("unknown field '%s'; %s"):format(name, options.unknown(name, known)), name
    end
  end
end

---Resolves a declared scene with the board's defaults and style.
---@param declared table            what the word made
---@param defaults table
---@param board_style string|nil
---@return { name: string, model: string, input: table, where: string|nil }|nil resolved, omni.Error|nil
local function resolve(declared, defaults, board_style)
  local fields, where, what = declared.fields, declared.where, quoted(declared.name)
  local function fail(message, field, hint)
    return nil, problem(where, what, message, field, hint)
  end

  local model = fields.model or defaults.model or input.default_model
  if type(model) ~= "string" or model == "" then
    return fail("field 'model' must be a model's name, not " .. a(model), "model")
  end
  local message, field = wrong_field(fields, model)
  if message then return fail(message, field) end

  local merged = {}
  for _, source in ipairs { defaults, fields } do
    for name, value in pairs(source) do
      if name ~= "model" and name ~= "style" then
        local _, bad = json.encode(value, name)
        if bad then return fail(bad.message, name) end
        merged[name] = copy(value)
      end
    end
  end

  local style = fields.style
  if style == nil then style = board_style end
  if style and type(style) ~= "string" then
    return fail("field 'style' must be a string, or false for none, not " .. a(style), "style")
  end
  if style and style ~= "" and type(merged.prompt) == "string" and merged.prompt ~= "" then
    merged.prompt = merged.prompt .. "\n\n" .. style
  end

  local checked, bad = input.check(model, merged)
  if not checked then
    local name = bad.field:match("^[%w_]+")
    local inherited = fields[name] == nil and defaults[name] ~= nil
    return fail(bad.message .. (inherited and " (from the board's defaults)" or ""), bad.field, bad.hint)
  end
  return { name = declared.name, model = model, input = checked, where = where }
end

return {
  a = a,
  is_scene = function(value) return getmetatable(value) == Scene_mt end,
  is_unfinished = function(value) return getmetatable(value) == Unfinished_mt end,
  place = place,
  problem = problem,
  quoted = quoted,
  resolve = resolve,
  scene = scene,
  wrong_field = wrong_field,
}
