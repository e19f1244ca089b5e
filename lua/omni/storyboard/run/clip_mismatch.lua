-- SPDX-License-Identifier: MIT
-- Says in what a clip differs from what its scene asked for: its length, its shape, its size. The clip is paid for and kept; a person
-- decides what to do about it.

local shape = require "omni.film.common_format"

local seconds_off <const> = 0.5 -- a clip may be so much shorter or longer: services round to frames
local share_off <const> = 0.03  -- and so much wider, higher or smaller, in proportion

local short_sides <const> = { ["480p"] = 480, ["540p"] = 540, ["720p"] = 720, ["1080p"] = 1080, ["2k"] = 1440, ["4k"] = 2160 }

local function is_near(value, wanted)
  return math.abs(value - wanted) <= share_off * wanted
end

-- To the tenth; string.format would take the decimal point from the locale.
local function tenths(value)
  local rounded = math.floor(value * 10 + 0.5)
  return rounded % 10 == 0 and tostring(rounded // 10) or ("%d.%d"):format(rounded // 10, rounded % 10)
end

---Returns a sentence for each difference. What the input doesn't say isn't looked at, nor the length of what is made from a video: the
---model decides it.
---@param input table             a model's: duration, aspect_ratio, resolution, video_list
---@param probe omni.film.Probe   of the clip
---@return string[]
local function differences(input, probe)
  local found, video = {}, probe.video
  if not video then return found end
  local duration, length = input.duration, video.seconds or probe.seconds
  local from_video = type(input.video_list) == "table" and next(input.video_list) ~= nil
  if type(duration) == "number" and not from_video and math.abs(length - duration) > seconds_off then
    found[#found + 1] = ("the clip lasts %s s, and %s s were asked for"):format(tenths(length), tenths(duration))
  end
  local width, height = shape.seen(video)
  local shown = ("%d×%d"):format(math.floor(width + 0.5), math.floor(height + 0.5))
  local across, down = tostring(input.aspect_ratio):match "^(%d+):(%d+)$"
  if across and tonumber(down) > 0 and not is_near(width / height, tonumber(across) / tonumber(down)) then
    found[#found + 1] = ("the clip's picture is %s, and %s was asked for"):format(shown, input.aspect_ratio)
  end
  local side = type(input.resolution) == "string" and short_sides[input.resolution:lower()]
  if side and not is_near(math.min(width, height), side) then
    found[#found + 1] = ("the clip's picture is %s, and %s was asked for"):format(shown, input.resolution)
  end
  return found
end

return { differences = differences }
