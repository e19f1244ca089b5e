-- SPDX-License-Identifier: MIT
local cjson = require "cjson"
local core = require "omni.core"
local env = require "helper.env"
local loop = require "omni.loop"
local media = require "omni.sandbox.drawing"
local process = require "omni.process"

local frame <const> = 1 / 24

local function run(argv)
  local result = assert(process.run(argv, { stdout = "pipe", max_output = 32 * 1024 * 1024 }))
  assert(result.exit == 0, result.stderr)
  return result.stdout
end

-- Returns ffprobe's data about a clip: its video stream, its audio stream (or nil) and its container.
local function probe(path)
  local told = cjson.decode(run { "ffprobe", "-v", "error", "-of", "json", "-show_streams", "-show_format", path })
  local streams = {}
  for _, stream in ipairs(told.streams) do streams[stream.codec_type] = stream end
  return streams.video, streams.audio, told.format
end

-- The brightness of each pixel of one picture, as bytes.
local function picture(path, at, w, h)
  return run { "ffmpeg", "-v", "error", "-ss", tostring(at), "-i", path, "-frames:v", "1",
    "-vf", ("scale=%d:%d:flags=area"):format(w, h), "-f", "rawvideo", "-pix_fmt", "gray", "-" }
end

-- The mean colour of its middle, where nothing is written.
local function colour(path)
  return run { "ffmpeg", "-v", "error", "-i", path, "-frames:v", "1", "-vf", "scale=1:1:flags=area", "-f", "rawvideo",
    "-pix_fmt", "rgb24", "-" }
end

-- Runs Lua code in a process of its own; `$lua` is looked up before the environment changes.
local function in_lua(code, environment, interpreter)
  local lua = env.output("command -v " .. (interpreter or env.lua)):gsub("\n", "")
  local result = assert(process.run({ lua, "-e", code }, { stdout = "pipe", environment = environment }))
  assert(result.exit == 0, result.stderr)
  return result.stdout
end

describe("a clip", function()
  local directory, path

  before_each(function()
    directory = env.directory()
    path = directory:file "clip.mp4"
  end)

  after_each(function() directory:close() end)

  local sizes = {
    { "16:9", "720p", 1280, 720, 8 }, { "9:16", "720p", 720, 1280, 1 },
    { "16:9", "1080p", 1920, 1080, 0.5 }, { "9:16", "1080p", 1080, 1920, 0.25 },
    { "16:9", "4k", 3840, 2160, 0.125 }, { "9:16", "4k", 2160, 3840, 0.125 },
  }
  for _, row in ipairs(sizes) do
    it(("has the shape, size and duration asked for: %s, %s, %g s"):format(row[1], row[2], row[5]), function()
      local spec = { prompt = "A quiet sea.", seconds = row[5], aspect_ratio = row[1], resolution = row[2], seed = 1 }
      assert.equal(path, media.clip(spec, path))
      local video, audio, format = probe(path)
      assert.same({ row[3], row[4] }, { video.width, video.height })
      assert.same({ "h264", "yuv420p", "24/1" }, { video.codec_name, video.pix_fmt, video.r_frame_rate })
      assert.same({ "aac", "48000", 2 }, { audio.codec_name, audio.sample_rate, math.tointeger(audio.channels) })
      assert.equal(row[5] * 24, tonumber(video.nb_frames))
      assert.is_true(math.abs(tonumber(format.duration) - row[5]) <= frame)
      assert.is_true(math.abs(tonumber(audio.duration) - row[5]) <= 2 * frame)
      assert.same({ "clip.mp4" }, directory:names())
    end)
  end

  it("can be played before it is downloaded completely", function()
    assert(media.clip({ prompt = "x", seconds = 1 }, path))
    local bytes = env.read(path)
    assert.is_true(bytes:find("moov", 1, true) < bytes:find("mdat", 1, true))
  end)

  it("has the same bytes for the same spec", function()
    local spec = { prompt = "A quiet sea.", seconds = 1, seed = 5, label = "one", images = 2, video = true }
    assert(media.clip(spec, path))
    assert(media.clip(spec, directory:file "again.mp4"))
    assert.is_true(env.read(path) == env.read(directory:file "again.mp4"))
  end)

  it("looks different for another prompt and for another seed", function()
    local function look(prompt, seed)
      assert(media.clip({ prompt = prompt, seconds = frame, seed = seed }, path))
      return colour(path)
    end
    local first = look("A quiet sea.", 1)
    assert.not_equal(first, look("A stormy sea.", 1))
    assert.not_equal(first, look("A quiet sea.", 2))
  end)

  it("shows its prompt", function()
    local function bright(prompt)
      assert(media.clip({ prompt = prompt, seconds = frame, seed = 1 }, path))
      local _, count = picture(path, 0, 1280, 720):sub(1280 * 120, 1280 * 600):gsub("[\xe6-\xff]", "")
      return count
    end
    assert.equal(0, bright " \n ")
    local short, long = bright "Sea.", bright(("A quiet sea at dawn. "):rep(10))
    assert.is_true(short > 500 and long > 4 * short, ("%d, %d"):format(short, long))
  end)

  it("moves", function()
    assert(media.clip({ prompt = "A quiet sea.", seconds = 2, seed = 1 }, path))
    local first, later = picture(path, 0, 64, 36), picture(path, 1.5, 64, 36)
    local bar_first, bar_later = first:sub(-64), later:sub(-64)
    local changed, grown = 0, 0
    for i = 1, #first - 64 do if math.abs(first:byte(i) - later:byte(i)) > 3 then changed = changed + 1 end end
    for i = 1, 64 do if bar_later:byte(i) - bar_first:byte(i) > 20 then grown = grown + 1 end end
    assert.is_true(changed > 50, "only " .. changed .. " changed")
    assert.is_true(grown > 40, "the bar grew by " .. grown)
  end)

  it("is quiet, but not silent", function()
    assert(media.clip({ prompt = "A quiet sea.", seconds = 1, seed = 1 }, path))
    local loudest = 0
    local samples = run { "ffmpeg", "-v", "error", "-i", path, "-f", "s16le", "-" }
    for i = 1, #samples - 1, 2 do loudest = math.max(loudest, math.abs((("<i2"):unpack(samples, i)))) end
    assert.is_true(loudest > 300 and loudest < 4000, "the loudest sample is " .. loudest)
  end)
end)

