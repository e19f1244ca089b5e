-- SPDX-License-Identifier: MIT
-- What a person is told of a wrong input: over four models of different shape, whose schemas come from the service as JSON, each message
-- names the field, the value and what is allowed.
local asset = require "omni.asset"
local json = require "omni.json"
local models = require "omni.models"
local scripted = require "helper.scripted"

-- A model with nested objects, numbers in ranges and fields that go together.
local kling <const> = [==[{
  "model": "kling/v3", "modality": "video", "operations": ["text-to-video", "image-to-video"], "required_input_fields": ["prompt"],
  "input_schema": {
    "$schema": "http://json-schema.org/draft-07/schema#", "title": "KlingV3Input", "type": "object", "additionalProperties": false,
    "required": ["prompt"],
    "properties": {
      "prompt": { "type": "string", "minLength": 1, "maxLength": 2500, "description": "What happens" },
      "negative_prompt": { "type": "string", "maxLength": 2500, "default": "" },
      "mode": { "type": "string", "enum": ["std", "pro"], "default": "std" },
      "duration": { "type": "integer", "enum": [5, 10], "default": 5 },
      "cfg_scale": { "type": "number", "minimum": 0, "maximum": 1, "multipleOf": 0.05, "default": 0.5 },
      "image_url": { "type": "string", "format": "uri" },
      "image_tail_url": { "type": "string", "format": "uri" },
      "camera_control": { "$ref": "#/definitions/camera" },
      "tags": { "type": "array", "uniqueItems": true, "maxItems": 5, "items": { "type": "string", "pattern": "^[a-z0-9-]{2,20}$" } },
      "metadata": { "type": "object", "maxProperties": 3, "propertyNames": { "pattern": "^[a-z_]+$" },
        "additionalProperties": { "type": ["string", "number", "boolean"] } }
    },
    "dependencies": { "image_tail_url": ["image_url"] },
    "definitions": {
      "camera": {
        "type": "object", "additionalProperties": false, "required": ["type"],
        "properties": {
          "type": { "enum": ["simple", "down_back", "forward_up"] },
          "config": { "type": "object", "additionalProperties": false, "properties": {
            "zoom": { "$ref": "#/definitions/amount" }, "pan": { "$ref": "#/definitions/amount" },
            "tilt": { "$ref": "#/definitions/amount" } } }
        },
        "if": { "properties": { "type": { "const": "simple" } } }, "then": { "required": ["config"] }
      },
      "amount": { "type": "number", "minimum": -10, "maximum": 10 }
    }
  }
}]==]

-- A model of lists, switches and names out of many.
local vidu <const> = [==[{
  "model": "vidu/q2", "modality": "video", "operations": ["reference-to-video"], "required_input_fields": ["reference_images", "prompt"],
  "input_schema": {
    "type": "object",
    "properties": {
      "prompt": { "type": "string", "maxLength": 1500 },
      "reference_images": { "type": "array", "items": { "type": "string", "format": "uri" }, "minItems": 1, "maxItems": 7 },
      "style": { "type": "string", "enum": ["general", "anime", "ink", "clay", "film", "comic", "pastel", "watercolour", "oil", "pixel",
        "line", "neon", "noir", "retro", "paper"] },
      "audio": { "type": "boolean", "default": false },
      "seed": { "type": "integer", "minimum": 0, "maximum": 4294967295, "nullable": true },
      "movement_amplitude": { "type": "string", "enum": ["auto", "small", "medium", "large"] },
      "size": { "type": "array", "prefixItems": [{ "type": "integer", "minimum": 64 }, { "type": "integer", "minimum": 64 }],
        "items": false, "minItems": 2 },
      "subjects": { "type": "array", "maxItems": 3, "items": { "type": "object", "required": ["id", "images"], "properties": {
        "id": { "type": "string", "minLength": 1, "maxLength": 32 },
        "images": { "type": "array", "items": { "type": "string", "format": "uri" }, "minItems": 1, "maxItems": 3 },
        "voice_id": { "type": "string" } } } }
    }
  }
}]==]

