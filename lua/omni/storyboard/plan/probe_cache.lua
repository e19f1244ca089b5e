-- SPDX-License-Identifier: MIT
-- Caches what ffprobe reports about files, for this run and for later runs, as long as the files don't change. One run of ffprobe takes
-- about 75 ms of processor time, and a board can use hundreds of films.

local core = require "omni.core"
local film = require "omni.film"
local json = require "omni.json"
local paths = require "omni.file.path"
local pool = require "omni.loop.pool"
local upload = require "omni.client.upload"

local at_once <const> = 4
local MAX_BYTES <const> = 4096 -- maximum size of a cached report
local VERSION <const> = 1

---@class omni.Seen  what ffprobe reported about a file
---@field seconds number     length of the file
---@field picture? number    length of the video stream in seconds; nil: there is none
---@field sound? number      length of the audio stream in seconds; nil: there is none

---@class omni.ProbeCache
---@field missing? omni.Error  set if ffprobe isn't installed
local Cache_methods = {}
local Cache_mt = { __index = Cache_methods }

-- Returns the folder for cached reports, or nil if the user has no home folder.
local function folder()
  local cache, home = os.getenv "XDG_CACHE_HOME", os.getenv "HOME"
  if cache and cache:find "^/" then return cache .. "/omni/probes" end
  return home and home:find "^/" and home .. "/.cache/omni/probes" or nil
end

local function remembered(path, stamp)
  local file <close> = core.open(path)
  local report = file and core.decode(file:read(MAX_BYTES) or "")
  if type(report) ~= "table" or report.version ~= VERSION or report.stamp ~= stamp or type(report.seconds) ~= "number" then return nil end
  local function number(value) return type(value) == "number" and value or nil end
  return { seconds = report.seconds, picture = number(report.picture), sound = number(report.sound) }
end

-- Writes a report to the cache. If writing fails, the next run probes the file again.
local function remember(path, stamp, seen)
  if not paths.make_directories(path:match "^(.*)/", 448) then return end -- 0700
  local part = ("%s.%s"):format(path, core.token(4))
  local file = io.open(part, "wb")
  if not file then return end
  local written = file:write(json.canonical {
    version = VERSION, stamp = stamp, seconds = seen.seconds, picture = seen.picture, sound = seen.sound,
  })
  if not (file:close() and written and os.rename(part, path)) then core.remove(part) end
end

local function look(self, path)
  local before = core.stat(path)
  local place = before and self.folder and ("%s/%s"):format(self.folder, core.sha256(path))
  local seen = place and remembered(place, before.stamp)
  if seen then return seen end
  local found, problem = film.probe(path)
  if not found then
    if problem.code == "process_failed" then self.missing = problem end
    return nil, problem
  end
  seen = {
    seconds = found.seconds, picture = found.video and (found.video.seconds or found.seconds),
    sound = found.audio and (found.audio.seconds or found.seconds),
  }
  local after = core.stat(path)
  if place and after and after.stamp == before.stamp then remember(place, before.stamp, seen) end
  return seen
end

---Returns what ffprobe reports about a file.
---@param path string
---@return omni.Seen|nil
---@return omni.Error|nil  "unreadable_clip"; "process_failed" if there is no ffprobe
function Cache_methods:get(path)
  if self.missing then return nil, self.missing end
  local known = self.known[path]
  if not known then
    known = table.pack(look(self, path))
    self.known[path] = known
  end
  return known[1], known[2]
end

---Checks whether a file can be uploaded. Returns the file's media type, based on the file's first bytes.
---@param path string
---@return omni.MediaType|nil
---@return omni.Error|nil
function Cache_methods:kind(path)
  local known = self.kinds[path]
  if not known then
    known = table.pack(upload.check(path))
    self.kinds[path] = known
  end
  if known[1] then return known[2] end
  return nil, known[2]
end

---Probes several files concurrently, so that later calls to `get` return immediately.
---@param list string[]  paths
function Cache_methods:prepare(list)
  pool.each(#list, at_once, function(i)
    self:get(list[i])
    return true
  end)
end

---@return omni.ProbeCache
local function new() return setmetatable({ known = {}, kinds = {}, folder = folder() }, Cache_mt) end

return { new = new }
