-- SPDX-License-Identifier: MIT
-- A board's file: the ledger knows a board by its file's path, and its output lies beside it. So it must be a file with a name of its
-- own; a pipe would be read to its end once, and all such boards would have one name.

local core = require "omni.core"

-- Names for whatever a program has open just now.
local function is_descriptor(path)
  return path:find "^/dev/std%l+$" or path:find "^/dev/fd/" or path:find "^/proc/[^/]+/fd/" or path:find "^/proc/[^/]+/task/[^/]+/fd/"
end

---Why a path can't be a board's, or nil. Never waits.
---@param path string
---@return string|nil why  "dusk.lua is a folder, ..."
local function trouble(path)
  local info, why = core.stat(path)
  if not info then return why end
  local kind = info.kind == "directory" and "a folder" or (info.kind ~= "file" or is_descriptor(path)) and "a pipe or a device" or nil
  if not kind then return nil end
  return ("%s is %s; a board must be a file with a name of its own, as the ledger knows it by that and its output lies beside it")
    :format(path, kind)
end

---Opens a board's file to read it. Never waits.
---@param path string
---@return file*|nil
---@return string|nil message
local function open(path)
  local why = trouble(path)
  if why then return nil, why end
  return core.open(path)
end

---What the ledger calls a board: its file's path, absolute, without links in its folder.
---@param path string
---@return string|nil key
---@return string folder_or_why  the folder; else why it can't be found
local function key(path)
  local folder, why = core.real_path(path:match("^(.*/)[^/]*$") or ".")
  if not folder then return nil, why end
  return folder:gsub("/$", "") .. "/" .. path:match("[^/]*$"), folder
end

return { key = key, open = open, trouble = trouble }
