-- SPDX-License-Identifier: MIT
-- The word `windows`: a scene for each window of a long film.
local asset = require "omni.client.placeholder"
local env = require "helper.env"
local err = require "omni.error"
local loop = require "omni.loop"
local load_board = require("omni.storyboard.language.load").load
local windows_of = require "omni.storyboard.language.windows"
local words = require "omni.storyboard.language"

local windows, scene, storyboard, file = words.windows, words.scene, words.storyboard, asset.file

describe("the windows of a film", function()
  -- "0-8 8-16.4"
  local function ranges(length, step)
    local found = {}
    for i, stretch in ipairs(windows_of.ranges(length, step)) do found[i] = stretch.from .. "-" .. stretch.to end
    return table.concat(found, " ")
  end

  it("have whole seconds if the step is whole, except for the end", function()
    assert.equal("0-8 8-16 16-20.4", ranges(20.4, 8))
    assert.equal("0-8 8-16", ranges(16, 8))
    assert.equal("0-8 8-16", ranges(16.0, 8.0))
    assert.equal("0-2.5 2.5-5 5-6", ranges(6, 2.5))
  end)

  it("end with the film, rounded down to a millisecond", function()
    assert.equal("0-8 8-10.123", ranges(10.1239, 8))
    assert.equal("0-4 4-7.999", ranges(7.9999, 4))
  end)

  it("leave no rest of less than a second", function()
    assert.equal("0-8 8-16.9", ranges(16.9, 8))
    assert.equal("0-8 8-16 16-17", ranges(17, 8))
    assert.equal("0-8.5", ranges(8.5, 8))
    assert.equal("0-0.4", ranges(0.4, 8))
    assert.equal("0-1 1-2.5", ranges(2.5, 1))
    assert.equal("0-11 11-22.5", ranges(22.5, 11))
  end)

  it("are never longer than the 10 seconds that the service allows", function()
    assert.equal("0-10 10-19.5 19.5-20.5", ranges(20.5, 10))
    assert.equal("0-9.2 9.2-10.2", ranges(10.2, 10))
    assert.equal("0-9.9", ranges(9.9, 9.5))
    assert.equal("0-9.5 9.5-18.9 18.9-19.9", ranges(19.9, 9.5))
  end)

  it("cover the whole film without gaps", function()
    for _, step in ipairs { 1, 1.1, 2.7, 7, 8, 10, 33.3 } do
      for length = 0.1, 100, 7.37 do
        local at = 0
        for _, stretch in ipairs(windows_of.ranges(length, step)) do
          assert.equal(at, stretch.from)
          assert.is_true(stretch.to > stretch.from)
          assert.is_true(stretch.to - stretch.from < step + 1.001)
          at = stretch.to
        end
        assert.is_true(math.abs(at - length) <= 0.001)
      end
    end
  end)
end)

