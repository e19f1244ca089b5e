-- SPDX-License-Identifier: MIT
-- Compares a cut of clips that have the same format with one `ffmpeg -f concat -c copy` of the same clips, taking turns.
--   lua5.4 bench/film.lua [CLIPS [ROUNDS]]
-- Each clip is 4 s of 720p video. All clips show the same pictures, but their bytes differ. On a busy machine, compare the CPU seconds.

local core = require "omni.core"
local film = require "omni.film"
local omni = require "omni"

local clips_count <const>, rounds <const> = math.tointeger(tonumber(arg[1] or 100)), math.tointeger(tonumber(arg[2] or 3))

local directory = assert(core.make_temporary_directory("omni-bench-"))
local function at(name) return directory .. "/" .. name end
local function run(command) assert(os.execute(command)) end

local function write(path, bytes)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(bytes))
end

-- Makes the clips and a list of them for ffmpeg's concat demuxer. An MP4 box of type "free" makes each clip's bytes unique.
local function make(kind, sound)
  local source = at(kind .. ".mp4")
  run(("ffmpeg -v error -y -f lavfi -i testsrc2=s=1280x720:r=24:d=4 %s -pix_fmt yuv420p '%s'"):format(sound, source))
  local file <close> = assert(io.open(source, "rb"))
  local bytes, clips, list = file:read "a", {}, {}
  for i = 1, clips_count do
    local path = at(("%s-%d.mp4"):format(kind, i))
    write(path, bytes .. (">I4c4I4"):pack(12, "free", i))
    clips[i], list[i] = { path = path }, ("file '%s'\n"):format(path)
  end
  write(at(kind .. ".list"), table.concat(list))
  return clips
end

-- Returns the CPU seconds of this process and its ended children.
local function cpu()
  local file <close> = assert(io.open "/proc/self/stat")
  local fields, sum = file:read("a"):match "%) (.*)", 0
  local index = 0
  for field in fields:gmatch "%S+" do
    index = index + 1
    if index >= 12 and index <= 15 then sum = sum + tonumber(field) end
  end
  return sum / 100
end

-- Returns the seconds that a function takes, and the CPU seconds.
local function timed(fn)
  local from, cpu_from = core.now(), cpu()
  fn()
  return { core.now() - from, cpu() - cpu_from }
end

local function best(times)
  local least = { math.huge, math.huge }
  for _, time in ipairs(times) do least = { math.min(least[1], time[1]), math.min(least[2], time[2]) } end
  return least
end

local function cell(time, copy)
  return ("%6.2f s %5.1fx, CPU %6.2f s %5.1fx"):format(time[1], time[1] / copy[1], time[2], time[2] / copy[2])
end

-- Measures a cut of clips that were probed before, as in a run. For at most 100 clips, also measures a cut that probes them.
local function measure(kind, title, sound)
  local clips, times = make(kind, sound), { copy = {}, known = {}, new = {} }
  local function cut() assert(film.cut { clips = clips, output = at "film.mp4" }) end
  for round = 1, rounds do
    times.copy[round] = timed(function()
      run(("ffmpeg -nostdin -v error -y -f concat -safe 0 -i '%s' -c copy '%s'"):format(at(kind .. ".list"), at "copy.mp4"))
    end)
    omni.run(function()
      if clips_count <= 100 then
        run(("touch '%s/%s-'*.mp4"):format(directory, kind)) -- so that no probe of the clips is cached
        times.new[round] = timed(cut)
      else
        for _, clip in ipairs(clips) do assert(film.probe(clip.path)) end
      end
      times.known[round] = timed(cut)
    end)
  end
  local copy = best(times.copy)
  print(("  %s: ffmpeg %.2f s, CPU %.2f s"):format(title, copy[1], copy[2]))
  print("    omni, the clips were probed before       " .. cell(best(times.known), copy))
  if #times.new > 0 then print("    omni, it probes each clip                " .. cell(best(times.new), copy)) end
end

print(("%d clips (best of %d rounds)"):format(clips_count, rounds))
measure("mute", "without sound", "-an")
if clips_count <= 100 then measure("tone", "with AAC sound, which must be encoded", "-f lavfi -i sine=d=4 -c:a aac") end
os.execute("rm -rf '" .. directory .. "'")
