-- SPDX-License-Identifier: MIT
-- Derives the length and the size of a scene's future clip from the scene's input.

local input_rules = require "omni.models.input_rules"

local DEFAULT_SECONDS <const>, DEFAULT_SHAPE <const>, DEFAULT_RESOLUTION <const> = 4, "16:9", "720p" -- docs/service.md, for gemini-omni

local short_sides <const> = { ["480p"] = 480, ["540p"] = 540, ["720p"] = 720, ["1080p"] = 1080, ["2k"] = 1440, ["4k"] = 2160 }

---Returns the length that a scene's clip will have, in seconds, or nil if the model chooses the length.
---@param scene omni.ResolvedScene
---@return number|nil
local function seconds(scene)
  local input = scene.input
  if scene.yields ~= "video" or type(input.video_list) == "table" and next(input.video_list) ~= nil then return nil end
  if type(input.duration) == "number" then return input.duration end
  return input.duration == nil and scene.model == input_rules.default_model and DEFAULT_SECONDS or nil
end

---Returns the size that a scene's clip will have, or nil if the model chooses the size.
---@param scene omni.ResolvedScene
---@return { width: integer, height: integer }|nil
local function size(scene)
  local input, is_default = scene.input, scene.model == input_rules.default_model
  local across, down = tostring(input.aspect_ratio or is_default and DEFAULT_SHAPE):match "^(%d+):(%d+)$"
  across, down = tonumber(across), tonumber(down)
  local side = short_sides[tostring(input.resolution or is_default and DEFAULT_RESOLUTION):lower()]
  if scene.yields ~= "video" or not side or not across or across * down == 0 then return nil end
  local long = math.floor(side * math.max(across, down) / math.min(across, down) / 2 + 0.5) * 2
  return across >= down and { width = long, height = side } or { width = side, height = long }
end

return { seconds = seconds, short_sides = short_sides, size = size }
