-- SPDX-License-Identifier: MIT
-- Writes the files that an editor with the Lua language server (LuaLS) needs to complete and check a board: settings, and type definitions
-- of the board language's functions.

local TYPES <const> = ".omni/board.d.lua"
local SETTINGS <const> = ".luarc.json"
local settings <const> = [[
{
  "runtime.version": "Lua 5.4",
  "workspace.library": [".omni"],
  "workspace.checkThirdParty": false
}
]]

local EEXIST <const> = 17

-- Creates a file. On failure, returns nil, the reason, and whether the reason is that the file already exists.
local function create(path, content)
  local file <close>, why, number = require("omni.core").open(path, "x")
  if not file then return nil, why, number == EEXIST end
  local written, trouble = file:write(content)
  if not written then return nil, trouble end
  return true
end

---Writes the editor's settings and the type definitions into a folder. Replaces older type definitions, but never existing settings.
---@param folder string  "", or a path that ends in a slash
---@return string[]|nil lines  for the user: what was written
---@return string|nil why      why a file can't be written
local function write_all(folder)
  local core = require "omni.core"
  local made, why = core.make_directory(folder .. ".omni")
  if not made then return nil, why end
  core.remove(folder .. TYPES)
  made, why = create(folder .. TYPES, (require "omni.types.board"))
  if not made then return nil, why end
  local written, problem, exists = create(folder .. SETTINGS, settings)
  if exists then
    return {
      ("wrote %s; kept %s, which already exists. Add this setting to it:"):format(TYPES, SETTINGS), '  "workspace.library": [".omni"]',
    }
  end
  if not written then return nil, problem end
  return { ("wrote %s and %s: editors with the Lua language server complete boards in this folder"):format(SETTINGS, TYPES) }
end

return { write = write_all }
