-- SPDX-License-Identifier: MIT
-- Decodes text from key files, JSON files and environment variables. Use core.normalize_url, not this module, for URLs.

-- Converts UTF-16 text that begins with a byte order mark to UTF-8. An unpaired surrogate becomes U+FFFD.
local function from_utf16(text, format)
  local parts, at, last = {}, 3, #text - 1
  while at <= last do
    local unit = format:unpack(text, at)
    at = at + 2
    if unit >= 0xD800 and unit < 0xE000 then
      local second = unit < 0xDC00 and at <= last and format:unpack(text, at) or 0
      local paired = second >= 0xDC00 and second < 0xE000
      unit = paired and 0x10000 + ((unit & 0x3FF) << 10 | second & 0x3FF) or 0xFFFD
      if paired then at = at + 2 end
    end
    parts[#parts + 1] = utf8.char(unit)
  end
  return table.concat(parts)
end

---Returns the text as UTF-8 without a byte order mark. If the text begins with a UTF-16 byte order mark, converts it from UTF-16. Keeps
---line breaks.
---@param text string
---@return string
local function unmarked(text)
  if text:sub(1, 3) == "\xEF\xBB\xBF" then return text:sub(4) end
  local mark = text:sub(1, 2)
  if mark == "\xFF\xFE" then return from_utf16(text, "<I2") end
  if mark == "\xFE\xFF" then return from_utf16(text, ">I2") end
  return text
end

---Decodes text as `unmarked` does, and iterates over the lines. Omits line breaks (LF, CRLF or CR) and empty lines.
---@param text string
---@return fun(): string|nil
local function lines(text)
  return unmarked(text):gsub("\r\n?", "\n"):gmatch "[^\n]+"
end

---Decodes text as `unmarked` does, and removes white space from both ends.
---@param text string
---@return string
local function value(text)
  return unmarked(text):match "^%s*(.-)%s*$"
end

return { lines = lines, unmarked = unmarked, value = value }
