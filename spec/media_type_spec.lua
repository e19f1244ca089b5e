-- SPDX-License-Identifier: MIT
-- What a file is, by its first bytes, and by its name where they say nothing.
local env = require "helper.env"
local media_type = require "omni.media_type"

-- The type of these bytes under this name; false and what it is instead, when it has none.
local function of(bytes, path)
  local kind, other = media_type.of(bytes, path or "x")
  return kind and kind.type or false, other
end

local function mp4(brand, ...) -- the brand, and those that it can be read as
  local box = brand .. "\0\0\2\0" .. table.concat { ... }
  return (">I4"):pack(#box + 8) .. "ftyp" .. box .. "\0\0\0\8free"
end

describe("the type of a file", function()
  it("is told by what ffmpeg makes", function()
    local directory <close> = env.directory()
    if not os.execute "command -v ffmpeg >/dev/null" then return pending "there is no ffmpeg" end
    env.output(("cd %s && ffmpeg -v error -f lavfi -i testsrc=size=64x64:rate=5:duration=0.4 -f lavfi -i sine=duration=0.4"
      .. " -map 0 -frames:v 1 a.png -map 0 -frames:v 1 a.jpg -map 0 -frames:v 1 a.webp -map 0 a.gif -map 0 -frames:v 1 a.tiff"
      .. " -map 0 a.mp4 -map 0 a.mov -map 0 -c:v libvpx a.webm -map 0 a.mkv -map 0 -c:v libtheora a.ogv -map 1 a.mp3"
      .. " -map 1 -id3v2_version 0 -write_xing 0 bare.mp3 -map 1 a.wav -map 1 a.ogg -map 1 -c:a libopus a.opus -map 1 a.m4a"
      .. " 2>&1"):format(env.quote(directory.path)))
    local types = {
      ["a.png"] = "image/png", ["a.jpg"] = "image/jpeg", ["a.webp"] = "image/webp", ["a.gif"] = "image/gif", ["a.tiff"] = false,
      ["a.mp4"] = "video/mp4", ["a.mov"] = "video/quicktime", ["a.webm"] = "video/webm", ["a.mkv"] = "video/x-matroska",
      ["a.ogv"] = "video/ogg", ["a.mp3"] = "audio/mpeg", ["bare.mp3"] = "audio/mpeg", ["a.wav"] = "audio/wav", ["a.ogg"] = "audio/ogg",
      ["a.opus"] = "audio/ogg", ["a.m4a"] = "audio/mp4",
    }
    for name, type in pairs(types) do
      local bytes = env.read(directory:file(name)):sub(1, media_type.enough)
      assert.equal(type, of(bytes), name)
      assert.equal(type, of(bytes, "misnamed.gif"), name)
    end
  end)

  it("is told by the name where the bytes say nothing", function()
    local types = {
      ["a/b.mov"] = "video/quicktime", ["x.MP3"] = "audio/mpeg", ["x.y.jpeg"] = "image/jpeg", ["x.txt"] = false, ["png"] = false,
      [".png"] = false, ["x.png/y"] = false, ["x.png "] = false,
    }
    for name, type in pairs(types) do assert.equal(type, of("\0\0\0\8wide\0\0", name), name) end
    assert.equal("image/png", of("", "x.png"))
  end)

  it("of MPEG-4's family is told by the brand, and by those that it can be read as", function()
    assert.equal("video/mp4", of(mp4("isom")))
    assert.equal("video/mp4", of(mp4("XAVC", "XAVC", "mp42")))
    assert.equal(false, of(mp4("XAVC", "XAVC")))
    assert.equal(false, of(mp4("XAVC") .. "isom")) -- which stands behind the list
    assert.equal(false, of("\xFF\xFF\xFF\xFFftypXAVC"))
    assert.equal(false, of("\0\0\0\8ftyp"))
    assert.equal("audio/mp4", of(mp4("M4A ", "isom"), "x.mp4"))
    assert.equal("audio/mp4", of(mp4("isom"), "x.m4a"))
    assert.equal("video/mp4", of(mp4("isom"), "x.mov"))
  end)

  it("is none for what can't be taken, which has a name, whatever the file is called", function()
    local others = {
      [mp4("heic", "mif1", "heic")] = "an HEIC or AVIF image", [mp4("avis", "avif", "iso8")] = "an HEIC or AVIF image",
      ["%PDF-1.7"] = "a PDF document", ["MM\0*"] = "a TIFF image", ["\xEF\xBB\xBF \r\n<!DOCTYPE html>"] = "a page of HTML, SVG or XML",
      ["<svg xmlns=''/>"] = "a page of HTML, SVG or XML",
    }
    for bytes, other in pairs(others) do assert.same({ false, other }, { of(bytes, "x.jpg") }) end
  end)

  it("isn't guessed from a few bytes that anything may begin with", function()
    for _, bytes in ipairs { "", "\xFF", "\xFF\xFE", "\xFF\xFB\xFF\0", "\xFF\xFB\x9C\0", "\xFF\xF1\x50\x80", "RIFF\0\0\0\0AVI ", "GIF87",
      "\x89PNG", "\x1A\x45\xDF\xA3", "OggX" } do
      assert.equal(false, of(bytes), ("%q"):format(bytes))
    end
    assert.equal("audio/mpeg", of "\xFF\xFB\x90\0")
  end)
end)
