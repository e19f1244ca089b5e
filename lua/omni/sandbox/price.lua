-- SPDX-License-Identifier: MIT
-- What the sandbox asks for a task, and how long its clip is. The figures are the sandbox's own: they only grow as real ones do.

-- Credits a second, by resolution.
local per_second = { ["720p"] = 10, ["1080p"] = 16, ["4k"] = 40 }
local flat = 50 -- for a model whose input the sandbox doesn't know
local longest = 10

-- With a video the model decides the length: here, that of the window, within what the model makes.
local function window(video)
  if type(video) ~= "table" then return nil end
  local from, to = video.start or 0, video.ends
  if type(from) ~= "number" or type(to) ~= "number" then return nil end
  return math.tointeger(math.max(1, math.min(longest, math.ceil(to - from))))
end

---Length, shape and size of the clip that an input asks for.
---@param input table
---@return integer seconds
---@return string aspect_ratio
---@return string resolution
local function clip(input)
  local videos = type(input.video_list) == "table" and input.video_list or {}
  local seconds = math.type(input.duration) == "integer" and input.duration > 0 and input.duration or window(videos[1]) or 4
  return math.min(seconds, longest),
    input.aspect_ratio == "9:16" and "9:16" or "16:9",
    per_second[input.resolution] and input.resolution or "720p"
end

---What a task costs, in credits.
---@param model string
---@param input table  already checked
---@return number
local function credits(model, input)
  if model ~= "google/gemini-omni" then return flat end
  local seconds, _, resolution = clip(input)
  return seconds * per_second[resolution]
end

return { clip = clip, credits = credits }
