-- SPDX-License-Identifier: MIT
-- Opens the file of a board. The ledger identifies a board by the path of its file, and the output folder is beside that file. So a board
-- can't be a pipe, which has no path of its own.

local core = require "omni.core"

-- Returns whether a path names an open file descriptor of a program.
local function is_descriptor(path)
  return path:find "^/dev/std%l+$" or path:find "^/dev/fd/" or path:find "^/proc/[^/]+/fd/" or path:find "^/proc/[^/]+/task/[^/]+/fd/"
end

---Returns why a path can't name a board, or nil if it can. Never waits.
---@param path string
---@return string|nil why  "dusk.lua is a folder, ..."
local function trouble(path)
  local info, why = core.stat(path)
  if not info then return why end
  local kind = info.kind == "directory" and "a folder" or (info.kind ~= "file" or is_descriptor(path)) and "a pipe or a device" or nil
  if not kind then return nil end
  return ("%s is %s; a board must be a file with its own name, since the ledger identifies it by its path")
    :format(path, kind)
end

---Opens a board's file for reading. Never waits.
---@param path string
---@return file*|nil
---@return string|nil message
local function open(path)
  local why = trouble(path)
  if why then return nil, why end
  return core.open(path)
end

---Returns the board's key in the ledger: the absolute path of the board's file, with the links in its folder resolved.
---@param path string
---@return string|nil key
---@return string folder_or_why  the folder, or why it can't be found
local function key(path)
  local folder, why = core.real_path(path:match("^(.*/)[^/]*$") or ".")
  if not folder then return nil, why end
  return folder:gsub("/$", "") .. "/" .. path:match("[^/]*$"), folder
end

return { key = key, open = open, trouble = trouble }
