-- SPDX-License-Identifier: MIT
-- Where the user's own Lua files find modules. The program's own come from itself and the system's folders (csrc/host/main.c), and
-- are loaded before this is called.

local host = require "omni.host"

-- The templates for one folder; none for a name that has a meaning of its own in templates.
local function templates(folder, ...)
  if folder:find "[;?]" then return "" end
  local list = {}
  for _, rest in ipairs { ... } do list[#list + 1] = ";" .. folder .. rest end
  return table.concat(list)
end

---Lets `require` find what plain Lua would find (LUA_PATH and LUA_CPATH included), and then what lies beside a file.
---@param path? string  the user's script or board; nil: it has no folder
local function allow(path)
  local folder = path and (path:match "^(.*/)[^/]*$" or "./")
  package.path = host.path .. (folder and templates(folder, "?.lua", "?/init.lua") or "")
  package.cpath = host.cpath .. (folder and templates(folder, "?.so") or "")
end

return { allow = allow }
