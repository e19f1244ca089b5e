-- SPDX-License-Identifier: MIT
-- Sets the module path for the user's Lua files. The modules that omni itself needs come from the binary and from system folders
-- (csrc/host/main.c), and have already been loaded.

local host = require "omni.host"

-- Returns the path templates for a folder, or none if the folder's name contains a character that has a special meaning in templates.
local function templates(folder, ...)
  if folder:find "[;?]" then return "" end
  local list = {}
  for _, rest in ipairs { ... } do list[#list + 1] = ";" .. folder .. rest end
  return table.concat(list)
end

---Makes `require` search the same places as in plain Lua (including LUA_PATH and LUA_CPATH), and then the folder that contains a file.
---@param path? string  the user's script or board; nil if it comes from stdin
local function allow(path)
  local folder = path and (path:match "^(.*/)[^/]*$" or "./")
  package.path = host.path .. (folder and templates(folder, "?.lua", "?/init.lua") or "")
  package.cpath = host.cpath .. (folder and templates(folder, "?.so") or "")
end

return { allow = allow }
