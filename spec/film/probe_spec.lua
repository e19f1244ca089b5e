-- SPDX-License-Identifier: MIT
local clips = require "helper.clips"
local env = require "helper.env"
local film = require "omni.film"
local process = require "omni.process"

describe("film.probe", function()
  it("returns a clip's length, picture and sound", function()
    local found = assert(film.probe(clips.make { seconds = 1.5, size = "96x54", rate = "30000/1001" }))
    assert.near(1.5, found.seconds, 0.03)
    assert.same({ "h264", 96, 54, "30000/1001", "yuv420p", "1:1", 0, 45 }, { found.video.codec, found.video.width, found.video.height,
      found.video.fps, found.video.pix_fmt, found.video.sar, found.video.rotation, found.video.frames })
    assert.same({ "aac", 48000, 2, "stereo" }, { found.audio.codec, found.audio.sample_rate, found.audio.channels, found.audio.layout })
  end)

  it("recognises clips without sound, sound without a picture, and a cover, which isn't a picture", function()
    local mute = assert(film.probe(clips.make { tone = false }))
    assert.is_table(mute.video)
    assert.is_nil(mute.audio)
    local sound = clips.ffmpeg({ "-f", "lavfi", "-i", "sine=d=0.5", "-f", "lavfi", "-i", "color=red:s=16x16:d=0.04",
      "-map", "0", "-map", "1", "-c:v", "png", "-frames:v", "1", "-disposition:v", "attached_pic" }, "m4a")
    local found = assert(film.probe(sound))
    assert.is_nil(found.video)
    assert.equal("aac", found.audio.codec)
    assert.near(0.5, found.seconds, 0.05)
  end)

  it("measures a file that doesn't state its length", function()
    local path = clips.ffmpeg({ "-i", clips.make { seconds = 2 }, "-c", "copy", "-f", "matroska", "-live", "1" }, "webm")
    assert.equal("N/A", clips.entries(path, "format=duration")[1])
    assert.near(2, assert(film.probe(path)).seconds, 0.05)
  end)

  it("names a file that it can't read, and says why", function()
    local directory <close> = env.directory()
    local whole = env.read(clips.make())
    local cases = {
      { env.write(directory:file "half.mp4", whole:sub(1, 1500)), "moov atom not found" },
      { env.write(directory:file "empty.mp4", ""), "Invalid data" },
      { env.write(directory:file "text.mp4", ("not a film\n"):rep(100)), "Invalid data" },
      { directory.path, "it is a folder" },
      { directory:file "gone.mp4", "No such file" },
      { "/dev/zero", "isn't a regular file" },
    }
    env.output("mkfifo " .. env.quote(directory:file "fifo.mp4"))
    cases[#cases + 1] = { directory:file "fifo.mp4", "isn't a regular file" }
    for _, case in ipairs(cases) do
      local found, failure = film.probe(case[1])
      assert.is_nil(found)
      assert.equal("unreadable_clip", failure.code)
      assert.is_truthy(failure.message:find(case[1], 1, true), failure.message)
      assert.is_truthy(failure.message:find(case[2], 1, true), failure.message)
      assert.is_nil(failure.message:find "0x%x%x%x%x")
      assert.is_true(#failure.message < 500)
    end
  end)

  it("never opens files to which the file refers", function()
    local directory <close> = env.directory()
    local clip = clips.make()
    for name, text in pairs {
      ["list.mp4"] = "ffconcat version 1.0\nfile '" .. clip .. "'\n",
      ["play.mp4"] = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n" .. clip .. "\n#EXT-X-ENDLIST\n",
    } do
      local found, failure = film.probe(env.write(directory:file(name), text))
      assert.is_nil(found)
      assert.is_truthy(failure.message:find "a file of this format isn't allowed as a clip", failure.message)
    end
  end)

  it("takes every file name literally", function()
    local directory <close> = env.directory()
    local bytes = env.read(clips.make())
    local names = { "-i.mp4", "a b'c\"d.mp4", "%d%03d.mp4", "file:x.mp4", "concat:a|b.mp4", "two\nlines.mp4", "\\#?&;.mp4", "\255.mp4" }
    for _, name in ipairs(names) do
      env.write(directory:file(name), bytes)
      assert.near(0.5, assert(film.probe(directory:file(name))).seconds, 0.03)
    end
    -- and relative ones, where a first letter could mean something
    local here = env.output("pwd"):gsub("\n", "")
    local function from_here(paths) return (";" .. paths):gsub(";([^/;])", ";" .. here .. "/%1"):sub(2) end
    local told = assert(process.run({ env.lua, "-e", ("package.path, package.cpath = %q, %q"):format(from_here(package.path),
      from_here(package.cpath)), "-e", [[
        local film = require "omni.film"
        for _, name in ipairs { "-i.mp4", "file:x.mp4", "concat:a|b.mp4" } do assert(film.probe(name)) end
        print "all read"]] }, { stdout = "pipe", directory = directory.path })).stdout
    assert.equal("all read\n", told)
  end)

  it("says what to install if ffprobe is missing", function()
    local lua = env.output("command -v " .. env.lua):gsub("\n", "")
    local result = assert(process.run({ lua, "-e", [[
      local found, failure = require "omni.film".probe(os.getenv "CLIP")
      print(found, failure.code, failure.hint)
    ]] }, { stdout = "pipe", environment = { PATH = "/nowhere", CLIP = clips.make() } }))
    assert.equal("nil\tprocess_failed\tinstall ffmpeg (it includes ffprobe) and check that it is in PATH\n", result.stdout)
  end)

  it("gives ffprobe no key", function()
    local directory <close> = env.directory()
    env.write(directory:file "ffprobe", '#!/bin/sh\nenv > "$0.seen"\nexit 1\n')
    env.output("chmod +x " .. env.quote(directory:file "ffprobe"))
    local lua = env.output("command -v " .. env.lua):gsub("\n", "")
    assert(process.run({ lua, "-e", [[require "omni.film".probe(os.getenv "CLIP")]] }, { environment = {
      PATH = directory.path .. ":" .. os.getenv "PATH", CLIP = clips.make(), CRUN_API_KEY = "ak_secret" } }))
    local seen = env.read(directory:file "ffprobe.seen")
    assert.is_truthy(seen:find "AV_LOG_FORCE_NOCOLOR=1\n")
    assert.is_nil(seen:find "CRUN_API_KEY")
  end)

  it("lets other fibers run while ffprobe does", function()
    local directory <close> = env.directory()
    env.write(directory:file "ffprobe", '#!/bin/sh\nuntil [ -e "$0.may-end" ]; do sleep 0.01; done\nexit 1\n')
    env.output("chmod +x " .. env.quote(directory:file "ffprobe"))
    local lua = env.output("command -v " .. env.lua):gsub("\n", "")
    local result = assert(process.run({ lua, "-e", [[
      local omni, film = require "omni", require "omni.film"
      omni.run(function()
        local fiber = omni.spawn(function() return film.probe(os.getenv "CLIP") end)
        omni.sleep(0)
        assert(io.open(os.getenv "MAY_END", "w")):close() -- ffprobe waits for this file
        local found, failure = fiber:join()
        print(found, failure.code)
      end)
    ]] }, { stdout = "pipe", environment = { PATH = directory.path .. ":" .. os.getenv "PATH", CLIP = clips.make(),
      MAY_END = directory:file "ffprobe.may-end" } }))
    assert.equal("nil\tunreadable_clip\n", result.stdout)
  end)

  it("raises for an invalid path", function()
    assert.has_error(function() film.probe(nil) end, "film.probe: expected a path, got nil")
  end)
end)
