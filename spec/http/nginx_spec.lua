-- SPDX-License-Identifier: MIT
-- Requests to a real web server: HTTP/2 if the server offers it, compressed answers, and which requests share a connection.
local env = require "helper.env"
local omni = require "omni"
local tls = require "helper.tls"

local config <const> = [[
daemon off; worker_processes 1; pid nginx.pid; error_log stderr crit;
events { worker_connections 64; }
http {
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  log_format seen '$connection $server_protocol $request_method $sent_http_content_encoding';
  access_log seen.log seen;
  gzip on; gzip_types application/json; gzip_min_length 1;
  server {
    listen 127.0.0.1:%d ssl http2;
    ssl_certificate %s; ssl_certificate_key %s;
    default_type application/json;
    location /api/v1/client/job/CreateTask { proxy_pass http://127.0.0.1:INNER; }
    location / { return 200 '{"code":200,"message":"success","data":{"task_id":"$arg_task_id","status":"running"}}'; }
  }
  server {
    listen 127.0.0.1:INNER;
    access_log off;
    location / { default_type application/json; return 200 '{"code":200,"message":"success","data":{"task_id":"new"}}'; }
  }
}
]]

if not os.execute("PATH=$PATH:/usr/sbin; command -v nginx >/dev/null") then
  describe("behind a real web server", function() pending("all is skipped: nginx isn't installed (Debian: nginx-light)") end)
  return
end

local directory, server, client

-- The next `count` requests that nginx has seen: { connection, protocol, method, encoding } each. It tells of one only after
-- its answer, hence the wait.
local seen_before = 0
local function seen(count)
  local deadline = os.time() + env.seconds(10)
  repeat
    local rows = {}
    for line in (env.read(directory:file "seen.log") or ""):gmatch("[^\n]+\n") do
      local connection, protocol, method, encoding = line:match("^(%S+) (%S+) (%S+) (%S+)")
      rows[#rows + 1] = { connection = connection, protocol = protocol, method = method, encoding = encoding }
    end
    if #rows >= seen_before + count then
      seen_before = #rows
      return table.move(rows, #rows - count + 1, #rows, 1, {})
    end
    omni.sleep(0.001)
  until os.time() > deadline
  error("nginx hasn't seen as many requests")
end

setup(function()
  directory = env.directory()
  local certificate, key = tls.certificate(directory, "good", "IP:127.0.0.1")
  local port, inner = env.free_ports(2)
  env.write(directory:file "nginx.conf", (config:format(port, certificate, key):gsub("INNER", inner)))
  -- Debian's is in /usr/sbin, where only root looks.
  server = io.popen(("PATH=$PATH:/usr/sbin; exec nginx -p %s -c nginx.conf 2>&1"):format(env.quote(directory.path)))
  client = assert(omni.client { base_url = ("https://127.0.0.1:%d"):format(port), api_key = "ak_" .. ("n"):rep(32), ca_file = certificate })
  assert(client:query "is-it-up") -- tried again until it is
  seen(1)
end)

teardown(function()
  client:close()
  os.execute(("kill -TERM $(cat %s)"):format(env.quote(directory:file "nginx.pid")))
  server:close()
  directory:close()
end)

describe("behind a real web server", function()
  it("requests use HTTP/2, answers are compressed, and queries share a connection", function()
    for _ = 1, 5 do assert.equal("running", assert(client:query "a").status) end
    local rows = seen(5)
    for _, row in ipairs(rows) do
      assert.equal("HTTP/2.0", row.protocol)
      assert.equal("gzip", row.encoding)
      assert.equal(rows[1].connection, row.connection)
    end
  end)

  it("each submit has a connection of its own", function()
    for _ = 1, 3 do assert.equal("new", assert(client:submit { prompt = "a" }).id) end
    local known = {}
    for _, row in ipairs(seen(3)) do
      assert.equal("POST", row.method)
      assert.is_nil(known[row.connection])
      known[row.connection] = true
    end
  end)
end)