describe("a hostile prompt", function()
  local letters = {}
  for code = 1, 0xFFFF, 37 do
    if code < 0xD800 or code > 0xDFFF then letters[#letters + 1] = utf8.char(code) end
  end
  local prompts = {
    ["the filter graph's own signs"] = "',;[v]:=\\%{pts}%%'\\\\:x=0[a];drawtext=text='",
    ["line breaks"] = "one\ntwo\r\n\n\nthree\ttabs",
    ["terminal commands"] = "\27[2J\27]0;title\7\0\127",
    ["bytes that aren't UTF-8"] = "\xff\xfe\xc3\x28\xed\xa0\x80\xf4\x90\x80\x80",
    ["scripts from right to left"] = "\u{202e}مرحبا بالعالم\u{2066} שלום עולם abc",
    ["emoji"] = "👩‍👩‍👧‍👦🏳️‍🌈😀🇩🇪 film",
    ["20,000 letters without a space"] = ("w"):rep(20000),
    ["20,000 wide letters"] = ("海"):rep(20000),
    ["20,000 spaces"] = (" "):rep(20000),
    ["a pile of accents"] = "a" .. ("\u{301}"):rep(3000),
    ["letters of every kind"] = table.concat(letters),
    ["letters of every kind, apart"] = table.concat(letters, " "),
  }
  for name, prompt in pairs(prompts) do
    it("can't spoil the clip: " .. name, function()
      local directory <close> = env.directory()
      local path = directory:file "clip.mp4"
      assert.same({ path }, { media.clip({ prompt = prompt, label = prompt, seconds = frame, seed = 3 }, path) })
      local video, audio = probe(path)
      assert.equal(1, tonumber(video.nb_frames))
      assert.is_truthy(audio)
    end)
  end

  it("stays within the picture's margins", function()
    local directory <close> = env.directory()
    local path = directory:file "clip.mp4"
    for _, letter in ipairs { "w", "W", "@ m ", "Wide words ", "Тихое море ", "海" } do
      assert(media.clip({ prompt = letter:rep(9000), seconds = frame, seed = 3 }, path))
      local grey = picture(path, 0, 1280, 720)
      for y = 0, 700 do
        local right = grey:sub(y * 1280 + 1280 - 60, y * 1280 + 1280)
        assert.is_nil(right:find "[\xe6-\xff]", letter .. " at line " .. y)
      end
    end
  end)
end)

describe("a folder", function()
  local code = [[
    local media = require "omni.sandbox.drawing"
    local spec = { prompt = "x", seconds = 1 / 24, builtin = os.getenv "BUILTIN" ~= nil }
    local path, failure = media.clip(spec, os.getenv "CLIP")
    print(media.available(), path, failure and failure.code, failure)
  ]]

  it("with an unusual name can hold a clip", function()
    local directory <close> = env.directory()
    local odd = directory:file "a'b: c;[d],=\\%d"
    assert(core.make_directory(odd))
    local path = odd .. "/-clip: 'x' %03d.mp4"
    assert.equal("ffmpeg\t" .. path .. "\tnil\tnil\n", in_lua(code, { TMPDIR = odd, CLIP = path }))
    assert.equal(1, tonumber(probe("file:" .. path).nb_frames))
    os.remove(path)
    assert.is_true(core.remove(odd)) -- nothing else is left there
  end)

  it("that doesn't exist is reported, and nothing is left behind", function()
    local directory <close> = env.directory()
    local told = in_lua(code, { TMPDIR = directory.path, CLIP = "/nowhere/clip.mp4" })
    assert.is_truthy(told:find "^ffmpeg\tnil\tprocess_failed\t.*No such file or directory", told)
    assert.same({}, directory:names())
    told = in_lua(code, { TMPDIR = directory.path, CLIP = "/nowhere/clip.mp4", BUILTIN = "1" })
    assert.is_truthy(told:find "^ffmpeg\tnil\tio\t.*No such file or directory", told)
    told = in_lua(code, { TMPDIR = "/nowhere", CLIP = directory:file "clip.mp4" }, env.lua_without_tmpdir)
    assert.is_truthy(told:find "^ffmpeg\tnil\tio\t.*No such file or directory", told)
    assert.same({}, directory:names())
  end)
end)

describe("without ffmpeg", function()
  it("the sandbox serves a small built-in clip", function()
    local directory <close> = env.directory()
    local path = directory:file "clip.mp4"
    local told = in_lua([[
      local media = require "omni.sandbox.drawing"
      print(media.available(), media.clip({ prompt = "x", seconds = 4 }, os.getenv "CLIP"))
    ]], { PATH = "/nowhere", CLIP = path, TMPDIR = directory.path })
    assert.equal("builtin\t" .. path .. "\n", told)
    local video, audio, format = probe(path)
    assert.same({ "h264", "aac", 160, 90 }, { video.codec_name, audio.codec_name, video.width, video.height })
    assert.equal(1, tonumber(format.duration))
    assert.is_true(tonumber(format.size) < 2500)
    run { "ffmpeg", "-v", "error", "-xerror", "-i", path, "-f", "null", "-" }
    assert.same({ "clip.mp4" }, directory:names())
  end)

  it("or on request, the sandbox serves that clip", function()
    local directory <close> = env.directory()
    local path = directory:file "clip.mp4"
    assert.equal(path, media.clip({ prompt = "x", seconds = 4, builtin = true }, path))
    assert.equal(160, probe(path).width)
    assert.equal("ffmpeg", media.available())
  end)
end)

describe("when ffmpeg", function()
  -- A directory with an ffmpeg of ours, which says that it can all and then does as the script says.
  local function fake(script)
    local directory = env.directory()
    local able = "#!/bin/sh\n[ $2 = -h ] && { printf '\\nlibx264 AVOptions:\\n'; exit; }\n"
    os.execute("chmod +x " .. env.quote(env.write(directory:file "ffmpeg", able .. script)))
    core.make_directory(directory:file "tmp")
    local path = directory.path .. ":" .. os.getenv "PATH"
    return directory, { PATH = path, TMPDIR = directory:file "tmp", CLIP = directory:file "clip.mp4" }
  end

  it("fails, the error has its last words, cleaned, and nothing is left behind", function()
    local directory <close>, environment = fake [[
      for last; do :; done
      : > "${last#file:}"
      seq 1 1000 >&2
      printf '\033[31mno space\377 left\n' >&2
      exit 3
    ]]
    local told = in_lua([[
      local path, failure = require "omni.sandbox.drawing".clip({ prompt = "x", seconds = 4 }, os.getenv "CLIP")
      print(path, failure.code, failure.message)
    ]], environment)
    assert.is_truthy(told:find "^nil\tprocess_failed\tffmpeg can't draw a clip %(exit code 3%): ")
    assert.is_truthy(told:find("999 1000 ?[31mno space? left", 1, true))
    assert.is_true(#told < 800)
    assert.same({ "ffmpeg", "tmp" }, directory:names())
    assert.equal("", env.output("ls " .. env.quote(directory:file "tmp")))
  end)

  it("still draws when the fiber is cancelled, it is killed and nothing is left behind", function()
    local directory <close>, environment = fake [[
      for last; do :; done
      : > "${last#file:}"
      echo $$ > "$0.pid"
      exec sleep 1000
    ]]
    in_lua([[
      local core, loop = require "omni.core", require "omni.loop"
      loop.run(function()
        local fiber = loop.spawn(require "omni.sandbox.drawing".clip, { prompt = "x", seconds = 4 }, os.getenv "CLIP")
        local pid_file = os.getenv "TMPDIR" .. "/../ffmpeg.pid"
        repeat loop.sleep(0.001) until (core.stat(pid_file) or { size = 0 }).size > 0
        fiber:cancel()
      end)
    ]], environment)
    local pid = env.read(directory:file "ffmpeg.pid"):match "%d+"
    assert.is_nil(core.stat("/proc/" .. pid))
    assert.same({ "ffmpeg", "ffmpeg.pid", "tmp" }, directory:names())
    assert.equal("", env.output("ls " .. env.quote(directory:file "tmp")))
  end)
end)

describe("drawing", function()
  it("lets other fibers run", function()
    local directory <close> = env.directory()
    local ticks = 0
    loop.run(function()
      local fiber = loop.spawn(media.clip, { prompt = "x", seconds = 1 }, directory:file "clip.mp4")
      while not fiber:done() do
        ticks = ticks + 1
        loop.sleep(0.005)
      end
    end)
    assert.is_true(ticks > 3)
  end)
end)
