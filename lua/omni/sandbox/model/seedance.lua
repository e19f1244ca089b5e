-- SPDX-License-Identifier: MIT
-- Defines the sandbox's bytedance/seedance model, with an invented schema that contains alternatives as schema generators write them.

local function a_url_or_null(title)
  return { title = title, anyOf = { { type = "string", format = "uri" }, { type = "null" } } }
end

return {
  model = "bytedance/seedance", modality = "video", operations = { "image-to-video", "video-to-video" },
  description = "Clips of 3 to 12 seconds from an image or another video",
  input_schema = {
    ["$schema"] = "https://json-schema.org/draft/2020-12/schema", title = "SeedanceInput", type = "object", additionalProperties = false,
    required = { "prompt" },
    oneOf = { { required = { "image_url" } }, { required = { "video_url" } } },
    properties = {
      prompt = { type = "string", minLength = 3, maxLength = 4000 },
      image_url = a_url_or_null "Image Url", video_url = a_url_or_null "Video Url", end_image_url = { type = "string", format = "uri" },
      duration = { anyOf = { { type = "integer", minimum = 3, maximum = 12 }, { const = "auto" } }, default = 5 },
      resolution = { type = "string", enum = { "480p", "720p", "1080p" }, default = "720p" },
      fps = { type = "number", exclusiveMinimum = 0, exclusiveMaximum = 61, default = 24 },
      camera_fixed = { type = "boolean", default = false },
      size = { type = "array", minItems = 2, items = false,
        prefixItems = { { type = "integer", minimum = 64, multipleOf = 8 }, { type = "integer", minimum = 64, multipleOf = 8 } } },
      effect = { oneOf = { { ["$ref"] = "#/$defs/fade" }, { ["$ref"] = "#/$defs/spin" } } },
      extra = { type = "object", additionalProperties = { type = "string" } },
    },
    ["$defs"] = {
      fade = { type = "object", additionalProperties = false, required = { "kind", "seconds" },
        properties = { kind = { const = "fade" }, seconds = { type = "number", minimum = 0 } } },
      spin = { type = "object", additionalProperties = false, required = { "kind", "angle" },
        properties = { kind = { const = "spin" }, angle = { type = "integer" } } },
    },
  },
  makes = { seconds = 5, longest = 12, by = "resolution", usual = "720p", images = "image_url", video = "video_url", sizes = {
    ["480p"] = { resolution = "480p", credits = 3 }, ["720p"] = { resolution = "720p", credits = 5 },
    ["1080p"] = { resolution = "1080p", credits = 11 },
  } },
}
