-- SPDX-License-Identifier: MIT
-- Measures the time that omni itself needs for a board with many scenes. An instant sandbox with small clips runs in the same process.
--   lua5.4 bench/board.lua
-- The first measurement excludes ffmpeg's work (pictures and the cut). The second one includes it, for a smaller board.

local core = require "omni.core"
local film = require "omni.film"
local omni = require "omni"

local function say(what, seconds, more)
  print(("  %-52s %6.2f s%s"):format(what, seconds, more and ", " .. more or ""))
end

local function timed(fn, ...)
  local from, cpu = core.now(), os.clock()
  assert(fn(...))
  return core.now() - from, os.clock() - cpu
end

local function board_of(count)
  local scenes = { defaults = { duration = 4 } }
  for i = 1, count do scenes[i] = omni.scene("scene " .. i) { prompt = ("A wave, number %d."):format(i) } end
  return omni.storyboard(scenes)
end

-- Plans and runs a board, twice.
local function measure(count)
  local directory = assert(core.make_temporary_directory("omni-bench-"))
  omni.run(function()
    local sandbox <close> = assert(omni.sandbox { seconds = 0, clips = "builtin", credits = 1e9 })
    local client <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, poll_min = 0.02 })
    local board, where = board_of(count), { client = client, directory = directory }
    local given = { client = client, directory = directory, jobs = 64 }
    say("plan, nothing there, prices asked", (timed(omni.plan_storyboard, board, where)))
    local seconds, cpu = timed(omni.run_storyboard, board, given)
    say("run", seconds, ("%.1f ms a scene, %.2f s of CPU in this process"):format(seconds / count * 1000, cpu))
    say("plan again, all there", (timed(omni.plan_storyboard, board, where)))
    say("run again, nothing to do", (timed(omni.run_storyboard, board, given)))
  end)
  os.execute("rm -rf '" .. directory .. "'")
end

local cut, poster = film.cut, film.poster
film.cut = function(given)
  assert(io.open(given.output, "wb")):close()
  return { path = given.output, seconds = 1 }
end
film.poster = function() return nil, { code = "process_failed", message = "no pictures here" } end
print "1,000 scenes, without pictures and without the cut"
measure(1000)
film.cut, film.poster = cut, poster
print "100 scenes, with them"
measure(100)
