-- SPDX-License-Identifier: MIT
-- The files of scenes are checked against the words that use them, before anything is paid.
local clips = require "helper.clips"
local env = require "helper.env"
local film = require "omni.film"
local studio = require "helper.studio"
local tool = require "omni.film.ffmpeg"

-- Calls body(board, studio): `board(text)` writes a board beside real media and returns its path.
local function with_media(body)
  studio.open({}, function(s)
    local function put(name, path) env.write(s.directory .. "/" .. name, env.read(path)) end
    put("door.png", clips.ffmpeg({ "-f", "lavfi", "-i", "color=red:s=64x36", "-frames:v", "1" }, "png"))
    put("walk.mp4", clips.make { seconds = 6, tone = false })
    put("long.mp4", clips.make { seconds = 12, tone = 0 })
    put("song.mp3", clips.ffmpeg({ "-f", "lavfi", "-i", "sine=f=440:d=3" }, "mp3"))
    put("voice.mp4", clips.ffmpeg({ "-f", "lavfi", "-i", "sine=f=440:d=3" }, "mp4"))
    body(function(text) return env.write(s.directory .. "/board.lua", text) end, s)
  end)
end

-- Returns the errors because of which a run of the board is refused, as "LINE: message | hint".
local function refused(s, path)
  local before = s:submits()
  local summary, problem = s:run(path, { yes = true })
  assert.is_nil(summary)
  assert.equal(before, s:submits())
  local found = {}
  for i, one in ipairs(problem.problems or { problem }) do
    found[i] = one.message:gsub("^nothing was submitted: ", ""):gsub("^.*board%.lua:", "") .. (one.hint and " | " .. one.hint or "")
    assert.matches("board.lua:" .. one.message:match "board%.lua:(%d+)", one.where, 1, true)
  end
  return found
end

local function notices(s, path)
  local found = {}
  for i, notice in ipairs(assert(s:plan(path)).notices) do
    found[i] = (notice.where or ""):match "%d*$" .. ": " .. notice.message .. (notice.hint and " | " .. notice.hint or "")
  end
  return found
end

describe("the file of a scene", function()
  it("is of the kind that its word needs, by its first bytes", function()
    with_media(function(board, s)
      assert.same({
        '3: scene "a": first_frame: "walk.mp4" is a film (MP4), not a picture | for a film write video = file "walk.mp4"',
        '4: scene "b": references: "walk.mp4" is a film (MP4), not a picture | for a film write video = file "walk.mp4"',
        '5: scene "c": img_urls: "song.mp3" is sound (MP3), not a picture'
          .. ' | the music of the film: cut = { audio = file "song.mp3" }',
        '6: scene "d": video: "door.png" is a picture (PNG), not a film'
          .. ' | for a picture write first_frame = file "door.png", or references = { file "door.png" }',
        '7: scene "e": video_list: "door.png" is a picture (PNG), not a film'
          .. ' | for a picture write first_frame = file "door.png", or references = { file "door.png" }',
        '8: scene "f": video: "voice.mp4" has no picture',
      }, refused(s, board [[
return storyboard {
  references = { walk = file "walk.mp4", door = file "door.png" },
  scene "a" { prompt = "a", first_frame = file "walk.mp4" },
  scene "b" { prompt = "b", references = { "door", "walk" } },
  scene "c" { prompt = "c", img_urls = { file "song.mp3" } },
  scene "d" { prompt = "d", video = { "door", from = 1, to = 3 } },
  scene "e" { prompt = "e", video_list = { { url = file "door.png" } } },
  scene "f" { prompt = "f", video = file "voice.mp4" },
  scene "g" { prompt = "g", first_frame = "door", video = { "walk", from = 1, to = 5 } },
}]]))
    end)
  end)

  it("is missing for all scenes at once, each with its line", function()
    with_media(function(board, s)
      local found = refused(s, board [[
return storyboard {
  references = { keeper = file "keeper.png" },
  scene "a" { prompt = "a", references = { "keeper", file "tower.png" }, first_frame = file "sky.png" },
  scene "b" { prompt = "b", references = { "keeper" } },
  scene "c" { prompt = "c" },
}]])
      for i, line in ipairs(found) do found[i] = line:gsub(s.directory:gsub("%p", "%%%0") .. "/", "") end
      assert.same({
        '3: scene "a": first_frame: sky.png: can\'t be read: No such file or directory',
        '3: scenes "a" and "b": references: keeper.png: can\'t be read: No such file or directory',
        '3: scene "a": references: tower.png: can\'t be read: No such file or directory',
      }, found)
    end)
  end)

  it("doesn't matter once the scene is paid for", function()
    with_media(function(board, s)
      local checks = require "omni.storyboard.plan.checks"
      local before, path = checks.check_scenes, board [[
return storyboard { scene "a" { prompt = "a", first_frame = file "walk.mp4" } }]]
      checks.check_scenes = function() end -- as if an earlier version of omni had submitted it
      assert.same({ "fetched" }, studio.statuses(assert(s:run(path, { yes = true }))))
      checks.check_scenes = before
      assert.same({ "reuse" }, studio.statuses(assert(s:plan(path))))
    end)
  end)
end)

