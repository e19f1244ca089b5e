-- SPDX-License-Identifier: MIT
-- Examines each of a plan's media files only once: determines the file's type from its first bytes, and the lengths of its video and its
-- audio.

local pool = require "omni.loop.pool"
local probe = require "omni.film.probe"
local upload = require "omni.client.upload"

local at_once <const> = 4

---@class omni.MediaLengths
---@field seconds number     length of the file
---@field picture? number    length of the video stream in seconds; nil: there is none
---@field sound? number      length of the audio stream in seconds; nil: there is none

---@class omni.MediaFiles
---@field no_ffprobe? omni.Error  set if ffprobe isn't installed
local Files_methods = {}
local Files_mt = { __index = Files_methods }

local function lengths_of(self, path)
  if self.no_ffprobe then return nil, self.no_ffprobe end
  local found, problem = probe(path)
  if not found then
    if problem.code == "process_failed" then self.no_ffprobe = problem end
    return nil, problem
  end
  return {
    seconds = found.seconds, picture = found.video and (found.video.seconds or found.seconds),
    sound = found.audio and (found.audio.seconds or found.seconds),
  }
end

-- Returns the results of `look(self, path)`. Calls `look` only once for each path.
local function once(self, results, look, path)
  local known = results[path]
  if not known then
    known = table.pack(look(self, path))
    results[path] = known
  end
  return table.unpack(known, 1, known.n)
end

---Returns the lengths of a media file's video and audio streams.
---@param path string
---@return omni.MediaLengths|nil
---@return omni.Error|nil  "unreadable_clip"; "process_failed" if there is no ffprobe
function Files_methods:lengths(path)
  return once(self, self.known_lengths, lengths_of, path)
end

local function kind_of(_, path)
  local accepted, found = upload.check(path)
  if accepted then return found end
  return nil, found
end

---Checks whether a file can be uploaded. Returns the file's media type, based on the file's first bytes.
---@param path string
---@return omni.MediaType|nil
---@return omni.Error|nil
function Files_methods:kind(path)
  return once(self, self.known_kinds, kind_of, path)
end

---Probes several files concurrently, so that later calls to `lengths` return immediately.
---@param list string[]  paths
function Files_methods:prepare(list)
  pool.each(#list, at_once, function(i)
    self:lengths(list[i])
    return true
  end)
end

---@return omni.MediaFiles
local function new() return setmetatable({ known_lengths = {}, known_kinds = {} }, Files_mt) end

return { new = new }
