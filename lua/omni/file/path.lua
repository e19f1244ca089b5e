-- SPDX-License-Identifier: MIT
-- Directories with those above them, absolute paths, and files under a second name.

local core = require "omni.core"
local err = require "omni.error"
local process = require "omni.process"

---Makes a directory and those above it.
---@param path string
---@param mode? integer  permissions of what is new (0777)
---@return true|nil
---@return string|nil message
local function make_directories(path, mode)
  if core.stat(path) then return core.make_directory(path, mode) end -- says so when it isn't a directory
  local parent = path:match("^(.*[^/])/+[^/]+/*$")
  if parent and not core.stat(parent) then
    local fine, why = make_directories(parent, mode)
    if not fine then return nil, why end
  end
  return core.make_directory(path, mode)
end

---The name behind the last slash.
---@param path string
---@return string
local function name(path)
  return path:match("[^/]*$")
end

---The absolute path of a file, also of one that isn't there yet.
---@param path string
---@return string
local function absolute(path)
  local found = core.real_path(path)
  if found then return found end
  local parent, rest = path:match("^(.*)/([^/]+)/*$")
  if not parent then return (core.real_path(".") or ".") .. "/" .. path end
  return (parent == "" and "" or absolute(parent)) .. "/" .. rest
end

---Puts a file's bytes under a second path, where nothing is yet: by a link, else by a copy that is there only when it is whole.
---@param from string
---@param to string
---@return true|nil
---@return omni.Error|nil err  code "io"
local function duplicate(from, to)
  if core.link(from, to) then return true end
  local part = ("%s.%s.part"):format(to, core.token(4)) -- a name that nothing has
  local result, problem = process.run({ "cp", "--reflink=auto", "--", absolute(from), absolute(part) })
  local size, copied = core.stat(from), core.stat(part)
  if result and not process.succeeded(result, size and copied and size.size == copied.size) then
    problem = err.new { code = "io", message = ("can't copy %s to %s: %s"):format(from, to, core.clean(result.stderr, 200)) }
  end
  if problem then
    core.remove(part)
    return nil, problem
  end
  local fine, why = core.rename_new(part, to)
  if fine then return true end
  core.remove(part)
  return nil, err.new { code = "io", message = core.clean(why, 400) }
end

local EEXIST <const> = 17

---Gives a file that is in the way another name, in the same folder: "film (older 1).mp4". Never replaces what is there.
---@param path string
---@return string|nil older  its path now
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

---Gives a file that stepped aside its name again, unless there is something else by now.
---@param older string
---@param path string
local function put_back(older, path)
  core.rename_new(older, path)
end

---Gives a finished file its name. What is there and isn't ours steps aside first, and comes back when that fails.
---@param part string
---@param path string  in the same file system
---@param is_ours fun(path: string): boolean  whether that file may be replaced; may wait
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

return { absolute = absolute, duplicate = duplicate, make_directories = make_directories, name = name, place = place,
  put_back = put_back, step_aside = step_aside }
