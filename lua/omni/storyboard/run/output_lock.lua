-- SPDX-License-Identifier: MIT
-- Locks the output folder so that only one run at a time uses it. Without a lock, two runs would remove each other's unfinished files.

local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"
local paths = require "omni.file.path"
local waits = require "omni.storyboard.run.wait"

local TAKEN <const> = 11   -- EWOULDBLOCK
local poll_seconds <const> = 0.2

---@class omni.Directory
---@field path string    absolute
---@field media string   absolute; the folder for clips
---@field package lock table|false
local Directory_methods = {}
local Directory_mt = { __name = "omni.directory", __index = Directory_methods }

---Releases the lock.
function Directory_methods:close()
  if self.lock then self.lock:close() end
end

Directory_mt.__close = Directory_methods.close

local function refuse(why)
  return nil, err.new { code = "io", message = "can't write to " .. why }
end

-- Locks the folder and sets `self.lock`; if the folder can't be locked, returns the reason. Waits while another run holds the lock.
local function take_lock(self, path, on_event)
  local file <const> = path .. "/media/.lock"
  local message, code
  self.lock, message, code = core.lock(file)
  if code ~= TAKEN then return message end
  local wait <close> = waits.begin(on_event, "lock", { directory = path }) -- luacheck: ignore 211
  repeat
    loop.sleep(poll_seconds)
    self.lock, message, code = core.lock(file)
  until code ~= TAKEN
  return message
end

---Creates the output folder, checks that it is writable, and locks it. Waits while another run holds the lock.
---@param path string
---@param on_event? fun(event: omni.RunEvent)  gets the events `wait` and `wait_over` if the caller has to wait
---@return omni.Directory|nil  the caller must close it
---@return omni.Error|nil err  code "io"
local function open(path, on_event)
  if not loop.in_fiber "omni.run_storyboard" then return loop.drive(open, path, on_event) end
  local media = path .. "/media"
  local fine, why = paths.make_directories(media)
  if not fine then return refuse(why) end
  local probe = media .. "/.omni-" .. core.token(4)
  local file
  file, why = core.open(probe, "x")
  if not file then return refuse(why) end
  file:close()
  core.remove(probe)
  -- Creates the object before taking the lock, so that `close` can release the lock immediately if memory runs out.
  local self = setmetatable({ path = paths.absolute(path), media = paths.absolute(media), lock = false }, Directory_mt)
  fine, why = pcall(take_lock, self, path, on_event)
  if not fine then
    self:close()
    error(why, 0)
  end
  if not self.lock then return refuse(why) end
  return self
end

return { open = open }
