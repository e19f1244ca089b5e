-- SPDX-License-Identifier: MIT
-- The messages about invalid inputs: for each of the sandbox's models, whose schemas have different shapes, a message names the field, the
-- value and the allowed values.
local asset = require "omni.client.placeholder"
local json = require "omni.json"
local models = require "omni.models"
local omni = require "omni"

local url <const> = "https://example.com/a.png"
local function urls(count)
  local list = {}
  for i = 1, count do list[i] = ("https://example.com/%d.png"):format(i) end
  return list
end

-- What is right for each model; a case changes it.
local right <const> = {
  ["kling/v3"] = { prompt = "a boat" },
  ["vidu/q2"] = { prompt = "a boat", reference_images = { url } },
  ["bytedance/seedance"] = { prompt = "a boat", image_url = url },
  ["google/gemini-omni"] = { prompt = "a boat" },
  ["google/nano-banana"] = { prompt = "a boat" },
}

local gone <const> = {} -- the field is left out

-- model → { the changed fields, the field that the message names, the rest of the message }
local wrong <const> = {
  ["kling/v3"] = {
    { { prompt = gone }, "prompt", "is required" },
    { { prompt = "" }, "prompt", "must have 1 to 2500 characters, not 0" },
    { { prompt = ("é"):rep(2501) }, "prompt", "must have 1 to 2500 characters, not 2501" },
    { { prompt = 5 }, "prompt", "must be a string, not 5" },
    { { prompt = "a\xff" }, "prompt", "must be valid UTF-8; it has a wrong byte at position 2" },
    { { negative_prompt = json.null }, "negative_prompt", "must be a string, not null" },
    { { negativ_prompt = "x" }, "negativ_prompt", "unknown field; did you mean 'negative_prompt'?" },
    { { lens = "wide" }, "lens", "unknown field; known are: aspect_ratio, camera_control, cfg_scale, duration, image_tail_url, "
      .. "image_url, metadata, mode, negative_prompt, prompt, tags" },
    { { mode = "PRO" }, "mode", "must be std or pro, not 'PRO'" },
    { { mode = true }, "mode", "must be std or pro, not true" },
    { { duration = 2 }, "duration", "must be from 3 to 15, not 2" },
    { { duration = 5.5 }, "duration", "must be a whole number, not 5.5" },
    { { duration = "5" }, "duration", "must be a whole number, not '5'" },
    { { aspect_ratio = "4:3" }, "aspect_ratio", "must be 16:9, 9:16 or 1:1, not '4:3'" },
    { { cfg_scale = 1.05 }, "cfg_scale", "must be from 0 to 1, not 1.05" },
    { { cfg_scale = 0.33 }, "cfg_scale", "must be a multiple of 0.05, not 0.33" },
    { { cfg_scale = 0 / 0 }, "cfg_scale", "must be a finite number" },
    { { image_url = "boat.png" }, "image_url", "must be a public http(s) URL, not 'boat.png'" },
    { { image_url = "data:image/png;base64,AAAA" }, "image_url", "must be a public http(s) URL; the service takes no data: URIs" },
    { { image_url = { url } }, "image_url", "must be a URL (http or https), not an array" },
    { { image_url = asset.file "boat.png" }, "image_url", 'has no URL yet (file "boat.png")' },
    { { camera_control = "simple" }, "camera_control", "must be a table { type, config }, not 'simple'" },
    { { camera_control = {} }, "camera_control.type", "is required" },
    { { camera_control = { type = "spin" } }, "camera_control.type", "must be simple, down_back or forward_up, not 'spin'" },
    { { camera_control = { type = "simple", config = { zom = 1 } } }, "camera_control.config.zom", "unknown field; did you mean 'zoom'?" },
    { { camera_control = { type = "simple", config = { zoom = 11 } } }, "camera_control.config.zoom", "must be from -10 to 10, not 11" },
    { { tags = "boat" }, "tags", "must be an array of strings, not 'boat'" },
    { { tags = { "sea", "s" } }, "tags[2]", "must have 2 to 20 characters, not 1" },
    { { tags = { "sea", "boat", "sea" } }, "tags[3]", "is the same as tags[1]; no item may be repeated" },
    { { tags = { "a1", "a2", "a3", "a4", "a5", "a6" } }, "tags", "takes at most 5 items, not 6" },
    { { tags = { "sea", nil, "boat" } }, "tags", "must be an array without holes" },
    { { metadata = { by = {} } }, "metadata.by", "must be a string, a number, true or false, not a table" },
    { { metadata = { a = 1, b = 2, c = 3, d = 4 } }, "metadata", "takes at most 3 fields, not 4" },
    { { metadata = { 1, 2 } }, "metadata", "must be a table, not an array" },
  },
  ["vidu/q2"] = {
    { { reference_images = gone }, "reference_images", "is required" },
    { { prompt = gone }, "prompt", "is required" },
    { { reference_images = {} }, "reference_images", "takes 1 to 7 items, not 0" },
    { { reference_images = urls(8) }, "reference_images", "takes 1 to 7 items, not 8" },
    { { reference_images = url }, "reference_images", "must be an array of URLs, not 'https://example.com/a.png'" },
    { { reference_images = { url, "ftp://example.com/a.png" } }, "reference_images[2]", "must be a public http(s) URL, "
      .. "not 'ftp://example.com/a.png'" },
    { { reference_images = { url, 7 } }, "reference_images[2]", "must be a URL (http or https), not 7" },
    { { reference_images = { url, url } }, "reference_images[2]", "is the same as reference_images[1]; no item may be repeated" },
    { { referenceImages = { url }, reference_images = gone }, "referenceImages", "unknown field; did you mean 'reference_images'?" },
    { { style = "watercolor" }, "style", "must be one of general, anime, ink, clay, film, comic, pastel, watercolour, oil, pixel, line, "
      .. "neon, ... (15 in all), not 'watercolor'; did you mean 'watercolour'?" },
    { { audio = "yes" }, "audio", "must be true or false, not 'yes'" },
    { { audio = 1 }, "audio", "must be true or false, not 1" },
    { { seed = -1 }, "seed", "must be from 0 to 4294967295, not -1" },
    { { seed = 1.5 }, "seed", "must be a whole number, not 1.5" },
    { { sede = 1 }, "sede", "unknown field; did you mean 'seed'?" },
    { { movement_amplitude = "huge" }, "movement_amplitude", "must be auto, small, medium or large, not 'huge'" },
    { { subjects = { { id = "a", images = { url } }, { id = "", images = { url } } } }, "subjects[2].id",
      "must have 1 to 32 characters, not 0" },
    { { subjects = { { id = "a" } } }, "subjects[1].images", "is required" },
    { { subjects = { { id = "a", images = {} } } }, "subjects[1].images", "takes 1 to 3 items, not 0" },
    { { subjects = { { id = "a", images = { url }, voice = "v" }, "b" } }, "subjects[2]",
      "must be a table { id, images, voice_id }, not 'b'" },
    { { subjects = { { id = "a", images = { url }, voiceId = "v" } } }, "subjects[1].voiceId", "unknown field; did you mean 'voice_id'?" },
  },
  ["bytedance/seedance"] = {
    { { image_url = gone }, "image_url", "is required when there is no video_url" },
    { { video_url = url }, "video_url", "can't be given together with image_url" },
    { { image_url = 5 }, "image_url", "must be a URL (http or https) or null, not 5" },
    { { image_url = "boat.png" }, "image_url", "must be a public http(s) URL, not 'boat.png'" },
    { { duration = 13 }, "duration", "must be from 3 to 12, not 13" },
    { { duration = 4.5 }, "duration", "must be a whole number or auto, not 4.5" },
    { { resolution = "4k" }, "resolution", "must be 480p, 720p or 1080p, not '4k'" },
    { { size = { 1280 } }, "size", "takes at least 2 items, not 1" },
    { { size = { 1280, 721 } }, "size[2]", "must be a multiple of 8, not 721" },
    { { size = { 1280, 32 } }, "size[2]", "must be 64 or more, not 32" },
    { { size = { 1280, 720, 3 } }, "size", "takes at most 2 items, not 3" },
    { { extra = { ["x-note"] = 5 } }, "extra.x-note", "must be a string, not 5" },
    { { fps = 61 }, "fps", "must be more than 0 and less than 61, not 61" },
    { { fps = 0 }, "fps", "must be more than 0 and less than 61, not 0" },
    { { effect = { kind = "zoom" } }, "effect.kind", "must be fade or spin, not 'zoom'" },
    { { effect = { kind = "fade" } }, "effect.seconds", "is required" },
    { { effect = { kind = "fade", seconds = -1 } }, "effect.seconds", "must be 0 or more, not -1" },
    { { effect = { kind = "spin", angle = "wide" } }, "effect.angle", "must be a whole number, not 'wide'" },
    { { effect = "fade" }, "effect", "must be a table { kind, seconds } or a table { kind, angle }, not 'fade'" },
    { { extra = "x" }, "extra", "must be a table, not 'x'" },
    { { extra = { call = print } }, "extra.call", "can't be sent: it is a function" },
  },
  ["google/nano-banana"] = {
    { { output_format = "gif" }, "output_format", "must be png or jpeg, not 'gif'" },
    { { image_urls = asset.file "a.png" }, "image_urls", 'has no URL yet (file "a.png")' },
    { { image_url = { url } }, "image_url", "unknown field; did you mean 'image_urls'?" },
    { { num_images = 5 }, "num_images", "must be from 1 to 4, not 5" },
  },
  ["google/gemini-omni"] = {
    { { prompt = gone }, "prompt", "is required" },
    { { durration = 4 }, "durration", "unknown field; did you mean 'duration'?" },
    { { duration = 5 }, "duration", "must be 4, 6, 8 or 10, not 5" },
    { { aspect_ratio = "4:3" }, "aspect_ratio", "must be 16:9 or 9:16, not '4:3'" },
    { { resolution = "8k" }, "resolution", "must be 720p, 1080p or 4k, not '8k'" },
    { { img_urls = urls(8) }, "img_urls", "takes at most 7 items, not 8" },
    { { img_urls = urls(6), video_list = { { url = url } } }, "img_urls", "takes at most 5 images when a video is given, not 6" },
    { { video_list = { { start = 0 } } }, "video_list[1].url", "is required" },
    { { video_list = { { url = url, start = 4, ends = 2 } } }, "video_list[1].start", "must be less than ends (2), not 4" },
    { { video_list = { { url = url, ["end"] = 2 } } }, "video_list[1].end", "unknown field; did you mean 'ends'?" },
  },
}

