-- SPDX-License-Identifier: MIT
-- The service's models: the list, the descriptions, and the check of inputs against their schemas.
local answers = require "helper.answers"
local asset = require "omni.client.placeholder"
local core = require "omni.core"
local hostile = require "helper.hostile"
local json = require "omni.json"
local models = require "omni.models"
local omni = require "omni"
local scripted = require "helper.scripted"

local path <const> = "/api/v1/client/job/Models"

local kling <const> = {
  model = "kling/v3", modality = "video", operations = { "text-to-video", "image-to-video" }, vendor = { name = "K" },
  input_schema = {
    type = "object", required = { "prompt" },
    properties = { prompt = { type = "string" }, duration = { type = "integer", maximum = 10 }, tags = { type = "array" },
      image_url = { type = "string", format = "uri" } },
  },
  required_input_fields = { "prompt", "duration", "no_such_field" },
}
local banana <const> = { model = "google/nano-banana", modality = "image" }

-- Tells of these models.
local function of(...)
  local all = { ... }
  return function(target)
    if target:find "^/api/v1/client/job/Models%f[?\0]" then return { total = #all, models = all } end
    for _, model in ipairs(all) do
      if target == path .. "/" .. model.model then return model end
    end
  end
end

-- A whole answer, for data that is a string.
local function envelope(data) return assert(json.write({ code = 200, message = "success", data = data }, { empty = "array" })) end

local function image(i) return ("https://example.com/%d.png"):format(i) end

describe("the list of models", function()
  it("has all fields that the service sends", function()
    scripted.open(of(kling, banana), function(client, asked)
      local list = assert(models.list(client))
      assert.same({ "GET " .. path }, asked)
      assert.equal(2, #list)
      assert.same({ "kling/v3", "video", { "text-to-video", "image-to-video" }, { name = "K" } },
        { list[1].model, list[1].modality, list[1].operations, list[1].vendor })
      assert.same({}, list[2].operations)
    end)
  end)

  it("is requested by modality and operation, encoded, without missing options", function()
    scripted.open(of(kling), function(client, asked)
      assert(models.list(client, { modality = "video & more", operation = "text-to-video" }))
      assert(models.list(client, { modality = "", operation = "é/?" }))
      assert.same({ "?modality=video%20%26%20more&operation=text-to-video", "?operation=%C3%A9/%3F" },
        { asked[1]:sub(#path + 5), asked[2]:sub(#path + 5) })
    end)
  end)

  it("has strings where strings are expected, whatever the service sends", function()
    scripted.open(of { model = "a/b", modality = { 5 }, operations = { "x", 5, { "y" } } }, function(client)
      local model = assert(models.list(client))[1]
      assert.is_nil(model.modality)
      assert.same({ "x" }, model.operations)
    end)
  end)

  it("that isn't one is a bad answer", function()
    for _, data in ipairs { "x", 5, { models = "x" }, { models = { 5 } }, { models = { { model = 5 } } }, { models = { {} } },
      { models = { { model = "a\27[2J" } } }, { models = { { model = "../../x" } } }, { list = {} } } do
      scripted.open(function() return envelope(data) end, function(client)
        local none, problem = models.list(client)
        assert.is_nil(none)
        assert.equal("bad_answer", problem.code)
      end)
    end
  end)

  it("refuses unknown options, with the most similar one", function()
    scripted.open(of(kling), function(client)
      local fine, problem = pcall(function() return (client:models { modalty = "video" }) end)
      assert.is_false(fine)
      assert.matches("did you mean 'modality'", problem)
    end)
  end)
end)

describe("a model", function()
  it("is described with its schema; slashes in its name stay, other characters are encoded", function()
    scripted.open(function() return kling end, function(client, asked)
      local model = assert(models.get(client, "kling/v3"))
      assert.equal(10, model.input_schema.properties.duration.maximum)
      assert.same({ "prompt", "duration", "no_such_field" }, model.required_input_fields)
      assert(models.get(client, "a b/é?c#d%"))
      assert.same({ "GET " .. path .. "/kling/v3", "GET " .. path .. "/a%20b/%C3%A9%3Fc%23d%25" }, asked)
    end)
  end)

  it("that doesn't exist is an error with the most similar name", function()
    scripted.open(of(kling, banana), function(client, asked)
      local none, problem = models.get(client, "klng/v3")
      assert.is_nil(none)
      assert.same({ "not_found", "model", 404 }, { problem.code, problem.field, problem.status })
      assert.equal("no such model 'klng/v3'; did you mean 'kling/v3'?", problem.message)
      assert.equal(2, #asked)
      problem = select(2, models.get(client, "something/else-altogether"))
      assert.equal("no such model 'something/else-altogether'", problem.message)
    end)
    scripted.open(function() return nil end, function(client)
      local problem = select(2, models.get(client, "kling/v3"))
      assert.same({ "not_found", "no such model 'kling/v3'" }, { problem.code, problem.message })
    end)
  end)

  it("with an invalid name isn't requested", function()
    scripted.open(of(kling), function(client, asked)
      for _, name in ipairs { "", "..", "a/../b", "a/./b", "/a", "a/", "a//b", "a\nb", "a\27[2J", "a\xff", ("a"):rep(201),
        "x/CreateTask", 5 } do
        for _, try in ipairs { models.get, function(c, n) return models.check(c, n, { prompt = "x" }) end } do
          local none, problem = try(client, name)
          assert.is_nil(none)
          assert.same({ "invalid_input", "model" }, { problem.code, problem.field })
          assert.is_nil(problem.message:find("\27", 1, true))
        end
      end
      assert.same({}, asked)
    end)
  end)

  it("with an invalid description is a bad answer", function()
    scripted.open(function() return { 1, 2 } end, function(client)
      local model = assert(models.get(client, "kling/v3"))
      assert.is_nil(model.input_schema)
    end)
    scripted.open(function() return envelope(5) end, function(client)
      local _, problem = models.get(client, "kling/v3")
      assert.equal("bad_answer", problem.code)
    end)
  end)
end)

describe("an input", function()
  it("is checked against the service's schema and its required fields", function()
    scripted.open(of(kling), function(client)
      local function wrong(input) return select(2, models.check(client, "kling/v3", input)).message end
      assert.equal('{"duration":8,"prompt":"x","tags":[]}',
        json.encode(assert(models.check(client, "kling/v3", { prompt = "x", duration = 8.0, tags = {} })), "input"))
      assert.equal("duration: must be 10 or less, not 12", wrong { prompt = "x", duration = 12 })
      assert.equal("duration: is required", wrong { prompt = "x" })
      assert.equal("prompt: is required", wrong { duration = 5 })
      assert.equal("promtp: unknown field; did you mean 'prompt'?", wrong { promtp = "x", duration = 5 })
      assert.equal("input: must be a table of fields, not 'x'", wrong "x")
    end)
  end)

  it("may contain placeholders only if the caller allows it", function()
    scripted.open(of(kling), function(client)
      local input = { prompt = "x", duration = 5, image_url = asset.file "a.png" }
      assert.is_true(asset.is(assert(models.check(client, "kling/v3", input, true)).image_url))
      local _, problem = models.check(client, "kling/v3", input)
      assert.equal("image_url", problem.field)
    end)
  end)

  it("needs its model's schema once, for any number of callers", function()
    scripted.open(of(kling), function(client, asked)
      local fibers = {}
      for i = 1, 50 do
        fibers[i] = omni.spawn(function() return models.check(client, "kling/v3", { prompt = "x", duration = i }) ~= nil end)
      end
      local fitted = 0
      for _, fine in ipairs { omni.join(table.unpack(fibers)) } do fitted = fitted + (fine and 1 or 0) end
      assert.equal(10, fitted)
      assert.same({ "GET " .. path .. "/kling/v3" }, asked)
    end)
  end)

  it("needs the schema again after an hour", function()
    local now, later = core.now, 0
    finally(function() core.now = now end)
    core.now = function() return now() + later end
    scripted.open(of(kling), function(client, asked)
      for _, seconds in ipairs { 0, 3590, 3610, 3620 } do
        later = seconds
        assert(models.check(client, "kling/v3", { prompt = "x", duration = 5 }))
      end
      assert.equal(2, #asked)
    end)
  end)

  it("is sent if the service has no schema; the service is asked again after a minute", function()
    local now, later = core.now, 0
    finally(function() core.now = now end)
    core.now = function() return now() + later end
    local function broken() return { code = 500 }, 500 end
    local function garbage() return "<html>" end
    local function nothing() return nil end
    local function without() return { model = "kling/v3", input_schema = {} } end
    local function wrong() return { model = "kling/v3", input_schema = "{}" } end
    for _, tell in ipairs { broken, garbage, nothing, without, wrong } do
      later = 0
      scripted.open(tell, function(client, asked)
        local input = { anything = { 1, { deep = true } } }
        assert.equal(input, models.check(client, "kling/v3", input))
        local first = #asked
        assert(models.check(client, "kling/v3", input))
        assert.equal(first, #asked)
        later = 61
        assert(models.check(client, "kling/v3", input))
        assert.equal(tell ~= without and tell ~= wrong, #asked > first)
      end)
    end
  end)

  it("is sent if the service doesn't answer the question, or can't be reached", function()
    scripted.open(function() omni.sleep(30) end, function(client)
      assert(models.check(client, "kling/v3", { x = 1 }))
    end, { timeout = 0.05 })
    omni.run(function()
      local client <close> = assert(answers.client("http://127.0.0.1:" .. hostile.dead_port()))
      assert(models.check(client, "kling/v3", { x = 1 }))
      local _, problem = models.check(client, nil, { prompt = "x", duration = 5 })
      assert.equal("duration: must be 4, 6, 8 or 10, not 5", problem.message)
    end)
  end)

  it("is accepted without a request for the schema with schemas = false", function()
    scripted.open(of(kling), function(client, asked)
      client.schemas = false
      assert(models.check(client, "kling/v3", { duration = 12 }))
      assert.equal("prompt", select(2, models.check(client, nil, {})).field)
      assert.same({}, asked)
    end)
  end)

  it("for a model that the service doesn't have is refused, with the most similar name", function()
    scripted.open(of(kling, banana), function(client)
      local _, problem = models.check(client, "klnig/v3", { prompt = "x" })
      assert.same({ "invalid_input", "model" }, { problem.code, problem.field })
      assert.equal("model: the service has no 'klnig/v3'; did you mean 'kling/v3'?", problem.message)
    end)
  end)

  it("for a model without a description is accepted if the list has the model, is empty, or can't be read", function()
    for _, list in ipairs { { models = { banana, { model = "kling/v3" } } }, { models = {} }, "<html>", {} } do
      scripted.open(function(target) return target == path and list or nil end, function(client)
        assert(models.check(client, "kling/v3", { x = 1 }))
      end)
    end
  end)

  it("of a model whose schema refers to itself without end is checked by omni's own rules, with one warning", function()
    local warnings = {}
    scripted.open(function() return { model = "m", input_schema = { ["$ref"] = "#" } } end, function(client)
      for _ = 1, 3 do assert(models.check(client, "kling/v3", { x = 1 })) end
      assert.equal("duration", select(2, models.check(client, nil, { prompt = "x", duration = 5 })).field)
    end, { on_event = answers.on_warning(function(text) warnings[#warnings + 1] = text end) })
    assert.equal(2, #warnings)
    assert.matches("inputs of kling/v3 aren't checked against the service's schema: .*itself without end", warnings[1])
  end)
end)

describe("an input for google/gemini-omni", function()
  local function gemini(most_images)
    return of {
      model = "google/gemini-omni",
      input_schema = { type = "object", additionalProperties = false, required = { "prompt" }, properties = {
        prompt = { type = "string", maxLength = 30000 }, duration = { type = "integer", enum = { 4, 6, 8, 10, 12 } },
        img_urls = { type = "array", minItems = 1, maxItems = most_images, items = { type = "string", format = "uri" } },
        video_list = { type = "array", items = { type = "object",
          properties = { url = { type = "string" }, start = { type = "number" }, ends = { type = "number" } } } },
      } },
    }
  end
  local video <const> = { url = "https://h.org/v.mp4", start = 0, ends = 4 }
  local function images(count)
    local list = {}
    for i = 1, count do list[i] = image(i) end
    return list
  end

  it("must match the service's schema, and not the rules that omni knew before", function()
    scripted.open(gemini(7), function(client)
      assert(models.check(client, nil, { prompt = ("x"):rep(20001), duration = 12 }))
      local function wrong(input) return select(2, models.check(client, nil, input)).message end
      assert.equal("duration: must be 4, 6, 8, 10 or 12, not 5", wrong { prompt = "x", duration = 5 })
      assert.equal("resolution: unknown field; known are: duration, img_urls, prompt, video_list",
        wrong { prompt = "x", resolution = "4k" })
      assert.equal("img_urls: takes 1 to 7 items, not 8", wrong { prompt = "x", img_urls = images(8) })
    end)
  end)

  it("must match rules that no schema has: an empty list counts as missing, a video needs an end", function()
    scripted.open(gemini(7), function(client)
      local function wrong(input) return select(2, models.check(client, nil, input, true)).message end
      assert.same({ prompt = "x" }, models.check(client, nil, { prompt = "x", img_urls = {} }))
      assert(models.check(client, nil, { prompt = "x", img_urls = images(5), video_list = { video } }))
      assert.equal("img_urls: takes at most 5 images when a video is given, not 6",
        wrong { prompt = "x", img_urls = images(6), video_list = { video } })
      assert.equal("video_list[1].start: must be less than ends (4), not 4",
        wrong { prompt = "x", video_list = { { url = video.url, start = 4, ends = 4 } } })
      assert.matches("^img_urls%[1%]: must be an image", wrong { prompt = "x", img_urls = { asset.clip "a" } })
      assert.matches("^video_list%[1%]%.url: must be a video", wrong { prompt = "x", video_list = { { url = asset.last_frame "a" } } })
    end)
  end)

  it("may have more images beside a video once the service allows other numbers", function()
    scripted.open(gemini(9), function(client)
      assert(models.check(client, nil, { prompt = "x", img_urls = images(9), video_list = { video } }))
    end)
  end)
end)