describe("the window of a film", function()
  it("begins before the film's end, and a film of more than ten seconds needs a window", function()
    with_media(function(board, s)
      assert.same({
        '2: scene "a": video: the window begins at 7 s, and "walk.mp4" lasts 6 s',
        '3: scene "b": video: "long.mp4" lasts 12 s; the model takes at most 10 s of a film'
          .. ' | write video = { file "long.mp4", from = 0, to = 10 }, or windows(file "long.mp4", 8) among the scenes',
      }, refused(s, board [[
return storyboard {
  scene "a" { prompt = "a", video = { file "walk.mp4", from = 7, to = 9 } },
  scene "b" { prompt = "b", video = file "long.mp4" },
  scene "c" { prompt = "c", video = { file "long.mp4", from = 2, to = 12 } },
}]]))
    end)
  end)

  it("that ends after the film is a notice", function()
    with_media(function(board, s)
      assert.same({ '2: scene "a": video: the window ends at 8 s, and "walk.mp4" lasts 6 s' }, notices(s, board [[
return storyboard { cut = false,
  scene "a" { prompt = "a", video = { file "walk.mp4", from = 2, to = 8 } },
}]]))
    end)
  end)

  it("of another scene's clip begins before the end of that clip", function()
    with_media(function(board, s)
      assert.same({
        '4: scene "c": continues: the window begins at 8 s, and scene "a" lasts 8 s',
        '5: scene "d": continues: the window begins at 4.5 s, and scene "b" lasts 4 s',
      }, refused(s, board [[
return storyboard {
  scene "a" { prompt = "a", duration = 8 },
  scene "b" { prompt = "b" },
  scene "c" { prompt = "c", continues = { "a", from = 8, to = 10 } },
  scene "d" { prompt = "d", continues = { "b", from = 4.5, to = 6 } },
  scene "e" { prompt = "e", continues = { "a", from = 7, to = 8 } },
  scene "f" { prompt = "f", continues = { "e", from = 9, to = 10 } },
}]]))
      assert.same({ '3: scene "b": continues: the window ends at 9 s, and scene "a" lasts 8 s' }, notices(s, board [[
return storyboard { cut = false,
  scene "a" { prompt = "a", duration = 8 },
  scene "b" { prompt = "b", continues = { "a", from = 7, to = 9 } },
}]]))
    end)
  end)

  it("of a clip that is there is compared with the clip itself", function()
    with_media(function(board, s)
      local first = 'return storyboard { cut = false, scene "a" { prompt = "a", video = { file "walk.mp4", to = 6 } }%s }'
      assert(s:run(board(first:format ""), { yes = true }))
      local length = film.probe(assert(s:plan(board(first:format ""))).scenes[1].files[1]).video.seconds
      local found = refused(s, board(first:format(', scene "b" { prompt = "b", continues = { "a", from = 59, to = 60 } }')))
      assert.matches('^1: scene "b": continues: the window begins at 59 s, and scene "a" lasts ' .. math.floor(length), found[1])
    end)
  end)
end)

describe("ffprobe", function()
  it("looks once at each film that a scene to be submitted needs, and at no other file", function()
    with_media(function(board, s)
      local run, probed = tool.run, {}
      tool.run = function(program, words, ...)
        if program == "ffprobe" then probed[#probed + 1] = words[#words]:match "[^/]*$" end
        return run(program, words, ...)
      end
      local text = 'return storyboard { cut = false, defaults = { prompt = "x" }, scene "a" { references = file "door.png" }'
      for i = 0, 9 do
        text = text .. (', scene "%d" { video = { file "long.mp4", from = %d, to = %d }, first_frame = file "door.png" }'):format(i, i,
          i + 2)
      end
      local path = board(text .. "}")
      local fine, problem = pcall(function()
        assert(s:plan(path))
        assert.same({ "long.mp4" }, probed)
        assert(s:plan(path)) -- it is remembered
        assert(s:run(path, { yes = true }))
        assert.same({ "long.mp4" }, probed)
        assert(s:plan(path))
        assert.same({ "long.mp4" }, probed)
      end)
      tool.run = run
      assert(fine, problem)
    end)
  end)
end)
