-- SPDX-License-Identifier: MIT

local boxes = require "omni.file.mp4_boxes"
local clips = require "helper.clips"
local env = require "helper.env"
local media_type = require "omni.file.media_type"

local function shortage(bytes)
  return boxes.shortage(function(at, count) return bytes:sub(at + 1, at + count) end, #bytes)
end

-- A box with a size of 32 or 64 bits.
local function box(kind, content) return (">I4c4"):pack(#content + 8, kind) .. content end
local function long_box(kind, content) return (">I4c4I8"):pack(1, kind, #content + 16) .. content end

local FTYP <const> = box("ftyp", "isom\0\0\2\0isomiso2")
local MOOV <const> = box("moov", ("m"):rep(50))
local MDAT <const> = box("mdat", ("d"):rep(300))
local CUT <const>, NO_MOOV <const> = "it ends in the middle of its box '%s'", "it has no box 'moov'"

describe("the boxes of a film", function()
  it("are complete in whatever order, also with 64-bit sizes and with a box that reaches to the end", function()
    for _, bytes in ipairs {
      FTYP .. MOOV .. MDAT, FTYP .. MDAT .. MOOV, FTYP .. long_box("mdat", "abc") .. MOOV, FTYP .. MOOV .. "\0\0\0\0mdat and the rest",
      FTYP .. MOOV .. box("moof", "f") .. MDAT .. box("moof", "f") .. MDAT, FTYP .. MOOV .. MDAT .. "\0\0\0",
      FTYP .. MOOV .. long_box("mdat", ""),
      FTYP .. MOOV .. MDAT .. "\0\0\0\2what follows is no box",
    } do assert.is_nil(shortage(bytes)) end
  end)

  it("aren't complete if the file ends in one of them or has no moov", function()
    assert.equal(CUT:format "mdat", shortage(FTYP .. MOOV .. MDAT:sub(1, -2)))
    assert.equal(CUT:format "moov", shortage(FTYP .. MDAT .. MOOV:sub(1, 20)))
    assert.equal(CUT:format "mdat", shortage(FTYP .. MOOV .. long_box("mdat", "abc"):sub(1, 12)))
    assert.equal("it ends in the middle of a box", shortage(FTYP .. MOOV .. MDAT:sub(1, 5)))
    assert.equal("it ends in the middle of a box", shortage(FTYP .. MOOV .. box("\0\1\2\3", "abc"):sub(1, -2)))
    assert.equal(NO_MOOV, shortage(FTYP .. MDAT))
    assert.equal(NO_MOOV, shortage(FTYP))
    assert.equal(NO_MOOV, shortage(FTYP .. "\0\0\0\0mdat and the rest"))
    assert.equal(NO_MOOV, shortage(FTYP .. "\0\0\0\7moov"))
  end)

  it("may state any size, and may be any number", function()
    for _, size in ipairs { "\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", ("\xFF"):rep(8), "\x80\0\0\0\0\0\0\0", "\0\0\0\1\0\0\0\0" } do
      assert.equal(CUT:format "mdat", shortage(FTYP .. MOOV .. "\0\0\0\1mdat" .. size .. "abc"))
    end
    assert.equal(NO_MOOV, shortage(FTYP .. "\0\0\0\1mdat\0\0\0\0\0\0\0\15" .. MOOV))
    local reads = 0
    local empty <const> = box("free", "")
    assert.is_nil(boxes.shortage(function(at, count)
      reads = reads + 1
      return empty:rep(2):sub(1, math.min(count, 1e12 - at))
    end, 1000000000000))
    assert.is_true(reads <= 10000)
  end)

  it("end too early in each beginning of a film that ffmpeg wrote", function()
    for what, options in pairs {
      plain = {}, ["fast start"] = { "-movflags", "+faststart" },
      fragments = { "-movflags", "+frag_keyframe+empty_moov", "-g", "4" },
    } do
      local path = clips.make { also = options }
      local bytes = env.read(path)
      assert.is_nil(boxes.file_shortage(bytes:sub(1, media_type.enough), path), what)
      local last, next_at, has_moov = 0, 0, false -- where the last whole box and the box after it end
      for length = 0, #bytes - 1 do
        if length == next_at then
          local size, kind = string.unpack(">I4c4", bytes, length + 1)
          last, next_at, has_moov = length, length + size, has_moov or kind == "moov" and length + size
        end
        -- after a whole box, and perhaps a few zeros, nothing shows that more should follow
        local could_end = has_moov and last >= has_moov and length - last < 8 and not bytes:sub(last + 1, length):find "[^\0]"
        if length % 7 == 0 or could_end then
          assert.equal(could_end, shortage(bytes:sub(1, length)) == nil, ("%s, %d of %d"):format(what, length, #bytes))
        end
      end
    end
  end)

  it("are looked for only in films", function()
    local folder <close> = env.directory()
    local function of(bytes)
      local path = env.write(folder:file "file", bytes)
      return boxes.file_shortage(bytes:sub(1, media_type.enough), path)
    end
    assert.equal(NO_MOOV, of(FTYP .. MDAT))
    assert.equal(NO_MOOV, of(box("ftyp", "qt  \0\0\0\0") .. MDAT))
    assert.equal(NO_MOOV, of(box("ftyp", "M4A \0\0\0\0") .. MDAT))
    assert.is_nil(of(box("ftyp", "heic\0\0\0\0") .. box("meta", "") .. MDAT))
    assert.is_nil(of(box("ftyp", "avif\0\0\0\0") .. box("meta", "") .. MDAT))
    assert.is_nil(of(MDAT))
    assert.is_nil(of "\x89PNG\r\n\x1A\n")
    assert.is_nil(boxes.file_shortage(FTYP .. MDAT, folder:file "missing"))
  end)
end)
