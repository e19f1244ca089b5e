-- SPDX-License-Identifier: MIT
-- The film of a board is checked before anything is paid: ffmpeg, the audio track, the transition, and the shapes of the clips.
local clips = require "helper.clips"
local env = require "helper.env"
local program = require "helper.program"
local studio = require "helper.studio"

-- Calls body(plan, studio): `plan(text)` plans a board beside real media. Returns the plan and its notices, as "LINE: message | hint".
local function with_media(body)
  studio.open({}, function(s)
    local function put(name, path) env.write(s.directory .. "/" .. name, env.read(path)) end
    put("door.png", clips.ffmpeg({ "-f", "lavfi", "-i", "color=red:s=64x36", "-frames:v", "1" }, "png"))
    put("walk.mp4", clips.make { seconds = 6, tone = false })
    put("song.mp3", clips.ffmpeg({ "-f", "lavfi", "-i", "sine=f=440:d=7" }, "mp3"))
    body(function(text)
      local path = env.write(s.directory .. "/board.lua", text)
      local plan, found = assert(s:plan(path)), {}
      for i, notice in ipairs(plan.notices) do
        found[i] = (notice.where or ""):match "%d*$" .. ": " .. notice.message .. (notice.hint and " | " .. notice.hint or "")
      end
      return found, path
    end, s)
  end)
end

-- Returns the errors because of which a run of the board is refused, as "LINE: message".
local function refused(s, path)
  local summary, problem = s:run(path, { yes = true })
  assert.is_nil(summary)
  assert.equal(0, s:submits())
  local found = {}
  for i, one in ipairs(problem.problems or { problem }) do
    found[i] = one.message:gsub("^nothing was submitted: ", ""):gsub("^[^ ]*board%.lua:", "")
  end
  return found
end

describe("the audio track", function()
  it("is there, and has sound", function()
    with_media(function(plan, s)
      for name, message in pairs {
        ["none.mp3"] = "3: cut.audio: .*none.mp3: can't be read: No such file or directory",
        ["door.png"] = '3: cut.audio: "door.png" is a picture %(PNG%), not sound', ["walk.mp4"] = '3: cut.audio: "walk.mp4" has no sound',
        ["board.lua"] = "3: cut.audio: can't read the audio track .*board.lua: Invalid data",
      } do
        local _, path = plan(('return storyboard { scene "a" { prompt = "x", duration = 4 },\ncut = {\naudio = file %q } }'):format(name))
        local found = refused(s, path)
        assert.equal(1, #found)
        assert.matches("^" .. message, found[1])
      end
    end)
  end)

  it("doesn't matter to a run that leaves clips of the film out", function()
    with_media(function(plan, s)
      local _, path = plan 'return storyboard { scene "a" { prompt = "x" }, scene "b" { prompt = "y" }, cut = { audio = file "none.mp3" } }'
      local summary = assert(s:run(path, { yes = true, only = { "a" } }))
      assert.equal("fetched", summary.scenes[1].status)
      assert.equal("film_incomplete", summary.film_error.code)
    end)
  end)

  it("that is shorter than the film is a notice", function()
    with_media(function(plan)
      local board = 'return storyboard { scene "a" { prompt = "x", duration = %d }, scene "b" { prompt = "y", duration = 4%s },\n'
        .. 'cut = { audio = file "song.mp3", transition = { "fade", seconds = 1 } } }'
      assert.same({}, (plan(board:format(4, ""))))
      assert.same({ '2: cut.audio: "song.mp3" lasts 7.03 s, the film about 9 s: its end has no music' },
        { (plan(board:format(6, ""))[1]:gsub("7%.0%d", "7.03")) })
      local found = plan(board:format(10, ', video_list = { { url = file "walk.mp4" } }'))
      assert.matches("the film at least 9 s", found[1])
    end)
  end)
end)

describe("the transition", function()
  it("that is longer than its clips allow is a notice with the length that it becomes", function()
    with_media(function(plan)
      assert.same({
        '5: cut.transition: the transition lasts 2 s instead of 3 s between "e" and "a", and is shorter at 3 more places:'
          .. ' it takes at most half of the shorter clip | write transition = { "fade", seconds = 2 }',
      }, (plan [[
return storyboard {
  scene "a" { prompt = "x", duration = 4 },
  scene "b" { prompt = "y", duration = 8 },
  scene "c" { prompt = "z" }, scene "d" { prompt = "z", video = file "walk.mp4" }, scene "e" { prompt = "e", duration = 6 },
  cut = { "e", "a", "b", "c", "d", "e", transition = { "fade", seconds = 3 } },
}]]))
    end)
  end)
end)

describe("clips of different shapes", function()
  it("are a notice with the film's shape, unless the cut chooses the size", function()
    with_media(function(plan)
      local board = [[
return storyboard {
  scene "a" { prompt = "x", duration = 8 },
  scene "b" { prompt = "y", aspect_ratio = "9:16" },
  scene "c" { prompt = "z", resolution = "1080p" }, scene "d" { prompt = "d", aspect_ratio = "9:16" },
  cut = { %s"a", "b", "c", "d", "b" },
}]]
      assert.same({
        '5: cut: the clips have different sizes: 1280×720 (scene "a"), 720×1280 (scenes "b" and "d"), 1920×1080 (scene "c");'
          .. ' the film will be 720×1280, and clips of another shape get black bars | to choose: cut = { size = "720x1280" }',
      }, (plan(board:format "")))
      assert.same({}, (plan(board:format 'size = "1280x720", ')))
    end)
  end)
end)

describe("a film without ffmpeg", function()
  it("is refused before anything is paid, and a board without a film isn't", function()
    local service, directory <close> = program.real_service(), env.directory()
    local environment = { CRUN_BASE_URL = service.url, CRUN_API_KEY = service.key, OMNI_LEDGER = directory:file "ledger.db" }
    local board = directory:file "board.lua"
    local function run(text, command)
      env.write(board, text)
      return program.run({ command or "run", board, command ~= "plan" and "--yes" or nil }, { environment = environment })
    end
    local refusal = run 'return storyboard { scene "a" { prompt = "x" } }'
    assert.equal(3, refusal.code)
    assert.matches("nothing was submitted: .*board.lua:1: cut: the film can't be cut without ffmpeg and ffprobe\n  install", refusal.err)
    assert.equal(0, service.submits())
    assert.equal(3, run('return storyboard { scene "a" { prompt = "x" } }', "plan").code)
    refusal = run [[return storyboard { cut = false,
      scene "a" { prompt = "x" },
      scene "b" { prompt = "y", first_frame = last_frame "a" } }]]
    assert.equal(3, refusal.code)
    assert.matches('board.lua:3: scene "b": first_frame: omni can\'t take the last frame of a clip without ffmpeg', refusal.err)
    assert.equal(0, service.submits())
    local made = run 'return storyboard { cut = false, scene "a" { prompt = "x" } }'
    assert.equal(0, made.code, made.err)
    assert.equal(1, service.submits())
    local later = run 'return storyboard { scene "a" { prompt = "x" } }' -- nothing is to be paid, so nothing is refused
    assert.equal(1, later.code)
    assert.matches("can't start ff", later.out)
    service.stop()
  end)
end)
