-- SPDX-License-Identifier: MIT
-- Defines the sandbox's google/nano-banana model, which makes images. The schema is invented.

local json = require "omni.json"

return {
  model = "google/nano-banana", modality = "image", operations = { "text-to-image", "image-edit" },
  description = "Images from a prompt and up to ten other images",
  input_schema = {
    title = "NanoBananaInput", type = "object", additionalProperties = false, required = { "prompt" },
    properties = {
      prompt = { type = "string", minLength = 1, maxLength = 5000 },
      image_urls = { type = "array", maxItems = 10, uniqueItems = true, default = json.array(),
        items = { type = "string", format = "uri" } },
      output_format = { type = "string", enum = { "png", "jpeg" }, default = "png" },
      aspect_ratio = { type = "string", enum = { "1:1", "16:9", "9:16", "4:3", "3:4" }, default = "1:1" },
      num_images = { type = "integer", minimum = 1, maximum = 4, default = 1 },
    },
  },
  makes = { image = true, credits = 4, shape = "1:1", images = "image_urls" },
}
