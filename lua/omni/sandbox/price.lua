-- SPDX-License-Identifier: MIT
-- Computes a task's output and price. The prices in model/*.lua are invented; like real prices, they increase with duration and resolution.

-- For an input that contains a video, returns the clip's length in seconds. The clip is as long as the chosen part of the video, within the
-- model's limits.
local function window(input, longest)
  local video = (input.video_list or {})[1]
  local from, to = video and video.start or 0, video and video.ends
  return to and math.tointeger(math.max(1, math.min(longest, math.ceil(to - from)))) or nil
end

local function integer(value)
  return math.type(value) == "integer" and value > 0 and value or nil
end

local function list(value)
  if type(value) == "string" then return { value } end
  return type(value) == "table" and value[1] ~= nil and value or nil
end

local shapes = { ["16:9"] = true, ["9:16"] = true, ["1:1"] = true, ["4:3"] = true, ["3:4"] = true }

local function shape(input, makes)
  return shapes[input.aspect_ratio] and input.aspect_ratio or makes.shape or "16:9"
end

local function image(input, makes)
  local count = input.num_images or 1
  return { image = input.output_format or "png", count = count, aspect_ratio = shape(input, makes), resolution = "720p" },
    count * makes.credits
end

local function video(input, makes)
  local seconds = integer(input.duration) or makes.window and window(input, makes.longest) or makes.seconds
  seconds = math.min(seconds, makes.longest)
  local size = makes.sizes[input[makes.by]] or makes.sizes[makes.usual]
  return { seconds = seconds, aspect_ratio = shape(input, makes), resolution = size.resolution }, seconds * size.credits
end

---Returns the clip that an input requests, and its price.
---@param model omni.sandbox.Model
---@param input table  already checked
---@return table clip       seconds, or image ("png", "jpeg") and count; aspect_ratio, resolution, images, video
---@return number credits
local function of(model, input)
  local makes = model.makes
  local clip, credits = (makes.image and image or video)(input, makes)
  clip.images = list(input[makes.images])
  clip.video = makes.window and (input.video_list or {})[1] or input[makes.video]
  return clip, credits
end

return { of = of }
