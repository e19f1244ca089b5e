-- SPDX-License-Identifier: MIT
-- HTTP as bytes over a socket, inside omni's loop: sends and receives the bytes of a client, without a client library.

local loop = require "omni.loop"
local socket = require "socket"

---Parks the fiber until the socket is readable ("r") or writable ("w"); for `seconds` at most. Returns nil when it isn't by then.
local function ready(connection, events, seconds)
  local fiber = loop.current()
  local pollable <close> = setmetatable({
    pollfd = function() return connection:getfd() end,
    events = function() return events end,
    timeout = function() return nil end,
    step = function() loop.wake(fiber, true) end,
  }, { __close = loop.remove })
  loop.add(pollable)
  return loop.park(seconds)
end

-- Sends text and reads until the other side closes. Returns what came and how it ended: "closed", or an error's text.
local function exchange(port, text)
  local connection = assert(socket.connect("127.0.0.1", port))
  connection:settimeout(0)
  assert(connection:send(text) == #text)
  local got = {}
  while true do
    local data, why, rest = connection:receive(65536)
    got[#got + 1] = data or rest
    if not data and why ~= "timeout" then
      connection:close()
      return table.concat(got), why
    end
    if not data and not ready(connection, "r", 10) then
      connection:close()
      return table.concat(got), "nothing came for 10 seconds"
    end
  end
end

-- One request on a connection of its own. Returns status, headers (names in lower case), body, how it ended, and all bytes.
local function request(url, method, target, headers, body)
  local lines = { method .. " " .. target .. " HTTP/1.1", "Host: sandbox", "Connection: close" }
  for name, value in pairs(headers or {}) do lines[#lines + 1] = name .. ": " .. value end
  if body then lines[#lines + 1] = "Content-Length: " .. #body end
  local text, ended = exchange(tonumber(url:match ":(%d+)$"), table.concat(lines, "\r\n") .. "\r\n\r\n" .. (body or ""))
  local head, rest = text:match "^(.-\r\n)\r\n(.*)$"
  if not head then return nil, nil, nil, ended, text end
  local found = {}
  for name, value in head:gmatch "\r\n([^:\r\n]+):%s*([^\r\n]*)" do found[name:lower()] = value end
  return tonumber(head:match "^HTTP/1.1 (%d+)"), found, rest, ended, text
end

return { exchange = exchange, ready = ready, request = request }