-- A model of alternatives, as generated schemas write them.
local seedance <const> = [==[{
  "model": "bytedance/seedance", "modality": "video", "operations": ["image-to-video", "video-to-video"], "required_input_fields": [],
  "input_schema": {
    "type": "object", "additionalProperties": false, "required": ["prompt"],
    "oneOf": [{ "required": ["image_url"] }, { "required": ["video_url"] }],
    "properties": {
      "prompt": { "type": "string", "minLength": 3 },
      "image_url": { "anyOf": [{ "type": "string", "format": "uri" }, { "type": "null" }], "title": "Image Url" },
      "video_url": { "anyOf": [{ "type": "string", "format": "uri" }, { "type": "null" }], "title": "Video Url" },
      "duration": { "anyOf": [{ "type": "integer", "minimum": 3, "maximum": 12 }, { "const": "auto" }] },
      "resolution": { "type": "string", "pattern": "^(480|720|1080)p$" },
      "fps": { "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 61 },
      "strength": { "type": "number", "minimum": 0, "exclusiveMinimum": true, "maximum": 1 },
      "camera_fixed": { "type": "boolean" },
      "effect": { "oneOf": [
        { "type": "object", "additionalProperties": false, "required": ["kind", "seconds"],
          "properties": { "kind": { "const": "fade" }, "seconds": { "type": "number", "minimum": 0 } } },
        { "type": "object", "additionalProperties": false, "required": ["kind", "angle"],
          "properties": { "kind": { "const": "spin" }, "angle": { "type": "integer" } } }] },
      "extra": { "type": "object" }
    },
    "not": { "required": ["camera_fixed", "effect"] }
  }
}]==]

-- The model that is known here, as the service may tell it.
local gemini <const> = [==[{
  "model": "google/gemini-omni", "modality": "video", "operations": ["text-to-video"], "required_input_fields": ["prompt"],
  "input_schema": {
    "type": "object", "additionalProperties": false, "required": ["prompt"],
    "properties": {
      "prompt": { "type": "string", "minLength": 1, "maxLength": 20000 },
      "img_urls": { "type": "array", "items": { "type": "string", "format": "uri" }, "maxItems": 7 },
      "video_list": { "type": "array", "maxItems": 1, "items": { "type": "object", "additionalProperties": false, "required": ["url"],
        "properties": { "url": { "type": "string", "format": "uri" }, "start": { "type": "number", "minimum": 0 },
          "ends": { "type": "number", "minimum": 0 } } } },
      "duration": { "type": "integer", "enum": [4, 6, 8, 10] },
      "aspect_ratio": { "type": "string", "enum": ["16:9", "9:16"] },
      "resolution": { "type": "string", "enum": ["720p", "1080p", "4k"] }
    }
  }
}]==]

local schemas <const> = { ["kling/v3"] = kling, ["vidu/q2"] = vidu, ["bytedance/seedance"] = seedance, ["google/gemini-omni"] = gemini }

local url <const> = "https://example.com/a.png"
local function urls(count)
  local list = {}
  for i = 1, count do list[i] = ("https://example.com/%d.png"):format(i) end
  return list
end

-- What is right of each model; a case changes it.
local right <const> = {
  ["kling/v3"] = { prompt = "a boat" },
  ["vidu/q2"] = { prompt = "a boat", reference_images = { url } },
  ["bytedance/seedance"] = { prompt = "a boat", image_url = url },
  ["google/gemini-omni"] = { prompt = "a boat" },
}

local gone <const> = {} -- the field is left out

-- model → { what is changed, the field that is named, the message behind it }
local wrong <const> = {
  ["kling/v3"] = {
    { { prompt = gone }, "prompt", "is required" },
    { { prompt = "" }, "prompt", "must be of 1 to 2500 characters, not 0" },
    { { prompt = ("é"):rep(2501) }, "prompt", "must be of 1 to 2500 characters, not 2501" },
    { { prompt = 5 }, "prompt", "must be a string, not 5" },
    { { prompt = "a\xff" }, "prompt", "must be valid UTF-8; it has a wrong byte at position 2" },
    { { negative_prompt = json.null }, "negative_prompt", "must be a string, not null" },
    { { negativ_prompt = "x" }, "negativ_prompt", "unknown field; did you mean 'negative_prompt'?" },
    { { lens = "wide" }, "lens", "unknown field; known are: camera_control, cfg_scale, duration, image_tail_url, image_url, metadata, "
      .. "mode, negative_prompt, prompt, tags" },
    { { mode = "PRO" }, "mode", "must be std or pro, not 'PRO'" },
    { { mode = true }, "mode", "must be std or pro, not true" },
    { { duration = 6 }, "duration", "must be 5 or 10, not 6" },
    { { duration = "5" }, "duration", "must be 5 or 10, not '5'" },
    { { cfg_scale = 1.05 }, "cfg_scale", "must be from 0 to 1, not 1.05" },
    { { cfg_scale = 0.33 }, "cfg_scale", "must be a multiple of 0.05, not 0.33" },
    { { cfg_scale = 0 / 0 }, "cfg_scale", "must be a finite number" },
    { { image_url = "boat.png" }, "image_url", "must be a public http(s) URL without a user or password, not 'boat.png'" },
    { { image_url = "data:image/png;base64,AAAA" }, "image_url", "must be a public http(s) URL; the service takes no data: URIs" },
    { { image_url = { url } }, "image_url", "must be a URL (http or https), not an array" },
    { { image_url = asset.file "boat.png" }, "image_url", 'has no URL yet (file "boat.png")' },
    { { image_tail_url = url }, "image_url", "is required when image_tail_url is given" },
    { { camera_control = "simple" }, "camera_control", "must be a table { type, config }, not 'simple'" },
    { { camera_control = {} }, "camera_control.type", "is required" },
    { { camera_control = { type = "spin" } }, "camera_control.type", "must be simple, down_back or forward_up, not 'spin'" },
    { { camera_control = { type = "simple" } }, "camera_control.config", "is required" },
    { { camera_control = { type = "simple", config = { zom = 1 } } }, "camera_control.config.zom", "unknown field; did you mean 'zoom'?" },
    { { camera_control = { type = "simple", config = { zoom = 11 } } }, "camera_control.config.zoom", "must be from -10 to 10, not 11" },
    { { tags = "boat" }, "tags", "must be an array of strings, not 'boat'" },
    { { tags = { "sea", "SEA" } }, "tags[2]", "must match the pattern ^[a-z0-9-]{2,20}$, not 'SEA'" },
    { { tags = { "sea", "boat", "sea" } }, "tags[3]", "is the same as tags[1]; each may stand there once" },
    { { tags = { "a1", "a2", "a3", "a4", "a5", "a6" } }, "tags", "takes at most 5 items, not 6" },
    { { tags = { "sea", nil, "boat" } }, "tags", "must be an array without holes" },
    { { metadata = { Author = "x" } }, "metadata.Author", "the name of this field must match the pattern ^[a-z_]+$, not 'Author'" },
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
    { { reference_images = { url, "ftp://example.com/a.png" } }, "reference_images[2]", "must be a public http(s) URL without a user or "
      .. "password, not 'ftp://example.com/a.png'" },
    { { reference_images = { url, 7 } }, "reference_images[2]", "must be a URL (http or https), not 7" },
    { { referenceImages = { url }, reference_images = gone }, "referenceImages", "unknown field; did you mean 'reference_images'?" },
    { { style = "watercolor" }, "style", "must be one of general, anime, ink, clay, film, comic, pastel, watercolour, oil, pixel, line, "
      .. "neon, ... (15 in all), not 'watercolor'; did you mean 'watercolour'?" },
    { { audio = "yes" }, "audio", "must be true or false, not 'yes'" },
    { { audio = 1 }, "audio", "must be true or false, not 1" },
    { { seed = -1 }, "seed", "must be from 0 to 4294967295, not -1" },
    { { seed = 1.5 }, "seed", "must be a whole number, not 1.5" },
    { { sede = 1 }, "sede", "unknown field; did you mean 'seed'?" },
    { { movement_amplitude = "huge" }, "movement_amplitude", "must be auto, small, medium or large, not 'huge'" },
    { { size = { 1280 } }, "size", "takes at least 2 items, not 1" },
    { { size = { 1280, 32 } }, "size[2]", "must be 64 or more, not 32" },
    { { size = { 1280, 720, 3 } }, "size", "takes at most 2 items, not 3" },
    { { subjects = { { id = "a", images = { url } }, { id = "", images = { url } } } }, "subjects[2].id",
      "must be of 1 to 32 characters, not 0" },
    { { subjects = { { id = "a" } } }, "subjects[1].images", "is required" },
    { { subjects = { { id = "a", images = {} } } }, "subjects[1].images", "takes 1 to 3 items, not 0" },
    { { subjects = { { id = "a", images = { url }, voice = "v" }, "b" } }, "subjects[2]",
      "must be a table { id, images, voice_id }, not 'b'" },
    { { subjects = { { id = "a", images = { url }, voiceId = "v" } } }, "subjects[1].voiceId", "unknown field; did you mean 'voice_id'?" },
  },
  ["bytedance/seedance"] = {
    { { image_url = gone }, "image_url", "is required when there is no video_url" },
    { { video_url = url }, "video_url", "can't stand together with image_url" },
    { { image_url = 5 }, "image_url", "must be a URL (http or https) or null, not 5" },
    { { image_url = "boat.png" }, "image_url", "must be a public http(s) URL without a user or password, not 'boat.png'" },
    { { duration = 13 }, "duration", "must be from 3 to 12, not 13" },
    { { duration = 4.5 }, "duration", "must be a whole number or auto, not 4.5" },
    { { resolution = "4k" }, "resolution", "must match the pattern ^(480|720|1080)p$, not '4k'" },
    { { fps = 61 }, "fps", "must be more than 0 and less than 61, not 61" },
    { { fps = 0 }, "fps", "must be more than 0 and less than 61, not 0" },
    { { strength = 0 }, "strength", "must be more than 0 and at most 1, not 0" },
    { { effect = { kind = "zoom" } }, "effect.kind", "must be fade or spin, not 'zoom'" },
    { { effect = { kind = "fade" } }, "effect.seconds", "is required" },
    { { effect = { kind = "fade", seconds = -1 } }, "effect.seconds", "must be 0 or more, not -1" },
    { { effect = { kind = "spin", angle = "wide" } }, "effect.angle", "must be a whole number, not 'wide'" },
    { { effect = "fade" }, "effect", "must be a table { kind, seconds } or a table { kind, angle }, not 'fade'" },
    { { effect = { kind = "fade", seconds = 1 }, camera_fixed = true }, "effect", "can't stand together with camera_fixed" },
    { { extra = "x" }, "extra", "must be a table, not 'x'" },
    { { extra = { call = print } }, "extra.call", "can't be sent: it is a function" },
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

local function tell(target)
  local text = schemas[target:match "/Models/(.*)$"]
  return text and ('{"code":200,"message":"success","data":%s}'):format(text) or nil
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

describe("a wrong input is refused with a message that names the field, for", function()
  local count = 0
  for model, cases in pairs(wrong) do
    count = count + #cases
    it(("%s, in each of %d cases"):format(model, #cases), function()
      scripted.open(tell, function(client)
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

  it("at least sixty in all", function() assert.is_true(count >= 60) end)
end)

describe("a right input", function()
  it("goes through, empty arrays and objects as the model wants them", function()
    scripted.open(tell, function(client)
      for model in pairs(right) do assert(models.check(client, model, changed(model, {}))) end
      local function sent(model, changes)
        return json.encode(assert(models.check(client, model, changed(model, changes))), "input")
      end
      assert.equal('{"camera_control":{"config":{},"type":"simple"},"metadata":{},"prompt":"a boat","tags":[]}',
        sent("kling/v3", { camera_control = { type = "simple", config = {} }, metadata = {}, tags = {} }))
      assert.equal('{"prompt":"a boat","reference_images":["https://example.com/a.png"],"seed":null,"size":[1280,720],"subjects":[]}',
        sent("vidu/q2", { seed = json.null, size = { 1280.0, 720.0 }, subjects = {} }))
      assert.equal('{"duration":"auto","effect":{"kind":"fade","seconds":0.5},"extra":{},"image_url":null,"prompt":"a boat"}',
        sent("bytedance/seedance", { image_url = json.null, duration = "auto", effect = { kind = "fade", seconds = 0.5 }, extra = {} }))
    end)
  end)
end)
