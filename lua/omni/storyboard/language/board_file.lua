-- SPDX-License-Identifier: MIT
-- Opens a board's file. The ledger identifies a board by the path of the board's file; the output folder is next to this file. A board
-- can't be a pipe, since a pipe has no path that could identify the board.

local core = require "omni.core"

-- Returns whether a path refers to a file descriptor that a program has open.
local function is_descriptor(path)
  return path:find "^/dev/std%l+$" or path:find "^/dev/fd/" or path:find "^/proc/[^/]+/fd/" or path:find "^/proc/[^/]+/task/[^/]+/fd/"
end

---Returns the reason why a path can't be a board's path, or nil if it can. Never blocks.
---@param path string
---@return string|nil why  "dusk.lua is a folder, ..."
local function trouble(path)
  local info, why = core.stat(path)
  if not info then return why end
  local kind = info.kind == "directory" and "a folder" or (info.kind ~= "file" or is_descriptor(path)) and "a pipe or a device" or nil
  if not kind then return nil end
  return ("%s is %s; a board must be a file with its own name, since the ledger identifies a board by its path")
    :format(path, kind)
end

---Opens a board's file for reading. Never blocks.
---@param path string
---@return file*|nil
---@return string|nil message
local function open(path)
  local why = trouble(path)
  if why then return nil, why end
  return core.open(path)
end

---Returns the board's key in the ledger: the absolute path of the board's file, with symbolic links in its folder's path resolved.
---@param path string
---@return string|nil key
---@return string folder_or_why  the folder, or why it can't be found
local function key(path)
  local folder, why = core.real_path(path:match("^(.*/)[^/]*$") or ".")
  if not folder then return nil, why end
  return folder:gsub("/$", "") .. "/" .. path:match("[^/]*$"), folder
end

return { key = key, open = open, trouble = trouble }
