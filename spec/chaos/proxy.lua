-- SPDX-License-Identifier: MIT
-- A hostile proxy between omni and the sandbox, in omni's loop. It treats each connection in one way, which `draw` chooses.

local loop = require "omni.loop"
local socket = require "socket"
local wire = require "helper.wire"

-- The treatments: weight, name, and what the proxy does with a connection.
--   wait      seconds before the request is passed on
--   piece     bytes that are passed on at a time, with a pause after each piece
--   ends      how the connection ends ("close" or "reset"), and where: before the "request" or the "answer" is passed on, or "in answer"
--   repeats   the proxy sends a GET request a second time, on another connection
--   lengthen  the number added to a response's Content-Length
--   echoes    answers of the API are passed on twice
local treatments <const> = {
  { 24, "passed on" },
  { 4, "delayed", wait = 0.3 },
  { 2, "slowed down", piece = 37 },
  { 1, "closed before the request", ends = "close", where = "request" },
  { 1, "reset before the request", ends = "reset", where = "request" },
  { 1, "closed before the answer", ends = "close", where = "answer" },
  { 1, "reset before the answer", ends = "reset", where = "answer" },
  { 1, "closed in the answer", ends = "close", where = "in answer" },
  { 1, "reset in the answer", ends = "reset", where = "in answer" },
  { 2, "duplicated", repeats = true },
  { 1, "given a longer length", lengthen = 9 },
  { 1, "given a shorter length", lengthen = -9 },
  { 1, "echoed", echoes = true },
}

local PIECE_PAUSE <const> = 0.002 -- seconds
local SILENCE <const> = 0.5       -- seconds of silence after which a connection with a false length ends

---@class spec.chaos.Proxy
---@field url string
---@field is_fair boolean   whether it passes everything on
---@field is_open boolean   whether it accepts connections
---@field paused_by number  how many pauses there are now
---@field treated table<string, integer>  how many connections were treated in each way
---@field on_bytes? fun()   called when bytes of a client arrive
local Proxy_methods = {}
local Proxy_mt = { __name = "spec.chaos.proxy", __index = Proxy_methods }

local function choose(rows, draw)
  local sum = 0
  for _, row in ipairs(rows) do sum = sum + row[1] end
  local left = draw() * sum
  for _, row in ipairs(rows) do
    left = left - row[1]
    if left < 0 then return row end
  end
end

-- Ends a connection: stops its fibers, then closes its sockets.
local function finish(connection, how)
  if connection.ended then return end
  connection.ended = true
  loop.background(function()
    for _, fiber in ipairs(connection.fibers) do
      if not fiber:done() then fiber:cancel() end
    end
    for _, fiber in ipairs(connection.fibers) do pcall(fiber.join, fiber) end
    if how == "reset" then connection.client:setoption("linger", { on = true, timeout = 0 }) end
    connection.client:close()
    connection.server:close()
    connection.proxy.connections[connection] = nil
  end)
end

local function send(to, bytes)
  local at = 1
  while at <= #bytes do
    local last, problem, partial = to:send(bytes, at)
    if problem and problem ~= "timeout" then return false end
    at = (last or partial) + 1
    if problem then wire.ready(to, "w") end
  end
  return true
end