-- Calls `body(client)` in the loop, with a client of a sandbox.
local function with_sandbox(body)
  omni.run(function()
    local sandbox <close> = assert(omni.sandbox { clips = "builtin" })
    local client <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key })
    body(client)
  end)
end

local function changed(model, changes)
  local input = {}
  for name, value in pairs(right[model]) do input[name] = value end
  for name, value in pairs(changes) do
    if value == gone then value = nil end
    input[name] = value
  end
  return input
end

describe("an invalid input is refused with a message that names the field, for", function()
  local count = 0
  for model, cases in pairs(wrong) do
    count = count + #cases
    it(("%s, in each of %d cases"):format(model, #cases), function()
      with_sandbox(function(client)
        for _, case in ipairs(cases) do
          local copy, problem = models.check(client, model, changed(model, case[1]))
          assert.is_nil(copy)
          assert.equal("invalid_input", problem.code)
          assert.equal(case[2] .. ": " .. case[3], problem.message)
          assert.equal(case[2], problem.field)
        end
      end)
    end)
  end

  it("at least sixty cases", function() assert.is_true(count >= 60) end)
end)

describe("a valid input", function()
  it("is accepted, with empty arrays and objects as the model expects them", function()
    with_sandbox(function(client)
      for model in pairs(right) do assert(models.check(client, model, changed(model, {}))) end
      local function sent(model, changes)
        return json.encode(assert(models.check(client, model, changed(model, changes))), "input")
      end
      assert.equal('{"camera_control":{"config":{},"type":"simple"},"metadata":{},"prompt":"a boat","tags":[]}',
        sent("kling/v3", { camera_control = { type = "simple", config = {} }, metadata = {}, tags = {} }))
      assert.equal('{"prompt":"a boat","reference_images":["https://example.com/a.png"],"seed":null,"subjects":[]}',
        sent("vidu/q2", { seed = json.null, subjects = {} }))
      assert.equal('{"duration":"auto","effect":{"kind":"fade","seconds":0.5},"extra":{},"image_url":null,"prompt":"a boat",'
        .. '"size":[1280,720]}', sent("bytedance/seedance", {
          image_url = json.null, duration = "auto", effect = { kind = "fade", seconds = 0.5 }, extra = {}, size = { 1280.0, 720.0 } }))
    end)
  end)
end)
