-- SPDX-License-Identifier: MIT
-- The receiver behind a real nginx that ends TLS, with the configuration that docs/callbacks.md shows.
local cjson = require "cjson"
local core = require "omni.core"
local env = require "helper.env"
local omni = require "omni"
local studio = require "helper.studio"
local tls = require "helper.tls"

if not os.execute("PATH=$PATH:/usr/sbin; command -v nginx >/dev/null") then
  describe("behind nginx", function() pending("all is skipped: nginx isn't installed (Debian: nginx-light)") end)
  return
end

-- Around what the page shows: one process in one folder, as nobody in particular.
local frame <const> = [[
daemon off; worker_processes 1; pid nginx.pid; error_log stderr crit;
events { worker_connections 256; }
http {
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  access_log seen.log;
SHOWN
}
]]

-- Returns the page's configuration with this machine's ports and files; the page must contain each of the originals.
local function shown_config(values)
  local text = assert(env.read("docs/callbacks.md"):match("```nginx\n(.-)```"), "docs/callbacks.md shows no configuration")
  for _, pair in ipairs(values) do
    local before = text
    text = text:gsub(pair[1]:gsub("%p", "%%%0"), function() return pair[2] end)
    assert(text ~= before, pair[1] .. " isn't shown")
  end
  return text
end

local Proxy_mt = {
  __close = function(self)
    os.execute("kill -TERM " .. self.pid)
    self.pipe:close()
    self.folder:close()
  end,
}

-- Starts it at `port`, in front of `inner`, another one; `url` is where callbacks go.
local function proxy(port, inner)
  local folder = env.directory()
  local certificate, key = tls.certificate(folder, "good", "IP:127.0.0.1")
  local shown = shown_config {
    { "listen 443 ssl", ("listen 127.0.0.1:%d ssl"):format(port) }, { "film.example.com", "localhost" },
    { "/etc/ssl/film.pem", certificate }, { "/etc/ssl/film.key", key }, { "127.0.0.1:8787", "127.0.0.1:" .. inner },
  }
  env.write(folder:file "nginx.conf", (frame:gsub("SHOWN", function() return shown end)))
  local pipe = assert(io.popen(("PATH=$PATH:/usr/sbin; echo $$; exec nginx -p %s -c nginx.conf 2>&1"):format(env.quote(folder.path))))
  return setmetatable({
    folder = folder, certificate = certificate, pipe = pipe, pid = math.tointeger(pipe:read "n"),
    url = ("https://127.0.0.1:%d/hook"):format(port),
  }, Proxy_mt)
end

-- POSTs, or asks with a further argument of curl's; gives the status.
local function ask(front, url, body, ...)
  local argv = { "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", front.certificate, url, "--retry", "20",
    "--retry-delay", "0", "--retry-connrefused", "--data-binary", body, ... }
  return assert(omni.process(argv, { stdout = "pipe" })).stdout
end

-- A studio with a receiver behind nginx.
local function open(body)
  studio.open({ seconds = 0.2, faults = { "callback-never" } }, function(s)
    local port, inner = env.free_ports(2)
    local front <close> = proxy(port, inner)
    local receiver <close> = assert(omni.callbacks { client = s.client, listen = "127.0.0.1:" .. inner, public_url = front.url })
    body(s, receiver, front)
  end)
end

describe("behind nginx, which terminates TLS", function()
  it("a callback wakes the waiting fiber", function()
    open(function(s, receiver, front)
      local task = assert(s.client:submit { prompt = "x" })
      local url = s.sandbox.service.tasks:find(task.id).callback_url
      assert.truthy(url:find(front.url, 1, true))
      local wait = omni.spawn(function() return assert(task:await { timeout = 30 }) end)
      repeat omni.sleep(0.02) until s.sandbox:ledger().tasks[1].status == "success"
      local began = core.now()
      assert.equal("200", ask(front, url, cjson.encode { task_id = task.id, status = "success" }))
      assert.equal("success", wait:join().status)
      assert.is_true(core.now() - began < env.seconds(10))
      assert.equal(1, receiver.counts.confirmed)
      -- The receiver itself takes no body in chunks; nginx gathers it and passes on its length.
      assert.equal("200", ask(front, url, cjson.encode { task_id = task.id, status = "success" }, "-H", "Transfer-Encoding: chunked"))
      assert.equal(2, receiver.counts.accepted)
    end)
  end)

  it("any other request is refused, and nginx logs no token", function()
    open(function(s, _, front)
      local task = assert(s.client:submit { prompt = "x" })
      local url = s.sandbox.service.tasks:find(task.id).callback_url
      assert.equal("400", ask(front, url, "{}"))
      assert.equal("409", ask(front, url, cjson.encode { task_id = "another", status = "success" }))
      assert.equal("404", ask(front, front.url .. "/" .. ("a"):rep(32), "{}"))
      assert.equal("404", ask(front, front.url:gsub("/hook$", "/") .. "elsewhere", "{}"))
      assert.equal("405", ask(front, url, "", "-G"))
      local large = env.write(front.folder:file "large", ("x"):rep(1048577))
      assert.equal("413", ask(front, url, "@" .. large))
      local token = url:match("(%x+)$")
      assert.is_nil((env.read(front.folder:file "seen.log") or ""):find(token, 1, true))
    end)
  end)
end)
