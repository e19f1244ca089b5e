-- SPDX-License-Identifier: MIT
-- A file over HTTP, whole or a part of it (RFC 9110: Range, If-Range, ETag, Last-Modified).

local http_date = require("omni.sandbox.faults").http_date

-- The wanted part as offset and length; nil when there is none to honour; false when it can't be had.
local function part(range, size)
  local first, last = range:match "^bytes=(%d*)%-(%d*)$" -- several parts in one request: the whole is a right answer, too
  if not first or first == "" and last == "" then return nil end
  if first == "" then
    local length = math.min(tonumber(last), size) -- the last bytes
    if length < 1 then return false end
    return math.tointeger(size - length), math.tointeger(length)
  end
  local from, to = tonumber(first), last == "" and size - 1 or tonumber(last)
  if from > to and last ~= "" then return nil end
  if from >= size then return false end
  return math.tointeger(from), math.tointeger(math.min(to, size - 1) - from + 1)
end

---Answers a request for a file.
---@param file { path: string, size: integer, modified: number, tag: string, kind: string }  modified: Unix seconds
---@param headers table<string, string>  the request's, names in lower case
---@return { status: integer, headers: table, body: string|table }
local function answer(file, headers)
  local answered = {
    ["Content-Type"] = file.kind, ["Accept-Ranges"] = "bytes",
    ETag = '"' .. file.tag .. '"', ["Last-Modified"] = http_date(file.modified // 1 | 0),
  }
  local condition, range = headers["if-range"], headers.range
  if condition and condition ~= answered.ETag and condition ~= answered["Last-Modified"] then range = nil end
  local offset, length = nil, nil
  if range then offset, length = part(range, file.size) end
  if offset == false then
    answered["Content-Range"] = "bytes */" .. file.size
    return { status = 416, headers = answered, body = "" }
  elseif offset then
    answered["Content-Range"] = ("bytes %d-%d/%d"):format(offset, offset + length - 1, file.size)
  end
  return {
    status = offset and 206 or 200, headers = answered,
    body = { file = file.path, offset = offset or 0, length = length or file.size },
  }
end

return { answer = answer }
