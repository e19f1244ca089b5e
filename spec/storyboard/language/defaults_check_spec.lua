-- SPDX-License-Identifier: MIT
-- The defaults of a board whose scenes have different models: what a scene disables, what it ignores, and what is an error.
local env = require "helper.env"
local omni = require "omni"
local studio = require "helper.studio"

local file, scene = omni.file, omni.scene

local function input_of(defaults, fields)
  return omni.storyboard { defaults = defaults, scene "a"(fields) }.scenes[1]
end

describe("a scene", function()
  it("disables any default with false", function()
    local defaults = { duration = 8, aspect_ratio = "9:16", resolution = "4k", take = 3, references = { file "k.png" },
      img_urls = { "https://e.org/a.png" }, input = { prompt = "x" } }
    for name in pairs(defaults) do
      local fields = { prompt = "y", [name] = false }
      local made = input_of(defaults, fields)
      if name == "input" then
        assert.equal("y", made.input.prompt)
      elseif name == "take" then
        assert.is_nil(made.take)
      elseif name == "references" then
        assert.same({ "https://e.org/a.png" }, made.input.img_urls)
      elseif name == "img_urls" then
        assert.same({ 'file "k.png"' }, { tostring(made.input.img_urls[1]), made.input.img_urls[2] })
      else
        assert.is_nil(made.input[name])
      end
    end
    assert.equal("google/gemini-omni", input_of({ model = "kling/v3" }, { prompt = "x", model = false }).model)
    assert.is_nil(input_of({ video_list = { { url = "https://e.org/a.mp4" } } }, { prompt = "x", video_list = false }).input.video_list)
    assert.is_nil(input_of({ mode = "pro" }, { model = "kling/v3", prompt = "x", mode = false }).input.mode)
  end)

  it("gives a field that is true or false the value false", function()
    assert.is_false(input_of({ model = "kling/v3", audio = true }, { prompt = "x", audio = false }).input.audio)
    assert.is_false(input_of({ model = "kling/v3" }, { prompt = "x", audio = false }).input.audio)
  end)
end)

describe("the defaults of a board with several models", function()
  -- Calls body(load) with a function that loads a board's text, where the service publishes the schemas of its models.
  local function with_schemas(body)
    studio.open({}, function(s)
      body(function(text) return omni.load_storyboard(env.write(s.directory .. "/board.lua", text), { client = s.client }) end)
    end)
  end

  it("reach the scenes whose models have the field, and a notice names the others", function()
    with_schemas(function(load)
      local board = assert(load [[
return storyboard {
  defaults = {
    resolution = "1080p",
    mode = "pro",
  },
  scene "a" { prompt = "x" },
  scene "b" { prompt = "x", model = "kling/v3" },
  scene "c" { prompt = "x", mode = false },
}]])
      assert.same({ "1080p", nil, "1080p" }, { board.scenes[1].input.resolution, board.scenes[2].input.resolution,
        board.scenes[3].input.resolution })
      assert.same({ nil, "pro" }, { board.scenes[1].input.mode, board.scenes[2].input.mode })
      local notices = {}
      for i, notice in ipairs(board.notices) do notices[i] = notice.where:match "board.*" .. ": " .. notice.message end
      table.sort(notices)
      assert.same({
        'board.lua:3: defaults: resolution isn\'t a field of kling/v3; scene "b" ignores it',
        'board.lua:4: defaults: mode isn\'t a field of google/gemini-omni; scene "a" ignores it',
      }, notices)
    end)
  end)

  it("aren't misspelt if each scene whose model has the field overrides or disables it", function()
    with_schemas(function(load)
      local board = assert(load [[
return storyboard {
  defaults = { duration = 6 },
  scene "a" { prompt = "x", duration = 4 },
  scene "b" { prompt = "x", duration = false },
  scene "c" { prompt = "x", model = "google/nano-banana" },
}]])
      assert.equal(1, #board.notices)
      assert.matches("duration isn't a field of google/nano%-banana; scene \"c\" ignores it$", board.notices[1].message)
    end)
  end)

  it("are misspelt if no scene's model has the field", function()
    local _, problem = pcall(omni.storyboard, { defaults = { resolutoin = "4k" }, scene "a" { prompt = "x" }, scene "b" { prompt = "x" } })
    assert.matches("defaults: unknown field 'resolutoin'; did you mean 'resolution'%?$", problem.message)
    assert.equal(1, #problem.problems)
    with_schemas(function(load)
      local _, bad = load 'return storyboard { defaults = { model = "kling/v3", moed = "pro" }, scene "a" { prompt = "x" } }'
      assert.matches("board.lua:1: defaults: unknown field 'moed'", bad.message)
    end)
  end)

  it("are errors for a scene whose model has the field but not the value, or lacks images", function()
    with_schemas(function(load)
      local _, bad = load [[
return storyboard {
  defaults = { model = "google/nano-banana", aspect_ratio = "1:1", references = { file "k.png" } },
  scene "a" { prompt = "x", references = false },
  scene "b" { prompt = "x", model = "google/gemini-omni" },
  scene "c" { prompt = "x" },
}]]
      local found = {}
      for i, problem in ipairs(bad.problems) do found[i] = problem.message:match "board.*" .. " | " .. (problem.hint or "") end
      assert.equal(2, #found)
      assert.matches('^board.lua:2: scene "c": img_urls: unknown field; .*%(from the board\'s defaults%) | $', found[1])
      assert.equal('board.lua:4: scene "b": aspect_ratio: must be 16:9 or 9:16, not \'1:1\' (from the board\'s defaults)'
        .. ' | write aspect_ratio = ... in the scene, or aspect_ratio = false', found[2])
    end)
  end)
end)
