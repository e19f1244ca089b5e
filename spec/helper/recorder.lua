-- SPDX-License-Identifier: MIT
-- A sandbox behind a relay that forwards every byte in both directions and records the requests: the answers are real, and the requests can
-- be compared byte for byte.
--
--   recorder.open({ seconds = 0 }, function(recorder, box) ... recorder:said() ... end)

local loop = require "omni.loop"
local sandbox = require "omni.sandbox"
local socket = require "socket"
local wire = require "helper.wire"

-- Takes the first request off the connection's text, when all of it is there.
local function next_request(text)
  local head, rest = text:match "^(.-\r\n)\r\n(.*)$"
  if not head then return nil end
  local request = { headers = {}, names = {} }
  request.method, request.target = head:match "^(%S+) (%S+) HTTP/1.1\r\n"
  for name, value in head:gmatch "\r\n([^:\r\n]+):[ \t]*([^\r\n]*)" do
    request.names[#request.names + 1] = name:lower()
    request.headers[name:lower()] = value
  end
  table.sort(request.names)
  local length = math.tointeger(tonumber(request.headers["content-length"] or 0))
  if #rest < length then return nil end
  request.body = rest:sub(1, length)
  return request, rest:sub(length + 1)
end

local Recorder_methods = {}
local Recorder_mt = { __name = "spec.recorder", __index = Recorder_methods }

function Recorder_mt:__close()
  for _, fiber in ipairs(self.fibers) do fiber:cancel() end
  for _, one in ipairs(self.sockets) do one:close() end
end

local function background(self, ...)
  self.fibers[#self.fibers + 1] = loop.background(...)
end

---The requests since the last call, in the order in which they were complete: { method, target, headers = by name in lower case,
---names = { those, sorted, each as often as it came }, body }.
function Recorder_methods:take()
  for _, connection in ipairs(self.connections) do assert(connection.text == "", "this isn't a whole request: " .. connection.text) end
  local requests = self.requests
  self.requests = {}
  return requests
end

---The same, a line each: "GET /api/v1/client/job/Models", "POST /api/v1/client/job/CreateTask {...}".
function Recorder_methods:said()
  local lines = {}
  for i, request in ipairs(self:take()) do
    lines[i] = request.method .. " " .. request.target .. (request.body ~= "" and " " .. request.body or "")
  end
  return lines
end

local function keep(self, connection, bytes)
  connection.text = connection.text .. bytes
  while true do
    local request, rest = next_request(connection.text)
    if not request then return end
    self.requests[#self.requests + 1], connection.text = request, rest
  end
end

-- Passes on what comes from one side until it ends.
local function pass(from, to, tell)
  while true do
    local bytes, why, rest = from:receive(65536)
    bytes = bytes or rest
    tell(bytes)
    local sent = 0
    while sent < #bytes do
      local last, trouble, partial = to:send(bytes, sent + 1)
      sent = last or partial
      if trouble == "closed" then return end
      if trouble then wire.ready(to, "w") end
    end
    if why == "closed" then return to:shutdown "send" end
    if why then wire.ready(from, "r") end
  end
end

local function relay(self, client, port)
  local service = assert(socket.connect("127.0.0.1", port))
  for _, one in ipairs { client, service } do
    one:settimeout(0)
    one:setoption("tcp-nodelay", true)
    self.sockets[#self.sockets + 1] = one
  end
  local connection = { text = "" }
  self.connections[#self.connections + 1] = connection
  background(self, pass, client, service, function(bytes) keep(self, connection, bytes) end)
  background(self, pass, service, client, function() end)
end

local function accept(self, listener, port)
  while true do
    local client = listener:accept()
    if client then relay(self, client, port) else wire.ready(listener, "r") end
  end
end

---Calls `body(recorder, box)` in the loop. What the sandbox names as its own URL is the recorder's `url`, too: uploads pass there.
---@param given table  of omni.sandbox
---@param body fun(recorder: table, box: omni.Sandbox)
local function open(given, body)
  return loop.run(function()
    local box <close> = assert(sandbox.open(given))
    local listener = assert(socket.bind("127.0.0.1", 0))
    listener:settimeout(0)
    local _, port = listener:getsockname()
    local self <close> = setmetatable({
      url = ("http://127.0.0.1:%d"):format(port), requests = {}, connections = {}, sockets = { listener }, fibers = {},
    }, Recorder_mt)
    background(self, accept, self, listener, tonumber(box.url:match "%d+$"))
    box.service.url = self.url
    body(self, box)
  end)
end

return { open = open }
