-- SPDX-License-Identifier: MIT
-- Stands between ledgers and PostgreSQL, in the spec's own process. It passes on one statement after the other when the spec wants it to,
-- and drops connections.

local socket = require "socket"
local unix = require "socket.unix"

local core = require "omni.core"
local env = require "helper.env"
local postgresql = require "helper.postgresql"

local PORT <const> = 5433 -- of the proxy's socket, beside PostgreSQL's

---@class spec.ProxyConnection
---@field credit number    how many more steps of the client pass; a step is a statement or a commit
---@field steps integer    that have passed
---@field answered integer that PostgreSQL has answered
---@field held string[]    messages of the client that wait
---@field deaf? boolean    answers don't reach the client
local Connection_methods = {}
local Connection_mt = { __name = "spec.proxy_connection", __index = Connection_methods }

local Proxy_methods = {}
local Proxy_mt = { __name = "spec.proxy", __index = Proxy_methods }

-- Takes what a socket has: text, and whether the other end has closed it.
local function receive(from)
  local all, problem, rest = from:receive(1 << 20)
  return all or rest or "", problem == "closed"
end

local function send(to, text)
  local at = 1
  while at <= #text do
    local last, problem, partial = to:send(text, at)
    if not last and problem ~= "timeout" then return end
    at = (last or partial) + 1
  end
end

-- Takes the first whole message from the text in `self[name]`. The client's first message has no letter.
local function message(self, name, has_letter)
  local text = self[name]
  local at = has_letter and 2 or 1
  if #text < at + 3 then return nil end
  local size = string.unpack(">I4", text, at) + at - 1
  if #text < size then return nil end
  self[name] = text:sub(size + 1)
  return text:sub(1, size)
end

-- Passes on the client's messages, as far as its credit goes. After each statement the server is asked to answer at once.
function Connection_methods:forward()
  while self.held[1] and self.credit > 0 do
    local one = table.remove(self.held, 1)
    local letter = self.is_started and one:sub(1, 1)
    if not self.is_started then self.is_started = true end
    send(self.server, one)
    if letter == "E" then send(self.server, "H\0\0\0\4") end
    if letter == "E" or letter == "S" or letter == "Q" then
      self.steps, self.credit = self.steps + 1, self.credit - 1
    end
  end
end

function Connection_methods:close()
  self.client:close()
  self.server:close()
  self.closed = true
end

-- Moves what has come in both directions.
function Connection_methods:pump()
  local text, closed = receive(self.client)
  self.from_client = self.from_client .. text
  while true do
    local one = message(self, "from_client", self.has_first)
    if not one then break end
    self.has_first = true
    self.held[#self.held + 1] = one
  end
  self:forward()
  local answers, gone = receive(self.server)
  self.from_server = self.from_server .. answers
  while true do
    local one = message(self, "from_server", true)
    if not one then break end
    local letter = one:sub(1, 1)
    if letter == "K" then self.pid = string.unpack(">I4", one, 6) end
    if letter == "C" or letter == "Z" or letter == "E" then self.answered = self.answered + 1 end
  end
  if not self.deaf then send(self.client, answers) end
  if closed or gone then self:close() end
end

---Moves data for a moment.
function Proxy_methods:pump()
  local sockets = { self.listener }
  for _, one in ipairs(self.connections) do
    if not one.closed then table.move({ one.client, one.server }, 1, 2, #sockets + 1, sockets) end
  end
  socket.select(sockets, nil, 0.002)
  local client = self.listener:accept()
  if client then
    local server = assert(unix.stream())
    assert(server:connect(postgresql.folder() .. "/.s.PGSQL.5432"))
    client:settimeout(0)
    server:settimeout(0)
    self.connections[#self.connections + 1] = setmetatable({ client = client, server = server, from_client = "", from_server = "",
      held = {}, credit = math.huge, steps = 0, answered = 0 }, Connection_mt)
  end
  for _, one in ipairs(self.connections) do
    if not one.closed then one:pump() end
  end
end

---Moves data until the function returns something.
function Proxy_methods:wait(is_done)
  local deadline = core.now() + env.seconds(30)
  while true do
    local done = is_done()
    if done then return done end
    assert(core.now() < deadline, "nothing comes")
    self:pump()
  end
end

---Runs a verb on a handle whose connection goes through the proxy: its rows, or nil and the failure.
function Proxy_methods:ask(handle, verb, params)
  handle:start(verb, verb, params)
  local result = self:wait(function() return self:finished(handle) end)
  return result.rows, result.failure
end

---The result of a verb that was started, if it has come.
function Proxy_methods:finished(handle) -- luacheck: ignore self
  handle:step()
  local owner, rows, failure = handle:finished()
  return owner ~= nil and { rows = rows, failure = failure }
end

---The address of a database, by way of the proxy.
---@param direct string
---@param patience? integer  seconds for which the ledger tries to reach the database
function Proxy_methods:address(direct, patience) -- luacheck: ignore self
  return ("%s&port=%d%s"):format(direct, PORT, patience and "&connect_timeout=" .. patience or "")
end

---The newest connection.
function Proxy_methods:latest() return self.connections[#self.connections] end

function Proxy_methods:close()
  for _, one in ipairs(self.connections) do
    if not one.closed then one:close() end
  end
  self.listener:close()
  os.remove(self.path)
end

Proxy_mt.__close = Proxy_methods.close

local proxy = {}

---Opens the proxy, beside a server that has been started.
function proxy.open()
  local path = ("%s/.s.PGSQL.%d"):format(postgresql.folder(), PORT)
  os.remove(path)
  local listener = assert(unix.stream())
  assert(listener:bind(path))
  assert(listener:listen(8))
  listener:settimeout(0)
  return setmetatable({ listener = listener, connections = {}, path = path }, Proxy_mt)
end

return proxy
