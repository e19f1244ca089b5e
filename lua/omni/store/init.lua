-- SPDX-License-Identifier: MIT
-- A store keeps the files that omni has fetched, so that several machines can share them. An object's name is the SHA-256 digest of its
-- content, and omni uses a file from the store only if the file has that digest. The store's backend is S3 or a folder.

local addresses = require "omni.store.address"
local core = require "omni.core"
local digest = require "omni.file.digest"
local err = require "omni.error"
local loop = require "omni.loop"

local FORBIDDEN <const> = 403 -- S3's status for a missing object if the access key can't list the bucket
local MARKER <const> = "omni keeps files here; each is named after its SHA-256.\n"

---@class omni.Store
---@field address string
---@field backend omni.S3Store|omni.FolderStore
---@field wrong table<string, boolean>  the objects whose content was wrong, by digest; `put` replaces them
local Store_methods = {}
local Store_mt = { __name = "omni.store", __index = Store_methods }

---Returns whether a string is a bare SHA-256 digest. A digest isn't bare if the ledger has added a mark to it because the file can't be
---decoded.
---@param text string
---@return boolean
local function is_digest(text)
  return #text == 64 and not text:find "[^%x]"
end

---Returns whether the store contains an object with this digest and size. `has` doesn't check the object's content, but `get` does.
---@param sha256 string
---@param size integer
---@return boolean|nil
---@return omni.Error|nil
function Store_methods:has(sha256, size)
  if not is_digest(sha256) or self.wrong[sha256] then return false end
  local found, problem = self.backend:size(sha256)
  if problem then return nil, problem end
  return found == size
end

---Puts a file into the store, unless the store already contains it.
---@param path string
---@param sha256? string  the file's digest, if it is known
---@return true|nil
---@return omni.Error|nil
function Store_methods:put(path, sha256)
  local info, why = core.stat(path)
  if not info then return nil, err.new { code = "io", message = "can't read " .. core.clean(why, 400) } end
  local found, problem = sha256 and { sha256 = sha256, size = info.size } or nil, nil
  if not found then found, problem = digest.file(path) end
  if not found then return nil, problem end
  local there
  there, problem = self:has(found.sha256, found.size)
  if there then return true end
  if problem and problem.status ~= FORBIDDEN then return nil, problem end
  local fine
  fine, problem = self.backend:put(path, found.sha256, found.size)
  if fine then self.wrong[found.sha256] = nil end
  return fine, problem
end

---Gets a file from the store. The file appears at the path only if its digest is correct.
---@param sha256 string
---@param size integer
---@param path string
---@param given { aside?: boolean, on_progress?: fun(bytes: integer, total: integer|nil) }  aside: renames a different file at the path
---@return integer|nil bytes
---@return omni.Error|nil  nil if the store doesn't have the file
function Store_methods:get(sha256, size, path, given)
  local there, problem = self:has(sha256, size)
  if not there then return nil, problem end
  return self.backend:get(sha256, path, {
    aside = given.aside, on_progress = given.on_progress,
    accept = function(part)
      local found, unread = digest.file(part, true) -- also syncs the file to disk
      if not found then return unread end
      if found.sha256 == sha256 then return nil end
      self.wrong[sha256] = true
      return err.new { code = "store_failed", message = ("the store %s has wrong content for the file %s; omni doesn't use it")
        :format(self.address, sha256) }
    end,
  })
end

---Checks that the store is writable and readable, by writing a small object and reading it back.
---@return true|nil
---@return omni.Error|nil  code "store_failed"
function Store_methods:check()
  if not loop.in_fiber "the store" then return loop.drive(self.check, self) end
  return self.backend:check(MARKER)
end

function Store_methods:close() self.backend:close() end

Store_mt.__close = Store_methods.close

---Opens a store. Sends nothing.
---@param address string
---@param client omni.Client  for its settings and events
---@return omni.Store|nil
---@return omni.Error|nil  code "store_failed"
local function open(address, client)
  local wrong = addresses.problem(address)
  if wrong then return nil, err.new { code = "store_failed", message = "the store's address " .. wrong } end
  local backend, problem
  if addresses.is_s3(address) then
    backend, problem = require("omni.store.s3").open(address, client)
  else
    backend = require("omni.store.folder").open(address)
  end
  if not backend then return nil, problem end
  return setmetatable({ address = backend.address, backend = backend, wrong = {} }, Store_mt)
end

---Returns the address in OMNI_STORE, or nil.
---@return string|nil
local function default_address()
  local address = os.getenv "OMNI_STORE"
  return address ~= "" and address or nil
end

return { address_problem = addresses.problem, default_address = default_address, is_digest = is_digest, open = open }