-- Passes bytes on in one direction until one side ends. `patience()` returns the seconds after which silence ends the connection, or nil.
-- `change(bytes)` returns what to pass on, and how to end the connection after it.
local function pass(connection, from, to, piece, patience, change)
  local proxy = connection.proxy
  while true do
    local bytes, problem, rest = from:receive(65536)
    bytes = bytes or rest
    while proxy.paused_by > 0 do loop.sleep(0.01) end
    if #bytes > 0 then
      local given, ending = change(bytes)
      for at = 1, #given, piece or math.max(#given, 1) do
        if not send(to, given:sub(at, at + (piece or #given) - 1)) then return finish(connection) end
        if piece then loop.sleep(PIECE_PAUSE) end
      end
      if ending then return finish(connection, ending) end
    end
    if problem == "closed" then return finish(connection) end
    if problem and not wire.ready(from, "r", patience()) then return finish(connection) end
  end
end

-- Sends a request once more, and drops the answer.
local function repeat_request(proxy, bytes)
  local server = socket.connect(proxy.host, proxy.port)
  if not server then return end
  server:settimeout(0)
  if send(server, bytes) then wire.ready(server, "r", 1) end
  server:close()
end

local function accept(proxy, client)
  local server = proxy.is_open and socket.connect(proxy.host, proxy.port)
  if not server then return client:close() end
  client:settimeout(0)
  server:settimeout(0)
  local treatment = proxy.is_fair and treatments[1] or choose(treatments, proxy.draw)
  proxy.treated[treatment[2]] = (proxy.treated[treatment[2]] or 0) + 1
  local connection = { proxy = proxy, client = client, server = server, fibers = {} }
  proxy.connections[connection] = true
  local is_answered = false

  local function change_request(bytes)
    if proxy.on_bytes then proxy.on_bytes() end
    if treatment.where == "request" then return "", treatment.ends end
    if treatment.wait then loop.sleep(treatment.wait) end
    if treatment.repeats and bytes:find "^GET " then loop.background(repeat_request, proxy, bytes) end
    return bytes
  end
  local function change_answer(bytes)
    is_answered = true
    if treatment.where == "answer" then return "", treatment.ends end
    if treatment.where == "in answer" then return bytes:sub(1, #bytes // 2), treatment.ends end
    local is_json = bytes:find("\r\n\r\n{", 1, true) ~= nil
    if treatment.lengthen then
      bytes = bytes:gsub("(Content%-Length: )(%d+)", function(name, length)
        return ("%s%d"):format(name, math.max(0, math.tointeger(length) + treatment.lengthen))
      end, 1)
    end
    return treatment.echoes and is_json and bytes .. bytes or bytes
  end
  local function patience() return treatment.lengthen and is_answered and SILENCE or nil end
  local function forever() end
  connection.fibers[1] = loop.background(pass, connection, client, server, treatment.piece, forever, change_request)
  connection.fibers[2] = loop.background(pass, connection, server, client, treatment.piece, patience, change_answer)
end

---Ends all connections.
---@param how "close"|"reset"
function Proxy_methods:drop(how)
  for connection in pairs(self.connections) do finish(connection, how) end
end

---Passes nothing on for some seconds.
function Proxy_methods:pause(seconds)
  self.paused_by = self.paused_by + 1
  loop.sleep(seconds)
  self.paused_by = self.paused_by - 1
end

---Accepts no connections for some seconds.
function Proxy_methods:refuse(seconds)
  self.is_open = false
  self:drop "close"
  loop.sleep(seconds)
  self.is_open = true
end

function Proxy_methods:close()
  self.accepting:cancel()
  self:drop "close"
  self.listener:close()
end

Proxy_mt.__close = Proxy_methods.close

---Opens a proxy in front of a server.
---@param url string             of the server
---@param draw fun(): number     returns numbers from 0 to below 1
---@return spec.chaos.Proxy
local function open(url, draw)
  local host, port = url:match "^http://([^:/]+):(%d+)$"
  local listener = assert(socket.bind("127.0.0.1", 0, 128))
  listener:settimeout(0)
  local self = setmetatable({ listener = listener, host = host, port = port, draw = draw, connections = {}, treated = {},
    is_fair = false, is_open = true, paused_by = 0 }, Proxy_mt)
  self.url = "http://127.0.0.1:" .. select(2, listener:getsockname())
  self.accepting = loop.background(function()
    while true do
      local client = listener:accept()
      if client then accept(self, client) else wire.ready(listener, "r") end
    end
  end)
  return self
end

return { choose = choose, open = open }
