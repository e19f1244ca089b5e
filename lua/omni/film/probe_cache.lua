-- SPDX-License-Identifier: MIT
-- Caches the properties of media files in the user's cache folder, so that later processes don't need to run ffprobe again. A single run of
-- ffprobe takes about 75 ms of processor time, and a board can have hundreds of clips.

local core = require "omni.core"
local json = require "omni.json"
local paths = require "omni.file.path"

local MAX_BYTES <const> = 16384 -- maximum size of a cache file in bytes
local VERSION <const> = 2 -- increment this number when `omni.film.Probe` changes

-- Returns the cache folder, or nil if the user has no home folder.
local function folder()
  local cache, home = os.getenv "XDG_CACHE_HOME", os.getenv "HOME"
  if cache and cache:find "^/" then return cache .. "/omni/probes" end
  return home and home:find "^/" and home .. "/.cache/omni/probes" or nil
end

-- Returns the path of a media file's cache file.
local function place_of(path)
  local directory = folder()
  return directory and ("%s/%s"):format(directory, core.sha256(paths.absolute(path)))
end

---Returns the cached properties of a media file, or nil if they aren't cached or the file has changed.
---@param path string
---@param stamp string  of the file, as `core.stat` returns it
---@return omni.film.Probe|nil
local function known(path, stamp)
  local place = place_of(path)
  local file <close> = place and core.open(place)
  local stored = file and json.decode(file:read(MAX_BYTES) or "")
  if type(stored) ~= "table" or stored.version ~= VERSION or stored.stamp ~= stamp then return nil end
  return type(stored.probe) == "table" and type(stored.probe.seconds) == "number" and stored.probe or nil
end

---Stores a media file's properties in the cache. If the cache can't be written, omni will probe the file again.
---@param path string
---@param stamp string
---@param probe omni.film.Probe
local function remember(path, stamp, probe)
  local place = place_of(path)
  if not place or not paths.make_directories(place:match "^(.*)/", 448) then return end -- 0700
  local part = ("%s.%s"):format(place, core.token(4))
  local file = io.open(part, "wb")
  if not file then return end
  local written = file:write(json.canonical { version = VERSION, stamp = stamp, probe = probe })
  if not (file:close() and written and os.rename(part, place)) then core.remove(part) end
end

return { known = known, remember = remember }
