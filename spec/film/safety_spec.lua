-- SPDX-License-Identifier: MIT
-- Cuts with damaged clips, full disks, strange names and interruptions.
local clips = require "helper.clips"
local core = require "omni.core"
local env = require "helper.env"
local film = require "omni.film"
local loop = require "omni.loop"
local process = require "omni.process"

local directory, output

before_each(function()
  directory = env.directory()
  output = env.write(directory:file "film.mp4", "the film before")
end)

after_each(function() directory:close() end)

local function assert_untouched(also)
  assert.equal("the film before", env.read(output))
  local names = { "film.mp4" }
  table.move(also or {}, 1, also and #also or 0, 2, names)
  table.sort(names)
  assert.same(names, directory:names())
end

local function processes_about(text)
  local count = 0
  for pid in env.output("ls /proc"):gmatch "%d+" do
    local line = env.read("/proc/" .. pid .. "/cmdline")
    if line and line:find("ffmpeg", 1, true) and line:find(text, 1, true) then count = count + 1 end
  end
  return count
end

describe("a clip that can't be read", function()
  local whole = clips.make { seconds = 1, also = { "-movflags", "+faststart" } }

  it("is named with its scene and the reason, and the old film stays", function()
    local bytes = env.read(whole)
    local half = env.write(directory:file "half.mp4", bytes:sub(1, #bytes // 2)) -- its header promises more
    local torn = env.write(directory:file "torn.mp4", bytes:sub(1, 200))
    local fade = { name = "fade", seconds = 0.1 }
    local cases = { -- path, which of three, reason, transition
      { half, 1, "partial file" }, { half, 3, "partial file" }, { half, 1, "partial file", fade }, { half, 3, "partial file", fade },
      { torn, 2, "it has neither picture nor sound" }, { directory:file "gone.mp4", 2, "No such file or directory" },
      { clips.ffmpeg({ "-f", "lavfi", "-i", "sine=d=1" }, "m4a"), 2, "it has no picture" },
    }
    for _, case in ipairs(cases) do
      local path, index, reason, transition = table.unpack(case, 1, 4)
      local list = { { name = "dawn", path = whole }, { name = "noon", path = whole }, { name = "dusk", path = whole } }
      list[index].path = path
      local made, failure = film.cut { clips = list, output = output, transition = transition }
      assert.is_nil(made)
      assert.equal("unreadable_clip", failure.code)
      local scene = ("scene '%s': can't read the clip %s: "):format(list[index].name, path)
      assert.equal(scene, failure.message:sub(1, #scene))
      assert.is_truthy(failure.message:find(reason, 1, true), failure.message)
    end
    assert_untouched { "half.mp4", "torn.mp4" }
  end)

  it("is distinguished from an audio track that can't be read", function()
    local mute = clips.make { tone = false }
    for path, reason in pairs { [directory:file "gone.mp3"] = "No such file or directory", [mute] = "it has no sound" } do
      local made, failure = film.cut { clips = { { name = "dawn", path = whole } }, output = output, audio = { path = path } }
      assert.is_nil(made)
      assert.equal("unreadable_clip", failure.code)
      assert.equal(("can't read the audio track %s: %s"):format(path, reason), failure.message)
    end
    assert_untouched()
  end)
end)

describe("names", function()
  local names = { "-i.mp4", "a b'c\"d''.mp4", "%d%03d.mp4", "file:x.mp4", "two\nlines\r.mp4", "\\'#?&;|:[v],=.mp4", "\255\1.mp4" }

  it("of clips, scenes, tracks and films are taken literally", function()
    local bytes, list = env.read(clips.make()), {}
    for i, name in ipairs(names) do list[i] = { name = name, path = env.write(directory:file(name), bytes) } end
    for _, name in ipairs { "-f.mp4", "it's %d:\n\"film\".mp4" } do
      local made = assert(film.cut { clips = list, output = directory:file(name) })
      assert.is_true(made.copied)
      assert.near(0.5 * #names, made.seconds, 0.05)
    end
    local made = assert(film.cut { clips = { list[2], list[5], list[6] }, transition = { name = "fade", seconds = 0.1 },
      audio = { path = list[1].path }, output = directory:file "%d it's\n.mp4" })
    assert.near(1.3, made.seconds, 0.1)
    assert.is_nil(env.output("ls -d " .. env.quote(directory.path) .. "/*"):find(".part", 1, true))
  end)

  it("may be relative to the working directory", function()
    local here = env.output("pwd"):gsub("\n", "")
    local function from_here(paths) return (";" .. paths):gsub(";([^/;])", ";" .. here .. "/%1"):sub(2) end
    env.write(directory:file "-c.mp4", env.read(clips.make()))
    local result = assert(process.run({ env.lua, "-e", ("package.path, package.cpath = %q, %q"):format(from_here(package.path),
      from_here(package.cpath)), "-e", [[
        local film = require "omni.film"
        local clip = { path = "-c.mp4" }
        assert(film.cut { clips = { clip, clip }, output = "-film.mp4" })
        assert(film.cut { clips = { clip, clip }, output = "./film.mp4", transition = { name = "fade", seconds = 0.1 } })]] },
      { directory = directory.path }))
    assert.equal("", result.stderr)
    assert.same({ "-c.mp4", "-film.mp4", "film.mp4" }, directory:names())
  end)
end)

describe("a cut that is cancelled", function()
  it("ends its programs, and leaves only the old film", function()
    local long = clips.ffmpeg { "-f", "lavfi", "-i", "testsrc2=s=640x360:r=24:d=12", "-c:v", "libx264", "-preset", "ultrafast",
      "-pix_fmt", "yuv420p" }
    loop.run(function()
      local list = { { path = long }, { path = long }, { path = long } }
      local fiber = loop.spawn(film.cut, { clips = list, output = output, transition = { name = "fade" } })
      repeat loop.sleep(0.005) until (core.stat(output .. ".part/2.mov") or { size = 0 }).size > 0
      assert.is_true(processes_about(output) >= 1)
      fiber:cancel()
      assert.equal(0, processes_about(output))
    end)
    assert_untouched()
  end)
end)

describe("a cut that was killed", function()
  it("leaves a folder that the next cut removes", function()
    assert(core.make_directory(output .. ".part"))
    for _, name in ipairs { "film", "picture", "sound", "1.mov", "77.mov", "3.clip", "lock" } do
      env.write(output .. ".part/" .. name, "left behind")
    end
    local clip = { path = clips.make() }
    assert(film.cut { clips = { clip, clip }, output = output })
    assert.same({ "film.mp4" }, directory:names())
    assert.near(1, film.probe(output).seconds, 0.03)
  end)
end)

describe("two cuts of one film at once", function()
  it("don't disturb each other: one makes the film, the other returns an error", function()
    local clip, results = { path = clips.make() }, {}
    loop.run(function()
      for i = 1, 2 do
        loop.spawn(function() results[i] = table.pack(film.cut { clips = { clip, clip }, output = output }) end)
      end
    end)
    if not results[1][1] then results[1], results[2] = results[2], results[1] end
    assert.equal(output, results[1][1].path)
    assert.is_nil(results[2][1])
    assert.equal("cut_failed", results[2][2].code)
    assert.is_truthy(results[2][2].message:find("another program is cutting it now", 1, true))
    assert.same({ "film.mp4" }, directory:names())
  end)
end)

describe("a film that can't be made", function()
  it("can't be written to its folder", function()
    local clip = { path = clips.make() }
    for _, path in ipairs { "/nowhere/film.mp4", "/dev/null", directory.path } do
      local made, failure = film.cut { clips = { clip }, output = path }
      assert.is_nil(made)
      assert.equal("cut_failed", failure.code)
      assert.is_truthy(failure.message:find(path, 1, true))
    end
    assert.equal("other", core.stat("/dev/null").kind)
    assert_untouched()
  end)

  -- ffmpeg as the script has it; ffprobe is the machine's.
  local function cut_with(script)
    return clips.stand_in({ ffmpeg = script }, [[
      local clip = { name = "dawn", path = os.getenv "CLIP" }
      local made, failure = require "omni.film".cut { clips = { clip, clip }, output = os.getenv "FILM" }
      print(made, failure.code, failure.message, failure.hint)
    ]], { CLIP = clips.make(), FILM = output })
  end

  it("for lack of disk space says so, and blames no clip", function()
    local told = cut_with 'echo "av_interleaved_write_frame(): No space left on device" >&2; exit 1\n'
    assert.is_truthy(told:find("^nil\tcut_failed\t.*film.mp4: .*No space left on device .exit code 1.\tfree disk space"), told)
    assert_untouched()
  end)

  it("for a reason of ffmpeg's returns ffmpeg's message, cleaned", function()
    local told = cut_with [[
      case "$*" in *"-f null"*) exit 0 ;; esac
      printf 'it \033[31mdoes\377 not\nwork\n' >&2
      kill -9 $$
    ]]
    assert.is_truthy(told:find("film.mp4: it ?[31mdoes? not; work (signal 9)", 1, true), told)
    assert.is_truthy(told:find "^nil\tcut_failed\t")
    assert_untouched()
  end)

  it("completely isn't taken for a film", function()
    local told = cut_with [[
      for last; do :; done
      case $last in *film) exec "$REAL/ffmpeg" -nostdin -v error -f lavfi -i color=s=64x36:d=0.1 -f mp4 -y "$last" ;; esac
      exec "$REAL/ffmpeg" "$@"
    ]]
    assert.is_truthy(told:find("^nil\tcut_failed\t"), told)
    assert_untouched()
  end)
end)

describe("film.cut", function()
  it("raises for senseless options, at the caller's line", function()
    local clip = { path = "x.mp4" }
    for message, given in pairs {
      ["unknown option 'clip'; did you mean 'clips'?"] = { clip = {}, output = "x" },
      ["option 'output' is missing"] = { clips = { clip } },
      ["option 'clips' must have 1 to 10000 clips, not 0"] = { clips = {}, output = "x" },
      ["clip 2 has no path"] = { clips = { clip, "y" }, output = "x" },
      ["there is no transition 'fad'; did you mean 'fade'?"] = { clips = { clip }, output = "x", transition = { name = "fad" } },
      ["a transition's seconds must be 0 to 60"] = { clips = { clip }, output = "x", transition = { name = "fade", seconds = 0 / 0 } },
      ["the audio track has no path"] = { clips = { clip }, output = "x", audio = {} },
      ["volumes must be 0 to 10"] = { clips = { clip }, output = "x", audio = { path = "y", volume = 11 } },
    } do
      local fine, problem = pcall(function()
        local made = film.cut(given)
        return made
      end)
      assert.is_false(fine)
      assert.is_truthy(problem:find("^spec/film/safety_spec.lua:%d+: film.cut: "), problem)
      assert.is_truthy(problem:find(message, 1, true), problem)
    end
  end)
end)
