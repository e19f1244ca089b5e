-- SPDX-License-Identifier: MIT
local err = require "omni.error"
local words = require "omni.storyboard.language"

local scene, storyboard = words.scene, words.storyboard

-- The error value that fn raises.
local function raised(fn, ...)
  local ok, bad = pcall(fn, ...)
  assert.is_false(ok, "expected an error")
  assert.is_true(err.is(bad), "expected an error value, got " .. tostring(bad))
  assert.equal("invalid_board", bad.code)
  return bad
end

local function line() return debug.getinfo(2, "l").currentline end

describe("a storyboard", function()
  it("keeps its scenes in order, each with its model, its input and its place", function()
    local here = line()
    local board = storyboard {
      title = "Night",
      scene "dusk" { prompt = "The sun sets.", duration = 6 },
      scene "dawn" { prompt = "The sun rises." },
    }
    assert.equal("Night", board.title)
    assert.equal(2, #board.scenes)
    local dusk, dawn = board.scenes[1], board.scenes[2]
    assert.same({ "dusk", "dawn" }, { dusk.name, dawn.name })
    assert.equal("google/gemini-omni", dusk.model)
    assert.equal("The sun sets.", dusk.input.prompt)
    assert.equal(6, dusk.input.duration)
    assert.matches("storyboard_spec%.lua:" .. here + 3 .. "$", dusk.where)
    assert.matches("storyboard_spec%.lua:" .. here + 4 .. "$", dawn.where)
  end)

  it("passes its defaults to each scene, and a scene's own field has priority", function()
    local board = storyboard {
      defaults = { duration = 8, resolution = "1080p", model = "google/gemini-omni" },
      scene "a" { prompt = "x" },
      scene "b" { prompt = "y", duration = 4 },
    }
    assert.equal(8, board.scenes[1].input.duration)
    assert.equal(4, board.scenes[2].input.duration)
    assert.equal("1080p", board.scenes[2].input.resolution)
  end)

  it("adds its style to every prompt, unless a scene replaces or disables it", function()
    local board = storyboard {
      style = "35mm film.",
      scene "a" { prompt = "x" },
      scene "b" { prompt = "y", style = "Ink drawing." },
      scene "c" { prompt = "z", style = false },
    }
    local prompts = {}
    for i, resolved in ipairs(board.scenes) do prompts[i] = resolved.input.prompt end
    assert.same({ "x\n\n35mm film.", "y\n\nInk drawing.", "z" }, prompts)
    assert.is_nil(board.scenes[2].input.style)
  end)

  it("accepts scenes from loops, nested arrays and conditions", function()
    local shots = {}
    for i = 1, 3 do shots[i] = scene("shot " .. i) { prompt = "Take " .. i } end
    local board = storyboard { scene "first" { prompt = "x" }, shots, false, { {} , { scene "last" { prompt = "y" } } } }
    local found = {}
    for i, resolved in ipairs(board.scenes) do found[i] = resolved.name end
    assert.same({ "first", "shot 1", "shot 2", "shot 3", "last" }, found)
  end)

  it("doesn't change when the tables change from which it was made", function()
    local references, defaults = { "https://example.org/a.png" }, { duration = 6 }
    local fields = { prompt = "x", img_urls = references }
    local board = storyboard { defaults = defaults, scene "a"(fields) }
    references[1], fields.prompt, defaults.duration = "changed", "changed", 4
    assert.same({ "https://example.org/a.png" }, board.scenes[1].input.img_urls)
    assert.equal("x", board.scenes[1].input.prompt)
    assert.equal(6, board.scenes[1].input.duration)
  end)

  it("passes any field to a model whose input it doesn't know", function()
    local board = storyboard { scene "a" { model = "kling/v3", mode = "pro", audio = true, prompt = "x" } }
    assert.equal("kling/v3", board.scenes[1].model)
    assert.same({ mode = "pro", audio = true, prompt = "x" }, board.scenes[1].input)
  end)

  it("suggests the most similar field for a misspelt one, with scene, file and line", function()
    local here = line()
    local bad = raised(function() storyboard { scene "dawn" { prompt = "x", duraton = 4 } } end)
    assert.matches('storyboard_spec%.lua:' .. here + 1 .. ': scene "dawn": ', bad.message)
    assert.matches("'duraton'.*did you mean 'duration'%?", bad.message)
    assert.equal("duraton", bad.field)
    assert.matches("'style'", raised(function() storyboard { scene "a" { prompt = "x", stlye = "y" } } end).message)
    assert.matches("'defaults'", raised(function() storyboard { default = {}, scene "a" { prompt = "x" } } end).message)
    assert.matches("defaults: unknown field 'resolutoin'.*'resolution'",
      raised(function() storyboard { defaults = { resolutoin = "4k" }, scene "a" { prompt = "x" } } end).message)
  end)

  it("says where a misplaced field belongs", function()
    assert.matches("defaults = { duration = ",
      raised(function() storyboard { duration = 4, scene "a" { prompt = "x" } } end).message)
    assert.matches("put the style on the board",
      raised(function() storyboard { defaults = { style = "x" }, scene "a" { prompt = "x" } } end).message)
    assert.matches("without a field's name", raised(function() storyboard { scene "a" { "x" } } end).message)
  end)

  it("says what is wrong with a scene's input, and whether the defaults cause it", function()
    local bad = raised(function() storyboard { scene "a" { prompt = "x", duration = 5 } } end)
    assert.matches('scene "a": ', bad.message)
    assert.equal("duration", bad.field)
    bad = raised(function() storyboard { defaults = { duration = 5 }, scene "a" { prompt = "x" } } end)
    assert.matches("defaults", bad.message)
    assert.equal("prompt", raised(function() storyboard { scene "a" {} } end).field)
    assert.equal("prompt", raised(function() storyboard { style = "film", scene "a" { prompt = "" } } end).field)
    assert.equal("style", raised(function() storyboard { scene "a" { prompt = "x", style = 5 } } end).field)
    assert.equal("model", raised(function() storyboard { scene "a" { prompt = "x", model = 5 } } end).field)
  end)

  it("names both places if two scenes have one name", function()
    local here = line()
    local bad = raised(function()
      storyboard {
        scene "a" { prompt = "x" },
        scene "a" { prompt = "y" },
      }
    end)
    assert.matches('_spec%.lua:' .. here + 4 .. ': scene "a": ', bad.message)
    assert.matches('_spec%.lua:' .. here + 3, bad.message)
  end)

  it("reports all errors, not only the first", function()
    local bad = raised(function()
      storyboard { scene "a" { prompt = "" }, scene "b" { prompt = "x" }, scene "c" { prompt = "x", duration = 7 } }
    end)
    assert.equal(2, #bad.problems)
    assert.matches('scene "c"', bad.problems[2].message)
  end)

  it("needs a scene", function()
    assert.matches("at least one scene", raised(storyboard, { title = "empty" }).message)
    assert.matches("at least one scene", raised(storyboard, { {}, { {} } }).message)
  end)

  it("refuses anything but a scene, a table or a name", function()
    assert.matches("got a string", raised(storyboard, { "dawn" }).message)
    assert.matches('scene "dawn" has no fields', raised(function() storyboard { scene "dawn" } end).message)
    assert.matches("got a table with the field", raised(storyboard, { { name = "dawn" } }).message)
    assert.matches("must be a table, not a string", raised(storyboard, "dawn").message)
    assert.matches("'title' must be a string", raised(storyboard, { title = 5, scene "a" { prompt = "x" } }).message)
    assert.matches("fields must be a table, not a string", raised(scene "dawn", "prompt").message)
  end)

  it("refuses names that are empty, too long, invalid UTF-8 or contain control characters", function()
    for _, name in ipairs { "", "  ", ("x"):rep(101), "a\nb", "a\27[2J", "a\u{85}b", "a\xFFb", 5, false } do
      assert.equal("name", raised(scene, name).field, tostring(name))
    end
    assert.has_no.errors(function() scene(("é"):rep(100)) { prompt = "x" } end)
  end)

  it("refuses values that can't be sent", function()
    local endless = {}
    endless[1] = endless
    for name, value in pairs { f = print, nan = 0 / 0, deep = endless, key = { [1.5] = 1 } } do
      assert.equal(name, raised(function() storyboard { scene "a" { model = "x/y", [name] = value } } end).field)
    end
  end)

  it("has a budget of credits", function()
    assert.equal(0, storyboard({ budget = 0, scene "a" { prompt = "x" } }).budget)
    assert.equal(12.5, storyboard({ budget = 12.5, scene "a" { prompt = "x" } }).budget)
    assert.is_nil(storyboard({ scene "a" { prompt = "x" } }).budget)
    for _, budget in ipairs { -1, 0 / 0, math.huge, "100", false } do
      assert.equal("budget", raised(storyboard, { budget = budget, scene "a" { prompt = "x" } }).field)
    end
  end)

  it("says where a scene's word on the board itself belongs", function()
    for name, value in pairs { take = 2, video = "x", continues = "a", first_frame = "x", input = {}, model = "x/y" } do
      assert.matches("defaults = { " .. name .. " = ", raised(storyboard, { [name] = value, scene "a" { prompt = "x" } }).message)
    end
  end)

  it("reports errors of the board, its references, its scenes and its cut at once", function()
    local bad = raised(storyboard, { cut = { "c", transition = "fad" }, scene "a" { prompt = "" }, scene "b" { prompt = "x", take = 0 } })
    assert.equal(4, #bad.problems)
    bad = raised(storyboard, { budget = -1, references = { "x" }, title = 5, { "x" } })
    assert.equal(4, #bad.problems)
  end)
end)
