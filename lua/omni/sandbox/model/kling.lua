-- SPDX-License-Identifier: MIT
-- Defines the sandbox's kling/v3 model, with an invented schema that has nested objects and number ranges.

local json = require "omni.json"

return {
  model = "kling/v3", modality = "video", operations = { "text-to-video", "image-to-video" },
  description = "Clips of 3 to 15 seconds with a moving camera",
  input_schema = {
    ["$schema"] = "http://json-schema.org/draft-07/schema#", title = "KlingV3Input", type = "object", additionalProperties = false,
    required = { "prompt" },
    properties = {
      prompt = { type = "string", minLength = 1, maxLength = 2500 },
      negative_prompt = { type = "string", maxLength = 2500, default = "" },
      mode = { type = "string", enum = { "std", "pro" }, default = "std", description = "std: 720p, pro: 1080p" },
      duration = { type = "integer", minimum = 3, maximum = 15, default = 5, description = "Seconds" },
      aspect_ratio = { enum = { "16:9", "9:16", "1:1" }, default = "16:9" },
      cfg_scale = { type = "number", minimum = 0, maximum = 1, multipleOf = 0.05, default = 0.5 },
      image_url = { type = "string", format = "uri", description = "The first frame" },
      image_tail_url = { type = "string", format = "uri", description = "The last frame" },
      camera_control = { ["$ref"] = "#/definitions/camera" },
      tags = { type = "array", maxItems = 5, uniqueItems = true, default = json.array(),
        items = { type = "string", minLength = 2, maxLength = 20 } },
      metadata = { type = "object", maxProperties = 3, default = json.object(),
        additionalProperties = { type = { "string", "number", "boolean" } } },
    },
    definitions = {
      camera = {
        type = "object", additionalProperties = false, required = { "type" },
        properties = {
          type = { enum = { "simple", "down_back", "forward_up" } },
          config = {
            type = "object", additionalProperties = false, minProperties = 0,
            properties = {
              zoom = { ["$ref"] = "#/definitions/amount" }, pan = { ["$ref"] = "#/definitions/amount" },
              tilt = { ["$ref"] = "#/definitions/amount" },
            },
          },
        },
      },
      amount = { type = "number", minimum = -10, maximum = 10 },
    },
  },
  makes = { seconds = 5, longest = 15, by = "mode", usual = "std", images = "image_url", sizes = {
    std = { resolution = "720p", credits = 6 }, pro = { resolution = "1080p", credits = 9 },
  } },
}
