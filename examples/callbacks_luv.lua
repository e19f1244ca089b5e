-- Receives callbacks in the program's own web server, here on the sockets of libuv.
--   lua5.4 examples/callbacks_luv.lua [SECONDS]     (needs lua-luv)   SECONDS: how long the task takes
local omni = require "omni"
local uv = require "luv"

local host = require("omni.luv").attach()
local server = assert(uv.new_tcp())
local receiver

-- Returns method, path, headers and body of a complete request; nothing if more data must arrive; false if it is malformed.
local function parse(text)
  local head_end = select(2, text:find("\r\n\r\n", 1, true))
  if not head_end then return #text > 16384 and false or nil end
  local method, path = text:match "^(%u+) (%S+) HTTP/1%.[01]\r\n"
  local headers = {}
  for name, value in text:sub(1, head_end):gmatch "\n([^:%s]+):[ \t]*([^\r\n]*)" do headers[name:lower()] = value end
  local length = math.tointeger(tonumber(headers["content-length"] or 0))
  if not method or not length or length < 0 or length > 1048576 then return false end
  if #text < head_end + length then return nil end
  return method, path, headers, text:sub(head_end + 1, head_end + length)
end

-- The web server: one request for each connection; /hook/... belongs to omni.
local function serve()
  local connection, text = uv.new_tcp(), ""
  assert(server:accept(connection))
  local function close()
    if not connection:is_closing() then connection:close() end
  end
  local function reply(status, _, said)
    if connection:is_closing() then return end
    status, said = status or 500, status and said or ""
    connection:write(("HTTP/1.1 %d OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"):format(status, #said, said), close)
  end
  connection:read_start(function(problem, data)
    if problem or not data then return close() end
    text = text .. data
    local method, path, headers, body = parse(text)
    if method == nil then return end
    connection:read_stop()
    if not method then return reply(400, nil, "") end
    if not path:find "^/hook/" then return reply(404, nil, "not here\n") end
    host:start(reply, receiver.handle, receiver, method, path, headers, body)
  end)
end

assert(server:bind("127.0.0.1", 0))
assert(server:listen(64, serve))
local url = ("http://127.0.0.1:%d/hook"):format(server:getsockname().port)

host:start(function(...)
  print(...)
  host:detach()
  server:close()
end, function()
  local sandbox <close> = assert(omni.sandbox { seconds = tonumber(arg[1]) or 1 })
  local client <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key })
  receiver = assert(omni.callbacks { client = client, listen = false, public_url = url })
  io.stdout:write("listening at ", url, "\n"):flush()
  local task = assert(client:submit { prompt = "Gulls over a harbour, handheld, early light." })
  assert(task:await())
  local callback = sandbox:callbacks()[1]
  while not callback.status and not callback.error do omni.sleep(0.01) end
  return task.status, receiver.counts.confirmed .. " callback confirmed", "the service got " .. (callback.status or callback.error)
end)

uv.run()
