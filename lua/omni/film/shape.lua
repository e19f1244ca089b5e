-- SPDX-License-Identifier: MIT
-- What clips have in common: whether their packets can stand one after the other as they are, and else the shape they are all given.

local copied_pictures = { h264 = true, hevc = true, av1 = true, vp9 = true }
local copied_sounds = { aac = 1024, mp3 = 1152 } -- samples in a packet

local picture_words = { "index", "codec", "profile", "level", "tag", "width", "height", "rotation", "sar", "pix_fmt", "fps", "rate",
  "time_base", "b_frames", "field_order", "color", "header", "start" }
local sound_words = { "index", "codec", "profile", "tag", "sample_rate", "channels", "layout", "time_base", "header", "start" }

local shape = {}

-- "24/1" → 24, 1; nil for what is no rate of frames
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

---Whether the pictures' packets can be joined as they are. Where a file hides frames (edit lists), or doesn't tell how many there
---are, they can't: nobody could say afterwards whether all are there.
---@param found omni.film.Probe[]
---@return boolean
function shape.pictures_agree(found)
  for _, clip in ipairs(found) do
    local video = clip.video
    local num, den = fraction(video.fps)
    if not copied_pictures[video.codec] or not alike(found[1].video, video, picture_words) or not num or not video.frames
      or math.abs(video.frames * den / num - video.seconds) > den / num / 2 then
      return false
    end
  end
  return true
end

---Whether the sounds' packets can be joined as they are and stay in time with pictures that are. Most encoders put some 30 ms of silence
---of their own around a sound, which only the clip's own file tells to skip: 300 clips would be off by 9 s at the end.
---@param found omni.film.Probe[]
---@return boolean
function shape.sounds_agree(found)
  for _, clip in ipairs(found) do
    local audio = clip.audio
    if not audio or not copied_sounds[audio.codec] or not audio.frames or not alike(found[1].audio, audio, sound_words) then
      return false
    end
    local off = math.abs(audio.seconds - clip.video.seconds)
    local in_packets = math.abs(audio.frames * copied_sounds[audio.codec] / audio.sample_rate - clip.video.seconds)
    if #found == 1 and off > 0.1 or #found > 1 and math.max(off, in_packets) > 0.0005 then return false end
  end
  return true
end

-- The value with the largest sum of seconds; among equals, that of the earlier clip.
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

---The size of a picture as it is seen: turned, and with square pixels.
---@param video omni.film.Video
---@return number width, number height
shape.seen = seen

-- The nominal rate, unless it makes no sense (a variable one).
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

---The shape of the most seconds.
---@param found omni.film.Probe[]
---@return omni.film.Shape
function shape.common(found)
  local size = most(found, function(video)
    local width, height = seen(video)
    return ("%dx%d"):format(even(width), even(height))
  end)
  local width, height = size:match "(%d+)x(%d+)"
  local num, den = fraction(most(found, rate))
  return { width = math.tointeger(width), height = math.tointeger(height), num = num, den = den }
end

---The size of a clip's picture within a shape: as large as fits, never stretched.
---@param video omni.film.Video
---@param into omni.film.Shape
---@return integer width, integer height
function shape.fit(video, into)
  local width, height = seen(video)
  local scale = math.min(into.width / width, into.height / height)
  return math.min(into.width, even(width * scale)), math.min(into.height, even(height * scale))
end

---How many frames of a shape a clip gives; at least one.
---@param video omni.film.Video
---@param into omni.film.Shape
---@return integer
function shape.frames(video, into)
  return math.max(1, math.floor(video.seconds * into.num / into.den + 0.5))
end

---Whether ffmpeg would take the wrong colours for a picture that doesn't name them: for players HD is BT.709.
---@param video omni.film.Video
---@return "bt709"|"auto"  for the scale filter
function shape.matrix(video)
  local named = video.color:match "^[^/]*/([^/]*)/"
  return (named == "" or named == "unknown") and math.min(video.width, video.height) >= 720 and "bt709" or "auto"
end

return shape
