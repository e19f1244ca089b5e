-- SPDX-License-Identifier: MIT
-- Checks the arguments that `omni.plan_storyboard`, `omni.run_storyboard` and `omni.adopt_task` have in common: a board or its path, a
-- client and a folder.

local language = require "omni.storyboard.language"
local options = require "omni.options"

---Checks the arguments. Raises an error if an argument is missing or invalid. The error contains the function's name, and the line of the
---caller's caller.
---@param board any
---@param given any
---@param known table<string, string>  the options and their types
---@param what string                  the function's name: "omni.plan_storyboard"
---@param required? string[]           other options that are required
---@return table given
local function check(board, given, known, what, required)
  given = options.check(given, known, what, 3)
  if type(board) ~= "string" and not language.is_board(board) then
    error(("%s: expected a storyboard or the path of its file, got %s"):format(what, board == nil and "nil" or "a " .. type(board)), 3)
  end
  if type(board) == "string" then options.path(board, what, 3) end
  for _, name in ipairs { "client", "directory", table.unpack(required or {}) } do
    if given[name] == nil then error(("%s: option '%s' is missing"):format(what, name), 3) end
  end
  local mt = getmetatable(given.client)
  if type(mt) ~= "table" or mt.__name ~= "omni.client" then
    error(("%s: option 'client' must be a client, from omni.client, not a %s"):format(what, type(given.client)), 3)
  end
  return given
end

---Returns a board. If `board` is a path, loads the board from that file; the calling fiber waits until it is loaded.
---@param board omni.Storyboard|string
---@param client omni.Client
---@return omni.Storyboard|nil
---@return omni.Error|nil err
local function load(board, client)
  if type(board) ~= "string" then return board end
  return require("omni.storyboard.language.load").load(board, { client = client })
end

return { check = check, load = load }
