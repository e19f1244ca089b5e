-- SPDX-License-Identifier: MIT
local clips = require "helper.clips"
local env = require "helper.env"
local film = require "omni.film"
local shape = require "omni.film.common_format"
local tool = require "omni.film.ffmpeg"

local frame <const> = 1 / 24
local directory, output

before_each(function()
  directory = env.directory()
  output = directory:file "film.mp4"
end)

after_each(function() directory:close() end)

local function named(paths)
  local list = {}
  for i, path in ipairs(paths) do list[i] = { name = "scene " .. i, path = path } end
  return list
end

-- Cuts a film. Whatever it is made of, picture and sound begin and end together, and nothing else is left.
local function cut(paths, also)
  local given = { clips = named(paths), output = output }
  for name, value in pairs(also or {}) do given[name] = value end
  local made = assert(film.cut(given))
  assert.equal(output, made.path)
  assert.same({ "film.mp4" }, directory:names())
  local found = assert(film.probe(output))
  assert.near(found.seconds, made.seconds, 0.001)
  assert.near(found.video.seconds, found.audio.seconds, 0.03)
  assert.near(0, found.video.start, 0.0001)
  assert.near(0, found.audio.start, 0.0001)
  return made, found
end

-- One picture and one sound, and a decoder finds nothing to complain about.
local function assert_sound()
  assert.same({ "video", "audio" }, clips.entries(output, "stream=codec_type"))
  assert.equal("", clips.run { "sh", "-c", 'exec ffmpeg -nostdin -v warning -i "$1" -f null - 2>&1', "sh", output })
end

-- A function that checks the colour of a frame, in its middle or at a point of it.
local function seen()
  local video = film.probe(output).video
  local colour_of = clips.colours(output, video.width, video.height)
  return function(colour, number, x, y)
    local r, g, b = colour_of(number, x, y)
    local near = { red = r > 200 and g < 60 and b < 60, blue = b > 200 and r < 60 and g < 60, black = r + g + b < 60,
      lime = g > 200 and r < 60 and b < 60, mixed = r > 60 and b > 60 and r < 200 and b < 200 }
    assert.is_true(near[colour], ("frame %d has %d %d %d instead of %s"):format(number, r, g, b, colour))
  end
end

