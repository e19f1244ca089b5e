-- SPDX-License-Identifier: MIT
-- Creates directories, makes paths absolute, and copies and links files.

local core = require "omni.core"
local err = require "omni.error"
local process = require "omni.process"

---Creates a directory and any missing parent directories.
---@param path string
---@param mode? integer  permissions of new directories (default 0777)
---@return true|nil
---@return string|nil message
local function make_directories(path, mode)
  if core.stat(path) then return core.make_directory(path, mode) end -- make_directory fails if the existing path isn't a directory
  local parent = path:match("^(.*[^/])/+[^/]+/*$")
  if parent and not core.stat(parent) then
    local fine, why = make_directories(parent, mode)
    if not fine then return nil, why end
  end
  return core.make_directory(path, mode)
end

---Returns the part of a path after the last slash.
---@param path string
---@return string
local function name(path)
  return path:match("[^/]*$")
end

---Returns the absolute path of a file. The file doesn't have to exist.
---@param path string
---@return string
local function absolute(path)
  local found = core.real_path(path)
  if found then return found end
  local parent, rest = path:match("^(.*)/([^/]+)/*$")
  if not parent then return (core.real_path(".") or ".") .. "/" .. path end
  return (parent == "" and "" or absolute(parent)) .. "/" .. rest
end

---Returns a relative path in its normal form. Returns nil if the path is absolute, contains "..", or can't be the path of a file. A path
---from another machine must not lead outside the folder that it is relative to.
---@param path string
---@return string|nil
local function contained(path)
  if #path > 1000 or path:find "^/" or path:find "[%c]" or path:find "/$" or not utf8.len(path) then return nil end
  local parts = {}
  for part in path:gmatch "[^/]+" do
    if part == ".." or #part > 255 then return nil end
    if part ~= "." then parts[#parts + 1] = part end
  end
  return parts[1] and table.concat(parts, "/")
end

---Copies a file in another process, so that the event loop doesn't wait for the disk.
---@param from string
---@param to string
---@return true|nil
---@return omni.Error|nil err  code "io"
local function copy(from, to)
  local result, problem = process.run({ "cp", "--reflink=auto", "--", absolute(from), absolute(to) })
  local size, copied = core.stat(from), core.stat(to)
  if result and not process.succeeded(result, size and copied and size.size == copied.size) then
    problem = err.new { code = "io", message = ("can't copy %s to %s: %s"):format(from, to, core.clean(result.stderr, 200)) }
  end
  if not problem then return true end
  core.remove(to)
  return nil, problem
end

---Creates a hard link named `to` to the file `from`, or copies the file if linking fails. The path `to` must not exist yet. A copy appears
---at the path `to` only once it is complete.
---@param from string
---@param to string
---@return true|nil
---@return omni.Error|nil err  code "io"
local function duplicate(from, to)
  if core.link(from, to) then return true end
  local part = ("%s.%s.part"):format(to, core.token(4)) -- a random name
  local copied, problem = copy(from, part)
  if not copied then return nil, problem end
  local fine, why = core.rename_new(part, to)
  if fine then return true end
  core.remove(part)
  return nil, err.new { code = "io", message = core.clean(why, 400) }
end

return { absolute = absolute, contained = contained, copy = copy, duplicate = duplicate, make_directories = make_directories, name = name }
