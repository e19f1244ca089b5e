-- SPDX-License-Identifier: MIT
-- A listener and its peers in one process: raw sockets that never block, and the listener stepped by hand in between.

local env = require "helper.env"
local socket = require "socket"

local GET <const> = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

---A request with a body.
local function post(body)
  return ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body)
end

---A request whose body comes in these pieces.
local function chunked(...)
  local parts = { "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" }
  for _, piece in ipairs { ... } do parts[#parts + 1] = ("%x\r\n%s\r\n"):format(#piece, piece) end
  return table.concat(parts) .. "0\r\n\r\n"
end

local Peer_methods = {}
local Peer_mt = { __name = "spec.peer", __index = Peer_methods }

---Steps the listener until the condition holds; raises when that takes too long.
---@param listener omni.Listener
---@param condition fun(): any
---@param seconds? number  patience (default 5)
---@param strict? boolean  the listener alone says when it is stepped, by its descriptor and its time-out
---@return any  what the condition returned
local function drive(listener, condition, seconds, strict)
  local watched = { getfd = function() return listener:pollfd() end, dirty = function() return false end }
  local deadline = socket.gettime() + env.seconds(seconds or 5)
  while true do
    listener:step()
    local value = condition()
    if value then return value end
    if socket.gettime() > deadline then error("the condition never came to hold", 2) end
    -- The peers' own sockets aren't watched: hence the short wait.
    local longest = strict and math.max(deadline - socket.gettime(), 0) or 0.01
    socket.select({ watched }, nil, math.min(listener:timeout() or longest, longest))
  end
end

---A connection to the listener that has sent `text`.
---@param listener omni.Listener
---@param text? string
local function connect(listener, text)
  local raw = assert(socket.connect(listener:host(), listener:port()))
  raw:settimeout(0)
  local peer = setmetatable({ listener = listener, socket = raw, pieces = {}, size = 0 }, Peer_mt)
  if text then peer:send(text) end
  return peer
end

---Sends as much as the other side takes; what it refuses because it has closed is forgotten.
function Peer_methods:send(text)
  local at = 1
  drive(self.listener, function()
    local last, why, sent = self.socket:send(text, at)
    at = (last or sent) + 1
    return at > #text or why == "closed"
  end)
  return self
end

-- Reads the available bytes. Returns true if the connection has ended.
function Peer_methods:take()
  local data, why, rest = self.socket:receive(1 << 20)
  data = data or rest
  if #data > 0 then self.pieces[#self.pieces + 1], self.size = data, self.size + #data end
  self.over = self.over or why == "closed"
  return self.over
end

-- All that came and wasn't an answer yet.
function Peer_methods:got()
  local text = table.concat(self.pieces)
  self.pieces = { text }
  return text
end

---The next answer on this connection: status, headers (names in lower case), body. Nil when it ended without one.
---@param no_body? boolean  an answer to HEAD
function Peer_methods:answer(no_body)
  local head, size
  drive(self.listener, function()
    local over = self:take()
    if not size then
      head = self:got():match("^.-\r\n\r\n")
      size = head and #head + (not no_body and tonumber(head:lower():match("\ncontent%-length: (%d+)")) or 0)
    end
    return over or size and self.size >= size
  end)
  if not size or self.size < size then return nil end
  local all = self:got()
  self.pieces, self.size = { all:sub(size + 1) }, #all - size
  local headers = {}
  for name, value in head:gmatch("\n([^:\r\n]+):%s*([^\r\n]*)") do headers[name:lower()] = value end
  return tonumber(head:match("^HTTP/1.1 (%d+)")), headers, all:sub(#head + 1, size)
end

---Waits until the connection is closed; returns the bytes that came before.
function Peer_methods:rest(seconds)
  drive(self.listener, function() return self:take() end, seconds)
  return self:got()
end

---Whether the connection is open still.
function Peer_methods:open()
  self.listener:step()
  return not self:take()
end

function Peer_methods:close() self.socket:close() end

---Closes by RST.
function Peer_methods:reset()
  assert(self.socket:setoption("linger", { on = true, timeout = 0 }))
  self.socket:close()
end

---The listener's next request.
---@param strict? boolean  as for `drive`
---@return omni.Request
local function take(listener, strict)
  return drive(listener, function() return listener:next() end, nil, strict)
end

---Raises unless the listener answers a request on a new connection.
local function serves(listener)
  local one = connect(listener, GET)
  take(listener):answer(204)
  assert(one:answer() == 204, "the listener doesn't serve any more")
  one:close()
end

return { GET = GET, chunked = chunked, connect = connect, drive = drive, post = post, serves = serves, take = take }
