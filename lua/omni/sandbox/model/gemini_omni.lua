-- SPDX-License-Identifier: MIT
-- The sandbox's google/gemini-omni model. The model's schema contains the rules from docs/service.md, "The input of google/gemini-omni".

local a_url = { type = "string", format = "uri" }
local seconds = { type = "number", minimum = 0 }

return {
  model = "google/gemini-omni", modality = "video", operations = { "text-to-video", "image-to-video", "video-to-video" },
  description = "Clips of 4 to 10 seconds from a prompt, images and a video",
  input_schema = {
    title = "GeminiOmniInput", type = "object", additionalProperties = false, required = { "prompt" },
    properties = {
      prompt = { type = "string", minLength = 1, maxLength = 20000, description = "What the clip shows and what can be heard" },
      img_urls = { type = "array", maxItems = 7, items = a_url, description = "Reference images; at most 5 if there is also a video" },
      video_list = {
        type = "array", maxItems = 1, description = "A reference or source video, and the part of it to use, in seconds",
        items = { type = "object", additionalProperties = false, required = { "url" },
          properties = { url = a_url, start = seconds, ends = seconds } },
      },
      duration = { type = "integer", enum = { 4, 6, 8, 10 }, default = 4, description = "Seconds" },
      aspect_ratio = { type = "string", enum = { "16:9", "9:16" }, default = "16:9" },
      resolution = { type = "string", enum = { "720p", "1080p", "4k" }, default = "720p" },
    },
  },
  makes = { seconds = 4, longest = 10, by = "resolution", usual = "720p", window = true, images = "img_urls", sizes = {
    ["720p"] = { resolution = "720p", credits = 10 }, ["1080p"] = { resolution = "1080p", credits = 16 },
    ["4k"] = { resolution = "4k", credits = 40 },
  } },
}
