-- SPDX-License-Identifier: MIT
-- A film has exactly its clips' frames, each for its time, even if a clip's file states no number of frames, or a wrong one.
local clips = require "helper.clips"
local env = require "helper.env"
local film = require "omni.film"

local directory, output

before_each(function()
  directory = env.directory()
  output = directory:file "film.mp4"
end)

after_each(function() directory:close() end)

local fragments = "frag_keyframe+empty_moov+default_base_moof"

-- A second of 30 frames, whose sound is a little longer than the picture, in another container.
local function clip(also, ending, given)
  local arguments = { "-f", "lavfi", "-i", "testsrc2=s=64x36:r=30:d=1", "-f", "lavfi", "-i", "sine=r=48000:d=1", "-c:v", "libx264",
    "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-threads", "1", "-c:a", given and given.sound or "aac" }
  table.move(also, 1, #also, #arguments + 1, arguments)
  return clips.ffmpeg(arguments, ending)
end

local found -- of the film that was cut last

local function cut(paths)
  local list = {}
  for i, path in ipairs(paths) do list[i] = { name = "scene " .. i, path = path } end
  local made = assert(film.cut { clips = list, output = output })
  found = assert(film.probe(output))
  assert.near(found.video.seconds, found.audio.seconds, 0.03)
  return made
end

-- The film's frames, as many as there should be, one after the other.
local function assert_frames(count, step)
  local frames, least, most, first = clips.frames(output)
  assert.equal(count, frames)
  assert.near(0, first, 0.0001)
  assert.is_true(least > step - 0.0011 and most < step + 0.0011, ("%.4f to %.4f"):format(least, most))
  assert.near(count * step, found.video.seconds, 0.0101)
end

describe("clips in fragmented files", function()
  it("keep all their frames in the film, unchanged", function()
    for _, flags in ipairs { fragments, "dash+global_sidx" } do
      local path = clip { "-movflags", flags }
      assert.equal(30, film.probe(path).video.frames)
      assert.is_true(cut({ path, path, path }).copied)
      assert.equal(90, (clips.frames(output)))
      assert.equal(90, found.video.frames)
    end
  end)

  it("with reordered frames begin with the film, and are in time at each joint", function()
    local path = clip { "-movflags", fragments, "-bf", "2" }
    assert.is_true(film.probe(path).video.start > 0.02)
    assert.is_true(cut({ path, path, path }).copied)
    assert_frames(90, 1 / 30)
    local plain = clip { "-bf", "2" }
    assert.is_true(cut({ plain, path, plain }).copied)
    assert_frames(90, 1 / 30)
  end)

  it("are counted correctly when they are encoded", function()
    local path = clip { "-movflags", fragments }
    assert.is_false(cut({ path, clips.make { rate = "30", size = "32x18" }, path }).copied)
    assert_frames(75, 1 / 30)
  end)

  it("are distinguished from truncated ones", function()
    local bytes = env.read(clip { "-movflags", fragments, "-g", "5" })
    local path = env.write(directory:file "torn.mp4", bytes:sub(1, #bytes * 2 // 3))
    local torn, failure = film.probe(path)
    assert.is_nil(torn)
    assert.equal("unreadable_clip", failure.code)
    assert.is_truthy(failure.message:find("ends early", 1, true), failure.message)
  end)
end)

describe("clips in Matroska and WebM", function()
  it("that state no number of frames and no lengths keep all their frames in the film", function()
    local told, live = clip({}, "mkv"), clip({ "-live", "1", "-bf", "2" }, "mkv")
    assert.is_true(cut({ told, told }).copied)
    assert_frames(60, 1 / 30)
    assert.is_true(cut({ live, live, live }).copied)
    assert_frames(90, 1 / 30)
    assert.is_false(cut({ live, clips.make { rate = "30", size = "32x18" }, told }).copied)
    assert_frames(75, 1 / 30)
  end)

  it("of VP9 are copied into an MP4", function()
    local path = clips.ffmpeg({ "-f", "lavfi", "-i", "testsrc2=s=64x36:r=30:d=0.5", "-c:v", "libvpx-vp9", "-deadline", "realtime",
      "-cpu-used", "8", "-pix_fmt", "yuv420p" }, "webm")
    assert.is_true(cut({ path, path }).copied)
    assert_frames(30, 1 / 30)
    assert.same({ "vp09" }, clips.entries(output, "stream=codec_tag_string", "v"))
  end)

  it("with a single frame have one frame", function()
    local one = clips.ffmpeg({ "-f", "lavfi", "-i", "color=red:s=64x36:r=24:d=0.04", "-frames:v", "1", "-c:v", "libx264",
      "-pix_fmt", "yuv420p" }, "mkv")
    assert.equal(1, film.probe(one).video.frames)
    cut { one, clips.make { seconds = 1, colour = "blue" }, one }
    assert_frames(26, 1 / 24)
  end)
end)

describe("frames that an edit list hides", function()
  it("are neither counted nor shown", function()
    local whole = clips.ffmpeg { "-f", "lavfi", "-i", "color=red:s=64x36:r=24:d=0.5", "-f", "lavfi", "-i", "color=blue:s=64x36:r=24:d=0.5",
      "-filter_complex", "[0][1]concat=n=2", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p" }
    local hiding = clips.ffmpeg { "-ss", "0.5", "-i", whole, "-c", "copy" }
    local video = film.probe(hiding).video
    assert.same({ 12, 12 }, { video.frames, video.hidden })
    assert.is_false(cut({ hiding, hiding }).copied)
    assert_frames(24, 1 / 24)
    local colour_of = clips.colours(output, 64, 36)
    for _, number in ipairs { 0, 11, 12, 23 } do
      local r, _, b = colour_of(number)
      assert.is_true(r < 60 and b > 200, ("frame %d: %d %d"):format(number, r, b))
    end
  end)
end)

describe("clips with a variable frame rate", function()
  local function uneven(ending) -- 51 frames in 59 thirtieths of a second
    return clips.ffmpeg({ "-f", "lavfi", "-i", "testsrc2=s=64x36:r=30:d=2", "-vf", "select='not(eq(mod(n,7),3))'", "-fps_mode", "vfr",
      "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-pix_fmt", "yuv420p" }, ending)
  end

  it("are joined with all their frames, each for its time", function()
    for _, ending in ipairs { "mp4", "mkv" } do
      local path = uneven(ending)
      assert.is_true(cut({ path, path }).copied)
      local frames, least, most = clips.frames(output)
      assert.equal(102, frames)
      assert.near(1 / 30, least, 0.0011)
      assert.near(2 / 30, most, 0.0011)
      assert.near(2 * 59 / 30, found.video.seconds, 0.005)
    end
  end)

  it("get a constant rate among other clips, and keep their length", function()
    assert.is_false(cut({ uneven "mp4", clips.make { seconds = 1, rate = "30", size = "32x18" } }).copied)
    assert_frames(59 + 30, 1 / 30)
  end)
end)

describe("very short clips", function()
  it("don't shift the times of the frames around them", function()
    local function of(frames)
      return clips.ffmpeg { "-f", "lavfi", "-i", "testsrc2=s=64x36:r=24:d=1", "-frames:v", tostring(frames), "-c:v", "libx264", "-bf", "3",
        "-b_strategy", "0", "-pix_fmt", "yuv420p" }
    end
    cut { of(1), of(24), of(2), of(24) }
    assert_frames(51, 1 / 24)
    cut { of(1), clips.make { size = "32x18" }, of(2), of(24) }
    assert_frames(39, 1 / 24)
  end)
end)

describe("a picture and a sound that don't begin together", function()
  -- A second; the sound is silent for its first half.
  local half = clips.ffmpeg({ "-f", "lavfi", "-i", "sine=r=48000:d=1,volume='gte(t,0.5)':eval=frame", "-c:a", "aac" }, "m4a")
  local picture = clips.make { seconds = 1, tone = false, also = { "-bf", "2" } }

  it("stay in sync if the sound begins first", function()
    local late = clips.ffmpeg { "-itsoffset", "0.5", "-i", picture, "-i", half, "-map", "0:v", "-map", "1:a", "-c", "copy" }
    for _, other in ipairs { late, clips.make { size = "32x18", seconds = 0.5, tone = 0 } } do
      cut { late, other, late }
      local loudness, second = clips.loudness(output, 0.1), math.floor(10 * found.video.seconds + 0.5) - 10
      assert.is_true(loudness[3] > 0.02 and loudness[8] < 0.01, "the first")
      assert.is_true(loudness[second + 3] > 0.02 and loudness[second + 8] < 0.01, "the last")
      assert.near(0, found.video.start, 0.0001)
    end
  end)

  it("stay in sync if the picture begins first", function()
    local late = clips.ffmpeg { "-i", picture, "-itsoffset", "0.3", "-i", half, "-map", "0:v", "-map", "1:a", "-c", "copy" }
    cut { late, late }
    local loudness = clips.loudness(output, 0.1)
    for i = 1, 20 do
      local within = (i - 1) % 10 + 1
      if within ~= 1 and within ~= 8 and within ~= 9 then
        assert.equal(within == 10, loudness[i] > 0.02, ("slice %d: %.4f"):format(i, loudness[i]))
      end
    end
  end)

  it("are a film even if the sound is empty", function()
    local empty = clips.ffmpeg({ "-i", picture, "-f", "lavfi", "-t", "1", "-i", "anullsrc", "-af", "atrim=end_sample=0", "-c:v", "copy",
      "-c:a", "pcm_s16le" }, "mkv")
    assert.same({ "video", "audio" }, clips.entries(empty, "stream=codec_type"))
    assert.is_nil(film.probe(empty).audio)
    cut { empty, clips.make { seconds = 1 } }
    local loudness = clips.loudness(output, 0.1)
    assert.is_true(loudness[5] < 0.001 and loudness[15] > 0.02)
  end)
end)

describe("what a cut costs", function()
  local count = 'echo "${0##*/}" >> "$CALLS"\nexec "$REAL/${0##*/}" "$@"\n'

  local function calls(paths)
    local log = directory:file "calls"
    os.remove(log)
    clips.stand_in({ ffmpeg = count, ffprobe = count }, [[
      local list = {}
      for path in os.getenv "CLIPS":gmatch "[^:]+" do list[#list + 1] = { path = path } end
      print(assert(require "omni.film".cut { clips = list, output = os.getenv "FILM" }).copied)
    ]], { CALLS = log, CLIPS = table.concat(paths, ":"), FILM = output })
    local counted = { ffmpeg = 0, ffprobe = 0 }
    for name in env.read(log):gmatch "%l+" do counted[name] = counted[name] + 1 end
    return counted
  end

  it("is one probe for each clip and for the film, one run for all sounds and one for the joint, if clips agree", function()
    assert.same({ ffprobe = 4, ffmpeg = 2 }, calls { clips.make(), clips.make { colour = "blue" }, clips.make { colour = "lime" } })
  end)

  it("is one more probe for a clip that doesn't state its number of frames", function()
    assert.same({ ffprobe = 4, ffmpeg = 2 }, calls { clip { "-movflags", fragments }, clip { "-bf", "0", "-g", "12" } })
  end)
end)

describe("clips that can't be joined although they seem to have one format", function()
  it("are encoded", function()
    local made = clips.stand_in({ ffmpeg = [[
      case "$*" in *picture*) # the first time the packets of half a second are lost
        if [ ! -e "$MARK" ]; then
          : > "$MARK"
          exec "$REAL/ffmpeg" -nostdin -v error -f lavfi -i color=s=64x36:d=0.1 -f mp4 -y "$FILM.part/film"
        fi ;;
      esac
      exec "$REAL/ffmpeg" "$@"
    ]] }, [[
      local clip, shown = { path = os.getenv "CLIP" }, 0
      local made = assert(require "omni.film".cut { clips = { clip, clip }, output = os.getenv "FILM", on_progress = function(fraction)
        assert(fraction > shown)
        shown = fraction
      end })
      print(made.copied, shown == 1)
    ]], { MARK = directory:file "mark", FILM = output, CLIP = clips.make() })
    assert.equal("false\ttrue\n", made)
    found = film.probe(output)
    assert_frames(24, 1 / 24)
  end)
end)
