-- SPDX-License-Identifier: MIT
-- Small clips for the specs of films: each has one colour and one tone. ffmpeg makes them once for each run of the specs.

local env = require "helper.env"
local process = require "omni.process"

local clips = {}

local directory -- of this run; goes with it
local made = {} -- arguments → path

---Runs a program; returns what it wrote to stdout, raises when it fails.
function clips.run(argv)
  local result = assert(process.run(argv, { stdout = "pipe", max_output = 64 * 1024 * 1024 }))
  assert(result.exit == 0, table.concat(argv, " ") .. "\n" .. result.stderr)
  return result.stdout
end

---A file that ffmpeg makes of these arguments.
function clips.ffmpeg(arguments, ending)
  directory = directory or env.directory()
  local key = table.concat(arguments, "\0") .. "\0" .. (ending or "mp4")
  if made[key] then return made[key] end
  local count = 1
  for _ in pairs(made) do count = count + 1 end
  local path = directory:file(("%d.%s"):format(count, ending or "mp4"))
  local argv = { "ffmpeg", "-nostdin", "-v", "error", "-y" }
  table.move(arguments, 1, #arguments, #argv + 1, argv)
  argv[#argv + 1] = path
  clips.run(argv)
  made[key] = path
  return path
end

---A clip. `colour` "red", `size` "64x36", `rate` "24", `seconds` 0.5; `tone` in Hz (440), 0 for silence, false for no sound at all;
---`also`: further arguments for what is written.
function clips.make(given)
  given = given or {}
  local seconds, tone = given.seconds or 0.5, given.tone
  local arguments = { "-f", "lavfi", "-i", ("color=%s:s=%s:r=%s:d=%s"):format(given.colour or "red", given.size or "64x36",
    given.rate or "24", seconds) }
  local function add(...) table.move({ ... }, 1, select("#", ...), #arguments + 1, arguments) end
  if tone ~= false then
    add("-f", "lavfi", "-i", tone == 0 and "anullsrc=r=48000:cl=stereo:d=" .. seconds
      or ("sine=f=%d:r=48000:d=%s,aformat=channel_layouts=stereo"):format(tone or 440, seconds))
    add("-c:a", "aac", "-b:a", "64k")
  end
  add("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "250", "-threads", "1", "-t", tostring(seconds))
  if given.also then add(table.unpack(given.also)) end
  return clips.ffmpeg(arguments)
end

---The mean colour of a picture file, or of a clip's first frame, as red, green, blue.
function clips.colour(path)
  local text = clips.run { "ffmpeg", "-nostdin", "-v", "error", "-i", "file:" .. path, "-frames:v", "1", "-vf", "scale=1:1:flags=area",
    "-f", "rawvideo", "-pix_fmt", "rgb24", "-" }
  return text:byte(1, 3)
end

---A function that tells the colour of a point (x, y from 0 to 1; the middle) of a clip's frame (from 0) as red, green, blue.
function clips.colours(path, width, height)
  local text = clips.run { "ffmpeg", "-nostdin", "-v", "error", "-i", "file:" .. path, "-map", "0:v", "-f", "rawvideo",
    "-pix_fmt", "rgb24", "-" }
  return function(frame, x, y)
    local column, row = (x or 0.5) * (width - 1) // 1 | 0, (y or 0.5) * (height - 1) // 1 | 0
    return text:byte(3 * ((frame * height + row) * width + column) + 1, 3 * ((frame * height + row) * width + column) + 3)
  end
end

---What ffprobe says of some entries, as lines without names.
function clips.entries(path, entries, streams)
  local text = clips.run { "ffprobe", "-v", "error", "-select_streams", streams or "", "-show_entries", entries, "-of", "csv=p=0",
    "file:" .. path }
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = (line:gsub(",+$", "")) end
  return lines
end

---The frames that a decoder shows: how many there are, the shortest and the longest time from one to the next, when the first one begins.
function clips.frames(path)
  local times, least, most = {}, math.huge, 0
  for _, line in ipairs(clips.entries(path, "frame=pts_time", "v:0")) do times[#times + 1] = tonumber(line:match "[%d.-]+") end
  for i = 2, #times do least, most = math.min(least, times[i] - times[i - 1]), math.max(most, times[i] - times[i - 1]) end
  return #times, least, most, times[1]
end

---Runs a piece of Lua with stand-ins for ffmpeg or ffprobe before them in PATH; returns what it printed. A stand-in is a shell script;
---the real program is `$REAL/NAME` to it. `variables` are the environment of both. No probe is cached before.
function clips.stand_in(scripts, lua, variables)
  local programs <close> = env.directory()
  local real = env.output("dirname $(command -v ffmpeg)"):gsub("\n", "")
  for name, script in pairs(scripts) do
    env.output("chmod +x " .. env.quote(env.write(programs:file(name), "#!/bin/sh\n" .. script)))
  end
  local environment = { PATH = programs.path .. ":" .. os.getenv "PATH", REAL = real, XDG_CACHE_HOME = programs.path }
  for name, value in pairs(variables or {}) do environment[name] = value end
  local interpreter = env.output("command -v " .. env.lua):gsub("\n", "")
  local result = assert(process.run({ interpreter, "-e", lua }, { stdout = "pipe", environment = environment }))
  assert(result.stderr == "", result.stderr)
  return result.stdout
end

---Runs a piece of Lua that has every command of ffmpeg carried out, also those that were in this run of the specs (helper/remember.c).
function clips.anew(lua)
  return clips.stand_in({}, lua, { PATH = (os.getenv "OMNI_TEST_PROGRAMS" or "") .. ":" .. os.getenv "PATH" })
end

---A digest of each packet, in order.
function clips.packets(path, stream)
  local digests = {}
  for line in clips.run { "ffmpeg", "-nostdin", "-v", "error", "-i", "file:" .. path, "-map", "0:" .. stream, "-c", "copy",
    "-f", "framehash", "-hash", "md5", "-" }:gmatch "[^\n]+" do
    if line:sub(1, 1) ~= "#" then digests[#digests + 1] = line:match "%x+$" end
  end
  return digests
end

---The loudness (root mean square, 0 to 1) of each slice of the sound, as a player hears it that only counts samples.
function clips.loudness(path, slice)
  local text = clips.run { "ffmpeg", "-nostdin", "-v", "error", "-i", "file:" .. path, "-map", "0:a", "-ac", "1", "-ar", "48000",
    "-f", "s16le", "-" }
  local per, values = math.floor(slice * 48000), {}
  for at = 1, #text // 2 - per + 1, per do
    local sum = 0
    for i = at, at + per - 1, 4 do
      local sample = ("<i2"):unpack(text, 2 * i - 1) / 32768
      sum = sum + sample * sample
    end
    values[#values + 1] = math.sqrt(sum / (per / 4))
  end
  return values
end

return clips
