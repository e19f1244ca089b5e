-- SPDX-License-Identifier: MIT
-- Checks whether an MP4 or MOV file is complete. An MP4 or MOV file is a sequence of boxes (ISO/IEC 14496-12). Each box begins with its
-- size and its type; the box "moov" describes the pictures and the sound.

local core = require "omni.core"
local media_type = require "omni.file.media_type"

local MOST_BOXES <const> = 10000 -- maximum number of boxes to look at; a film in fragments has two boxes for each fragment
local HEADER <const> = 8         -- bytes: size and type
local LONG_HEADER <const> = 16   -- bytes in a box's header if the size field is 1 and the actual size follows the type
local TO_THE_END <const>, LONG <const> = 0, 1

local function cut_in(kind)
  return kind:find "^%w+$" and ("it ends in the middle of its box '%s'"):format(kind) or "it ends in the middle of a box"
end

---Returns the reason why a file that begins with the box "ftyp" can't be complete, or nil. Looks at no more than MOST_BOXES boxes.
---@param read fun(at: integer, count: integer): string  returns bytes of the file, fewer than `count` at its end
---@param size integer  the size of the file
---@return string|nil
local function shortage(read, size)
  local at, has_moov = 0, false
  for number = 1, MOST_BOXES do
    local header = read(at, LONG_HEADER)
    if #header < HEADER then
      if header:find "[^\0]" then return "it ends in the middle of a box" end -- some programs add a few zeros after the last box
      break
    end
    local length, kind = string.unpack(">I4c4", header)
    local shortest = length == LONG and LONG_HEADER or HEADER
    if #header < shortest then return cut_in(kind) end
    if length == LONG then length = string.unpack(">i8", header, HEADER + 1) end
    if length == TO_THE_END and shortest == HEADER then length = size - at end
    if length < 0 or length > size - at then return cut_in(kind) end -- a length of 2^63 or more is negative in Lua
    if length < shortest then break end -- not a box
    has_moov = has_moov or kind == "moov"
    at = at + length
    if at == size then break end
    if number == MOST_BOXES then return nil end
  end
  return not has_moov and "it has no box 'moov'" or nil
end

local checked <const> = { MP4 = true, MOV = true, M4A = true }

---Returns the reason why a file can't be complete. Returns nil if the file can be complete, can't be read, or isn't an MP4 or MOV file that
---begins with the box "ftyp".
---@param head string  its first bytes (`media_type.enough` of them)
---@param path string
---@return string|nil what  "it ends in the middle of its box 'mdat'"
local function file_shortage(head, path)
  local kind = media_type.of(head, "")
  if not kind or not checked[kind.name] or head:sub(5, 8) ~= "ftyp" then return nil end
  local file <close> = core.open(path)
  if not file then return nil end
  return shortage(function(at, count)
    return file:seek("set", at) and file:read(count) or ""
  end, file:seek "end")
end

return { file_shortage = file_shortage, shortage = shortage }
