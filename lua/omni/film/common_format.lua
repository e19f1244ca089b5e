-- SPDX-License-Identifier: MIT
-- Decides whether clips can be joined without re-encoding. If re-encoding is necessary, chooses the shape (size and frame rate) to which
-- all clips are converted.

-- The codecs and pixel formats that common players accept in an MP4 file, with each codec's tag. Apple's players need the tag hvc1 for
-- HEVC.
local plain <const>, deep <const> = { yuv420p = true, yuvj420p = true }, { yuv420p = true, yuvj420p = true, yuv420p10le = true }
local copied_pictures = {
  h264 = { tag = "avc1", layouts = plain }, hevc = { tag = "hvc1", layouts = deep }, av1 = { tag = "av01", layouts = deep },
  vp9 = { tag = "vp09", layouts = deep, headless = true },
}
-- The codec tags of Dolby Vision streams, and of streams whose decoder settings can change midway.
local odd_tags = { avc2 = true, avc3 = true, avc4 = true, dvav = true, dva1 = true, dvhe = true, dvh1 = true, dav1 = true }
local interlaced = { tt = true, bb = true, tb = true, bt = true }
local copied_sounds = { aac = 1024, mp3 = 1152 } -- samples per packet

local picture_words = { "index", "codec", "profile", "level", "tag", "width", "height", "rotation", "sar", "pix_fmt", "rate",
  "time_base", "b_frames", "field_order", "color", "header" }
local sound_words = { "index", "codec", "profile", "tag", "sample_rate", "channels", "layout", "time_base", "header", "start" }

local shape = {}

-- "24/1" → 24, 1; nil if the text isn't a fraction
local function fraction(text)
  local num, den = (text or ""):match "^(%d+)[/:](%d+)$"
  num, den = math.tointeger(tonumber(num)), math.tointeger(tonumber(den))
  if num and den and num > 0 and den > 0 then return num, den end
end

local function alike(first, other, words)
  if not first or not other then return false end
  for _, word in ipairs(words) do
    if first[word] ~= other[word] then return false end
  end
  return true
end

---Returns a deinterlacing filter, followed by a comma, or "" for progressive video.
---@param video omni.film.Video
---@return string
function shape.deinterlace(video) return interlaced[video.field_order] and "bwdif=mode=send_frame:deint=interlaced," or "" end

---Returns whether the video streams can be joined without re-encoding, into a film that common players can play. Clips with hidden frames
---must be encoded, since otherwise the film would show those frames.
---@param found omni.film.Probe[]
---@return boolean
function shape.pictures_agree(found)
  for _, clip in ipairs(found) do
    local video = clip.video
    local known = copied_pictures[video.codec]
    if not known or not known.layouts[video.pix_fmt] or odd_tags[video.tag] or interlaced[video.field_order] or video.hidden > 0
      or video.header == "" and not known.headless or not alike(found[1].video, video, picture_words) then
      return false
    end
  end
  return true
end

---Returns the codec tag for a film whose clips are joined without re-encoding.
---@param video omni.film.Video
---@return string
function shape.tag(video) return copied_pictures[video.codec].tag end

---Returns whether the clips' sound can be joined without re-encoding and stays in sync. Most encoders add about 30 ms of silence to a
---clip's sound, and the information that players must skip the silence is lost when clips are joined. With 30 ms of silence in each of 300
---clips, the film's sound would end up 9 s late.
---@param found omni.film.Probe[]
---@return boolean
function shape.sounds_agree(found)
  for _, clip in ipairs(found) do
    local audio = clip.audio
    if not audio or not copied_sounds[audio.codec] or not audio.frames or not alike(found[1].audio, audio, sound_words) then
      return false
    end
    local off = math.max(math.abs(audio.seconds - clip.video.seconds), math.abs(audio.start - clip.video.start))
    local in_packets = math.abs(audio.frames * copied_sounds[audio.codec] / audio.sample_rate - clip.video.seconds)
    if #found == 1 and off > 0.1 or #found > 1 and math.max(off, in_packets) > 0.0005 then return false end
  end
  return true
end

-- Calls `value_of` for each clip's video, and returns the most common result, weighted by the clips' lengths. If two results are equally
-- common, returns the result that occurs first.
local function most(found, value_of)
  local sums, best = {}, nil
  for _, clip in ipairs(found) do
    local value = value_of(clip.video)
    sums[value] = (sums[value] or 0) + clip.video.seconds
  end
  for _, clip in ipairs(found) do
    local value = value_of(clip.video)
    if not best or sums[value] > sums[best] + 1e-6 then best = value end
  end
  return best
end

local function even(value) return math.max(2, 2 * math.floor(value / 2 + 0.5)) end

local function seen(video)
  local num, den = fraction(video.sar)
  local width, height = video.width * (num and num / den or 1), video.height
  if video.rotation % 180 ~= 0 then width, height = height, width end
  return width, height
end

---Returns the size at which players show a video, after rotation and with square pixels.
---@param video omni.film.Video
---@return number width, number height
shape.seen = seen

-- Returns a video stream's nominal frame rate, or the mean rate if the rate varies.
local function rate(video)
  local num, den = fraction(video.rate)
  local mean_num, mean_den = fraction(video.fps)
  if num and num / den <= 120 and (not mean_num or num / den < 1.5 * mean_num / mean_den) then return video.rate end
  if mean_num and mean_num / mean_den <= 120 then return video.fps end
  return "24/1"
end

---@class omni.film.Shape
---@field width integer
---@field height integer
---@field num integer  frames in `den` seconds
---@field den integer

-- Returns a video stream's size as a string, such as "1280x720".
local function size_of(video)
  local width, height = seen(video)
  return ("%dx%d"):format(even(width), even(height))
end

---Returns the most common shape (size and frame rate), weighted by the clips' lengths. The caller can override the size and the frame rate.
---@param found omni.film.Probe[]
---@param size? string  "1280x720"
---@param fps? string   "24/1"
---@return omni.film.Shape
function shape.common(found, size, fps)
  local width, height = (size or most(found, size_of)):match "(%d+)x(%d+)"
  local num, den = fraction(fps or most(found, rate))
  return { width = math.tointeger(width), height = math.tointeger(height), num = num, den = den }
end

---Returns whether a clip already has the given shape.
---@param video omni.film.Video
---@param into omni.film.Shape
---@return boolean
function shape.is_in(video, into)
  local num, den = fraction(rate(video))
  return size_of(video) == ("%dx%d"):format(into.width, into.height) and num * into.den == into.num * den
end

---Returns the largest size at which a clip fits into a shape without being stretched.
---@param video omni.film.Video
---@param into omni.film.Shape
---@return integer width, integer height
function shape.fit(video, into)
  local width, height = seen(video)
  local scale = math.min(into.width / width, into.height / height)
  return math.min(into.width, even(width * scale)), math.min(into.height, even(height * scale))
end

---Returns whether each frame of a clip becomes exactly one frame of the film. A clip is steady if it has the film's frame rate, apart from
---small timestamp errors.
---@param video omni.film.Video
---@param into omni.film.Shape
---@return boolean
function shape.is_steady(video, into)
  local num, den = fraction(rate(video))
  return num * into.den == into.num * den and math.abs(video.frames - video.seconds * num / den) < 0.75
end

---Returns how many frames a clip has in the given shape: at least one.
---@param video omni.film.Video
---@param into omni.film.Shape
---@return integer
function shape.frames(video, into)
  if shape.is_steady(video, into) then return math.max(1, video.frames) end
  return math.max(1, math.floor(video.seconds * into.num / into.den + 0.5))
end

return shape
