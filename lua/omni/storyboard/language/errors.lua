-- SPDX-License-Identifier: MIT
-- Creates the board language's errors, and describes locations, values and similar names for error messages.

local core = require "omni.core"
local err = require "omni.error"
local options = require "omni.options"

local MAX_LISTED = 12 -- maximum number of names in one message
local MAX_COMPARED = 1000 -- maximum number of known names to compare with an unknown name
local MAX_MESSAGE = 2000 -- maximum length of a message in bytes, since a board's names and values can be long

---Returns an error about a board.
---@param where string|nil      "board.lua:12"
---@param what string|nil       "scene \"dawn\"", "cut"
---@param message string
---@param field? string
---@param hint? string
---@param scene? string  its name
---@return omni.Error
local function problem(where, what, message, field, hint, scene)
  local text = message
  if what then text = what .. ": " .. text end
  if where then text = where .. ": " .. text end
  if #text > MAX_MESSAGE then text = core.clean(text, MAX_MESSAGE) end
  return err.new { code = "invalid_board", message = text, where = where, field = field, hint = hint, scene = scene }
end

-- Returns "file:line" for the code that called this function's caller, or nil if Lua doesn't know the line (after a tail call).
local function place()
  if debug.getinfo(2, "t").istailcall then return nil end
  local caller = debug.getinfo(3, "Sl")
  if not caller or caller.currentline <= 0 then return nil end
  return (caller.source:match("^@(.*)") or caller.short_src) .. ":" .. caller.currentline
end

-- Describes a value for a message, for example as "a number" or "nothing".
local function a(value)
  local kind = type(value)
  return kind == "nil" and "nothing" or "a " .. kind
end

-- Returns a scene's name for a message, such as 'scene "dawn"'.
local function quoted(name)
  return 'scene "' .. name .. '"'
end

---Returns a hint for an unknown name: the most similar known name, or a short list of all known names.
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

---Returns a message such as "there is no scene 'dwan'; did you mean 'dawn'?".
---@param what string  "scene", "reference"
---@param name string
---@param known table<string, any>
---@return string
local function missing(what, name, known)
  local hint = suggestion(name, known)
  return ("there is no %s '%s'%s"):format(what, core.clean(name, 100), hint ~= "" and "; " .. hint or "")
end

---Sorts errors by file and line, with errors without a line first.
---@param problems omni.Error[]|omni.Notice[]  sorted in place
local function sort(problems)
  local keys, files, count = {}, {}, 0
  for index, bad in ipairs(problems) do
    local file, line = (bad.where or ""):match "^(.*):(%d+)$"
    file = file or bad.where or ""
    if not files[file] then
      count = count + 1
      files[file] = count
    end
    keys[bad] = { files[file], tonumber(line) or 0, index }
  end
  table.sort(problems, function(x, y)
    local one, other = keys[x], keys[y]
    for i = 1, 3 do
      if one[i] ~= other[i] then return one[i] < other[i] end
    end
    return false
  end)
end

-- The value that replaces the result of an invalid call, whose error is already recorded. Since this value is a URL, it causes no further
-- errors.
local stand_in <const> = "https://omni.invalid/"

---Carries out one call to a function of the board language. If the board misuses the function, adds the error to the errors found so far,
---and returns a substitute value. With a substitute value, omni can continue and find the board's other errors.
---@param found { problems: omni.Error[] }
---@param substitute any
---@param where string|nil
---@param fn function
---@param ... any  its arguments
---@return any
local function try(found, substitute, where, fn, ...)
  local fine, made = pcall(fn, ...)
  if fine then return made end
  if type(made) == "string" then made = problem(where, nil, made) end
  if not err.is(made) or made.code == "cancelled" then error(made, 0) end
  found.problems[#found.problems + 1] = made
  return substitute
end

return {
  a = a, missing = missing, place = place, problem = problem, quoted = quoted, sort = sort, stand_in = stand_in,
  try = try,
}