describe("windows", function()
  local directory, long

  setup(function()
    directory = env.directory()
    long = directory:file "long.mp4"
    env.output(("ffmpeg -v error -f lavfi -i color=size=32x32:rate=10:duration=20.4 -f lavfi -i anullsrc -t 22 "
      .. "-c:v libx264 -preset ultrafast -map 0 -map 1 %s"):format(env.quote(long)))
    env.output(("ffmpeg -v error -f lavfi -i anullsrc -t 1 %s"):format(env.quote(directory:file "sound.m4a")))
  end)
  teardown(function() directory:close() end)

  local function raised(fn, ...)
    local ok, bad = pcall(fn, ...)
    assert.is_false(ok, "expected an error")
    assert.is_true(err.is(bad), tostring(bad))
    assert.equal("invalid_board", bad.code)
    return bad
  end

  local function shown(board)
    local found = {}
    for i, made in ipairs(board.scenes) do
      local video = made.input.video_list[1]
      found[i] = ("%s: %s %s-%s"):format(made.name, made.input.prompt, video.start, video.ends)
    end
    return found
  end

  it("are scenes whose fields come from the defaults", function()
    assert.same({ "long 1: x 0-8", "long 2: x 8-16", "long 3: x 16-20.4" },
      shown(storyboard { defaults = { prompt = "x" }, windows(file(long), 8) }))
  end)

  it("are called with the fields that their scenes share", function()
    local board = storyboard {
      defaults = { video = file "other.mp4", resolution = "4k" },
      windows(file(long), 10) { prompt = "y", name = "street", style = "Ink.", references = file "k.png" },
      scene "end" { prompt = "x", continues = "street 3" },
    }
    assert.equal("y\n\nInk.", board.scenes[1].input.prompt)
    assert.equal("street 2", board.scenes[2].name)
    assert.same({ "street 3" }, board.scenes[4].builds_on)
    assert.equal("4k", board.scenes[1].input.resolution)
    assert.equal(10, board.scenes[2].input.video_list[1].start)
    assert.equal(long, board.scenes[2].input.video_list[1].url.path)
    assert.equal("k.png", board.scenes[2].input.img_urls[1].path)
    assert.matches("windows_spec%.lua:%d+$", board.scenes[2].where)
  end)

  it("follow the picture, since the sound may be longer", function()
    assert.matches("%-20%.4$", shown(storyboard { windows(file(long), 60) { prompt = "x", model = "some/other" } })[1])
  end)

  it("can be used in a board's file, with a path relative to its folder, in a fiber or outside", function()
    env.write(directory:file "board.lua", 'return storyboard { windows(file "long.mp4", 10) { prompt = "x" } }')
    local function names()
      local found = {}
      for i, made in ipairs(assert(load_board(directory:file "board.lua")).scenes) do found[i] = made.name end
      return found
    end
    assert.same({ "long 1", "long 2", "long 3" }, names())
    local ticks, inside = 0, nil
    loop.run(function()
      local ticker = loop.background(function()
        while true do
          ticks = ticks + 1
          loop.sleep(0.001)
        end
      end)
      env.output(("cd %s && cat long.mp4 > other.mp4 && echo >> other.mp4 && mv other.mp4 long.mp4"):format(env.quote(directory.path)))
      inside = names() -- of a file that wasn't probed before, which needs a program
      ticker:cancel()
    end)
    assert.same({ "long 1", "long 2", "long 3" }, inside)
    assert.is_true(ticks > 1)
  end)

  it("of a file that can't be read give an error with the board's line", function()
    env.write(directory:file "bad.mp4", "no film")
    for name, what in pairs { ["missing.mp4"] = "No such file", ["bad.mp4"] = "bad%.mp4", ["sound.m4a"] = "has no picture" } do
      env.write(directory:file "board.lua", ('\nreturn storyboard {\n windows(file "%s", 10) { prompt = "x" } }'):format(name))
      local board, bad = load_board(directory:file "board.lua")
      assert.is_nil(board)
      assert.equal("invalid_board", bad.code)
      assert.equal(1, (bad.message:find(directory:file "board.lua" .. ":3: windows: ", 1, true)), bad.message)
      assert.matches(what, bad.message)
    end
  end)

  it("are refused for an invalid argument", function()
    assert.matches("expected a file, got a string", raised(windows, long, 8).message)
    assert.matches('got clip "a"', raised(windows, asset.clip "a", 8).message)
    for _, step in ipairs { 0, 0.5, -1, 0 / 0, math.huge, "8" } do
      assert.matches("length in seconds, 1 or more", raised(windows, file(long), step).message)
    end
    assert.matches("length in seconds, 1 or more, got nothing", raised(windows, file(long)).message)
    for word, value in pairs { video = file(long), continues = "a", video_list = {} } do
      assert.equal(word, raised(windows(file(long), 8), { prompt = "x", [word] = value }).field)
    end
    assert.matches("their fields must be a table", raised(windows(file(long), 8), "x").message)
    for _, name in ipairs { 5, ("x"):rep(99), "a\nb" } do
      assert.equal("name", raised(windows(file(long), 8), { prompt = "x", name = name }).field)
    end
  end)

  it("differ from scenes with the same name", function()
    local bad = raised(storyboard, { windows(file(long), 8) { prompt = "x" }, scene "long 2" { prompt = "x" } })
    assert.matches("already used", bad.message)
  end)
end)
