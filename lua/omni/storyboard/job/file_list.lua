-- SPDX-License-Identifier: MIT
-- Handles lists of files in a store, from which another machine can recreate a folder. A job has two file lists: one of the board's files,
-- and one of the result's files. A file list may come from another machine, so omni checks its paths before it writes any files.

local core = require "omni.core"
local err = require "omni.error"
local paths = require "omni.file.path"
local pool = require "omni.loop.pool"
local stores = require "omni.store"

local AT_ONCE <const> = 4 -- number of files that are transferred at the same time
local MAX_FILES <const> = 20000

---@class omni.ListedFile
---@field path string    relative to the folder, in normal form
---@field sha256 string
---@field size integer   bytes

---Returns a list of the named files in a folder.
---@param ledger omni.Ledger  for the digests
---@param folder string       absolute
---@param names string[]      paths relative to the folder
---@return omni.ListedFile[]|nil
---@return omni.Error|nil  code "io"
local function make(ledger, folder, names)
  local list = {}
  for i, name in ipairs(names) do
    local path = folder .. "/" .. name
    local sha256, problem = ledger:digest(path)
    if not sha256 then return nil, problem end
    local info, why = core.stat(path)
    if not info then return nil, err.new { code = "io", message = "can't read " .. core.clean(why, 400) } end
    list[i] = { path = name, sha256 = sha256, size = info.size }
  end
  return list
end

---Puts the listed files from a folder into a store, except for files that the store already has.
---@param store omni.Store
---@param folder string
---@param list omni.ListedFile[]
---@return true|nil
---@return omni.Error|nil
local function put(store, folder, list)
  return pool.each(#list, AT_ONCE, function(i) return store:put(folder .. "/" .. list[i].path, list[i].sha256) end)
end

---Checks a decoded file list.
---@param value any
---@return omni.ListedFile[]|nil  nil: not a valid file list
local function check(value)
  if type(value) ~= "table" or #value > MAX_FILES then return nil end
  local list, seen = {}, {}
  for i, given in ipairs(value) do
    if type(given) ~= "table" then return nil end
    local path, sha256, size = given.path, given.sha256, given.size
    if type(path) ~= "string" or paths.contained(path) ~= path or seen[path] then return nil end
    if type(sha256) ~= "string" or not stores.is_digest(sha256) or math.type(size) ~= "integer" or size < 0 then return nil end
    list[i], seen[path] = { path = path, sha256 = sha256, size = size }, true
  end
  return list
end

-- Gets one file from the store, unless the file already exists at `path`.
local function get_one(ledger, store, path, file)
  local info = core.stat(path)
  if info and info.kind == "file" and info.size == file.size and ledger:digest(path) == file.sha256 then return true end
  local fine, why = paths.make_directories(path:match "^(.*)/")
  if not fine then return nil, err.new { code = "io", message = core.clean(why, 400) } end
  local bytes, problem = store:get(file.sha256, file.size, path, { aside = true })
  if bytes then return true end
  return nil, problem or err.new { code = "store_failed",
    message = ("the store %s doesn't have the file %s"):format(core.clean(store.address, 200), core.clean(file.path, 200)) }
end

---Gets the listed files from the store into a folder. If the folder already contains a file with a listed file's name but different
---content, renames that file instead of replacing it.
---@param ledger omni.Ledger
---@param store omni.Store
---@param folder string  created if it doesn't exist
---@param list omni.ListedFile[]  checked
---@return true|nil
---@return omni.Error|nil  codes: io, store_failed, ...
local function get(ledger, store, folder, list)
  return pool.each(#list, AT_ONCE, function(i) return get_one(ledger, store, folder .. "/" .. list[i].path, list[i]) end)
end

return { check = check, get = get, make = make, put = put }
