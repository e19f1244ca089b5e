-- SPDX-License-Identifier: MIT
-- Writes single frames of a clip as images: the last frame, for a scene that continues from it, and a small poster for the report.

local colour = require "omni.film.colour"
local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"
local process = require "omni.process"
local options = require "omni.options"
local probe = require "omni.film.probe"
local shape = require "omni.film.common_format"
local tool = require "omni.film.ffmpeg"

-- Represents an unfinished image file with a unique name. Closing the object removes the file, unless the file has been renamed to its
-- final path.
local Part_mt = { __close = function(part) os.remove(part.path) end }

local function part_of(path)
  local directory, message = core.make_temporary_directory "omni-frame-"
  if not directory then return nil, message end
  core.remove(directory) -- the directory isn't needed, only its unique name
  return setmetatable({ path = ("%s.%s.part"):format(path, directory:match "[^-]*$") }, Part_mt)
end

local function not_written(message)
  return nil, err.new { code = "io", message = "can't write a picture: " .. message }
end

-- Returns the filters that make a progressive SDR image with square pixels. No side of the image is longer than `size` pixels.
local function upright(video, size)
  local width, height = "'trunc(iw*sar+0.5)'", "ih"
  if size then
    local factor = ("*min(1,%d/max(iw*sar,ih))"):format(size)
    width, height = ("'max(2,2*trunc(iw*sar%s/2))'"):format(factor), ("'max(2,2*trunc(ih%s/2+0.5))'"):format(factor)
  end
  return shape.deinterlace(video) .. colour.to_sdr(video) .. ("scale=w=%s:h=%s:in_color_matrix=%s:flags=%s,setsar=1"):format(
    width, height, colour.matrix(video), "lanczos+accurate_rnd+full_chroma_int")
end

-- Tries one start time after another until ffmpeg writes an image.
local function draw(clip, path, plan)
  local found, failure = probe(clip)
  if not found then return nil, failure end
  if not found.video then return nil, tool.unreadable(clip, "it has no picture") end
  local part <close>, problem = part_of(path)
  if not part then return not_written(core.clean(problem, 300)) end
  local result
  for _, start in ipairs(plan.starts(found.video.seconds)) do
    result, failure = tool.run("ffmpeg", tool.words("-filter_threads", "1",
      tool.input(clip, { "-threads", "1", "-ss", core.format("%.6f", start) }), "-map", "0:" .. found.video.index,
      "-fps_mode", "passthrough", "-vf", upright(found.video, plan.size), plan.words,
      "-threads", "1", "-f", "image2", "-update", "1", "file:" .. part.path), { max_memory = tool.max_memory })
    if not result then return nil, failure end
    if process.succeeded(result, true) and (core.stat(part.path) or { size = 0 }).size > 0 then
      local published, message = tool.publish(part.path, path, plan.place)
      if not published then return not_written(message) end
      return path
    end
  end
  if process.succeeded(result, true) then return nil, tool.unreadable(clip, "no frame of it can be decoded", true) end
  local said = tool.said(result.stderr, clip)
  if said:find(part.path, 1, true) or said:find "No space left" then return not_written(said) end
  return nil, tool.unreadable(clip, said, tool.is_damage(result))
end

local function check(name, clip, path)
  options.path(clip, name .. ": the clip", 3)
  options.path(path, name .. ": the picture", 3)
end

local last = {
  words = { "-c:v", "png", "-pix_fmt", "rgb24" },
  -- Writes every frame after a start time to the same file, so that only the last frame remains. The first start time is near the clip's
  -- end, since that is fastest.
  starts = function(seconds) return { math.max(0, seconds - 0.25), math.max(0, seconds - 4), 0 } end,
}

---Writes a clip's last frame as a PNG file of the clip's size.
---@param clip string
---@param path string  keeps its old content until the picture is complete
---@param place? fun(part: string, path: string): true|nil, string|nil  renames the picture, instead of replacing the file at `path`
---@return string|nil path
---@return omni.Error|nil  "unreadable_clip", "process_failed", "io"
local function last_frame(clip, path, place)
  check("film.last_frame", clip, path)
  loop.in_fiber "film.last_frame"
  return loop.drive(draw, clip, path, { words = last.words, starts = last.starts, place = place })
end

---Writes a small JPEG file of the frame at one third of the clip's length.
---@param clip string
---@param path string    keeps its old content until the picture is complete
---@param size? integer  of the longer side, in pixels (640); a smaller clip keeps its size
---@param place? fun(part: string, path: string): true|nil, string|nil  renames the picture, instead of replacing the file at `path`
---@return string|nil path
---@return omni.Error|nil  "unreadable_clip", "process_failed", "io"
local function poster(clip, path, size, place)
  check("film.poster", clip, path)
  size = size or 640
  if math.type(size) ~= "integer" or size < 16 or size > 16384 then error("film.poster: expected a size from 16 to 16384", 2) end
  loop.in_fiber "film.poster"
  return loop.drive(draw, clip, path, {
    size = size, place = place, words = { "-frames:v", "1", "-c:v", "mjpeg", "-q:v", "5", "-pix_fmt", "yuvj420p" },
    starts = function(seconds) return { seconds / 3, 0 } end,
  })
end

return { last_frame = last_frame, poster = poster }
