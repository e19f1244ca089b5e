-- SPDX-License-Identifier: MIT
-- A film can be played by common players, and contains the right streams of its clips.
local clips = require "helper.clips"
local env = require "helper.env"
local film = require "omni.film"

local directory, output

before_each(function()
  directory = env.directory()
  output = directory:file "film.mp4"
end)

after_each(function() directory:close() end)

local function cut(paths, also)
  local given = { clips = {}, output = output }
  for i, path in ipairs(paths) do given.clips[i] = { name = "scene " .. i, path = path } end
  for name, value in pairs(also or {}) do given[name] = value end
  local made = assert(film.cut(given))
  assert.equal("", clips.run { "sh", "-c", 'exec ffmpeg -nostdin -v warning -i "$1" -f null - 2>&1', "sh", output })
  return made
end

local function picture() return clips.entries(output, "stream=codec_name,codec_tag_string,width,height,pix_fmt", "v")[1] end

-- Half a second of a test picture.
local function video(also, ending)
  local arguments = { "-f", "lavfi", "-i", "testsrc2=s=64x36:r=24:d=0.5" }
  table.move(also, 1, #also, #arguments + 1, arguments)
  return clips.ffmpeg(arguments, ending)
end

describe("the film's picture", function()
  it("has the codec tag that Apple's players need", function()
    local hevc = { "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=0", "-pix_fmt", "yuv420p" }
    local unusual = video(hevc)
    assert.equal("hev1", film.probe(unusual).video.tag)
    assert.is_true(cut({ unusual, unusual }).copied)
    assert.equal("hevc,hvc1,64,36,yuv420p", picture())
    local matroska = clips.ffmpeg({ "-i", unusual, "-c", "copy" }, "mkv")
    assert.is_true(cut({ matroska, matroska }).copied)
    assert.equal("hevc,hvc1,64,36,yuv420p", picture())
  end)

  it("is encoded if common players couldn't decode the clips (4:4:4, H.264 with ten bits), with even sides", function()
    for layout, size in pairs { yuv444p = "63:35", yuv420p10le = "64:36", yuv422p = "64:36" } do
      local path = video { "-vf", "scale=" .. size .. ",setsar=1", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", layout }
      assert.is_false(cut({ path, path }).copied)
      assert.equal("h264,avc1,64,36,yuv420p", picture())
    end
  end)

  it("has the rotation and the pixel shape of the clips when they are copied", function()
    local turned = clips.ffmpeg { "-i", clips.make(), "-c", "copy", "-metadata:s:v", "rotate=90" }
    assert.is_true(cut({ turned, turned }).copied)
    assert.equal(film.probe(turned).video.rotation, film.probe(output).video.rotation)
    local flat = clips.make { also = { "-vf", "setsar=4/3" } }
    assert.is_true(cut({ flat, flat }).copied)
    assert.equal("4:3", film.probe(output).video.sar)
  end)

  it("is deinterlaced, frame by frame; so is the picture of a last frame", function()
    -- a white bar that moves on with each field
    local woven = clips.ffmpeg { "-f", "lavfi", "-i", "color=black:s=64x64:r=48:d=1", "-f", "lavfi", "-i", "color=white:s=16x64:r=48:d=1",
      "-filter_complex", "[0][1]overlay=x='mod(n*5,48)':y=0,tinterlace=interleave_top,setfield=tff", "-c:v", "libx264", "-preset",
      "ultrafast", "-flags", "+ildct+ilme", "-pix_fmt", "yuv420p" }
    assert.equal("tt", film.probe(woven).video.field_order)
    assert.is_false(cut({ woven, woven }).copied)
    assert.equal(48, (clips.frames(output)))
    local function combed(path, number) -- how far lines differ from their neighbours
      local colour_of, sum = clips.colours(path, 64, 64), 0
      for row = 20, 40 do
        for column = 0, 63 do
          local function at(y) return (colour_of(number, column / 63, y / 63 + 0.001)) end
          sum = sum + math.abs(2 * at(row) - at(row - 1) - at(row + 1))
        end
      end
      return sum
    end
    local last, before = directory:file "last.png", combed(woven, 12)
    assert(film.last_frame(woven, last))
    assert.is_true(before > 100000, tostring(before))
    assert.is_true(combed(output, 12) < before / 4, ("%d of %d"):format(combed(output, 12), before))
    assert.is_true(combed(last, 0) < before / 4, ("%d of %d"):format(combed(last, 0), before))
  end)

  it("can be played while it is downloaded, since the index comes before the pictures", function()
    for _, other in ipairs { clips.make(), clips.make { size = "32x18" } } do
      cut { clips.make(), other }
      local bytes = env.read(output)
      assert.is_true(bytes:find("moov", 1, true) < bytes:find("mdat", 1, true))
    end
  end)
end)

describe("of a clip with several streams", function()
  local clip = clips.make { seconds = 1 }

  it("the film has the picture that players choose, and not a cover, a timecode or subtitles", function()
    local text = env.write(directory:file "words.srt", "1\n00:00:00,000 --> 00:00:00,900\nwords\n")
    local blue = clips.make { colour = "blue", size = "32x18", tone = false }
    for name, path in pairs {
      cover = clips.ffmpeg { "-t", "0.04", "-i", blue, "-i", clip, "-map", "0:v", "-map", "1", "-c", "copy", "-c:v:0", "mjpeg",
        "-disposition:v:0", "attached_pic" },
      timecode = clips.ffmpeg({ "-i", clip, "-c", "copy", "-timecode", "01:00:00:00" }, "mov"),
      subtitles = clips.ffmpeg { "-i", text, "-i", clip, "-map", "0", "-map", "1", "-c", "copy", "-c:s", "mov_text" },
      second = clips.ffmpeg({ "-i", blue, "-i", clip, "-map", "0:v", "-map", "1", "-c", "copy", "-disposition:v:0", "0",
        "-disposition:v:1", "default" }, "mkv"),
    } do
      assert.is_true(cut({ path, path }).copied, name)
      assert.same({ "video", "audio" }, clips.entries(output, "stream=codec_type"), name)
      assert.equal("h264,avc1,64,36,yuv420p", picture(), name)
      assert.equal(48, (clips.frames(output)), name)
      assert.is_true(clips.loudness(output, 0.1)[15] > 0.02, name)
    end
    os.remove(text)
  end)
end)

describe("the film's sound", function()
  local silent = clips.make { tone = false }

  local function heard(filter, rate)
    return clips.ffmpeg { "-i", silent, "-f", "lavfi", "-i", "sine=r=" .. (rate or 48000) .. ":d=0.5," .. filter, "-c:v", "copy",
      "-c:a", "aac", "-b:a", "128k" }
  end

  it("is as loud for one channel as for two equal ones, at any rate", function()
    cut { heard "pan=stereo|c0=c0|c1=c0", heard("anull", 22050), silent, heard "anull" }
    local loudness = clips.loudness(output, 0.1)
    assert.near(loudness[3], loudness[8], loudness[3] / 20)
    assert.near(loudness[3], loudness[18], loudness[3] / 20)
    assert.is_true(loudness[13] < 0.001)
    assert.same({ "aac,48000,2" }, clips.entries(output, "stream=codec_name,sample_rate,channels", "a"))
  end)

  it("contains all of 5.1 in two channels, among others and alone", function()
    local around = heard "pan=5.1|c0=0*c0|c1=0*c0|c2=c0|c3=0*c0|c4=0*c0|c5=0*c0"
    cut { around, heard "anull" }
    assert.is_true(clips.loudness(output, 0.1)[3] > 0.01)
    assert.same({ "2" }, clips.entries(output, "stream=channels", "a"))
  end)
end)

describe("ffmpeg and ffprobe", function()
  it("always get a list of allowed formats and protocols for an input, and never omni's stdin", function()
    local log = directory:file "calls"
    local note = 'for word; do printf "%s\\n" "$word"; done >> "$CALLS"\necho END >> "$CALLS"\nexec "$REAL/${0##*/}" "$@"\n'
    clips.stand_in({ ffmpeg = 'echo ffmpeg >> "$CALLS"\n' .. note, ffprobe = 'echo ffprobe >> "$CALLS"\n' .. note }, [[
      local film = require "omni.film"
      local clip, other = { path = os.getenv "CLIP" }, { path = os.getenv "OTHER" }
      local output = os.getenv "FILM"
      assert(film.cut { clips = { clip, clip }, output = output, audio = { path = clip.path } })
      assert(film.cut { clips = { clip, other }, output = output, transition = { name = "fade", seconds = 0.1 } })
      assert(film.last_frame(clip.path, output .. ".png") and film.poster(clip.path, output .. ".jpg"))
    ]], { CALLS = log, CLIP = clips.make(), FILM = output,
      OTHER = clips.ffmpeg({ "-i", clips.make { size = "32x18" }, "-c", "copy" }, "mkv") })
    local calls = 0
    for call in env.read(log):gmatch "(.-)END\n" do
      local inputs, protocols, kinds = 0, 0, 0
      calls = calls + 1
      for line in call:gmatch "[^\n]+" do
        if line == "-i" then inputs = inputs + 1 end
        if line == "-protocol_whitelist" then protocols = protocols + 1 end
        if line == "-format_whitelist" then kinds = kinds + 1 end
        assert.is_nil(line:find "^/") -- files are told from options and addresses
      end
      assert.is_true(inputs > 0 and inputs == protocols and inputs == kinds, call)
      assert.is_true(call:find "^ffprobe\n" ~= nil or call:find "\n%-nostdin\n" ~= nil, call)
      for name in call:gmatch "\n%-protocol_whitelist\n([^\n]*)" do assert.equal("file", name) end
      for name in call:gmatch "\n%-i\n([^\n]*)" do assert.equal("file:", name:sub(1, 5)) end
    end
    assert.is_true(calls >= 12)
  end)

  it("open no file or address to which a clip refers", function()
    local secret, clip = env.write(directory:file "secret", "key"), clips.make()
    for name, text in pairs {
      hls = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXTINF:1,\nfile://" .. secret .. "\n#EXT-X-ENDLIST\n",
      concat = "ffconcat version 1.0\nfile '" .. clip .. "'\nfile 'http://127.0.0.1:9/b.mp4'\n",
      dash = '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet><Representation><BaseURL>' .. clip
        .. "</BaseURL></Representation></AdaptationSet></Period></MPD>",
      sdp = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    } do
      local path = env.write(directory:file(name .. ".mp4"), text)
      for _, try in ipairs {
        function() return film.cut { clips = { { path = clip }, { path = path } }, output = output } end,
        function() return film.cut { clips = { { path = clip } }, audio = { path = path }, output = output } end,
        function() return film.last_frame(path, output) end,
      } do
        local made, failure = try()
        assert.is_nil(made)
        assert.equal("unreadable_clip", failure.code)
      end
      os.remove(path)
    end
    assert.same({ "secret" }, directory:names())
  end)
end)
