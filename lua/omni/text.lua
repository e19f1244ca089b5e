-- SPDX-License-Identifier: MIT
-- Text that other systems wrote, made fit to be read: key files, JSON files, variables. URLs have core.normalize_url.

-- UTF-16 with its mark as UTF-8; half of a surrogate pair becomes U+FFFD.
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

---Returns the text without its byte order mark, as UTF-8: UTF-16 is converted where a mark says that it is that. Line breaks stay.
---@param text string
---@return string
local function unmarked(text)
  if text:sub(1, 3) == "\xEF\xBB\xBF" then return text:sub(4) end
  local mark = text:sub(1, 2)
  if mark == "\xFF\xFE" then return from_utf16(text, "<I2") end
  if mark == "\xFE\xFF" then return from_utf16(text, ">I2") end
  return text
end

---Iterates over the lines of a text that `unmarked` takes, whether they end with LF, CRLF or CR. The line breaks aren't in them.
---@param text string
---@return fun(): string|nil
local function lines(text)
  return unmarked(text):gsub("\r\n?", "\n"):gmatch "[^\n]+"
end

---Returns one value, without a byte order mark, and without blanks and line breaks around it.
---@param text string
---@return string
local function value(text)
  return unmarked(text):match "^%s*(.-)%s*$"
end

return { lines = lines, unmarked = unmarked, value = value }
