-- SPDX-License-Identifier: MIT
-- The sandbox's models and templates: their schemas, checks, outputs and prices.
local catalogue = require "omni.sandbox.catalogue"
local core = require "omni.core"
local env = require "helper.env"
local cjson = require("cjson").new()
local faults = require "omni.sandbox.faults"
local media = require "omni.sandbox.drawing"
local service = require "omni.sandbox.service"

local job <const> = "/api/v1/client/job/"
local url <const> = "https://example.com/a.png"

-- A service whose tasks end when `clock.time` is moved, and whose clips are drawn at once.
local function rehearse(specs)
  local clock, drawn = { time = 100 }, {}
  local served = service.open {
    url = "http://127.0.0.1:1", key = "key", seconds = 1, seed = 1, credits = 1e6, faults = assert(faults.open(specs)),
    now = function() return clock.time end, wall = function() return 1700000000 end,
    draw = function(spec, done)
      drawn[#drawn + 1] = spec
      done("/clips/" .. #drawn)
    end,
    stat = function() return { size = 1000, mtime = 1700000000 } end,
  }
  local r = { clock = clock, drawn = drawn }
  function r.ask(method, path, query, body)
    local response = served:handle { method = method, path = path, query = query, headers = { ["x-api-key"] = "key" }, body = body or "" }
    local fine, answer = pcall(cjson.decode, response.body)
    return response.status, fine and answer or nil, response
  end
  function r.get(name, query) return r.ask("GET", job .. name, query) end
  function r.post(name, model, input) return r.ask("POST", job .. name, nil, ('{"model":"%s","input":%s}'):format(model, input)) end
  function r.price(model, input)
    local status, answer = r.post("EstimateTask", model, input)
    assert.equal(200, status, answer.message)
    return answer.data.estimated_credits
  end
  return r
end

describe("the sandbox's models", function()
  it("are listed by modality and operation", function()
    local r = rehearse()
    local function names(query)
      local status, answer = r.get("Models", query)
      assert.equal(200, status)
      assert.equal(#answer.data.models, answer.data.total)
      local all = {}
      for i, one in ipairs(answer.data.models) do all[i] = one.model end
      return all
    end
    assert.is_true(#names() >= 5)
    assert.same({ "google/nano-banana" }, names "modality=image")
    assert.same({ "google/gemini-omni", "bytedance/seedance" }, names "modality=video&operation=video-to-video")
    assert.same({}, names "operation=text-to-song")
    local _, _, response = r.get("Models", "operation=text-to-song")
    assert.matches('"models":%[%]', response.body)
  end)

  it("are described with their schemas, with [] and {} distinct; slashes may be encoded; an unknown one gives 404", function()
    local r = rehearse()
    local status, answer, response = r.get "Models/kling/v3"
    assert.same({ 200, "kling/v3", { "prompt" } }, { status, answer.data.model, answer.data.required_input_fields })
    assert.matches('"default":%[%]', response.body)
    assert.matches('"default":{}', response.body)
    assert.same({ response.body }, { select(3, r.get "Models/kling%2Fv3").body })
    assert.equal(404, (r.get "Models/kling/v4"))
    assert.equal(404, (r.get "Models/"))
  end)

  it("refuse an input by their schemas and name the field, in submits and in both estimates", function()
    local r = rehearse()
    local wrong = {
      { "kling/v3", '{"prompt":"a","duration":16}', "input.duration: must be from 3 to 15, not 16" },
      { "kling/v3", '{"prompt":"a","metadata":[]}', "input.metadata: must be a table, not an array" },
      { "kling/v3", '{"prompt":"a","camera_control":{"config":{}}}', "input.camera_control.type: is required" },
      { "vidu/q2", '{"prompt":"a","reference_images":{}}', "input.reference_images: must be an array of URLs, not a table" },
      { "vidu/q2", '{"prompt":"a","reference_images":[]}', "input.reference_images: takes 1 to 7 items, not 0" },
      { "bytedance/seedance", '{"prompt":"a boat"}', "input.image_url: is required when there is no video_url" },
      { "google/nano-banana", '{"prompt":"a","output_format":"gif"}', "input.output_format: must be png or jpeg, not 'gif'" },
      { "klng/v3", "{}", "model: there is no 'klng/v3'; did you mean 'kling/v3'?" },
    }
    for _, case in ipairs(wrong) do
      for _, call in ipairs { "CreateTask", "EstimateTask", "estimate-credits" } do
        local status, answer = r.post(call, case[1], case[2])
        assert.same({ 422, case[3] }, { status, answer.errors[1] })
      end
    end
    local status, answer = r.post("CreateTask", ("x"):rep(100000), "{}")
    assert.equal(422, status)
    assert.matches("^model: there is no 'x+…'; known are: bytedance/seedance, ", answer.errors[1])
    assert.is_true(#answer.errors[1] < 300)
    assert.same({}, r.drawn)
  end)

  it("cost more for longer and larger clips, and for each image", function()
    local r = rehearse()
    local image = '"image_url":"' .. url .. '"'
    local rising = {
      { "kling/v3", '{"prompt":"a","duration":3}', '{"prompt":"a","duration":10}', '{"prompt":"a","duration":10,"mode":"pro"}' },
      { "vidu/q2", ('{"prompt":"a","reference_images":["%s"],"duration":2}'):format(url),
        ('{"prompt":"a","reference_images":["%s"]}'):format(url),
        ('{"prompt":"a","reference_images":["%s"],"resolution":"1080p"}'):format(url) },
      { "bytedance/seedance", '{"prompt":"abc","duration":3,' .. image .. "}", '{"prompt":"abc","duration":12,' .. image .. "}",
        '{"prompt":"abc","duration":12,"resolution":"1080p",' .. image .. "}" },
      { "google/nano-banana", '{"prompt":"a"}', '{"prompt":"a","num_images":2}', '{"prompt":"a","num_images":4}' },
    }
    for _, row in ipairs(rising) do
      local low, middle, high = r.price(row[1], row[2]), r.price(row[1], row[3]), r.price(row[1], row[4])
      assert.is_true(low < middle and middle < high, row[1])
    end
    assert.equal(4 * r.price("google/nano-banana", '{"prompt":"a"}'), r.price("google/nano-banana", '{"prompt":"a","num_images":4}'))
  end)

  it("can be asked for a price in the old form as well", function()
    local r = rehearse { "status-404:on=estimate" }
    local input = '{"prompt":"a","duration":8}'
    assert.equal(404, (r.post("EstimateTask", "google/gemini-omni", input)))
    local status, _, response = r.post("estimate-credits", "google/gemini-omni", input)
    assert.same({ 200, '{"code":200,"message":"success","data":{"credits":80,"estimated":true}}' }, { status, response.body })
  end)

  it("return as many images as requested if they make images", function()
    local r = rehearse()
    local _, made = r.post("CreateTask", "google/nano-banana", '{"prompt":"a","num_images":2,"output_format":"jpeg"}')
    r.clock.time = 200
    local _, answer = r.get("TaskInfo", "task_id=" .. made.data.task_id)
    local result = answer.data.result
    assert.same({ type = "image", format = "jpeg", aspect_ratio = "1:1" }, result.media_info)
    local path = "http://127.0.0.1:1/media/" .. made.data.task_id
    assert.same({ path .. ".jpg", path .. ".2.jpg" }, result.media_urls)
    local status, _, response = r.ask("GET", result.media_urls[2]:match "//[^/]+(.*)")
    assert.same({ 200, "image/jpeg", "/clips/2" }, { status, response.headers["Content-Type"], response.body.file })
    assert.equal(404, (r.ask("GET", "/media/" .. made.data.task_id .. ".3.jpg")))
  end)

  it("draw clips of all the sizes that they make", function()
    if media.available() ~= "ffmpeg" then return pending "there is no ffmpeg" end
    local files <close> = env.directory()
    local heights, seen = { ["480p"] = 480, ["540p"] = 540, ["720p"] = 720, ["1080p"] = 1080, ["4k"] = 2160 }, {}
    for _, row in ipairs(catalogue.list "video") do
      for _, size in pairs(row.makes.sizes) do seen[size.resolution] = true end
    end
    for resolution in pairs(seen) do
      local path = files:file(resolution .. ".mp4")
      assert(media.clip({ prompt = "The keeper", seconds = 1 / 24, resolution = resolution }, path))
      local height = env.output("ffprobe -v error -select_streams v -show_entries stream=height -of csv=p=0 " .. env.quote(path))
      assert.equal(heights[resolution], math.tointeger(tonumber(height)), resolution)
    end
    assert.is_true(seen["480p"] and seen["540p"])
  end)

  it("draw images of the stated type and size, with and without ffmpeg", function()
    local files <close> = env.directory()
    for format, magic in pairs { png = "\x89PNG", jpeg = "\xFF\xD8\xFF" } do
      for _, builtin in ipairs { true, false } do
        local path = files:file(format .. tostring(builtin))
        assert(media.clip({ prompt = "The keeper", image = format, aspect_ratio = "3:4", builtin = builtin }, path))
        assert.equal(magic, env.read(path):sub(1, #magic))
        assert.is_true(core.stat(path).size > 500)
      end
    end
  end)
end)

describe("the sandbox's templates", function()
  it("come in pages, each template once, and a single one by its name", function()
    local r = rehearse()
    for platform, about in pairs { kling = { 57, "template_id" }, vidu = { 23, "template" }, bytedance = { 50, "template_id" } } do
      local seen, page, count = {}, 0, 0
      repeat
        page = page + 1
        local status, answer = r.get(platform .. "-templates", ("page=%d&page_size=25"):format(page))
        local data = answer.data
        assert.same({ 200, about[1], page, 25 }, { status, data.total, data.page, data.page_size })
        for _, one in ipairs(data.templates) do
          assert.is_nil(seen[one[about[2]]])
          seen[one[about[2]]], count = one, count + 1
        end
      until #data.templates == 0
      assert.equal(about[1], count)
      local name, first = next(seen)
      local _, answer = r.get(platform .. "-templates", about[2] .. "=" .. name)
      assert.same({ 1, { first } }, { answer.data.total, answer.data.templates })
      _, answer = r.get(platform .. "-templates", about[2] .. "=no-such")
      assert.same({ 0, {} }, { answer.data.total, answer.data.templates })
    end
    assert.equal(404, (r.get "sora-templates"))
  end)

  it("refuse an invalid page", function()
    local r = rehearse()
    for _, query in ipairs { "page=0", "page=x", "page_size=0", "page_size=51", "page_size=1.5", "page=-1", "page=" } do
      local status, answer = r.get("vidu-templates", query)
      assert.same({ 422, query:match "^[^=]+" }, { status, answer.errors[1]:match "^[^:]+" })
    end
    assert.equal(200, (r.get("vidu-templates", "page_size=50")))
  end)
end)
