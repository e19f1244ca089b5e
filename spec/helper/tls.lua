-- SPDX-License-Identifier: MIT
-- Certificates made on the spot, and `openssl s_server` over a folder whose files are whole HTTP answers.
local env = require "helper.env"

local tls = {}

---Makes a self-signed certificate in `directory`; returns the path of it and of its key.
---@param subject string  a subjectAltName, such as "IP:127.0.0.1"
function tls.certificate(directory, name, subject)
  local certificate, key = directory:file(name .. ".pem"), directory:file(name .. ".key")
  env.output(("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    .. " -addext subjectAltName=%s -keyout %s -out %s 2>&1"):format(subject, env.quote(key), env.quote(certificate)))
  return certificate, key
end

local Server_methods = {}
local Server_mt = { __name = "spec.tls", __index = Server_methods }

function Server_methods:close()
  if not self.pipe then return end
  os.execute("kill " .. self.pid .. " 2>/dev/null")
  self.pipe:close()
  self.pipe = nil
end
Server_mt.__close = Server_methods.close
Server_mt.__gc = Server_methods.close

---A whole answer to be put into a file. It ends the connection: s_server has time for one at a time.
function tls.answer(status, body, header)
  return ("HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n%s\r\n%s"):format(
    status, #body, header and header .. "\r\n" or "", body)
end

---Serves the files of `directory`; a request for /a/b?c gets the bytes of the file "a/b?c".
function tls.serve(directory, certificate, key)
  local pipe = assert(io.popen(("cd %s && echo $$ && exec timeout 300 openssl s_server -accept 127.0.0.1:0 -HTTP"
    .. " -cert %s -key %s </dev/null 2>/dev/null"):format(
    env.quote(directory.path), env.quote(certificate), env.quote(key)), "r"))
  local pid, port = pipe:read("n"), nil
  for line in pipe:lines() do
    port = line:match("^ACCEPT .*:(%d+)$")
    if port then break end
  end
  assert(port, "openssl s_server did not start")
  return setmetatable({ pipe = pipe, pid = math.tointeger(pid), url = "https://127.0.0.1:" .. port }, Server_mt)
end

return tls
