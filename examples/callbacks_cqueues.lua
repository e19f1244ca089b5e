-- Receives callbacks in the program's own web server, here on the sockets of cqueues.
--   lua5.4 examples/callbacks_cqueues.lua      (needs lua-cqueues)
local condition = require "cqueues.condition"
local cqueues = require "cqueues"
local omni = require "omni"
local socket = require "cqueues.socket"

local queue, started = cqueues.new(), condition.new()
local receiver

-- One coroutine of cqueues drives all of omni. A fiber that is spawned outside of omni's loop runs at the loop's next step, so
-- `started` asks for a step.
queue:wrap(function()
  while not omni.loop:empty() do
    cqueues.poll(omni.loop, started)
    omni.loop:step()
  end
end)

-- Returns the receiver's response. The receiver may wait for the ledger, so it runs in a fiber.
local function answer(method, path, headers, body)
  local done, status, said = condition.new(), nil, nil
  omni.spawn(function()
    local _
    status, _, said = receiver:handle(method, path, headers, body)
    done:signal()
  end)
  started:signal()
  if not status then done:wait() end
  return status, said
end

-- The web server: one request for each connection; /hook/... belongs to omni.
local function serve(connection)
  connection:settimeout(15)
  connection:setmode("b", "bf")
  local method, path = (connection:read "*l" or ""):match "^(%u+) (%S+) HTTP/1%.[01]\r?$"
  local headers = {}
  for line in connection:lines "*l" do
    local name, value = line:match "^([^:%s]+):%s*(.-)%s*$"
    if not name then break end
    headers[name:lower()] = value
  end
  local length = math.tointeger(tonumber(headers["content-length"] or 0))
  local status, said = 400, ""
  if method and length and length >= 0 and length <= 1048576 then
    local body = length > 0 and connection:read(length) or ""
    if path:find "^/hook/" then status, said = answer(method, path, headers, body) else status, said = 404, "not here\n" end
  end
  connection:write(("HTTP/1.1 %d OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"):format(status, #said, said))
  connection:close()
end

local server = assert(socket.listen { host = "127.0.0.1", port = 0 })
local _, host, port = server:localname()
queue:wrap(function()
  for connection in server:clients() do queue:wrap(serve, connection) end
end)

omni.spawn(function()
  local sandbox <close> = assert(omni.sandbox { seconds = 1 })
  local client <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key })
  receiver = assert(omni.callbacks { client = client, listen = false, public_url = ("http://%s:%d/hook"):format(host, port) })
  local task = assert(client:submit { prompt = "Gulls over a harbour, handheld, early light." })
  assert(task:await())
  print(task.status, task.id, receiver.counts.confirmed .. " callback confirmed")
end)

repeat assert(queue:step()) until omni.loop:empty()
