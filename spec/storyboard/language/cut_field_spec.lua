-- SPDX-License-Identifier: MIT
-- The board's field `cut`.
local asset = require "omni.client.placeholder"
local words = require "omni.storyboard.language"

local scene, storyboard, file = words.scene, words.storyboard, asset.file

local function board(cut)
  return storyboard { cut = cut, scene "dusk" { prompt = "x" }, scene "storm" { prompt = "x" }, scene "dawn" { prompt = "x" } }
end

local function wrong(cut)
  local ok, bad = pcall(board, cut)
  assert.is_false(ok, "expected an error")
  assert.equal("invalid_board", bad.code)
  return bad
end

describe("the cut", function()
  it("has all scenes in the board's order if it names none", function()
    local all = { scenes = { "dusk", "storm", "dawn" }, output = "film.mp4" }
    assert.same(all, board(nil).cut)
    assert.same(all, board({}).cut)
    assert.same({ "dusk", "storm", "dawn" }, board({ transition = "fade" }).cut.scenes)
  end)

  it("has the named scenes in the given order, as often as they are named", function()
    assert.same({ "dawn", "dusk", "dawn" }, board({ "dawn", "dusk", "dawn" }).cut.scenes)
  end)

  it("names only scenes that exist", function()
    local bad = wrong { "dawn", "strom", 5 }
    assert.matches("cut: there is no scene 'strom'; did you mean 'storm'%?", bad.message)
    assert.equal("cut", bad.field)
    assert.equal(2, #bad.problems)
    assert.matches("at place 2, got nothing", wrong({ "dawn", [3] = "dusk" }).message)
    assert.matches("at place 2, got nothing", wrong({ "dawn", [2 ^ 53 | 0] = "dusk" }).message)
    assert.matches("must be a table, not a string", wrong("dawn").message)
    assert.matches("must be a table", wrong(file "dawn.mp4").message)
    assert.matches("did you mean 'transition'", wrong({ transitions = "fade" }).message)
  end)

  it("has a transition of half a second, or of the given length", function()
    assert.is_nil(board({ transition = "none" }).cut.transition)
    assert.is_nil(board({ transition = { "none", seconds = 1 } }).cut.transition)
    assert.is_nil(board({ transition = false }).cut.transition)
    assert.same({ name = "fade", seconds = 0.5 }, board({ transition = "fade" }).cut.transition)
    assert.same({ name = "wipeleft", seconds = 2 }, board({ transition = { "wipeleft", seconds = 2 } }).cut.transition)
    for _, case in ipairs {
      { "fad", "did you mean 'fade'", "cut.transition" }, { "zzzzzzzz", "unknown transition", "cut.transition" },
      { "custom", "unknown", "cut.transition" }, { 5, "not a number", "cut.transition" }, { {}, "not nothing", "cut.transition" },
      { { "fade", seconds = 0 }, "more than 0", "cut.transition.seconds" },
      { { "fade", seconds = 5.1 }, "from 0 to 5, not 5.1", "cut.transition.seconds" },
      { { "fade", seconds = -1 }, "not %-1", "cut.transition.seconds" },
      { { "fade", seconds = 0 / 0 }, "from 0 to 5", "cut.transition.seconds" },
      { { "fade", second = 1 }, "did you mean 'seconds'", "cut.transition" },
    } do
      local bad = wrong { transition = case[1] }
      assert.matches(case[2], bad.message)
      assert.equal(case[3], bad.field)
    end
  end)

  it("is disabled with false", function()
    assert.is_nil(board(false).cut)
  end)

  it("has an audio track, and two volumes", function()
    assert.same({ path = "s.mp3", volume = 1, clips = 1 }, board({ audio = file "s.mp3" }).cut.audio)
    assert.same({ path = "s.mp3", volume = 0.6, clips = 0 }, board({ audio = { file "s.mp3", volume = 0.6, clips = 0 } }).cut.audio)
    assert.is_nil(board({ audio = false }).cut.audio)
    for _, case in ipairs {
      { "s.mp3", "must be a file, not a string" }, { asset.clip "dawn", 'not clip "dawn"' }, { {}, "not nothing" },
      { { file "s", volume = -1 }, "audio.volume: must be a number from 0 to 10, not %-1" }, { { file "s", clips = 11 }, "audio.clips" },
      { { file "s", volume = "loud" }, "not a string" }, { { file "s", volum = 1 }, "did you mean 'volume'" },
    } do
      assert.matches(case[2], wrong({ audio = case[1] }).message)
    end
  end)

  it("has a size and a frame rate if the board chooses them", function()
    local made = board({ size = "1920 x 1080", fps = 25 }).cut
    assert.same({ "1920x1080", "25/1" }, { made.size, made.fps })
    assert.same({ "24000/1001", "30000/1001", "12500/1000" },
      { board({ fps = 23.976 }).cut.fps, board({ fps = 29.97 }).cut.fps, board({ fps = 12.5 }).cut.fps })
    assert.is_nil(board({ size = false, fps = false }).cut.size)
    for _, case in ipairs {
      { "size", "large", "not 'large'" }, { "size", 1080, "not a number" }, { "size", "1921x1080", "even numbers" },
      { "size", "8x8", "from 16x16" }, { "size", "8192x8192", "to 8192x4352" }, { "fps", 0, "from 1 to 120, not 0" },
      { "fps", "24", "not a string" }, { "fps", 0 / 0, "from 1 to 120" },
    } do
      local bad = wrong { [case[1]] = case[2] }
      assert.matches(case[3], bad.message)
      assert.equal("cut." .. case[1], bad.field)
    end
  end)

  it("has a file name, never a path", function()
    for _, name in ipairs { "night.mp4", "The Keeper's Night.MP4", "夜.mp4", "a.b.mp4" } do
      assert.equal(name, board({ output = name }).cut.output)
    end
    for _, name in ipairs { "", "night", "night.mov", ".mp4", "..mp4", ".night.mp4", "../night.mp4", "/tmp/night.mp4", "a\\b.mp4",
      "a\n.mp4", "a\0.mp4", "\xFF.mp4", ("x"):rep(200) .. ".mp4", 5, false } do
      local bad = wrong { output = name }
      assert.equal("cut.output", bad.field, tostring(name))
    end
  end)
end)
