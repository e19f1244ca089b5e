-- SPDX-License-Identifier: MIT
-- The descriptions of the changes in a scene since its last submit.
local core = require "omni.core"
local env = require "helper.env"
local identity = require "omni.storyboard.plan.identity"
local load_board = require("omni.storyboard.language.load").load

describe("what changed in a scene", function()
  local directory
  before_each(function() directory = env.directory() end)
  after_each(function() directory:close() end)

  -- The form of the scene "b", which may build on "a"; and the scene.
  local function shot(fields, before, files)
    for name, text in pairs(files or { ["x.png"] = "x", ["y.png"] = "y" }) do env.write(directory:file(name), text) end
    local board = assert(load_board(env.write(directory:file "board.lua", ([[return storyboard {
      references = { keeper = file "x.png" },
      scene "a" { prompt = "%s" }, scene "b" { %s } }]]):format(before or "a", fields))))
    local known = identity.resolve(board, { take = function() return 1 end,
      digest = function(path) return core.sha256(env.read(path)) end })
    return assert(known[2].form), board.scenes[2]
  end

  local function differences(old, new, before, files)
    local old_form = shot(old)
    local new_form, scene = shot(new, before, files)
    return identity.difference(old_form, new_form, scene), identity.difference(old_form, new_form)
  end

  local function texts(...)
    local found = {}
    for i, change in ipairs((differences(...))) do found[i] = change.text end
    return found
  end

  it("is empty if nothing has changed", function()
    assert.same({}, texts('prompt = "x", duration = 8', 'duration = 8.0, prompt = "x"'))
  end)

  it("is listed field by field, with the old and the new value", function()
    local found = differences('prompt = "x", duration = 6, resolution = "720p"', 'prompt = "y", duration = 8, aspect_ratio = "9:16"')
    assert.same({
      { field = "aspect_ratio", new = "9:16", text = "aspect_ratio: added (9:16)" },
      { field = "duration", old = "6", new = "8", text = "duration: 6 → 8" },
      { field = "prompt", old = "x", new = "y", text = "prompt changed" },
      { field = "resolution", old = "720p", text = "resolution: removed (was 720p)" },
    }, found)
  end)

  it("covers a model's whole input, and the model comes first", function()
    assert.same({ "model: google/gemini-omni → kling/v3", "mode: added (pro)" },
      texts('prompt = "x"', 'prompt = "x", model = "kling/v3", mode = "pro"'))
    assert.same({ "camera.moves[2].speed: 1 → 2.5", "seed: added ({ ... })" },
      texts('prompt = "x", model = "k/v", camera = { moves = { { a = 1 }, { speed = 1 } } }',
        'prompt = "x", model = "k/v", camera = { moves = { { a = 1 }, { speed = 2.5 } } }, seed = { 1 }'))
  end)

  it("shows long texts around their first difference, cut between characters", function()
    local long = ("é"):rep(500)
    local found = differences(('prompt = "%s and %s"'):format(long, long), ('prompt = "%s or %s"'):format(long, long))
    local change = found[1]
    assert.truthy(change.old:find("and", 1, true))
    assert.truthy(change.new:find("or", 1, true))
    for _, text in ipairs { change.old, change.new } do
      assert.is_true(#text <= 80)
      assert.truthy(utf8.len(text))
    end
    found = differences(('prompt = "%s"'):format(long), ('prompt = "%s!"'):format(long))
    assert.not_equal(found[1].old, found[1].new)
  end)

  it("names a file with new content by its reference's name", function()
    local found, unnamed = differences('prompt = "x", references = "keeper"', 'prompt = "x", references = "keeper"', nil,
      { ["x.png"] = "z" })
    assert.equal(1, #found)
    assert.equal("img_urls[1]", found[1].field)
    assert.equal("file", found[1].kind)
    assert.equal("\"keeper\": the file's content changed", found[1].text)
    assert.equal("img_urls[1]: the file's content changed", unnamed[1].text)
  end)

  it("names the scene it builds on, if that scene has changed", function()
    for _, field in ipairs { 'continues = "a"', 'first_frame = last_frame "a"' } do
      local fields = 'prompt = "x", ' .. field
      local found, unnamed = differences(fields, fields, "another")
      assert.equal(1, #found)
      assert.equal("a", found[1].scene)
      assert.equal('"a" changed', found[1].text)
      assert.matches("a scene that it builds on changed$", unnamed[1].text)
    end
  end)

  it("describes windows, URLs in a file's place, and added or removed images", function()
    assert.same({ "video_list[1].ends: 4 → 5" },
      texts('prompt = "x", continues = { "a", to = 4 }', 'prompt = "x", continues = { "a", to = 5 }'))
    assert.matches("^img_urls%[1%]: file %x+ → https://e.org/a.png$",
      texts('prompt = "x", references = "keeper"', 'prompt = "x", references = url "https://e.org/a.png"')[1])
    assert.matches("^img_urls%[2%]: added %(file %x+%)$",
      texts('prompt = "x", references = "keeper"', 'prompt = "x", references = { "keeper", file "y.png" }')[1])
    assert.matches("^video_list: removed", texts('prompt = "x", continues = "a"', 'prompt = "x"')[1])
  end)

  it("ignores forms that omni doesn't understand, without an error", function()
    local form = shot 'prompt = "x"'
    for _, other in ipairs { "", "[]", "{", "null", '{"version":99,"model":"m","input":{}}', '{"input":5}', "\0" } do
      local found = identity.difference(other, form)
      assert.equal("version", found[1].field)
      assert.equal(1, #found)
      assert.is_string(found[1].text)
    end
  end)

  it("contains no control characters", function()
    local found = differences('prompt = "x"', 'prompt = "\\27[2J\\nred", model = "k/v", input = { ["a\\27b"] = 1 }')
    for _, change in ipairs(found) do
      for _, text in pairs(change) do assert.is_nil(tostring(text):find("%c"), text) end
    end
  end)
end)
