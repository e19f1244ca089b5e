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
  local part = to .. ".part"
  local result, problem = process.run({ "cp", "--reflink=auto", "--", absolute(from), absolute(part) })
  if result and result.exit ~= 0 then
    problem = err.new { code = "io", message = ("can't copy %s to %s: %s"):format(from, to, core.clean(result.stderr, 200)) }
  end
  if problem then
    core.remove(part)
    return nil, problem
  end
  local fine, why = os.rename(part, to)
  if not fine then return nil, err.new { code = "io", message = why } end
  return true
end

return { absolute = absolute, duplicate = duplicate, make_directories = make_directories, name = name }
