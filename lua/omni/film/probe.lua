-- SPDX-License-Identifier: MIT
-- Reads the properties of a media file and of its video and audio streams with ffprobe. If the container specifies no number of frames, or
-- an incorrect number, counts the packets.

local cache = require "omni.film.probe_cache"
local core = require "omni.core"
local loop = require "omni.loop"
local options = require "omni.options"
local process = require "omni.process"
local tool = require "omni.film.ffmpeg"

-- The properties that omni requests from ffprobe. These properties determine whether clips can be joined without re-encoding, and how to
-- convert them if not.
local entries = "format=duration,start_time:stream=index,codec_type,codec_name,codec_tag_string,profile,level,width,height,"
  .. "sample_aspect_ratio,pix_fmt,avg_frame_rate,r_frame_rate,time_base,has_b_frames,field_order,"
  .. "color_range,color_space,color_transfer,color_primaries,sample_rate,channels,channel_layout,start_time,duration,nb_frames,"
  .. "extradata_hash:stream_disposition=attached_pic,default:stream_side_data=rotation"

---@class omni.film.Video
---@field index integer       the stream's number in the file
---@field codec string        "h264", ...
---@field profile string      "" if it has none
---@field level integer
---@field tag string          the codec's name in the file, "avc1", ...
---@field width integer       pixels, as stored
---@field height integer
---@field rotation integer    degrees by which a player turns the picture
---@field sar string          the aspect ratio of a pixel, "1:1"
---@field pix_fmt string
---@field fps string          mean frame rate, "24/1"
---@field rate string         nominal frame rate, "24/1"
---@field time_base string    "1/12288"
---@field b_frames integer
---@field field_order string
---@field color string        range, matrix, transfer and primaries
---@field header string       SHA-256 of the codec's header
---@field start number        seconds after the file's start
---@field seconds number      length of the video stream alone
---@field frames integer      frames that a player shows
---@field hidden integer      number of additional frames, which an edit list hides

---@class omni.film.Audio
---@field index integer
---@field codec string
---@field profile string
---@field tag string
---@field sample_rate integer
---@field channels integer
---@field layout string
---@field time_base string
---@field header string
---@field start number        seconds after the file's start
---@field seconds number
---@field frames? integer     packets in the file, if known

---@class omni.film.Probe
---@field seconds number             length of the whole file
---@field video? omni.film.Video     the first picture that isn't a cover
---@field audio? omni.film.Audio

local function whole(value) return math.tointeger(tonumber(value)) or 0 end

-- "24/1" → 24.0; nil if the text isn't a frame rate
local function rate_of(text)
  local num, den = (text or ""):match "^(%d+)/(%d+)$"
  if num and tonumber(num) > 0 and tonumber(den) > 0 then return tonumber(num) / tonumber(den) end
end

-- Returns the properties that both video and audio streams have.
local function stream_of(stream, report)
  return {
    index = whole(stream.index), codec = stream.codec_name, profile = stream.profile or "", tag = stream.codec_tag_string or "",
    time_base = stream.time_base, header = stream.extradata_hash or "", frames = stream.frames, seconds = stream.seconds,
    start = math.max(0, (stream.start or 0) - (tonumber(report.format.start_time) or 0)),
  }
end

local function rotation_of(stream)
  for _, side in ipairs(stream.side_data_list or {}) do
    if side.rotation then return whole(side.rotation) end
  end
  return 0
end

local function video_of(stream, report)
  local video = stream_of(stream, report)
  video.hidden = stream.hidden or 0
  video.width, video.height, video.rotation = whole(stream.width), whole(stream.height), rotation_of(stream)
  video.level, video.b_frames = whole(stream.level), whole(stream.has_b_frames)
  video.sar, video.pix_fmt = stream.sample_aspect_ratio or "1:1", stream.pix_fmt or ""
  video.fps, video.rate, video.field_order = stream.avg_frame_rate, stream.r_frame_rate, stream.field_order or ""
  video.color = table.concat({ stream.color_range or "", stream.color_space or "", stream.color_transfer or "",
    stream.color_primaries or "" }, "/")
  return video
end

local function audio_of(stream, report)
  local audio = stream_of(stream, report)
  audio.sample_rate, audio.channels, audio.layout = whole(stream.sample_rate), whole(stream.channels), stream.channel_layout or ""
  return audio
end

-- Returns the stream of the given kind that players choose by default, or else the first stream of that kind. Skips streams that ffmpeg
-- can't decode, and cover pictures.
local function find(streams, kind)
  local other
  for _, stream in ipairs(streams) do
    local marks = stream.disposition or {}
    if stream.codec_type == kind and stream.codec_name and marks.attached_pic ~= 1 then
      if marks.default == 1 then return stream end
      other = other or stream
    end
  end
  return other
end

-- --- counting

-- Reads a stream's number of frames and its length from the container, and returns whether these values are reliable. A video stream's
-- values are reliable if its number of frames, length and frame rate are consistent. A container's values aren't always consistent: in a
-- fragmented file, the video's length is rounded up to the length of the sound, and edit lists hide frames.
local function trust(stream)
  stream.frames, stream.seconds = math.tointeger(tonumber(stream.nb_frames)), tonumber(stream.duration)
  stream.start = tonumber(stream.start_time)
  if stream.codec_type ~= "video" then return stream.seconds ~= nil end
  local rate = rate_of(stream.avg_frame_rate)
  return stream.frames and stream.seconds and rate and math.abs(stream.frames - stream.seconds * rate) < 0.5 or false
end

