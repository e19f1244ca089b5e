-- SPDX-License-Identifier: MIT
-- Errors about an input from the command line name the options that were given, and the model.
local err = require "omni.error"
local explain = require "omni.cli.input_problem"

local URL <const> = { type = "string", format = "uri" }

-- Returns the message and the hint after the explanation. `properties` are those of the model's schema.
local function explained(given, problem, properties)
  given.image, given.set = given.image or {}, given.set or {}
  local schema = { type = "object", properties = properties or { img_urls = {}, video_list = {} } }
  local client = { model = function() return { input_schema = schema } end }
  problem = err.new { code = "invalid_input", field = problem[1], message = problem[1] .. ": " .. problem[2] }
  explain({ given = given, client = client }, "kling/v3", problem)
  return { problem.message, problem.hint }
end

describe("an error about an input on the command line", function()
  local hint <const> = "omni models kling/v3 lists what the model accepts"

  it("names the option and the model", function()
    assert.same({ "--duration: must be 4 or 6, not 400", hint }, explained({ duration = 400 }, { "duration", "must be 4 or 6, not 400" }))
    assert.same({ "--aspect-ratio: must be 16:9", hint }, explained({ aspect_ratio = "3:8" }, { "aspect_ratio", "must be 16:9" }))
    assert.same({ "--prompt: is required", hint }, explained({}, { "prompt", "is required" }))
    assert.same({ "--ends: must be more than start", hint },
      explained({ video = "a.mp4", ends = 1 }, { "video_list[1].ends", "must be more than start" }))
    assert.same({ "--image: must be a URL", hint }, explained({ image = { "a" } }, { "img_urls[2]", "must be a URL" }))
  end)

  it("names the field where no option gave it: of --set, and of --input", function()
    assert.same({ "--set: foo: unknown field", hint }, explained({ set = { "foo=3" } }, { "foo", "unknown field" }))
    assert.same({ "duration: must be 4", hint }, explained({ input = "a.json" }, { "duration", "must be 4" }))
    assert.same({ "prompt: is required", hint }, explained({ input = "a.json" }, { "prompt", "is required" }))
  end)

  it("says what the model calls the images of --image, and how to give them", function()
    local refusal = { "img_urls", "unknown field" }
    assert.same({ "--image: the model kling/v3 has another name for images: image_url or image_tail_url",
      [[instead of --image, give --set 'image_url={"$file":"keeper.png"}']] },
      explained({ image = { "keeper.png" } }, refusal, { image_url = URL, image_tail_url = URL, num_images = { type = "integer" } }))
    assert.same({ "--image: the model kling/v3 has another name for images: reference_images",
      [[instead of --image, give --set 'reference_images=["https://a.test/b.png"]']] },
      explained({ image = { "https://a.test/b.png" } }, { "reference_images", "is required" },
        { reference_images = { type = "array", items = URL } }))
    assert.same({ "--video: the model kling/v3 accepts no video", "omni models lists what each model makes, and from what" },
      explained({ video = "a.mp4" }, { "video_list", "unknown field" }, { image_url = URL }))
  end)

  it("stays as it is where it concerns no field", function()
    local problem = err.new { code = "invalid_input", message = "no such model" }
    explain({ given = { image = {}, set = {} } }, "kling/v3", problem)
    assert.equal("no such model", problem.message)
  end)
end)
