-- SPDX-License-Identifier: MIT
-- Makes a clip that shows a single image, so that a film can contain the image.

local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"
local options = require "omni.options"
local process = require "omni.process"
local tool = require "omni.film.ffmpeg"

local RATE <const> = 24 -- frames per second
local filters <const> = ("loop=loop=-1:size=1:start=0,setpts=N/(%d*TB),scale=w='max(2,2*trunc(iw/2))':h='max(2,2*trunc(ih/2))',"
  .. "setsar=1,format=yuv420p"):format(RATE)

local function draw(picture, path, seconds, place)
  local part = ("%s.%s.part"):format(path, core.token(4))
  local remover <close> = setmetatable({}, { __close = function() core.remove(part) end }) -- luacheck: ignore 211
  local result, failure = tool.run("ffmpeg", tool.words(tool.picture(picture), "-map", "0:v:0", "-vf", filters, "-r", tostring(RATE),
    "-frames:v", tostring(math.max(1, math.floor(seconds * RATE + 0.5))), "-c:v", "libx264", "-preset", "fast", "-crf", "18",
    "-fflags", "+bitexact", "-flags:v", "+bitexact", "-map_metadata", "-1", "-f", "mp4", "file:" .. part),
    { max_memory = tool.max_memory })
  if not result then return nil, failure end
  if not process.succeeded(result, true) then
    return nil, tool.unreadable(picture, tool.said(result.stderr, picture), tool.is_damage(result))
  end
  local published, message = tool.publish(part, path, place)
  if not published then return nil, err.new { code = "io", message = "can't write a clip: " .. core.clean(message, 300) } end
  return path
end

---Makes a clip that shows an image for the given number of seconds. The clip has the image's size, and no audio.
---@param picture string
---@param path string     keeps its old content until the clip is complete
---@param seconds number
---@param place? fun(part: string, path: string): true|nil, string|nil  renames the clip, instead of replacing the file at `path`
---@return string|nil path
---@return omni.Error|nil  "unreadable_clip", "process_failed", "io"
local function still(picture, path, seconds, place)
  options.path(picture, "film.still: the picture")
  options.path(path, "film.still: the clip")
  loop.in_fiber "film.still"
  return loop.drive(draw, picture, path, seconds, place)
end

return still
