-- SPDX-License-Identifier: MIT
-- Creates directories, makes paths absolute, and links, renames and replaces files.

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

local EEXIST <const> = 17

---Renames a file to the first unused name in its folder, such as "film (older 1).mp4". Never replaces another file.
---@param path string
---@return string|nil older  its new path
---@return omni.Error|nil err  code "io"
local function step_aside(path)
  local stem, extension = path:match "^(.*[^/])(%.%w+)$"
  local n = 0
  while true do
    n = n + 1
    local older = ("%s (older %d)%s"):format(stem or path, n, extension or "")
    local fine, why, number = core.rename_new(path, older)
    if fine then return older end
    if number ~= EEXIST then return nil, err.new { code = "io", message = "can't move the older file aside: " .. core.clean(why, 400) } end
  end
end

---Restores the old name of a file that `step_aside` renamed, unless that name is taken.
---@param older string
---@param path string
local function put_back(older, path)
  core.rename_new(older, path)
end

---Renames a complete file to its final path. `place` replaces an existing file at the final path if `is_ours` returns true. If `is_ours`
---returns false, `place` renames the existing file with `step_aside`, and renames it back if placing the new file fails.
---@param part string
---@param path string  in the same file system
---@param is_ours fun(path: string): boolean  returns whether the file at that path may be replaced; may wait
---@return true|nil
---@return omni.Error|nil err  code "io"
local function place(part, path, is_ours)
  local older
  while true do
    local fine, why, number = core.rename_new(part, path)
    if not fine and number == EEXIST and not older then
      if is_ours(path) then
        fine, why = os.rename(part, path)
      else
        local problem
        older, problem = step_aside(path)
        if not older then return nil, problem end
        goto again
      end
    end
    if fine then return true end
    if older then put_back(older, path) end
    do return nil, err.new { code = "io", message = core.clean(why, 400) } end
    ::again::
  end
end

return { absolute = absolute, contained = contained, copy = copy, duplicate = duplicate, make_directories = make_directories, name = name,
  place = place, put_back = put_back, step_aside = step_aside }
