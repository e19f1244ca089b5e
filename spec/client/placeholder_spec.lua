-- SPDX-License-Identifier: MIT
-- Placeholders: values that take the place of a URL that isn't known yet.
local asset = require "omni.client.placeholder"
local env = require "helper.env"
local input = require "omni.models.input_rules"
local omni_file, last_frame, clip, url = asset.file, asset.last_frame, asset.clip, asset.url

describe("the words for placeholders", function()
  it("return values that say what they stand for", function()
    assert.same({ kind = "file", path = "a.png" }, setmetatable(asset.copy(omni_file "a.png"), nil))
    assert.equal("frame", last_frame("dawn").kind)
    assert.equal("dawn", last_frame("dawn").scene)
    assert.equal("clip", clip("dawn").kind)
    assert.equal('file "a.png"', tostring(omni_file "a.png"))
    assert.equal('last_frame "dawn"', tostring(last_frame "dawn"))
    assert.equal('clip "a?[2J"', tostring(clip "a\27[2J"))
    assert.is_true(asset.is(clip "dawn"))
    for _, other in ipairs { "dawn", {}, { kind = "file", path = "x" }, 5, false } do assert.is_false(asset.is(other)) end
  end)

  it("resolve relative paths in a folder, and leave absolute ones unchanged", function()
    local file = asset.file_in("/films/night")
    assert.equal("/films/night/a.png", file("a.png").path)
    assert.equal("/films/night/a.png", file("./a.png").path)
    assert.equal("/films/night/sub/a.png", file("sub//a.png").path)
    assert.equal("/films/night/../a.png", file("../a.png").path)
    assert.equal("/else/a.png", file("/else/a.png").path)
    assert.equal("/a.png", asset.file_in("/")("a.png").path)
    assert.equal("a.png", omni_file("a.png").path)
  end)

  it("raise at the caller's line for an invalid value", function()
    local function raised(fn, value)
      local fine, message = pcall(function() local _ = fn(value) end)
      assert.is_false(fine)
      return message
    end
    for _, fn in ipairs { omni_file, last_frame, clip } do
      for _, wrong in ipairs { "", "a\0b", 5, false, {} } do assert.matches("placeholder_spec%.lua:%d+: ", raised(fn, wrong)) end
      assert.matches("not nothing", raised(fn, nil))
    end
    for _, wrong in ipairs { "keeper.png", "file:///etc/passwd", "data:image/png;base64,AA", "https://u:p@h.org/", "", 5 } do
      assert.matches("placeholder_spec%.lua:%d+: url: must ", raised(url, wrong))
    end
    assert.equal("https://h.org/a.png", url "https://h.org/a.png")
  end)

  it("are functions of the library, too", function()
    local said = env.output(([[%s -e 'local o = require "omni"; print(o.file "a", o.last_frame "b", o.clip "c", o.url "https://d.e/f")']])
      :format(env.lua))
    assert.equal('file "a"\tlast_frame "b"\tclip "c"\thttps://d.e/f\n', said)
  end)
end)

describe("an input with placeholders", function()
  local tree = { img_urls = { "https://h.org/a.png", omni_file "b.png" }, prompt = "x",
    video_list = { { url = clip "dawn", start = 0 } }, deep = { [1] = { x = { last_frame "dusk" } } } }

  it("is traversed with the place of each, always in the same order", function()
    for _ = 1, 5 do
      local found = {}
      for value, place in asset.each(tree) do found[#found + 1] = place .. "=" .. tostring(value) end
      assert.same({ 'deep[1].x[1]=last_frame "dusk"', 'img_urls[2]=file "b.png"', 'video_list[1].url=clip "dawn"' }, found)
    end
    local value, place = asset.each(omni_file "a")()
    assert.equal("a", value.path)
    assert.equal("", place)
  end)

  it("is copied with each of them replaced, and stays unchanged", function()
    local copy = assert(asset.map(tree, function(value, place) return place .. " " .. value.kind end))
    assert.same({ img_urls = { "https://h.org/a.png", "img_urls[2] file" }, prompt = "x",
      video_list = { { url = "video_list[1].url clip", start = 0 } }, deep = { { x = { "deep[1].x[1] frame" } } } }, copy)
    assert.is_true(asset.is(tree.img_urls[2]))
  end)

  it("returns the first failure, and calls the function no more", function()
    local asked = 0
    local copy, problem = asset.map(tree, function()
      asked = asked + 1
      return nil, "no"
    end)
    assert.is_nil(copy)
    assert.equal("no", problem)
    assert.equal(1, asked)
  end)

  it("that contains itself is refused", function()
    local endless = {}
    endless.a, endless.b = endless, endless
    local copy, problem = asset.map(endless, function() end)
    assert.is_nil(copy)
    assert.equal("invalid_input", problem.code)
    assert.is_nil(asset.each(endless)())
  end)
end)

describe("a model's input with placeholders", function()
  it("is checked like one with URLs, and keeps them", function()
    local checked = assert(input.check(nil, { prompt = "x", img_urls = { omni_file "a.png" }, video_list = { { url = clip "b" } } }, true))
    assert.equal("a.png", checked.img_urls[1].path)
    assert.equal("b", checked.video_list[1].url.scene)
  end)

  it("isn't ready to send: that check names the place", function()
    for _, model in ipairs { "google/gemini-omni", "kling/v3" } do
      local checked, problem = input.check(model, { prompt = "x", img_urls = { "https://h.org/a.png", omni_file "a.png" } })
      assert.is_nil(checked)
      assert.equal("invalid_input", problem.code)
      assert.equal("img_urls[2]", problem.field)
    end
  end)

  it("may have each of them where its kind is allowed", function()
    local wrong = {
      ["prompt"] = { prompt = omni_file "a" },
      ["duration"] = { prompt = "x", duration = omni_file "a" },
      ["img_urls"] = { prompt = "x", img_urls = omni_file "a" },
      ["img_urls[1]"] = { prompt = "x", img_urls = { clip "dawn" } },
      ["video_list[1]"] = { prompt = "x", video_list = { omni_file "a" } },
      ["video_list[1].url"] = { prompt = "x", video_list = { { url = last_frame "dawn" } } },
      ["video_list[1].start"] = { prompt = "x", video_list = { { url = clip "dawn", start = omni_file "a" } } },
      ["input"] = omni_file "a",
    }
    for field, given in pairs(wrong) do
      local checked, problem = input.check(nil, given, true)
      assert.is_nil(checked)
      assert.equal(field, problem.field)
      assert.matches(" not a", problem.message)
    end
  end)
end)
