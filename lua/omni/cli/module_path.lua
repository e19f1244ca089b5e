-- SPDX-License-Identifier: MIT
-- Sets the module path for the user's Lua files. The modules that the program itself needs come from the binary and from the system's
-- folders (csrc/host/main.c), and are loaded already.

local host = require "omni.host"

-- Returns the path templates for a folder, or none if the folder's name contains a character that is special in templates.
local function templates(folder, ...)
  if folder:find "[;?]" then return "" end
  local list = {}
  for _, rest in ipairs { ... } do list[#list + 1] = ";" .. folder .. rest end
  return table.concat(list)
end

---Lets `require` find the modules that plain Lua finds (including those in LUA_PATH and LUA_CPATH), and then the modules next to a file.
---@param path? string  the user's script or board; nil if it comes from stdin
local function allow(path)
  local folder = path and (path:match "^(.*/)[^/]*$" or "./")
  package.path = host.path .. (folder and templates(folder, "?.lua", "?/init.lua") or "")
  package.cpath = host.cpath .. (folder and templates(folder, "?.so") or "")
end

return { allow = allow }
