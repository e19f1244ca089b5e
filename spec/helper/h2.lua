-- SPDX-License-Identifier: MIT
-- Just enough HTTP/2 framing to play a server that a client speaks to by prior knowledge (RFC 9113, RFC 7541).

local h2 = {}

h2.PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

local TYPE = { data = 0, headers = 1, rst_stream = 3, settings = 4, ping = 6, goaway = 7 }
local NAME = {}
for name, number in pairs(TYPE) do NAME[number] = name end

local ERROR = { no_error = 0, internal_error = 2, refused_stream = 7, cancel = 8, http_1_1_required = 13 }

local END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY <const> = 0x1, 0x1, 0x4, 0x8, 0x20

---One frame as bytes.
---@param kind string  a name out of TYPE
function h2.frame(kind, flags, stream, payload)
  return string.pack(">I3 B B I4", #payload, TYPE[kind], flags, stream) .. payload
end

---The first whole frame of `bytes` and what follows it; nil while it isn't whole.
function h2.parse(bytes)
  if #bytes < 9 then return nil end
  local length, kind, flags, stream = string.unpack(">I3 B B I4", bytes)
  if #bytes < 9 + length then return nil end
  local payload = bytes:sub(10, 9 + length)
  if kind == TYPE.headers then
    local pad = 0
    if flags & PADDED ~= 0 then pad, payload = payload:byte(), payload:sub(2) end
    if flags & PRIORITY ~= 0 then payload = payload:sub(6) end
    payload = payload:sub(1, #payload - pad)
  end
  return {
    kind = NAME[kind] or kind, stream = stream & 0x7fffffff, payload = payload,
    ends_stream = (kind == TYPE.data or kind == TYPE.headers) and flags & END_STREAM ~= 0,
    ack = (kind == TYPE.settings or kind == TYPE.ping) and flags & ACK ~= 0,
  }, bytes:sub(10 + length)
end

-- HPACK: the static table's indices 2 and 3 are the methods GET and POST; every client sends them so, and first.
local METHODS = { [0x82] = "GET", [0x83] = "POST" }

---The method that a client's header block starts with.
function h2.method(block)
  local at = 1
  while block:byte(at) and block:byte(at) & 0xe0 == 0x20 do at = at + 1 end -- sizes of the dynamic table
  return METHODS[block:byte(at)] or "?"
end

-- HPACK string without Huffman coding (prefix of 7 bits).
local function text(value)
  value = tostring(value)
  if #value < 127 then return string.char(#value) .. value end
  local rest, out = #value - 127, { "\x7f" }
  while rest >= 128 do
    out[#out + 1] = string.char(rest % 128 + 128)
    rest = rest // 128
  end
  out[#out + 1] = string.char(rest)
  return table.concat(out) .. value
end

-- Literal header field without indexing, with a new name.
local function literal(name, value)
  return "\0" .. text(name) .. text(value)
end

---The frame that opens an answer.
---@param fields? table<string, string>  beside the status; names in lower case
function h2.headers(stream, status, fields, ends)
  local block = { literal(":status", status) }
  for name, value in pairs(fields or {}) do block[#block + 1] = literal(name, value) end
  return h2.frame("headers", END_HEADERS | (ends and END_STREAM or 0), stream, table.concat(block))
end

---The frames of a body; the last one ends the stream unless `open`.
function h2.data(stream, body, open)
  local frames = {}
  for at = 1, math.max(#body, 1), 16384 do
    local last = at + 16384 > #body
    frames[#frames + 1] = h2.frame("data", last and not open and END_STREAM or 0, stream, body:sub(at, at + 16383))
  end
  return table.concat(frames)
end

function h2.settings() return h2.frame("settings", 0, 0, "") end
function h2.settings_ack() return h2.frame("settings", ACK, 0, "") end
function h2.pong(payload) return h2.frame("ping", ACK, 0, payload) end

---@param code string  a name out of ERROR
function h2.rst_stream(stream, code) return h2.frame("rst_stream", 0, stream, string.pack(">I4", ERROR[code])) end

---@param last integer  the last stream that this server may have acted upon
function h2.goaway(last, code) return h2.frame("goaway", 0, 0, string.pack(">I4 I4", last, ERROR[code])) end

return h2
