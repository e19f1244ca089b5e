-- SPDX-License-Identifier: MIT
-- How the storyboard language says what is wrong: one kind of error value, and the words for places, values and near misses.

local core = require "omni.core"
local err = require "omni.error"
local options = require "omni.options"

local MAX_LISTED = 12 -- names in one message
local MAX_COMPARED = 1000 -- names of which the nearest is looked for
local MAX_MESSAGE = 2000 -- bytes; a board's names and values may be long

---Makes the error value that says what is wrong with a board.
---@param where string|nil      "board.lua:12"
---@param what string|nil       "scene \"dawn\"", "cut"
---@param message string
---@param field? string
---@param hint? string
---@return omni.Error
local function problem(where, what, message, field, hint)
  local text = message
  if what then text = what .. ": " .. text end
  if where then text = where .. ": " .. text end
  if #text > MAX_MESSAGE then text = core.clean(text, MAX_MESSAGE) end
  return err.new { code = "invalid_board", message = text, where = where, field = field, hint = hint }
end

-- "file:line" of the code that called the function that calls this; nil where Lua doesn't know (a tail call, C).
local function place()
  if debug.getinfo(2, "t").istailcall then return nil end
  local caller = debug.getinfo(3, "Sl")
  if not caller or caller.currentline <= 0 then return nil end
  return (caller.source:match("^@(.*)") or caller.short_src) .. ":" .. caller.currentline
end

-- What a value is, for a message: "a number", "nothing".
local function a(value)
  local kind = type(value)
  return kind == "nil" and "nothing" or "a " .. kind
end

-- A scene as messages name it.
local function quoted(name)
  return 'scene "' .. name .. '"'
end

---What to say of a name that isn't among the known ones: the nearest, or all of them when they are few.
---@param name string
---@param known table<string, any>  the known names are its keys
---@return string  "did you mean 'dawn'?", "known are: dawn, dusk", ""
local function suggestion(name, known)
  local count = 0
  for _ in pairs(known) do count = count + 1 end
  local near = count <= MAX_COMPARED and options.nearest(name, known)
  if near then return ("did you mean '%s'?"):format(near) end
  return (count > 0 and count <= MAX_LISTED) and options.unknown(name, known) or ""
end

---"there is no scene 'dwan'; did you mean 'dawn'?"
---@param what string  "scene", "reference"
---@param name string
---@param known table<string, any>
---@return string
local function missing(what, name, known)
  local said = suggestion(name, known)
  return ("there is no %s '%s'%s"):format(what, core.clean(name, 100), said ~= "" and "; " .. said or "")
end

return { a = a, missing = missing, place = place, problem = problem, quoted = quoted }
