-- SPDX-License-Identifier: MIT
-- Embeds small pictures as data: URLs, so that the report is one file.

local core = require "omni.core"

local max_bytes <const> = 512 * 1024              -- for one picture
local max_total_bytes <const> = 32 * 1024 * 1024  -- maximum total size in bytes of a report's pictures; enough for about 800 posters

-- The picture formats that the report embeds, with the first bytes of each format. The report embeds no files in other formats, whatever
-- the files' names.
local kinds = {
  { "^\xFF\xD8\xFF", "image/jpeg" },
  { "^\x89PNG\r\n\x1A\n", "image/png" },
  { "^RIFF....WEBP", "image/webp" },
  { "^GIF8[79]a", "image/gif" },
}

local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local pairs_of = {} -- 12 bits → two letters

local function prepare()
  for value = 0, 4095 do
    local high, low = (value >> 6) + 1, (value & 63) + 1
    pairs_of[value] = letters:sub(high, high) .. letters:sub(low, low)
  end
end

---@param bytes string
---@return string
local function base64(bytes)
  if not pairs_of[4095] then prepare() end -- checks the last entry, since memory may have run out before the table was complete
  local out, n = {}, 0
  local whole = #bytes - #bytes % 3
  for at = 1, whole, 3 do
    local a, b, c = bytes:byte(at, at + 2)
    out[n + 1], out[n + 2] = pairs_of[a << 4 | b >> 4], pairs_of[(b & 15) << 8 | c]
    n = n + 2
  end
  if whole < #bytes then
    local a, b = bytes:byte(whole + 1, whole + 2)
    local low = (b or 0) & 15
    out[n + 1] = pairs_of[a << 4 | (b or 0) >> 4]
    out[n + 2] = b and letters:sub(low * 4 + 1, low * 4 + 1) .. "=" or "=="
  end
  return table.concat(out)
end

local function read(path, most)
  local found = core.stat(path)
  if not found or found.size > most then return nil end
  local file <close> = core.open(path)
  local bytes = file and file:read(most + 1)
  return bytes and #bytes <= most and bytes or nil
end

---Returns a function that embeds pictures until their total size reaches a limit. For a picture's path, the returned function returns a
---data: URL. The returned function returns nil if the picture doesn't exist, has more than `most` bytes (512 KiB by default), or would
---exceed the limit.
---@param limit? integer  total bytes (32 MiB)
---@return fun(path: string|nil, most?: integer): string|nil
local function embedder(limit)
  local left = limit or max_total_bytes
  return function(path, most)
    local bytes = path and read(path, most or max_bytes)
    if not bytes or #bytes > left then return nil end
    for _, kind in ipairs(kinds) do
      if bytes:find(kind[1]) then
        left = left - #bytes
        return ("data:%s;base64,%s"):format(kind[2], base64(bytes))
      end
    end
  end
end

return { base64 = base64, embedder = embedder }
