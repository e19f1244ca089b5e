-- Receives callbacks in the program's own web server, here on the sockets of cqueues.
--   lua5.4 examples/callbacks_cqueues.lua [SECONDS]     (needs lua-cqueues)   SECONDS: how long the task takes
local cqueues = require "cqueues"
local omni = require "omni"
local socket = require "cqueues.socket"

local queue = cqueues.new()
local host = require("omni.cqueues").attach(queue)
local receiver

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
  local status, said, _ = 400, "", nil
  if method and length and length >= 0 and length <= 1048576 then
    local body = length > 0 and connection:read(length) or ""
    if path:find "^/hook/" then
      status, _, said = host:call(receiver.handle, receiver, method, path, headers, body)
      if not status then status, said = 500, "" end
    else
      status, said = 404, "not here\n"
    end
  end
  connection:write(("HTTP/1.1 %d OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"):format(status, #said, said))
  connection:flush() -- `close` discards data that is still in the buffer
  connection:close()
end

local server = assert(socket.listen { host = "127.0.0.1", port = 0 })
local _, address, port = server:localname()
local url = ("http://%s:%d/hook"):format(address, port)
queue:wrap(function()
  for connection in server:clients() do queue:wrap(serve, connection) end
end)

local over = false
queue:wrap(function()
  print(host:call(function()
    local sandbox <close> = assert(omni.sandbox { seconds = tonumber(arg[1]) or 1 })
    local client <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key })
    receiver = assert(omni.callbacks { client = client, listen = false, public_url = url })
    io.stdout:write("listening at ", url, "\n"):flush()
    local task = assert(client:submit { prompt = "Gulls over a harbour, handheld, early light." })
    assert(task:await())
    local callback = sandbox:callbacks()[1]
    while not callback.status and not callback.error do omni.sleep(0.01) end
    return task.status, receiver.counts.confirmed .. " callback confirmed", "the service got " .. (callback.status or callback.error)
  end))
  host:detach()
  over = true
end)

repeat assert(queue:step()) until over
