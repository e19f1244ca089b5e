-- SPDX-License-Identifier: MIT
-- The media type of a file, by its first bytes; the name decides only between kinds that begin with the same bytes.
local env = require "helper.env"
local media_type = require "omni.file.media_type"

-- Returns the type of these bytes under this name; or false and what the file is instead.
local function of(bytes, path)
  local kind, other = media_type.of(bytes, path or "x")
  return kind and kind.type or false, other
end

local function mp4(brand, ...) -- the brand, and those that it can be read as
  local box = brand .. "\0\0\2\0" .. table.concat { ... }
  return (">I4"):pack(#box + 8) .. "ftyp" .. box .. "\0\0\0\8free"
end

describe("the type of a file", function()
  it("is recognised in files that ffmpeg makes", function()
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

  it("never follows from the name alone", function()
    for _, bytes in ipairs { "", "root:x:0:0\n", '{"secret":1}', "<html>", "\1\2\3\4" } do
      for _, name in ipairs { "a/b.mov", "x.MP3", "x.y.jpeg", "x.png" } do assert.equal(false, of(bytes, name), name) end
    end
  end)

  it("follows from the name between kinds that begin alike", function()
    assert.equal("video/mp4", of(mp4("XAVC", "XAVC"), "x.mp4"))
    assert.equal("audio/mp4", of(mp4("XAVC", "XAVC"), "x.M4A"))
    assert.equal(false, of(mp4("XAVC", "XAVC"), "x.png"))
  end)

  it("of an old QuickTime file without a brand follows from its first box", function()
    assert.equal("video/quicktime", of "\0\0\0\8wide\0\0\0\0mdat")
    assert.equal("video/quicktime", of "\0\0\0\1mdat\0\0\0\1")
    assert.equal(false, of "\0\0\0\2mdat")
    assert.equal(false, of "text mdat")
  end)

  it("of the MPEG-4 family follows from the brand and the compatible brands", function()
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

  it("is nil for a kind to refuse, whose name is returned, whatever the file's name is", function()
    local others = {
      [mp4("heic", "mif1", "heic")] = "an HEIC or AVIF image", [mp4("avis", "avif", "iso8")] = "an HEIC or AVIF image",
      ["%PDF-1.7"] = "a PDF document", ["MM\0*"] = "a TIFF image", ["\xEF\xBB\xBF \r\n<!DOCTYPE html>"] = "a page of HTML, SVG or XML",
      ["<svg xmlns=''/>"] = "a page of HTML, SVG or XML",
    }
    for bytes, other in pairs(others) do assert.same({ false, other }, { of(bytes, "x.jpg") }) end
  end)

  it("isn't guessed from a few common bytes", function()
    for _, bytes in ipairs { "", "\xFF", "\xFF\xFE", "\xFF\xFB\xFF\0", "\xFF\xFB\x9C\0", "\xFF\xF1\x50\x80", "RIFF\0\0\0\0AVI ", "GIF87",
      "\x89PNG", "\x1A\x45\xDF\xA3", "OggX" } do
      assert.equal(false, of(bytes), ("%q"):format(bytes))
    end
    assert.equal("audio/mpeg", of "\xFF\xFB\x90\0")
  end)

  describe("of a download is none when it is", function()
    local refused = {
      ["empty"] = { "", "empty" }, ["a page"] = { "<!DOCTYPE html><html>Sign in", 'HTML.*"<!DOCTYPE html>' },
      ["an error in XML"] = { '<?xml version="1.0"?><Error/>', "XML" }, ["JSON"] = { ' {"code":404}', "JSON: " },
      ["text"] = { "no such file", 'plain text: "no such file"' }, ["Latin text"] = { "nicht gefunden: \xFCber", "plain text" },
      ["text in UTF-16"] = { "\xFF\xFEn\0o\0", "plain text" }, ["gzip"] = { "\x1F\x8B\8\0", "packed data %(gzip%)" },
      ["an archive"] = { "PK\3\4\20\0", "packed data %(ZIP%)" }, ["a terminal's escape"] = { "<p>\27[31m\xE2\x80\xAE", "HTML[^\27\xE2]*$" },
    }
    for name, row in pairs(refused) do
      it(name, function() assert.matches(row[2], media_type.download_trouble(row[1])) end)
    end
  end)

  it("of a download may be unknown, unless the file is compressed", function()
    for _, bytes in ipairs { "RIFF\0\0\0\0AVI ", "fLaC\0\0\0\34", "G\64\0\16", "\xFF\xF1\x50\x80\0", "%PDF-1.7\0", "II*\0" } do
      assert.is_nil(media_type.download_trouble(bytes))
      assert.is_nil(media_type.download_trouble(bytes, "identity"))
    end
    assert.matches("Content%-Encoding: br", media_type.download_trouble("\x0B\2\x80\0", "br"))
    assert.matches("Content%-Encoding: gzip", media_type.download_trouble("\x1F\x8B\8\0", "gzip"))
    assert.is_nil(media_type.download_trouble(mp4("isom"), "gzip"), "what the bytes say counts")
  end)
end)
