-- SPDX-License-Identifier: MIT
-- The word `scene` of the board language, and the rules for scene names.

local problems = require "omni.storyboard.language.errors"

local a, place, problem, quoted = problems.a, problems.place, problems.problem, problems.quoted

local MAX_NAME = 100 -- characters

---@class omni.Scene  a declared scene, with unchecked fields
local Scene_mt = { __name = "omni.scene" }

-- Returns what is wrong with a name, or nil. `what` is the name's description.
local function wrong_name(name, what)
  if type(name) ~= "string" then return what .. " must be a string, not " .. a(name) end
  local length = utf8.len(name)
  if not length then return what .. " must be valid UTF-8" end
  if length < 1 or length > MAX_NAME then
    return ("%s must have 1 to %d characters, not %d"):format(what, MAX_NAME, length)
  end
  if name:find("%c") or name:find("\xC2[\x80-\x9F]") then
    return what .. " must not contain control characters"
  end
  if not name:find("%S") then return what .. " must not be blank" end
end

local function new(name, where, fields)
  return setmetatable({ name = name, where = where, fields = fields }, Scene_mt)
end

local Unfinished_mt = { __name = "omni.scene.unfinished" }

function Unfinished_mt:__call(fields)
  if type(fields) ~= "table" then
    error(problem(self.where, quoted(self.name), "its fields must be a table, not " .. a(fields), nil,
      ('write scene "%s" { prompt = "..." }'):format(self.name)), 0)
  end
  return new(self.name, self.where, fields)
end

-- Returns a scene that still needs its fields. Raises an error for an invalid name.
local function declare(name, where)
  local wrong = wrong_name(name, "a scene's name")
  if wrong then error(problem(where, nil, wrong, "name"), 0) end
  return setmetatable({ name = name, where = where }, Unfinished_mt)
end

---Declares a scene: `scene "name" { prompt = ..., duration = ..., ... }` (docs/storyboards.md). Raises an `invalid_board` error for an
---invalid name.
---@param name string  1 to 100 characters, no control characters, unique in its board
---@return fun(fields: table): omni.Scene
local function scene(name, fields)
  local unfinished = declare(name, (place()))
  if fields ~= nil then return unfinished(fields) end
  return unfinished
end

return {
  declare = declare,
  is_scene = function(value) return getmetatable(value) == Scene_mt end,
  is_unfinished = function(value) return getmetatable(value) == Unfinished_mt end,
  new = new,
  scene = scene,
  wrong_name = wrong_name,
}
