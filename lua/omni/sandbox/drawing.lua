-- SPDX-License-Identifier: MIT
-- Draws the sandbox's clips and images with ffmpeg. If ffmpeg isn't installed, the sandbox uses small built-in files instead.

local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"
local process = require "omni.process"
local title_card = require "omni.sandbox.title_card"

---@class omni.sandbox.ClipSpec
---@field prompt string
---@field seconds? number                    length of a clip
---@field image? "png"|"jpeg"               make an image of this format instead of a clip
---@field index? integer                    number of the image, counting from 1
---@field aspect_ratio? string              "9:16"; default "16:9"
---@field resolution? "480p"|"540p"|"720p"|"1080p"|"4k"    default "720p"
---@field seed? integer                      default 0
---@field label? string                      a short text on the title card
---@field images? integer|table              the reference images, or their number
---@field video? any                         the reference video, if there is one
---@field builtin? boolean                   use the built-in clip even if ffmpeg is installed

-- --- the abilities of this machine

local MAX_HELP <const> = 8 * 1024 * 1024 -- maximum number of bytes of ffmpeg's help that omni reads; ffmpeg 5.1 prints about 1 MiB

-- Finds out which filters and encoders ffmpeg has. Reads the names of filters and encoders from ffmpeg's full help, so that ffmpeg starts
-- only once. Starting ffmpeg takes longer than drawing a clip.
local function read_help()
  local result = process.run({ "ffmpeg", "-hide_banner", "-h", "full" }, { stdout = "pipe", max_output = MAX_HELP })
  local help = result and result.stdout or ""
  local gradients = help:match "\ngradients AVOptions:\n(.-)\n\n"
  return {
    ffmpeg = help:find("\nlibx264 AVOptions:\n", 1, true) ~= nil,
    gradients = gradients ~= nil and gradients:find("radial", 1, true) ~= nil,
    font = help:find("\ndrawtext AVOptions:\n", 1, true) and title_card.font() or nil,
  }
end

local looking -- the only fiber that ever runs read_help; nil until it is needed

local function abilities()
  looking = looking or loop.background(read_help)
  return looking:join()
end

---Returns "ffmpeg" if ffmpeg draws the clips, or "builtin" if the sandbox copies built-in files. Looks for ffmpeg only on the first call.
---@return "ffmpeg"|"builtin"
local function available()
  return abilities().ffmpeg and "ffmpeg" or "builtin"
end

-- --- files

local function write_file(path, text)
  local file, message = core.open(path, "x")
  if not file then return nil, message end
  local written
  written, message = file:write(text)
  local closed, why = file:close()
  if written and closed then return true end
  return nil, message or why
end

local function file_failed(message)
  return nil, err.new { code = "io", message = "a clip can't be written: " .. core.clean(message, 400) }
end

-- Contains the path of a temporary directory for text files, and the path of the unfinished clip. Closing the object removes the directory
-- and the unfinished clip.
local Scratch_mt = {}

function Scratch_mt:__close()
  os.remove(self.part)
  for name in pairs(self.texts) do os.remove(self.directory .. "/" .. name) end
  os.remove(self.directory)
end

local function scratch_for(path)
  local directory, message = core.make_temporary_directory "omni-clip-"
  if not directory then return nil, message end
  local part = ("%s.%s.part"):format(path, directory:match "[^-]*$")
  return setmetatable({ directory = directory, part = part, texts = {} }, Scratch_mt)
end

local function rename(part, path)
  local renamed, message = os.rename(part, path)
  if not renamed then return file_failed(message) end
  return path
end

-- --- clips

local function write_builtin(spec, path)
  local scratch <close>, problem = scratch_for(path)
  if not scratch then return file_failed(problem) end
  local written, message = write_file(scratch.part, require("omni.sandbox.built_in_media").bytes(spec.image or "mp4"))
  if not written then return file_failed(message) end
  return rename(scratch.part, path)
end

-- Returns the ffmpeg arguments that encode the filter graph's output.
local function encoding(spec, plan)
  if spec.image then
    return { "-map", "[v]", "-frames:v", "1", "-c:v", spec.image == "png" and "png" or "mjpeg", "-pix_fmt",
      spec.image == "png" and "rgb24" or "yuvj420p", "-threads:v", "1", "-f", "image2" }
  end
  return {
    "-map", "[v]", "-map", "[a]", "-frames:v", tostring(plan.frames), "-t", core.format("%.6f", plan.seconds),
    "-c:v", "libx264", "-preset", "ultrafast", "-crf", "26", "-pix_fmt", "yuv420p", "-threads:v", "1",
    "-c:a", "aac", "-b:a", "64k", "-movflags", "+faststart", "-f", "mp4",
  }
end

local function draw(spec, path)
  local can = abilities()
  if spec.builtin or not can.ffmpeg then return write_builtin(spec, path) end
  local scratch <close>, problem = scratch_for(path)
  if not scratch then return file_failed(problem) end
  local plan = title_card.compose(spec, scratch.directory, can)
  scratch.texts = plan.texts
  for name, text in pairs(plan.texts) do
    local written, message = write_file(scratch.directory .. "/" .. name, text)
    if not written then return file_failed(message) end
  end
  local words = {
    "ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-progress", "pipe:1", "-y", "-filter_complex_threads", "1",
    "-filter_complex", plan.graph,
    "-map_metadata", "-1", "-fflags", "+bitexact", "-flags", "+bitexact",
  }
  for _, word in ipairs(encoding(spec, plan)) do words[#words + 1] = word end
  words[#words + 1] = "file:" .. scratch.part
  local result, failure = process.run(words, { stdout = "pipe", max_output = 4096 })
  if not result then return nil, failure end
  if not process.succeeded(result, result.stdout:find "progress=end\n$") then
    local how = result.exit and "exit code " .. result.exit or "signal " .. tostring(result.signal)
    return nil, err.new {
      code = "process_failed",
      message = ("ffmpeg can't draw a clip (%s): %s"):format(how, core.clean(result.stderr:sub(-600), 600)),
    }
  end
  return rename(scratch.part, path)
end

---Makes an image, or a clip of exactly the requested duration, aspect ratio and resolution (H.264, 24 frames per second, with a quiet
---stereo tone). Clips with the same spec are identical. If ffmpeg isn't installed, a clip is 160 x 90 pixels and one second long, and an
---image is 64 x 64 pixels.
---@param spec omni.sandbox.ClipSpec
---@param path string  the file appears there only when it is complete
---@return string|nil path
---@return omni.Error|nil
local function clip(spec, path)
  loop.in_fiber "media.clip"
  return loop.drive(draw, spec, path)
end

return { available = available, clip = clip }
