-- SPDX-License-Identifier: MIT
local clips = require "helper.clips"
local core = require "omni.core"
local env = require "helper.env"
local film = require "omni.film"
local loop = require "omni.loop"
local process = require "omni.process"

-- Half a second of red, then one frame of blue; far from any key frame.
local function last_blue(also)
  local arguments = { "-f", "lavfi", "-i", "color=red:s=64x36:r=24:d=0.5", "-f", "lavfi", "-i", "color=blue:s=64x36:r=24:d=0.041666",
    "-f", "lavfi", "-i", "sine=d=2", "-filter_complex", "[0][1]concat=n=2[v]", "-map", "[v]", "-map", "2:a",
    "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-pix_fmt", "yuv420p", "-c:a", "aac" }
  table.move(also or {}, 1, also and #also or 0, #arguments + 1, arguments)
  return clips.ffmpeg(arguments)
end

local function is_blue(r, g, b) return r < 40 and g < 40 and b > 200 end

describe("film.last_frame", function()
  it("is the very last frame, even if the sound is longer", function()
    local directory <close> = env.directory()
    local path = directory:file "last.png"
    assert.equal(path, film.last_frame(last_blue(), path))
    assert.is_true(is_blue(clips.colour(path)))
    assert.same({ "png,64,36" }, clips.entries(path, "stream=codec_name,width,height"))
    assert.same({ "last.png" }, directory:names())
  end)

  it("is found in a clip with a single frame, and long after the last key frame", function()
    local directory <close> = env.directory()
    local path = directory:file "last.png"
    local one = clips.make { tone = false, colour = "blue", also = { "-frames:v", "1" } }
    assert(film.last_frame(one, path))
    assert.is_true(is_blue(clips.colour(path)))
    local long = clips.ffmpeg { "-f", "lavfi", "-i", "color=red:s=64x36:r=24:d=10", "-f", "lavfi",
      "-i", "color=blue:s=64x36:r=24:d=0.041666",
      "-filter_complex", "concat=n=2", "-c:v", "libx264", "-preset", "ultrafast", "-g", "1000", "-pix_fmt", "yuv420p" }
    assert(film.last_frame(long, path))
    assert.is_true(is_blue(clips.colour(path)))
  end)

  it("has the shape in which players show the clip: rotated, with square pixels", function()
    local directory <close> = env.directory()
    local path = directory:file "last.png"
    local wide = clips.make { tone = false, also = { "-vf", "setsar=2" } }
    assert(film.last_frame(wide, path))
    assert.same({ "128,36" }, clips.entries(path, "stream=width,height"))
    local turned = clips.ffmpeg { "-i", clips.make(), "-c", "copy", "-metadata:s:v", "rotate=90" }
    assert(film.last_frame(turned, path))
    assert.same({ "36,64" }, clips.entries(path, "stream=width,height"))
  end)

  it("has the colours that players show: HD without named colours is BT.709", function()
    local directory <close> = env.directory()
    local path = directory:file "last.png"
    local hd = clips.ffmpeg { "-f", "lavfi",
      "-i", "color=0x00C000:s=1280x720:d=0.04,format=rgb24,scale=out_color_matrix=bt709,format=yuv420p",
      "-c:v", "libx264", "-preset", "ultrafast", "-frames:v", "1" }
    assert.equal("///", film.probe(hd).video.color:gsub("[^/]*", function(word) return word == "unknown" and "" or word end))
    assert(film.last_frame(hd, path))
    local r, g, b = clips.colour(path)
    assert.is_true(r < 6 and math.abs(g - 0xC0) < 6 and b < 6, ("%d %d %d"):format(r, g, b))
  end)
end)

describe("film.poster", function()
  it("is a small JPEG of the frame at a third of the clip", function()
    local directory <close> = env.directory()
    local path = directory:file "poster.jpg"
    local clip = clips.ffmpeg { "-f", "lavfi", "-i", "color=red:s=1280x720:r=24:d=0.25",
      "-f", "lavfi", "-i", "color=blue:s=1280x720:r=24:d=1",
      "-filter_complex", "concat=n=2", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p" }
    assert.equal(path, film.poster(clip, path))
    assert.same({ "mjpeg,640,360" }, clips.entries(path, "stream=codec_name,width,height"))
    assert.is_true(is_blue(clips.colour(path)))
    assert.is_true(core.stat(path).size < 20000)
    assert(film.poster(clip, path, 160))
    assert.same({ "160,90" }, clips.entries(path, "stream=width,height"))
    assert.same({ "poster.jpg" }, directory:names())
  end)

  it("fits into a square of that size, whatever the clip's shape", function()
    local directory <close> = env.directory()
    local path = directory:file "poster.jpg"
    for shape, wanted in pairs { ["360x640"] = "90,160", ["640x640"] = "160,160", ["640x16"] = "160,4" } do
      assert(film.poster(clips.make { size = shape, tone = false }, path, 160))
      assert.same({ wanted }, clips.entries(path, "stream=width,height"))
    end
    assert(film.poster(clips.make { size = "320x320", tone = false, also = { "-vf", "setsar=2/1" } }, path, 160))
    assert.same({ "160,80" }, clips.entries(path, "stream=width,height"))
  end)

  it("isn't larger than a small clip, and works for a single frame", function()
    local directory <close> = env.directory()
    local path = directory:file "poster.jpg"
    assert(film.poster(clips.make { tone = false, colour = "blue", also = { "-frames:v", "1" } }, path))
    assert.same({ "64,36" }, clips.entries(path, "stream=width,height"))
  end)
end)

describe("a picture", function()
  it("may have any file name", function()
    local directory <close> = env.directory()
    for _, name in ipairs { "-y.png", "%d%03d.png", "a'b: \"c\"?.png", "two\nlines.png", "pipe:1" } do
      local path = directory:file(name)
      assert.equal(path, film.last_frame(clips.make(), path))
      assert.equal("\137PNG", env.read(path):sub(1, 4))
      os.remove(path)
    end
    assert.same({}, directory:names())
  end)

  it("that can't be made leaves the old file, and nothing else", function()
    local directory <close> = env.directory()
    local path = env.write(directory:file "picture", "as before")
    local broken = env.write(directory:file "broken.mp4", env.read(clips.make()):sub(1, 1500))
    local sound = clips.ffmpeg({ "-f", "lavfi", "-i", "sine=d=0.1" }, "wav")
    for clip, reason in pairs { [broken] = "moov atom not found", [sound] = "it has no picture" } do
      for _, make in ipairs { film.last_frame, film.poster } do
        local made, failure = make(clip, path)
        assert.is_nil(made)
        assert.equal("unreadable_clip", failure.code)
        assert.is_truthy(failure.message:find(clip, 1, true))
        assert.is_truthy(failure.message:find(reason, 1, true))
      end
    end
    assert.equal("as before", env.read(path))
    assert.same({ "broken.mp4", "picture" }, directory:names())
  end)

  it("that can't be written is reported, and never replaces a folder or a device", function()
    local directory <close> = env.directory()
    for _, path in ipairs { "/nowhere/picture.png", directory.path, "/dev/null" } do
      local made, failure = film.last_frame(clips.make(), path)
      assert.is_nil(made)
      assert.equal("io", failure.code)
      assert.is_truthy(failure.message:find(path, 1, true), failure.message)
    end
    assert.equal("other", core.stat("/dev/null").kind)
    assert.same({}, directory:names())
  end)

  it("whose fiber is cancelled leaves nothing", function()
    local directory <close> = env.directory()
    env.write(directory:file "ffmpeg", '#!/bin/sh\nfor last; do :; done\n: > "${last#file:}"\necho $$ > "$0.pid"\nexec sleep 1000\n')
    env.output("chmod +x " .. env.quote(directory:file "ffmpeg"))
    local lua = env.output("command -v " .. env.lua):gsub("\n", "")
    local result = assert(process.run({ lua, "-e", [[
      local core, loop = require "omni.core", require "omni.loop"
      local here = os.getenv "HERE"
      loop.run(function()
        local fiber = loop.spawn(require "omni.film".last_frame, os.getenv "CLIP", here .. "/last.png")
        repeat loop.sleep(0.001) until (core.stat(here .. "/ffmpeg.pid") or { size = 0 }).size > 0
        fiber:cancel()
      end)
    ]] }, { environment = { PATH = directory.path .. ":" .. os.getenv "PATH", HERE = directory.path, CLIP = clips.make() } }))
    assert.equal("", result.stderr)
    assert.is_nil(core.stat("/proc/" .. env.read(directory:file "ffmpeg.pid"):match "%d+"))
    assert.same({ "ffmpeg", "ffmpeg.pid" }, directory:names())
  end)

  it("may be made at the same time as others, even under the same name", function()
    local directory <close> = env.directory()
    local path = directory:file "last.png"
    loop.run(function()
      local first, second = loop.spawn(film.last_frame, clips.make(), path), loop.spawn(film.last_frame, clips.make(), path)
      assert.same({ path, path }, { loop.join(first, second) })
    end)
    assert.same({ "last.png" }, directory:names())
  end)

  it("needs two paths and a sensible size", function()
    assert.has_error(function() film.last_frame(nil, "x") end, "film.last_frame: the clip: expected a path, got nil")
    assert.has_error(function() film.poster("x") end, "film.poster: the picture: expected a path, got nil")
    assert.has_error(function() film.poster("x", "y", 0) end, "film.poster: expected a size from 16 to 16384")
  end)
end)

describe("a picture with an absurd size", function()
  local too_large = "has more pixels than any video standard allows"

  -- A small clip that says, in its header and in its picture's, that it is 16384x8640: 425 MB of RGB, and a decoder keeps several of them.
  local function huge(directory)
    local bytes = env.read(clips.ffmpeg({ "-f", "lavfi", "-i", "color=red:s=64x36:r=5:d=0.2", "-c:v", "mjpeg", "-pix_fmt", "yuvj420p" },
      "mov"))
    local entry, picture = bytes:find("jpeg", 1, true), bytes:find("\xFF\xC0\0\17\8", 1, true)
    while bytes:sub(entry + 28, entry + 31) ~= "\0\64\0\36" do entry = assert(bytes:find("jpeg", entry + 1, true)) end
    local function put(at, text) bytes = bytes:sub(1, at - 1) .. text .. bytes:sub(at + #text) end
    put(entry + 28, (">I2I2"):pack(16384, 8640))
    put(picture + 5, (">I2I2"):pack(8640, 16384))
    return env.write(directory:file "huge.mov", bytes)
  end

  it("is refused before it is decoded, and isn't reported as damaged", function()
    local directory <close> = env.directory()
    local clip = huge(directory)
    for _, make in ipairs { film.poster, film.last_frame } do
      local made, err = make(clip, directory:file "picture")
      assert.is_nil(made)
      assert.equal("unreadable_clip", err.code)
      assert.matches("its picture of 16384x8640 " .. too_large, err.message)
      assert.is_nil(err.damaged)
    end
    assert.same({ "huge.mov" }, directory:names())
  end)

  it("is also one whose pixels have an absurd shape", function()
    local none, err = film.probe(clips.make { size = "640x600", tone = false, also = { "-vf", "setsar=100/1" } })
    assert.is_nil(none)
    assert.matches(too_large, err.message)
  end)
end)
