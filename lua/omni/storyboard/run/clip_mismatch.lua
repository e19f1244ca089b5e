-- SPDX-License-Identifier: MIT
-- Compares a clip's length, aspect ratio and resolution with those that its scene requested. If a clip differs from the request, omni keeps
-- the clip, since it has been paid for; a person decides what to do.

local shape = require "omni.film.common_format"
local short_sides = require("omni.storyboard.plan.expected_clip").short_sides

local seconds_off <const> = 0.5 -- maximum difference in seconds between a clip's length and the requested length
local share_off <const> = 0.03  -- fraction by which a clip's width and height may differ from the requested size

local function is_near(value, expected)
  return math.abs(value - expected) <= share_off * expected
end

-- Formats a number with at most one decimal place. Doesn't use string.format, which would use the locale's decimal point.
local function tenths(value)
  local rounded = math.floor(value * 10 + 0.5)
  return rounded % 10 == 0 and tostring(rounded // 10) or ("%d.%d"):format(rounded // 10, rounded % 10)
end

---Returns a sentence for each difference between a clip and its scene's input. Compares only the properties that the input specifies.
---If the input has a source video, doesn't compare the length, which the model chooses in this case.
---@param input table             the model's fields: duration, aspect_ratio, resolution, video_list
---@param probe omni.film.Probe   the clip's properties
---@return string[]
local function differences(input, probe)
  local found, video = {}, probe.video
  if not video then return found end
  local duration, length = input.duration, video.seconds or probe.seconds
  local from_video = type(input.video_list) == "table" and next(input.video_list) ~= nil
  if type(duration) == "number" and not from_video and math.abs(length - duration) > seconds_off then
    found[#found + 1] = ("the clip lasts %s s instead of %s s"):format(tenths(length), tenths(duration))
  end
  local width, height = shape.seen(video)
  local shown = ("%d×%d"):format(math.floor(width + 0.5), math.floor(height + 0.5))
  local across, down = tostring(input.aspect_ratio):match "^(%d+):(%d+)$"
  if across and tonumber(down) > 0 and not is_near(width / height, tonumber(across) / tonumber(down)) then
    found[#found + 1] = ("the clip's picture is %s instead of %s"):format(shown, input.aspect_ratio)
  end
  local side = type(input.resolution) == "string" and short_sides[input.resolution:lower()]
  if side and not is_near(math.min(width, height), side) then
    found[#found + 1] = ("the clip's picture is %s instead of %s"):format(shown, input.resolution)
  end
  return found
end

return { differences = differences }
