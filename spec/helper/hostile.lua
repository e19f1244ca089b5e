-- SPDX-License-Identifier: MIT
-- Starts hostile_server.lua as a program of its own, sets its behaviour and reads the requests that it saw.
--
--   local server <close> = hostile.start()
--   server:script{ POST = { { hostile.close() } } }      one list of turns a method; the last turn stays
--   ... let the client speak to server.url ...
--   assert.equal(1, server:posts())
--
-- A turn is a list of steps (made below); `early = true` in it starts it before the body is read.
local socket = require "socket"
local env = require "helper.env"

local hostile = {}

local held = {} -- sockets, until this process ends

-- ---------------------------------------------------------------------------------------------- steps
function hostile.send(text) return { "send", text } end
---`text`, `times` over (math.huge: until the client has had enough).
function hostile.many(text, times) return { "many", text, times } end
function hostile.close() return { "close" } end
function hostile.reset() return { "reset" } end
function hostile.hang() return { "hang" } end
---Takes the body, or `most` bytes of it, and throws them away; for turns with `early`.
function hostile.discard(most) return { "discard", most } end
function hostile.until_requests(count) return { "until_requests", count } end
---{ body=, etag=, modified=, cut= }: serves Range and If-Range honestly, and breaks off after `cut` bytes.
function hostile.file(file) return { "file", file } end

---A whole answer; `headers` is a list of lines.
function hostile.answer(status, body, headers)
  local lines = { ("HTTP/1.1 %s"):format(status), ("Content-Length: %d"):format(#body) }
  for _, line in ipairs(headers or { "Content-Type: application/json" }) do lines[#lines + 1] = line end
  return hostile.send(table.concat(lines, "\r\n") .. "\r\n\r\n" .. body)
end

function hostile.json(body, status) return hostile.answer(status or "200 OK", body) end

hostile.h2 = {}
function hostile.h2.answer(status, body) return { "h2_answer", { status = status, body = body } } end
---An answer whose stream stays open.
function hostile.h2.part(status, body) return { "h2_answer", { status = status, body = body, open = true } } end
function hostile.h2.rst(code) return { "h2_rst", code } end
function hostile.h2.goaway(last, code) return { "h2_goaway", last, code } end

-- ---------------------------------------------------------------------------------------------- the server
local Server_methods = {}
local Server_mt = { __name = "spec.hostile", __index = Server_methods }

local function serialize(value)
  if type(value) ~= "table" then return ("%q"):format(value) end
  local parts = {}
  for k, v in pairs(value) do parts[#parts + 1] = ("[%q]=%s"):format(k, serialize(v)) end
  return "{" .. table.concat(parts, ",") .. "}"
end

---Sets how it behaves from now on, and forgets what it saw; open connections are closed.
---@param behaviour table  method → list of turns; `accept` → { [n] = turn } for the nth connection, before any request;
---                        or a list of rules { method=, target= (a part of it), turns= }, which are tried first
function Server_methods:script(behaviour)
  local rules = {}
  for _, rule in ipairs(behaviour) do rules[#rules + 1] = rule end
  for name, turns in pairs(behaviour) do
    if type(name) == "string" and name ~= "accept" then rules[#rules + 1] = { method = name, turns = turns } end
  end
  local text = serialize{ rules = rules, accept = behaviour.accept }
  assert(self.control:send(("script %d\n"):format(#text) .. text))
  self:seen()
  return self
end

---What it saw: { connections = n, requests = { { method, target, headers, body, bytes, complete, connection }, ... } }.
function Server_methods:seen()
  assert(self.control:send("report\n"))
  local length = assert(self.control:receive("*l"))
  return assert(load("return " .. assert(self.control:receive(tonumber(length))), "=seen", "t", {}))()
end

---The requests of one method (or all), in the order in which they came.
function Server_methods:requests(method)
  local list = {}
  for _, request in ipairs(self:seen().requests) do
    if not method or request.method == method then list[#list + 1] = request end
  end
  return list
end

---How many POSTs it got whole, over all its connections.
function Server_methods:posts()
  local count = 0
  for _, request in ipairs(self:requests("POST")) do
    if request.complete then count = count + 1 end
  end
  return count
end

function Server_methods:close()
  if not self.control then return end
  self.control:close() -- the server ends when this does
  self.control = nil
  self.pipe:close()
end
Server_mt.__close = Server_methods.close
Server_mt.__gc = Server_methods.close

---Starts a server; `server.url` and `server.port` say where it is.
---@param wanted? integer  its port; any free one by default
function hostile.start(wanted)
  local folder = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
  local pipe = assert(io.popen(("exec %s %s %d"):format(
    env.plain_lua, env.quote(folder .. "/hostile_server.lua"), wanted or 0), "r"))
  local port, door = pipe:read("n", "n")
  assert(port and door, "the hostile server did not start")
  local control = assert(socket.connect("127.0.0.1", door))
  control:setoption("tcp-nodelay", true)
  control:settimeout(env.seconds(30))
  local url = ("http://127.0.0.1:%d"):format(port)
  return setmetatable({ pipe = pipe, control = control, port = port, url = url }, Server_mt)
end

---A port of this machine that nobody listens on.
function hostile.dead_port()
  local bound = socket.tcp4()
  assert(bound:bind("127.0.0.1", 0)) -- never listens, and keeps the port from others
  held[#held + 1] = bound
  local _, port = bound:getsockname()
  return math.tointeger(tonumber(port))
end

return hostile