-- Adds one packet (a line of ffprobe's output) to the count of its stream.
local function count(line, counts)
  local index, pts, dts, length, marks = line:match "^(%d+),([^,]*),([^,]*),([^,]*),(%S%S)"
  local of = counts[index]
  if not of then return end
  of.packets = of.packets + 1
  if marks == "KD" or marks == "_D" then of.hidden = of.hidden + 1 return end
  local start = tonumber(pts) or tonumber(dts)
  if not start then return end
  of.first = math.min(of.first or start, start)
  if not of.last or start > of.last then of.last, of.length = start, tonumber(length) end
end

-- Counts the packets of each stream, and finds the start of the first packet and the end of the last packet.
local function count_packets(path, streams)
  local counts, rest = {}, ""
  for _, stream in ipairs(streams) do counts[tostring(whole(stream.index))] = { packets = 0, hidden = 0, stream = stream } end
  local result, failure = tool.run("ffprobe", tool.words("-show_entries", "packet=stream_index,pts_time,dts_time,duration_time,flags",
    "-of", "csv=p=0", tool.input(path)), {
      max_output = 16777216, max_memory = tool.max_memory, on_output = function(text)
        text = rest .. text
        local stop = 1
        for line, after in text:gmatch "([^\n]*)\n()" do
          count(line, counts)
          stop = after
        end
        rest = text:sub(stop)
      end,
    })
  if not result then return nil, failure end
  if not process.succeeded(result, true) then
    return nil, tool.unreadable(path, tool.said(result.stderr, path), tool.is_damage(result))
  end
  if result.stderr:find "partial file" or result.stderr:find "ended prematurely" then
    return nil, tool.unreadable(path, "it ends early", true)
  end
  for _, of in pairs(counts) do
    local stream, last = of.stream, of.last
    local rate = stream.codec_type == "video" and (rate_of(stream.avg_frame_rate) or rate_of(stream.r_frame_rate))
    stream.hidden, stream.start = of.hidden, of.first or stream.start
    stream.frames = stream.codec_type == "video" and of.packets - of.hidden or of.packets
    stream.seconds = last and last + (of.length or rate and 1 / rate or 0) - of.first or 0
  end
  return true
end

-- Returns the width at which the video is displayed, in square pixels. Limits the width, since a file can state an absurd pixel aspect
-- ratio.
local function shown_width_of(stream)
  local across, down = (stream.sample_aspect_ratio or ""):match "^(%d+):(%d+)$"
  local width = whole(stream.width)
  if not across or tonumber(down) == 0 then return width end
  return math.max(width, math.floor(math.min(width * tonumber(across) / tonumber(down), 1e9)))
end

local function look(path)
  local stat, message = core.stat(path)
  if not stat then return nil, tool.unreadable(path, (core.clean(message, 300):gsub("^.*: ", ""))) end
  if stat.kind ~= "file" then
    return nil, tool.unreadable(path, stat.kind == "directory" and "it is a folder" or "it isn't a regular file")
  end
  local result, failure = tool.run("ffprobe", tool.words("-show_data_hash", "sha256", "-show_entries", entries, "-of", "json",
    tool.input(path)), { stdout = "pipe", max_output = 1048576, max_memory = tool.max_memory })
  if not result then return nil, failure end
  local width, height = result.stderr:match "Picture size (%d+)x(%d+) exceeds"
  if width then return nil, tool.unreadable(path, tool.too_large(width, height)) end
  local report = process.succeeded(result, true) and core.decode(result.stdout)
  if type(report) ~= "table" or type(report.streams) ~= "table" or type(report.format) ~= "table" then
    return nil, tool.unreadable(path, tool.said(result.stderr, path), tool.is_damage(result))
  end
  local video, audio = find(report.streams, "video"), find(report.streams, "audio")
  if not video and not audio then return nil, tool.unreadable(path, "it has neither picture nor sound", true) end
  if video and whole(video.width) * whole(video.height) == 0 then
    return nil, tool.unreadable(path, "its picture can't be decoded", true)
  end
  local shown_width = video and shown_width_of(video) or 0
  if video and shown_width * whole(video.height) > tool.max_pixels then
    return nil, tool.unreadable(path, tool.too_large(shown_width, video.height))
  end
  local uncounted, heard = video and not trust(video), not audio or trust(audio)
  if uncounted or not heard then
    local fine, problem = count_packets(path, { uncounted and video or audio, uncounted and audio and not audio.frames and audio or nil })
    if not fine then return nil, problem end
  end
  if audio and audio.frames == 0 then audio = nil end -- an empty track
  if video and video.frames == 0 then return nil, tool.unreadable(path, "it has no picture", true) end
  if not video and not audio then return nil, tool.unreadable(path, "it has neither picture nor sound", true) end
  local seconds = tonumber(report.format.duration) or (video or audio).seconds
  if not (seconds > 0 and seconds < 1e7) then return nil, tool.unreadable(path, "its length is unknown", true) end
  return { seconds = seconds, video = video and video_of(video, report), audio = audio and audio_of(audio, report) }
end

local function look_once(path)
  local before = core.stat(path)
  local known = before and cache.known(path, before.stamp)
  if known then return known end
  local found, problem = look(path)
  if not found then return nil, problem end
  local after = core.stat(path)
  if before and after and after.stamp == before.stamp then cache.remember(path, before.stamp, found) end
  return found
end

---Returns the properties of a media file. Never opens any other file, even if the media file refers to one. Caches the result in the user's
---cache folder until the file changes.
---@param path string
---@return omni.film.Probe|nil
---@return omni.Error|nil  "unreadable_clip" names the file and the reason; "process_failed" if there is no ffprobe
local function probe(path)
  options.path(path, "film.probe")
  loop.in_fiber "film.probe"
  return loop.drive(look_once, path)
end

return probe
