-- SPDX-License-Identifier: MIT
-- A server that does whatever a spec requests, however wrong, over HTTP/1.1 or, if the client begins with it, HTTP/2. Runs as a program of
-- its own; spec/helper/hostile.lua starts it, sets its behaviour and reads the requests that it saw. It ends when the control connection
-- does.
local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path
local socket = require "socket"
local h2 = require "h2"

local CHUNK <const> = 65536
local connections, listener, control = {}, nil, nil
local script, taken, seen = { rules = {} }, {}, nil

local function forget()
  taken, seen = {}, { connections = 0, requests = {} }
end

-- Puts `value` (plain data) into words that `load` reads back.
local function serialize(value)
  if type(value) ~= "table" then return ("%q"):format(value) end
  local parts = {}
  for k, v in pairs(value) do parts[#parts + 1] = ("[%q]=%s"):format(k, serialize(v)) end
  return "{" .. table.concat(parts, ",") .. "}"
end

-- ---------------------------------------------------------------------------------------------- connections
local Connection = {}
Connection.__index = Connection

-- Waits for bytes and reads those that are available. Returns false if the peer has closed.
function Connection:fill()
  while true do
    local data, why, partial = self.socket:receive(CHUNK)
    data = data or partial
    if #data > 0 then
      self.inbox = self.inbox .. data
      return true
    end
    if why ~= "timeout" then return false end
    coroutine.yield("read")
  end
end

-- Waits for n bytes and takes them out of the inbox; nil when the peer closed before.
function Connection:take(n)
  while #self.inbox < n do
    if not self:fill() then return nil end
  end
  local bytes = self.inbox:sub(1, n)
  self.inbox = self.inbox:sub(n + 1)
  return bytes
end

function Connection:take_until(mark)
  while true do
    local _, last = self.inbox:find(mark, 1, true)
    if last then return self:take(last) end
    if not self:fill() then return nil end
  end
end

function Connection:send(text)
  local sent = 0
  while sent < #text do
    local last, why, partial = self.socket:send(text, sent + 1)
    sent = last or partial
    if not last then
      if why ~= "timeout" then return false end
      coroutine.yield("write")
    end
  end
  return true
end

-- ---------------------------------------------------------------------------------------------- what it does
local actions = {}

function actions.send(connection, _, text) return connection:send(text) end

function actions.many(connection, _, text, times)
  local block = math.max(1, CHUNK // #text)
  while times > 0 do
    local now = math.min(block, times)
    if not connection:send(text:rep(now // 1)) then return false end
    times = times - now
  end
  return true
end

function actions.reset(connection)
  connection.socket:setoption("linger", { on = true, timeout = 0 })
  return false
end

function actions.close() return false end

-- Says nothing more, and keeps listening for what the client does.
function actions.hang(connection)
  while connection:fill() do connection.inbox = "" end
  return false
end

-- Takes `most` bytes of the body (all of it by default), and keeps none.
function actions.discard(connection, request, most)
  local length = math.tointeger(tonumber(request.headers["content-length"])) or 0
  local left = math.min(length - request.bytes, most or math.huge)
  while left > 0 do
    if connection.inbox == "" and not connection:fill() then return false end
    local count = math.min(#connection.inbox, left)
    connection.inbox = connection.inbox:sub(count + 1)
    left, request.bytes = left - count, request.bytes + count
  end
  request.complete = request.bytes == length
  return true
end

-- Waits until so many requests were seen, on any connection.
function actions.until_requests(_, _, count)
  while #seen.requests < count do coroutine.yield("others") end
  return true
end

-- An honest file server, which may break off after `cut` bytes of the body.
function actions.file(connection, request, file)
  local body, status, range = file.body, "200 OK", ""
  local from = math.tointeger(tonumber((request.headers.range or ""):match("^bytes=(%d+)%-$")))
  local condition = request.headers["if-range"]
  if from and from < #body and (not condition or condition == file.etag or condition == file.modified) then
    status, range = "206 Partial Content", ("Content-Range: bytes %d-%d/%d\r\n"):format(from, #body - 1, #body)
    body = body:sub(from + 1)
  end
  local head = ("HTTP/1.1 %s\r\nContent-Type: video/mp4\r\nContent-Length: %d\r\n%s%s%s\r\n"):format(
    status, #body, file.etag and "ETag: " .. file.etag .. "\r\n" or "",
    file.modified and "Last-Modified: " .. file.modified .. "\r\n" or "", range)
  return connection:send(head .. body:sub(1, file.cut or #body)) and not file.cut
end

-- HTTP/2, on the request's own stream.
function actions.h2_answer(connection, request, answer)
  return connection:send(h2.headers(request.stream, answer.status, { ["content-type"] = "application/json" })
    .. h2.data(request.stream, answer.body, answer.open))
end

function actions.h2_rst(connection, request, code) return connection:send(h2.rst_stream(request.stream, code)) end
function actions.h2_goaway(connection, _, last, code) return connection:send(h2.goaway(last, code)) end

-- The steps for a request: each one takes the next turn of the first rule that fits, and the last turn stays.
local function turn_for(request)
  for i, rule in ipairs(script.rules) do
    if (rule.method or request.method) == request.method and request.target:find(rule.target or "", 1, true) then
      taken[i] = math.min((taken[i] or 0) + 1, #rule.turns)
      return rule.turns[taken[i]]
    end
  end
  return { { "send", "HTTP/1.1 599 No Rule\r\nContent-Length: 0\r\n\r\n" } }
end

-- Does the steps; false when the connection is over.
local function perform(connection, turn, request)
  for _, step in ipairs(turn) do
    if step[1]:find("^h2_") and not request.stream then return false end -- it came over HTTP/1.1 after all
    if not actions[step[1]](connection, request, table.unpack(step, 2)) then return false end
  end
  return true
end

-- ---------------------------------------------------------------------------------------------- protocols
local function note(connection, request)
  request.connection, request.bytes, request.complete = connection.index, 0, false
  seen.requests[#seen.requests + 1] = request
  return request
end

local function parse_head(head)
  local method, target = head:match("^(%S+) (%S*) ")
  local headers = {}
  for name, value in head:gmatch("\r\n([^:\r\n]+):[ \t]*([^\r\n]*)") do
    name = name:lower()
    headers[name] = headers[name] and headers[name] .. ", " .. value or value
  end
  return { method = method or "?", target = target or "", headers = headers }
end

local function read_body(connection, request)
  local body
  if (request.headers["transfer-encoding"] or ""):lower() == "chunked" then
    body = connection:take_until("0\r\n\r\n")
  else
    local length = math.tointeger(tonumber(request.headers["content-length"])) or 0
    body = connection:take(length)
  end
  request.complete, request.bytes, request.body = body ~= nil, #(body or connection.inbox), body
  return body ~= nil
end

local function serve_http1(connection)
  while true do
    local head = connection:take_until("\r\n\r\n")
    if not head then return end
    local request = note(connection, parse_head(head))
    local turn = turn_for(request)
    if not turn.early and not read_body(connection, request) then return end
    if not perform(connection, turn, request) then return end
  end
end

local function serve_http2(connection)
  connection:take(#h2.PREFACE)
  connection:send(h2.settings())
  local streams = {}
  while true do
    local frame, rest = h2.parse(connection.inbox)
    if not frame then
      if not connection:fill() then return end
    else
      connection.inbox = rest
      local request = streams[frame.stream]
      if frame.kind == "settings" and not frame.ack then connection:send(h2.settings_ack()) end
      if frame.kind == "ping" and not frame.ack then connection:send(h2.pong(frame.payload)) end
      if frame.kind == "headers" then
        request = note(connection, { method = h2.method(frame.payload), target = "", stream = frame.stream })
        request.turn = turn_for(request)
        streams[frame.stream] = request
      elseif frame.kind == "data" and request then
        request.bytes = request.bytes + #frame.payload
      end
      if request and frame.ends_stream then request.complete = true end
      if request and request.turn and (request.complete or request.turn.early) then
        local turn = request.turn
        request.turn = nil
        if not perform(connection, turn, request) then return end
      end
    end
  end
end

local function serve(connection)
  local turn = script.accept and script.accept[connection.index]
  if turn and not perform(connection, turn) then return end
  while #connection.inbox < #h2.PREFACE do
    local prefix = h2.PREFACE:sub(1, #connection.inbox)
    if connection.inbox ~= prefix then break end
    if not connection:fill() then return end
  end
  if connection.inbox:sub(1, #h2.PREFACE) == h2.PREFACE then return serve_http2(connection) end
  return serve_http1(connection)
end

-- ---------------------------------------------------------------------------------------------- the loop
local function close(connection)
  connection.socket:close()
  connections[connection.socket] = nil
end

local function resume(connection)
  local fine, wants = coroutine.resume(connection.thread, connection)
  if not fine then io.stderr:write("hostile server: ", debug.traceback(connection.thread, wants), "\n") end
  connection.wants = wants
  if coroutine.status(connection.thread) == "dead" then close(connection) end
end

local function accept()
  local peer = listener:accept()
  if not peer then return end
  peer:settimeout(0)
  peer:setoption("tcp-nodelay", true)
  seen.connections = seen.connections + 1
  local connection = setmetatable({ socket = peer, inbox = "", index = seen.connections,
    thread = coroutine.create(serve) }, Connection)
  connections[peer] = connection
  resume(connection)
end

-- Runs whatever is ready; returns whether anything could be read (and whether the control connection could).
local function pass(timeout, with_control)
  local readers, writers = { listener, with_control and control or nil }, {}
  for peer, connection in pairs(connections) do
    local list = connection.wants == "write" and writers or readers
    if connection.wants ~= "others" then list[#list + 1] = peer end
  end
  local readable, writable = socket.select(readers, writers, timeout)
  for _, peer in ipairs(writable) do
    if connections[peer] then resume(connections[peer]) end
  end
  for _, peer in ipairs(readable) do
    if peer == listener then accept() elseif connections[peer] then resume(connections[peer]) end
  end
  for _, connection in pairs(connections) do
    if connection.wants == "others" then resume(connection) end
  end
  return #readable > 0, control and readable[control] ~= nil
end

local commands = {}

function commands.script(length)
  script = load("return " .. control:receive(length), "=script", "t", { math = math })()
  for _, connection in pairs(connections) do close(connection) end
  forget()
end

-- Everything that has arrived is read before the answer is given.
function commands.report()
  while pass(0) do end -- luacheck: ignore 542
  local text = serialize(seen)
  control:send(#text .. "\n" .. text)
end

forget()
listener = assert(socket.bind("127.0.0.1", tonumber(arg[1]) or 0, 128))
listener:settimeout(0)
local door = assert(socket.bind("127.0.0.1", 0, 1))
door:settimeout(10)
io.write(select(2, listener:getsockname()), " ", select(2, door:getsockname()), "\n")
io.flush()
control = assert(door:accept())
while true do
  local _, told = pass(nil, true)
  if told then
    local line = control:receive("*l")
    if not line then os.exit(0) end
    local name, argument = line:match("^(%S+) ?(.*)$")
    commands[name](tonumber(argument))
  end
end