-- Each clip's packets, one after the other.
local function packets_of(paths, stream)
  local all = {}
  for _, path in ipairs(paths) do
    for _, digest in ipairs(clips.packets(path, stream)) do all[#all + 1] = digest end
  end
  return all
end

describe("clips with the same format", function()
  it("are joined without a changed byte in their pictures, in order and in time", function()
    local paths = { clips.make(), clips.make { colour = "blue", seconds = 1 }, clips.make() }
    local made, found = cut(paths)
    assert.is_true(made.copied)
    assert.is_nil(made.transition_seconds)
    assert.near(2, made.seconds, frame)
    assert.same(packets_of(paths, 0), clips.packets(output, 0))
    assert.equal("24/1", found.video.fps)
    assert_sound()
    local is = seen()
    is("red", 11)
    is("blue", 12)
    is("blue", 35)
    is("red", 36)
  end)

  it("keep picture and sound together, even for a player that only counts samples", function()
    local loud, quiet, paths = clips.make(), clips.make { colour = "blue", tone = 0 }, {}
    for i = 1, 20 do paths[i] = i % 2 == 1 and loud or quiet end
    local made = cut(paths)
    assert.is_true(made.copied)
    local loudness = clips.loudness(output, 0.01)
    assert.is_true(#loudness >= 1000 and #loudness <= 1003) -- ten seconds; the codec's last packet may hang over
    for i = 1, 1000 do
      local clip, within = (i - 1) // 50 + 1, (i - 1) % 50
      if within > 1 and within < 48 then -- the codec smears 20 ms
        assert.equal(clip % 2 == 1, loudness[i] > 0.02, ("%.2f s: %.4f"):format(i / 100, loudness[i]))
      end
    end
  end)

  it("keep their sound's packets if the sound is as long as the picture", function()
    local sound = clips.ffmpeg({ "-f", "lavfi", "-i", "sine=r=48000:d=1", "-c:a", "aac", "-frames:a", "24" }, "aac")
    local picture = clips.make { rate = "375/8", seconds = 0.512, tone = false, also = { "-bf", "0", "-frames:v", "24" } }
    local whole = clips.ffmpeg { "-i", picture, "-i", sound, "-c", "copy" }
    cut { whole, whole, whole }
    assert_sound()
    assert.same(packets_of({ whole, whole, whole }, 0), clips.packets(output, 0))
    assert.same(packets_of({ whole, whole, whole }, 1), clips.packets(output, 1))
    assert.near(3 * 0.512, film.probe(output).seconds, 0.001)
  end)

  it("may be a single clip, which stays unchanged", function()
    local made = cut { clips.make { seconds = 1 } }
    assert.is_true(made.copied)
    assert.same(clips.packets(clips.make { seconds = 1 }, 0), clips.packets(output, 0))
    assert.same(clips.packets(clips.make { seconds = 1 }, 1), clips.packets(output, 1))
    assert.near(1, made.seconds, 0.001)
    made = cut({ clips.make { seconds = 1 } }, { transition = { name = "fade" } })
    assert.is_true(made.copied)
  end)

  it("get silence where a clip has no sound", function()
    local mute = clips.make { tone = false, rate = "30000/1001", seconds = 1 }
    local made = cut { mute, mute }
    assert.is_true(made.copied)
    for _, value in ipairs(clips.loudness(output, 0.1)) do assert.is_true(value < 0.0001) end
    assert.same({ "aac,48000,2" }, clips.entries(output, "stream=codec_name,sample_rate,channels", "a"))
    assert_sound()
    made = cut { clips.make { also = { "-preset", "veryfast" } }, clips.make { tone = false, also = { "-preset", "veryfast" } } }
    assert.is_true(made.copied)
    local loudness = clips.loudness(output, 0.1)
    assert.is_true(loudness[3] > 0.02 and loudness[8] < 0.001)
  end)

  it("aren't probed again if they were probed before", function()
    local run, started = tool.run, {}
    local back <close> = setmetatable({}, { __close = function() tool.run = run end }) -- luacheck: ignore 211
    for _, kind in ipairs { clips.make { seconds = 0.25 }, clips.make { seconds = 0.25, tone = false } } do
      local list = {}
      assert(film.probe(kind))
      for i = 1, 20 do list[i] = { path = kind } end
      tool.run = function(program, ...)
        started[program] = (started[program] or 0) + 1
        return run(program, ...)
      end
      local made = assert(film.cut { clips = list, output = output })
      tool.run = run
      assert.is_true(made.copied)
      assert.near(5, made.seconds, 0.001)
      assert_sound()
    end
    -- For the clips with a sound: two runs of ffmpeg that decode it. For each film: one that joins the clips, and one check.
    assert.same({ ffmpeg = 4, ffprobe = 2 }, started)
  end)

  it("may be a hundred", function()
    local short, paths = clips.make { seconds = 0.125 }, {}
    for i = 1, 100 do paths[i] = short end
    local made, found = cut(paths)
    assert.is_true(made.copied)
    assert.equal(300, found.video.frames)
    assert.near(12.5, made.seconds, frame)
  end)

  it("give the same bytes each time", function()
    local paths = { clips.make(), clips.make { colour = "blue", seconds = 1 } }
    cut(paths)
    local first = env.read(output)
    clips.anew(([[
      local made = assert(require("omni.film").cut { clips = { { name = "a", path = %q }, { name = "b", path = %q } }, output = %q })
      print(made.path)]]):format(paths[1], paths[2], output))
    assert.is_true(first == env.read(output))
  end)
end)

describe("clips with different formats", function()
  it("get the size and the frame rate that the caller chooses, and are copied if they have both", function()
    local small, large = clips.make { seconds = 0.5 }, clips.make { size = "128x72", rate = "12", seconds = 1 }
    local _, found = cut({ small, large }, { size = "96x54", fps = "30000/1001" })
    assert.same({ 96, 54, "30000/1001" }, { found.video.width, found.video.height, found.video.rate })
    assert.is_true(cut({ small, small }, { size = "64x36", fps = "24/1" }).copied)
    local made
    made, found = cut({ small, small }, { fps = "12/1" })
    assert.same({ false, 64, 36, "12/1" }, { made.copied, found.video.width, found.video.height, found.video.rate })
    assert.has_error(function() film.cut { clips = named { small }, output = output, size = "large" } end)
    assert.has_error(function() film.cut { clips = named { small }, output = output, fps = "24" } end)
  end)

  it("get the shape that most seconds have: scaled, padded, never stretched, in time", function()
    local made, found = cut {
      clips.make { size = "96x54", seconds = 1, tone = 0 },
      clips.make { size = "36x64", colour = "blue", rate = "30", seconds = 0.5 },
      clips.make { size = "32x18", colour = "lime", rate = "25", seconds = 0.6, tone = false },
    }
    assert.is_false(made.copied)
    assert.same({ 96, 54, "24/1", "h264", "yuv420p", "1:1" }, { found.video.width, found.video.height, found.video.fps, found.video.codec,
      found.video.pix_fmt, found.video.sar })
    assert.same({ "aac", 48000, 2 }, { found.audio.codec, found.audio.sample_rate, found.audio.channels })
    assert.near(2.1, made.seconds, frame)
    assert_sound()
    local is = seen()
    is("red", 23)
    is("blue", 24)
    is("blue", 24, 0.5, 0.02)
    is("blue", 24, 0.38)
    is("black", 24, 0.3)
    is("black", 24, 0.7)
    is("lime", 36)
    is("lime", 49, 0, 0) -- a smaller one of the same shape fills the picture
    local loudness = clips.loudness(output, 0.1)
    assert.is_true(loudness[5] < 0.001 and loudness[13] > 0.02 and loudness[18] < 0.001)
  end)

  it("may be rotated, have odd sizes, another codec, or a sound that is longer than the picture", function()
    local plain = clips.make { seconds = 1 }
    local turned = clips.ffmpeg { "-i", clips.make { size = "36x64", colour = "blue" }, "-c", "copy", "-metadata:s:v", "rotate=90" }
    local flat = clips.make { size = "32x36", colour = "lime", also = { "-vf", "setsar=2" } }
    local other = clips.ffmpeg({ "-f", "lavfi", "-i", "color=blue:s=64x36:r=24:d=0.5", "-f", "lavfi", "-i", "sine=d=2", "-c:v", "mpeg4",
      "-c:a", "mp2" }, "mkv")
    local made = cut { plain, turned, flat, other }
    assert.near(2.5, made.seconds, frame)
    local is = seen()
    for number, colour in pairs { [23] = "red", [24] = "blue", [36] = "lime", [59] = "blue" } do
      is(colour, number)
      is(colour, number, 0, 0)
      is(colour, number, 1, 1)
    end
  end)

  it("are recognised by every property that a decoder or player would stumble over", function()
    local found = assert(film.probe(clips.make()))
    local function with(stream, name, value)
      local other = { video = {}, audio = {} }
      for part, copy in pairs(other) do
        for key, known in pairs(found[part]) do copy[key] = known end
      end
      other[stream][name] = value
      return { found, other }
    end
    assert.is_true(shape.pictures_agree(with("video", "width", 64)))
    for name, value in pairs { index = 2, codec = "hevc", profile = "High", level = 42, tag = "avc3", width = 66, height = 38,
      rotation = 90, sar = "4:3", pix_fmt = "yuv444p", rate = "25/1", time_base = "1/90000", b_frames = 2, field_order = "tt",
      color = "tv/bt709/bt709/bt709", header = "SHA256:0", hidden = 1 } do
      assert.is_false(shape.pictures_agree(with("video", name, value)), name)
    end
  end)
end)

describe("a transition", function()
  it("is between two clips, which overlap during it", function()
    local a, b = clips.make { seconds = 1 }, clips.make { seconds = 1, colour = "blue", tone = 0 }
    local made = cut({ a, b, a }, { transition = { name = "fade", seconds = 0.5 } })
    assert.is_false(made.copied)
    assert.same({ 0.5, 0.5 }, made.transition_seconds)
    assert.near(2, made.seconds, frame)
    assert_sound()
    local is = seen()
    is("red", 11)
    is("mixed", 18)
    is("blue", 24)
    is("mixed", 30)
    is("red", 37)
    local loudness = clips.loudness(output, 0.05)
    local full = loudness[5]
    assert.is_true(loudness[12] < full * 0.98 and loudness[15] < loudness[12] and loudness[19] < loudness[15]) -- it fades, too
    assert.near(full, loudness[38], full * 0.1)
  end)

  it("takes at most half of the shorter clip, and the result says so", function()
    local long, short = clips.make { seconds = 1 }, clips.make { colour = "blue", seconds = 0.25 }
    local made = cut({ long, short, long, clips.make { seconds = frame } }, { transition = { name = "wipeleft" } })
    assert.same({ "0.125", "0.125", "0.000" }, { ("%.3f"):format(made.transition_seconds[1]),
      ("%.3f"):format(made.transition_seconds[2]), ("%.3f"):format(made.transition_seconds[3]) })
    assert.near(1 + 0.25 + 1 + frame - 0.25, made.seconds, frame)
  end)

  it("may follow every one of many clips, and the film has the exact number of frames", function()
    local red, blue, paths = clips.make { seconds = 0.25 }, clips.make { seconds = 0.25, colour = "blue" }, {}
    for i = 1, 16 do paths[i] = i % 2 == 1 and red or blue end
    local made, found = cut(paths, { transition = { name = "dissolve", seconds = 2 * frame } })
    assert.equal(16 * 6 - 15 * 2, found.video.frames)
    assert.near((16 * 6 - 15 * 2) * frame, made.seconds, 0.001)
    seen()("blue", 15 * 4 + 4)
  end)

  it("has one of ffmpeg's names", function()
    local there = {}
    for name, number in clips.run { "ffmpeg", "-hide_banner", "-h", "filter=xfade" }:gmatch "\n +(%l+) +(%-?%d+) +%.%.FV" do
      if tonumber(number) >= 0 and tonumber(number) <= 45 then there[name] = true end
    end
    assert.same(there, film.transitions)
  end)
end)

describe("an audio track", function()
  local tone = { "-f", "lavfi", "-i", "sine=f=1000:d=3" }

  it("plays below the whole film, whose pictures stay unchanged, and fades out at the end", function()
    local paths = { clips.make { seconds = 1, tone = 0 }, clips.make { seconds = 1, tone = 0, colour = "blue" } }
    local made = cut(paths, { audio = { path = clips.ffmpeg(tone, "wav") } })
    assert.is_true(made.copied)
    assert.same(packets_of(paths, 0), clips.packets(output, 0))
    assert.near(2, made.seconds, 0.03)
    assert_sound()
    local loudness = clips.loudness(output, 0.1)
    assert.is_true(loudness[2] > 0.05)
    assert.near(loudness[2], loudness[14], 0.005)
    assert.is_true(loudness[20] < loudness[2] / 4)
  end)

  it("and the clips' own sound each have a volume", function()
    local clip, track = clips.make { seconds = 1 }, clips.ffmpeg(tone, "mp3")
    local function loud(audio)
      audio.path = track
      cut({ clip }, { audio = audio })
      return clips.loudness(output, 0.1)[4]
    end
    local own, half = loud { volume = 0 }, loud { volume = 0, clips = 0.5 }
    assert.near(own / 2, half, own / 20)
    assert.near(2 ^ 0.5 / 32, loud { volume = 0.5, clips = 0 }, 1 / 320) -- ffmpeg's tone is 1/8 high
    assert.is_true(loud { volume = 10, clips = 10 } < 0.98) -- not torn
  end)

  it("that ends early is followed by silence; it may be the sound of a film", function()
    local made = cut({ clips.make { seconds = 1, tone = false }, clips.make { seconds = 1, tone = false } },
      { audio = { path = clips.make { seconds = 0.5 } } })
    assert.near(2, made.seconds, 0.03)
    local loudness = clips.loudness(output, 0.1)
    assert.is_true(loudness[3] > 0.02 and loudness[8] < 0.001 and loudness[19] < 0.001)
  end)

  it("works together with transitions", function()
    local made = cut({ clips.make { seconds = 1 }, clips.make { seconds = 1, colour = "blue" } },
      { transition = { name = "circleopen", seconds = 0.25 }, audio = { path = clips.ffmpeg(tone, "wav"), clips = 0 } })
    assert.near(1.75, made.seconds, frame)
    assert.is_true(clips.loudness(output, 0.1)[10] > 0.05)
  end)
end)

describe("the progress of a cut", function()
  it("rises from step to step, up to 1", function()
    for _, transition in ipairs { false, { name = "fade" } } do
      local told = {}
      cut({ clips.make(), clips.make { colour = "blue" }, clips.make() }, { transition = transition or nil,
        on_progress = function(fraction) told[#told + 1] = fraction end })
      assert.is_true(#told >= 2)
      for i = 2, #told do assert.is_true(told[i] > told[i - 1]) end
      assert.is_true(told[1] > 0)
      assert.near(1, told[#told], 1e-9)
    end
  end)
end)
