-- SPDX-License-Identifier: MIT
-- A store in a folder that several machines share.

local core = require "omni.core"
local digest = require "omni.file.digest"
local err = require "omni.error"
local older_file = require "omni.file.older_file"
local paths = require "omni.file.path"

---@class omni.FolderStore
---@field address string  the folder's path
local Folder_methods = {}
local Folder_mt = { __name = "omni.store.folder", __index = Folder_methods }

local function fail(self, message, what_to_do)
  return nil, err.new { code = "store_failed", message = ("the store %s %s"):format(core.clean(self.address, 200), message),
    hint = what_to_do }
end

local function path_of(self, sha256)
  return ("%s/%s/%s"):format(self.address, sha256:sub(1, 2), sha256)
end

-- Copies a file to a new name next to `path`. Returns that name.
local function copy_beside(from, path)
  local part = ("%s.%s.part"):format(path, core.token(4))
  local fine, problem = paths.copy(from, part)
  if not fine then return nil, problem end
  return part
end

---Returns an object's size, or nil if the store doesn't contain the object.
---@param sha256 string
---@return integer|nil
function Folder_methods:size(sha256)
  local info = core.stat(path_of(self, sha256))
  return info and info.kind == "file" and info.size or nil
end

---Copies a file into the store.
---@param path string
---@param sha256 string  the file's digest
---@return true|nil
---@return omni.Error|nil
function Folder_methods:put(path, sha256)
  local object = path_of(self, sha256)
  local fine, why = core.stat(self.address), "doesn't exist"
  if fine then fine, why = paths.make_directories(object:match "^(.*)/") end
  if not fine then return fail(self, "can't be written: " .. core.clean(why, 300)) end
  local part, problem = copy_beside(path, object)
  if not part then return fail(self, "can't be written: " .. problem.message) end
  local copied
  copied, problem = digest.file(part, true) -- also syncs the copy to disk
  fine, why = copied ~= nil and copied.sha256 == sha256, problem and problem.message or "the file changed while it was copied"
  if fine then fine, why = os.rename(part, object) end
  if fine then return true end
  core.remove(part)
  return fail(self, "can't be written: " .. core.clean(why, 300))
end

---Copies an object to a temporary file, and renames the copy to a local path if `accept` accepts it.
---@param sha256 string
---@param path string
---@param given { accept: fun(part: string): table|nil }
---@return integer|nil bytes
---@return omni.Error|nil
function Folder_methods:get(sha256, path, given)
  local part, problem = copy_beside(path_of(self, sha256), path)
  if not part then return fail(self, "can't be read: " .. problem.message) end
  local refusal = given.accept(part)
  local size = core.stat(part)
  local fine
  if refusal then
    problem = refusal
  else
    fine, problem = older_file.place(part, path, function(other)
      local found = not given.aside or digest.file(other)
      return found == true or found ~= nil and found.sha256 == sha256
    end)
  end
  if fine then return size.size end
  core.remove(part)
  return nil, problem
end

---Writes an object with this content, and reads it back.
---@param content string
---@return true|nil
---@return omni.Error|nil
function Folder_methods:check(content)
  local info = core.stat(self.address)
  if not info or info.kind ~= "directory" then
    return fail(self, info and "isn't a folder" or "doesn't exist", "create the folder, or mount it if it is on another machine")
  end
  local folder, why = core.make_temporary_directory "omni-store-"
  if not folder then return fail(self, "can't be checked: " .. why) end
  local path, sha256 = folder .. "/object", core.sha256(content)
  local file
  file, why = io.open(path, "wb")
  local fine = file and file:write(content) and file:close()
  local problem
  if fine then fine, problem = self:put(path, sha256) else fine, problem = fail(self, "can't be checked: " .. tostring(why)) end
  core.remove(path)
  core.remove(folder)
  if not fine then return nil, problem end
  -- Reads the object back without comparing the file's stamps, since another machine may replace the file with an identical one at any
  -- moment.
  local object <close> = io.open(path_of(self, sha256), "rb")
  if object and object:read(#content + 1) == content then return true end
  return fail(self, "doesn't return what was written")
end

function Folder_methods.close() end

---@param name string
---@return omni.FolderStore
local function open(name)
  return setmetatable({ address = paths.absolute(name) }, Folder_mt)
end

return { open = open }
