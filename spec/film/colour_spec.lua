-- SPDX-License-Identifier: MIT
-- Colours: HDR and wide gamuts among other clips, full range, and transparent pictures.
local clips = require "helper.clips"
local env = require "helper.env"
local film = require "omni.film"

local directory, output

before_each(function()
  directory = env.directory()
  output = directory:file "film.mp4"
end)

after_each(function() directory:close() end)

-- Colours of BT.709, taken as light of which 1 is HDR's reference white, in another system.
local systems = {
  pq = { transfer = "smpte2084", filter = "p=bt2020:t=smpte2084:m=bt2020nc:r=limited" },
  hlg = { transfer = "arib-std-b67", filter = "p=bt2020:t=arib-std-b67:m=bt2020nc:r=limited" },
  wide = { transfer = "bt709", filter = "p=bt2020:t=bt709:m=bt2020nc:r=limited" },
}

local function clip(system, colour, given)
  system, given = systems[system], given or {}
  local arguments = { "-f", "lavfi", "-i", ("color=%s:s=%s:r=24:d=0.5,format=gbrp,"
    .. "setparams=range=pc:colorspace=gbr:color_trc=bt709:color_primaries=bt709,zscale=t=linear:npl=203,format=gbrpf32le,"
    .. "zscale=npl=203:%s,format=yuv420p10le"):format(colour, given.size or "64x36", system.filter) }
  local function add(...) table.move({ ... }, 1, select("#", ...), #arguments + 1, arguments) end
  add("-color_primaries", "bt2020", "-color_trc", system.transfer, "-colorspace", "bt2020nc", "-color_range", "tv")
  add("-pix_fmt", "yuv420p10le")
  if given.hevc then
    add("-c:v", "libx265", "-preset", "ultrafast", "-x265-params",
      "log-level=0:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:max-cll=1000,400")
  else
    add("-c:v", "libx264", "-preset", "ultrafast")
  end
  return clips.ffmpeg(arguments)
end

local function cut(paths, also)
  local given = { clips = {}, output = output }
  for i, path in ipairs(paths) do given.clips[i] = { name = "scene " .. i, path = path } end
  for name, value in pairs(also or {}) do given[name] = value end
  return assert(film.cut(given))
end

local function colours() return clips.entries(output, "stream=color_range,color_space,color_transfer,color_primaries", "v")[1] end

local function assert_near(wanted, off, ...)
  local given = { ... }
  for i = 1, 3 do
    assert.is_true(math.abs(given[i] - wanted[i]) <= off, ("%d %d %d instead of %d %d %d"):format(given[1], given[2], given[3],
      table.unpack(wanted)))
  end
end

describe("an HDR clip among SDR clips", function()
  it("is tone-mapped: white and greys keep their brightness, and colours their hue", function()
    local plain = clips.make { colour = "white", tone = false }
    for _, system in ipairs { "pq", "hlg" } do
      local made = cut { plain, clip(system, "white"), clip(system, "0x767676"), clip(system, "0xA02020") }
      assert.is_false(made.copied)
      assert.equal("tv,bt709,bt709,bt709", colours())
      local colour_of = clips.colours(output, 64, 36)
      assert_near({ 255, 255, 255 }, 6, colour_of(6))
      local white, _, blue = colour_of(18)
      assert.is_true(white > 215 and white < 253 and math.abs(white - blue) < 4, system .. ": white is " .. white)
      assert_near({ 118, 118, 118 }, 12, colour_of(30))
      assert_near({ 160, 32, 32 }, 16, colour_of(42))
    end
  end)

  it("is tone-mapped even if all clips are HDR, if they must be encoded", function()
    cut({ clip("pq", "white"), clip("pq", "0x767676") }, { transition = { name = "fade", seconds = 0.1 } })
    assert.equal("tv,bt709,bt709,bt709", colours())
    assert_near({ 118, 118, 118 }, 12, clips.colours(output, 64, 36)(20))
  end)

  it("is copied if all clips are HDR and have one format; the film is marked as HDR", function()
    local path = clip("pq", "white", { hevc = true })
    assert.is_true(cut({ path, path }).copied)
    assert.equal("tv,bt2020nc,smpte2084,bt2020", colours())
    assert.same({ "hevc,hvc1,yuv420p10le" }, clips.entries(output, "stream=codec_name,codec_tag_string,pix_fmt", "v"))
    local side = table.concat(clips.entries(output, "frame=pts:frame_side_data=max_content", "v"), " ")
    assert.is_truthy(side:find("1000", 1, true), side)
  end)

  it("gives pictures in SDR", function()
    local path = directory:file "last.png"
    assert(film.last_frame(clip("pq", "0x767676"), path))
    assert_near({ 118, 118, 118 }, 12, clips.colour(path))
    assert(film.poster(clip("hlg", "0xA02020"), path))
    assert_near({ 160, 32, 32 }, 20, clips.colour(path))
  end)

  it("gives an error with the scene's name if ffmpeg can't convert it", function()
    local said = clips.stand_in({ ffmpeg = [[
      case "$*" in *zscale*) echo "[AVFilterGraph @ 0x1234] No such filter: 'zscale'" >&2; exit 1 ;; esac
      exec "$REAL/ffmpeg" "$@"
    ]] }, [[
      local made, failure = require "omni.film".cut { clips = { { name = "dusk", path = os.getenv "PLAIN" },
        { name = "night", path = os.getenv "HDR" } }, output = os.getenv "FILM" }
      print(made, failure.code, failure.message, failure.hint)
      made, failure = require "omni.film".last_frame(os.getenv "HDR", os.getenv "FILM")
      assert(not made and not failure.damaged and failure.message:find "lacks the filter zscale", failure.message)
    ]], { PLAIN = clips.make(), HDR = clip("pq", "white"), FILM = output })
    assert.is_truthy(said:find("^nil\tcut_failed\t.*scene 'night': this ffmpeg lacks the filter zscale\tinstall an ffmpeg"), said)
    assert.same({}, directory:names())
  end)
end)

describe("a clip with a wide gamut", function()
  it("keeps its colours in a film with the usual gamut", function()
    cut { clips.make { colour = "black", tone = false }, clip("wide", "0xD02040") }
    assert_near({ 208, 32, 64 }, 8, clips.colours(output, 64, 36)(18))
  end)
end)

describe("a clip in full range", function()
  it("keeps its brightness, alone and among others", function()
    local full = clips.make { colour = "0x303030", tone = false, also = { "-pix_fmt", "yuvj420p" } }
    for _, other in ipairs { full, clips.make { tone = false } } do
      cut { full, other }
      assert_near({ 48, 48, 48 }, 6, clips.colours(output, 64, 36)(6))
    end
  end)
end)

describe("a transparent picture", function()
  it("becomes black in a film and in pictures; a half transparent one becomes half as bright", function()
    local colour = { "-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le" }
    local function with(alpha)
      return clips.ffmpeg({ "-f", "lavfi", "-i", ("color=0xF04040@%s:s=64x36:r=24:d=0.25,format=yuva444p10le"):format(alpha),
        table.unpack(colour) }, "mov")
    end
    cut { with "0.0", with "0.5", with "1.0" }
    local colour_of, path = clips.colours(output, 64, 36), directory:file "last.png"
    assert_near({ 0, 0, 0 }, 6, colour_of(3))
    assert_near({ 120, 32, 32 }, 8, colour_of(9))
    assert_near({ 240, 64, 64 }, 8, colour_of(15))
    assert(film.last_frame(with "0.0", path))
    assert_near({ 0, 0, 0 }, 6, clips.colour(path))
  end)
end)
