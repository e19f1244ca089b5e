-- SPDX-License-Identifier: MIT
-- Locks the output folder so that only one run at a time uses it. Two runs would remove each other's unfinished files.

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
local Directory_methods = {}
local Directory_mt = { __name = "omni.directory", __index = Directory_methods }

---Releases the lock.
function Directory_methods:close()
  self.lock:close()
end

Directory_mt.__close = Directory_methods.close

local function refuse(why)
  return nil, err.new { code = "io", message = "can't write to " .. why }
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
  local lock, message, code = core.lock(media .. "/.lock")
  if code == TAKEN then
    local wait <close> = waits.begin(on_event, "lock", { directory = path }) -- luacheck: ignore 211
    repeat
      loop.sleep(poll_seconds)
      lock, message, code = core.lock(media .. "/.lock")
    until code ~= TAKEN
  end
  if not lock then return refuse(message) end
  return setmetatable({ path = paths.absolute(path), media = paths.absolute(media), lock = lock }, Directory_mt)
end

return { open = open }
