-- SPDX-License-Identifier: MIT
-- Relays between programs and PostgreSQL, in omni's loop. Each has a socket of its own, so a spec can disturb one program's connections.
-- (helper/postgresql_proxy holds statements back one by one.)

local unix = require "socket.unix"

local loop = require "omni.loop"
local postgresql = require "helper.postgresql"
local wire = require "helper.wire"

---@class spec.Relay
---@field port integer
---@field on_bytes? fun(bytes: string)  called before bytes of a program are passed on
---@field is_open boolean               whether it takes connections
---@field paused_by number              how many pauses go on
local Relay_methods = {}
local Relay_mt = { __name = "spec.postgresql_relay", __index = Relay_methods }

-- Ends a connection. Its two fibers notice that, and the last of them closes the sockets: the loop still waits for them.
local function shut(connection)
  if connection.closed then return end
  connection.closed = true
  connection.client:shutdown "both"
  connection.server:shutdown "both"
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

-- Passes bytes on in one direction until one side ends. `change` returns what is passed on of them, or nil to end.
local function pass(relay, connection, from, to, change)
  while not connection.closed do
    local bytes, problem, rest = from:receive(65536)
    bytes = bytes or rest
    while relay.paused_by > 0 do loop.sleep(0.01) end
    if #bytes > 0 then
      local given = change(bytes)
      if connection.closed or not given or not send(to, given) then break end
    end
    if problem == "closed" then break end
    if problem and not connection.closed then wire.ready(from, "r") end
  end
  shut(connection)
  connection.passing = connection.passing - 1
  if connection.passing > 0 then return end
  connection.client:close()
  connection.server:close()
end

local function accept(relay, client)
  local server = assert(unix.stream())
  if not relay.is_open or not server:connect(("%s/.s.PGSQL.%d"):format(postgresql.folder(), relay.to)) then
    server:close()
    return client:close()
  end
  client:settimeout(0)
  server:settimeout(0)
  local connection = { client = client, server = server, passing = 2 }
  relay.connections[#relay.connections + 1] = connection
  local function keep(fn, ...) relay.fibers[#relay.fibers + 1] = loop.background(fn, ...) end
  keep(pass, relay, connection, client, server, function(bytes)
    if relay.on_bytes then relay.on_bytes(bytes) end
    return bytes
  end)
  keep(pass, relay, connection, server, client, function(bytes) return not connection.deaf and bytes or nil end)
end

---Calls a function for each open connection.
function Relay_methods:each(fn)
  for _, connection in ipairs(self.connections) do
    if not connection.closed then fn(connection) end
  end
end

---Ends all connections at once.
function Relay_methods:drop() self:each(shut) end

---The server's next answer on each connection is lost, and the connection with it.
function Relay_methods:lose_answers()
  self:each(function(connection) connection.deaf = true end)
end

---Passes nothing on for some seconds.
function Relay_methods:pause(seconds)
  self.paused_by = self.paused_by + 1
  self.fibers[#self.fibers + 1] = loop.background(function()
    loop.sleep(seconds)
    self.paused_by = self.paused_by - 1
  end)
end

---Sets whether programs can connect. The connections so far end.
function Relay_methods:set_open(is_open)
  self.is_open = is_open
  if not is_open then self:drop() end
end

---The address of a database, by way of the relay.
---@param direct string
---@param patience? integer  seconds for which the ledger tries to reach the database
function Relay_methods:address(direct, patience)
  return ("%s&port=%d%s"):format(direct, self.port, patience and "&connect_timeout=" .. patience or "")
end

function Relay_methods:close()
  for _, fiber in ipairs(self.fibers) do fiber:cancel() end
  self:drop()
  self.listener:close()
  os.remove(self.path)
end

Relay_mt.__close = Relay_methods.close

---Opens a relay in the loop, beside a server that has been started.
---@param port integer
---@param to? integer  the server's port
---@return spec.Relay
local function open(port, to)
  local path = ("%s/.s.PGSQL.%d"):format(postgresql.folder(), port)
  os.remove(path)
  local listener = assert(unix.stream())
  assert(listener:bind(path))
  assert(listener:listen(8))
  listener:settimeout(0)
  local self = setmetatable({ port = port, to = to or 5432, listener = listener, path = path, connections = {}, fibers = {}, is_open = true,
    paused_by = 0 }, Relay_mt)
  self.fibers[1] = loop.background(function()
    while true do
      local client = listener:accept()
      if client then accept(self, client) else wire.ready(listener, "r") end
    end
  end)
  return self
end

return { open = open }
