-- SPDX-License-Identifier: MIT
-- SHA-256 of files, while other fibers go on.

local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"
local options = require "omni.options"

local at_once <const> = 4 -- files read at a time; more only make the disk seek

-- A place among those who read. The others stand in line, the first one first.
local taken, line = 0, {}
local Place_mt = {}

local function take_place()
  local place <const> = setmetatable({}, Place_mt)
  if taken < at_once then
    taken, place.taken = taken + 1, true
  else
    place.fiber = loop.current()
    line[#line + 1] = place
  end
  return place
end

local function wait_for(place)
  while not place.taken do loop.park() end
end

function Place_mt:__close()
  if not self.taken then -- cancelled while it stood in line
    for i, other in ipairs(line) do
      if other == self then return table.remove(line, i) end
    end
  end
  local next_one = table.remove(line, 1)
  if not next_one then
    taken = taken - 1
    return
  end
  next_one.taken = true
  loop.wake(next_one.fiber)
end

-- The job as the loop drives it. Closing it takes it out of the loop and stops the reading.
local Watch_methods = {}
local Watch_mt = { __name = "omni.digest.watch", __index = Watch_methods }

function Watch_methods:pollfd() return self.job:pollfd() end

function Watch_methods:events() return self.job:events() end

function Watch_methods:timeout() return self.job:timeout() end

function Watch_methods:step()
  if self.job:step() then loop.wake(self.fiber) end
end

function Watch_mt:__close()
  loop.remove(self)
  self.job:close()
end

local function failure(path, message)
  return err.new { code = "io", message = ("can't read %s: %s"):format(path, message) }
end

local function read(path)
  local place <close> = take_place()
  wait_for(place)
  local job, message = core.digest(path)
  if not job then return nil, failure(path, message) end
  local watch <close> = setmetatable({ job = job, fiber = loop.current() }, Watch_mt)
  loop.add(watch)
  while not job:step() do loop.park() end
  local found
  found, message = job:result()
  if not found then return nil, failure(path, message) end
  return found
end

---@class omni.Digest
---@field sha256 string  64 hexadecimal digits
---@field size integer   bytes
---@field stamp string   the file's stamp (`core.stat`) before and after it was read

---The SHA-256 of a file's bytes. Waits; a fiber that is cancelled meanwhile stops the reading. Links are followed.
---@param path string  a regular file
---@return omni.Digest|nil
---@return omni.Error|nil err  code "io": there is no such file, it can't be read, or it changed while it was read
local function file(path)
  options.path(path, "digest.file")
  loop.in_fiber "digest.file"
  return loop.drive(read, path)
end

return { file = file }
