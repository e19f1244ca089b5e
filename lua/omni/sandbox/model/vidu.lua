-- SPDX-License-Identifier: MIT
-- Defines the sandbox's vidu/q2 model, with an invented schema that has lists, booleans and long enumerations.

local json = require "omni.json"

local a_url = { type = "string", format = "uri" }

return {
  model = "vidu/q2", modality = "video", operations = { "reference-to-video" },
  description = "Clips of 2 to 8 seconds with the people and things from reference images",
  input_schema = {
    title = "ViduQ2Input", type = "object", required = { "reference_images", "prompt" },
    properties = {
      prompt = { type = "string", minLength = 1, maxLength = 1500 },
      reference_images = { type = "array", minItems = 1, maxItems = 7, uniqueItems = true, items = a_url },
      duration = { type = "integer", minimum = 2, maximum = 8, default = 5, description = "Seconds" },
      resolution = { type = "string", enum = { "540p", "720p", "1080p" }, default = "720p" },
      aspect_ratio = { type = "string", enum = { "16:9", "9:16", "1:1" }, default = "16:9" },
      style = { type = "string", default = "general", enum = {
        "general", "anime", "ink", "clay", "film", "comic", "pastel", "watercolour", "oil", "pixel", "line", "neon",
        "noir", "retro", "paper",
      } },
      audio = { type = "boolean", default = false },
      seed = { type = "integer", minimum = 0, maximum = 4294967295, nullable = true },
      movement_amplitude = { type = "string", enum = { "auto", "small", "medium", "large" }, default = "auto" },
      subjects = {
        type = "array", maxItems = 3, default = json.array(),
        items = { type = "object", required = { "id", "images" }, properties = {
          id = { type = "string", minLength = 1, maxLength = 32 },
          images = { type = "array", minItems = 1, maxItems = 3, items = a_url },
          voice_id = { type = "string" },
        } },
      },
    },
  },
  makes = { seconds = 5, longest = 8, by = "resolution", usual = "720p", images = "reference_images", sizes = {
    ["540p"] = { resolution = "540p", credits = 4 }, ["720p"] = { resolution = "720p", credits = 7 },
    ["1080p"] = { resolution = "1080p", credits = 12 },
  } },
}
