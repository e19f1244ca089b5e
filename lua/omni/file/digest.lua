-- SPDX-License-Identifier: MIT
-- Computes SHA-256 digests of files. Other fibers keep running while omni computes a digest.

local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"
local options = require "omni.options"
local pollable = require "omni.loop.pollable"
local wait_queue = require "omni.loop.wait_queue"

local MAX_READERS <const> = 4 -- maximum number of files that omni reads at the same time; more would only cause disk seeks

local readers, queue = 0, wait_queue.new()

local Slot_mt = {
  __close = function()
    readers = readers - 1
    queue:wake_first(1)
  end,
}

-- Waits until fewer than MAX_READERS fibers are reading files. The caller must close the returned slot after reading its file.
local function take_slot()
  if readers >= MAX_READERS or not queue:is_empty() then
    local place <close> = queue:join()
    repeat loop.park() until readers < MAX_READERS and queue:is_first(place)
  end
  readers = readers + 1
  return setmetatable({}, Slot_mt)
end

local function failure(path, message)
  return err.new { code = "io", message = ("can't read %s: %s"):format(path, message) }
end

local function read(path, sync)
  local slot <close> = take_slot() -- luacheck: ignore 211
  local job <close>, message = core.digest(path, sync)
  if not job then return nil, failure(path, message) end
  pollable.finish(job)
  local found
  found, message = job:result()
  if not found then return nil, failure(path, message) end
  return found
end

---@class omni.Digest
---@field sha256 string  64 hexadecimal digits
---@field size integer   bytes
---@field synced? boolean  with `sync`: whether the bytes are on disk
---@field stamp string   the file's stamp (`core.stat`), which stayed the same while the file was read

---Returns the SHA-256 digest of a file's contents. Follows symbolic links. Stops reading if the fiber is cancelled.
---@param path string  a regular file
---@param sync? boolean  also wait until the file's bytes are on disk
---@return omni.Digest|nil
---@return omni.Error|nil err  code "io": the file is missing or can't be read, or it changed while it was read
local function file(path, sync)
  options.path(path, "digest.file")
  loop.in_fiber "digest.file"
  return loop.drive(read, path, sync)
end

return { file = file }
