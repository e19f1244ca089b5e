-- SPDX-License-Identifier: MIT
-- Recognises image, video and audio files by their first bytes. A file's name matters only if several file formats begin with the same
-- bytes.

local core = require "omni.core"

---@class omni.MediaType
---@field name string       for messages
---@field type string       "image/png"
---@field endings string[]  in lower case, with the dot; the first one is the usual one

---The number of bytes that this module's functions need from the beginning of a file.
local enough <const> = 4096

-- --- tests of the first bytes

local function begins(with, at)
  at = at or 1
  return function(bytes) return bytes:sub(at, at + #with - 1) == with end
end

-- Returns a function that tests whether the first `most` bytes contain a match for a Lua pattern.
local function holds(pattern, most)
  return function(bytes) return bytes:sub(1, most):find(pattern) ~= nil end
end

local function both(one, other)
  return function(bytes) return one(bytes) and other(bytes) end
end

local function either(one, other)
  return function(bytes) return one(bytes) or other(bytes) end
end

local riff, ogg, matroska, family = begins "RIFF", begins "OggS", begins "\x1A\x45\xDF\xA3", begins("ftyp", 5)

-- Returns a function that tests whether an MPEG-4 file has one of the major brands in `names`. Also returns `names` as a set.
local function brand(names)
  local known = {}
  for _, name in ipairs(names) do known[name] = true end
  return function(bytes) return family(bytes) and known[bytes:sub(9, 12)] == true end, known
end

local named_film, films = brand {
  "isom", "iso2", "iso3", "iso4", "iso5", "iso6", "iso7", "iso8", "iso9", "mp41", "mp42", "mp71", "avc1", "M4V ", "M4VH", "M4VP",
  "MSNV", "dash", "f4v ", "3gp4", "3gp5", "3gp6",
}

local function reads_as_film(bytes)
  if not family(bytes) then return false end
  local last = math.min(string.unpack(">I4", bytes), #bytes)
  for at = 17, last - 3, 4 do
    if films[bytes:sub(at, at + 3)] then return true end
  end
  return false
end

-- An old QuickTime file has no brand; the first box of such a file has one of these types.
local old_boxes = { moov = true, mdat = true, wide = true, free = true, skip = true, pnot = true }
local function old_film(bytes)
  local size = #bytes >= 8 and string.unpack(">I4", bytes)
  return size and (size == 1 or size >= 8) and old_boxes[bytes:sub(5, 8)] == true
end

-- Returns whether the bytes begin with an MPEG Layer III frame: eleven synchronisation bits, a valid bit rate and a valid sample rate.
local function mp3_frame(bytes)
  local first, second, third = bytes:byte(1, 3)
  return third ~= nil and first == 0xFF and second & 0xE6 == 0xE2 and third & 0xF0 ~= 0xF0 and third & 0x0C ~= 0x0C
end

-- --- the kinds. The first row that matches counts. A row without a type is a kind to refuse by its name.

local rows = {
  { name = "PNG", type = "image/png", endings = { ".png" }, fits = begins "\x89PNG\r\n\x1A\n" },
  { name = "JPEG", type = "image/jpeg", endings = { ".jpg", ".jpeg" }, fits = begins "\xFF\xD8\xFF" },
  { name = "WebP", type = "image/webp", endings = { ".webp" }, fits = both(riff, begins("WEBP", 9)) },
  { name = "GIF", type = "image/gif", endings = { ".gif" }, fits = holds("^GIF8[79]a", 6) },
  { name = "an HEIC or AVIF image",
    fits = brand { "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1", "avif", "avis" } },
  { name = "MOV", type = "video/quicktime", endings = { ".mov", ".qt" }, fits = either(brand { "qt  " }, old_film) },
  -- Some programs write audio files with a brand that is meant for videos. If a file has a video's brand, the extension in the file's name
  -- decides between audio and video.
  { name = "M4A", type = "audio/mp4", endings = { ".m4a" }, fits = brand { "M4A ", "M4B " }, within = "MP4" },
  { name = "MP4", type = "video/mp4", endings = { ".mp4", ".m4v" }, fits = either(named_film, reads_as_film) },
  { name = "WebM", type = "video/webm", endings = { ".webm" }, fits = both(matroska, holds("\x42\x82.webm", 128)) },
  { name = "Matroska", type = "video/x-matroska", endings = { ".mkv" }, fits = both(matroska, holds("\x42\x82.matroska", 128)) },
  { name = "MP3", type = "audio/mpeg", endings = { ".mp3" }, fits = either(begins "ID3", mp3_frame) },
  { name = "WAV", type = "audio/wav", endings = { ".wav" }, fits = both(riff, begins("WAVE", 9)) },
  { name = "OGG video", type = "video/ogg", endings = { ".ogv" }, fits = both(ogg, holds("\x80theora", 128)) },
  { name = "OGG", type = "audio/ogg", endings = { ".ogg", ".oga", ".opus" }, fits = ogg },
  { name = "a TIFF image", fits = either(begins "II*\0", begins "MM\0*") },
  { name = "a PDF document", fits = begins "%PDF-" },
  { name = "a page of HTML, SVG or XML", text = true, fits = holds("^[\xEF\xBB\xBF%s]*<[%a!?]", 64) },
}

local by_ending, names, mpeg4 = {}, {}, { MP4 = true, MOV = true, M4A = true }
for _, row in ipairs(rows) do
  for _, ending in ipairs(row.endings or {}) do by_ending[ending] = row end
  if row.type then names[#names + 1] = row.name end
end

---The names of all media formats, for error messages.
local all <const> = table.concat(names, ", ")

---Returns a file name's extension in lower case, such as ".png", or nil if the name has no extension.
---@param path string
---@return string|nil
local function ending(path)
  local found = path:match "[^/](%.%w+)$"
  return found and found:lower()
end

local function known_kind(bytes)
  for _, row in ipairs(rows) do
    if row.fits(bytes) then return row end
  end
end

-- --- files that aren't media

-- Compressed data begins with one of these byte sequences. Brotli data can't be recognised by its first bytes.
local packed = {
  { name = "gzip", mark = "\x1F\x8B" }, { name = "zstd", mark = "\x28\xB5\x2F\xFD" }, { name = "xz", mark = "\xFD7zXZ\0" },
  { name = "bzip2", mark = "BZh" }, { name = "ZIP", mark = "PK\3\4" }, { name = "ZIP", mark = "PK\5\6" },
  { name = "7z", mark = "7z\xBC\xAF\x27\x1C" },
}

-- Returns whether the bytes are text. The first bytes of binary media contain control characters that don't occur in text.
local function is_text(bytes)
  return bytes:find "^\xFF\xFE" ~= nil or bytes:find "^\xFE\xFF" ~= nil -- UTF-16
    or not bytes:find "[\0-\8\11\14-\26\28-\31\127]"
end

---If a file isn't an image, a video or an audio file, returns what kind of file it is.
---@param bytes string  its first bytes (`enough` of them)
---@return string|nil what  "a page of HTML, SVG or XML", "JSON", ...; nil: it is media, or an unknown binary kind
local function not_media(bytes)
  if bytes == "" then return "empty" end
  local row = known_kind(bytes)
  if row then return row.text and row.name or nil end
  for _, kind in ipairs(packed) do
    if bytes:sub(1, #kind.mark) == kind.mark then return ("packed data (%s)"):format(kind.name) end
  end
  if not is_text(bytes) then return nil end
  return bytes:find "^[\xEF\xBB\xBF%s]*[{%[]" and "JSON" or "plain text"
end

---Returns the reason why a downloaded file can't be a media file, or nil if it can be one.
---@param bytes string          its first bytes (`enough` of them)
---@param encoding string|nil   the response's Content-Encoding
---@return string|nil what      'a page of HTML, SVG or XML: "<!DOCTYPE html>..."'; nil: it can be media
local function download_trouble(bytes, encoding)
  local what = not_media(bytes)
  local plain = not encoding or encoding == "" or encoding:lower() == "identity"
  if not plain and (what or not known_kind(bytes)) and bytes ~= "" then
    return ("compressed, which wasn't asked for (Content-Encoding: %s)"):format(core.clean(encoding, 60))
  end
  if what == "empty" then return "empty (0 bytes)" end
  return what and is_text(bytes) and ('%s: "%s"'):format(what, core.clean(bytes, 80)) or what
end

---Returns a file's media type.
---@param bytes string  its first bytes (`enough` of them)
---@param path string   for its extension
---@return omni.MediaType|nil
---@return string|nil what  what the file is instead: "a PDF document", "plain text", "empty"
local function of(bytes, path)
  local named = by_ending[ending(path)]
  local row = known_kind(bytes)
  if row then
    if named and named.within == row.name then return named end
    return row.type and row, not row.type and row.name or nil
  end
  if named and family(bytes) and mpeg4[named.name] then return named end -- an unknown brand
  return nil, not_media(bytes)
end

return { all = all, download_trouble = download_trouble, ending = ending, enough = enough, of = of }
