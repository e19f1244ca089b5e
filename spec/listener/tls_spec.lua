-- SPDX-License-Identifier: MIT
-- TLS of the listener and of omni.serve, tested with curl and openssl s_client.
local env = require "helper.env"
local listening = require "helper.listening"
local listener = require "omni.listener"
local loop = require "omni.loop"
local peer = require "helper.peer"
local process = require "omni.process"
local server = require "omni.http.server"
local socket = require "socket"
local tls = require "helper.tls"

local files, certificate, key, other_certificate, other_key

setup(function()
  files = env.directory()
  certificate, key = tls.certificate(files, "one", "IP:127.0.0.1")
  other_certificate, other_key = tls.certificate(files, "two", "IP:127.0.0.1")
end)

teardown(function() files:close() end)

-- Returns a program's stdout and stderr together, and its exit code.
local function run(...)
  local result = assert(process.run({ ... }, { stdout = "pipe" }))
  return result.stdout, result.exit, result.stderr
end

local function curl(...) return run("curl", "-sS", "--max-time", "20", "--cacert", certificate, ...) end

-- Runs `fn(server)` in the loop; the handler answers with a description of the request.
local function with(fn, options)
  options = options or {}
  options.tls_certificate, options.tls_key = options.tls_certificate or certificate, options.tls_key or key
  loop.run(function()
    local one <close> = assert(server.serve(options, function(request)
      if request:path() == "/file" then return 200, nil, { file = certificate } end
      return 200, nil, request:method() .. " " .. #request:body() .. " " .. request:address()
    end))
    fn(one)
  end)
end

-- Returns the output of openssl s_client with these arguments.
local function openssl(one, ...)
  return run("sh", "-c", 'exec openssl s_client -connect "$0" "$@" </dev/null 2>&1', one.host .. ":" .. one.port, ...)
end

describe("a server with a certificate", function()
  it("is reached by https, and answers clients that trust it", function()
    with(function(one)
      assert.matches("^https://127%.0%.0%.1:%d+$", one.url)
      assert.is_true(one.tls)
      assert.equal("GET 0 127.0.0.1", (curl(one.url)))
      assert.equal("POST 3 127.0.0.1", (curl("--data", "abc", one.url)))
      assert.equal(env.read(certificate), (curl(one.url .. "/file")))
      local _, exit, why = run("curl", "-sS", "--max-time", "20", one.url)
      assert.equal(60, exit)
      assert.matches("certificate", why)
    end)
  end)

  it("serves several requests on a connection, and large bodies in both directions", function()
    local large = env.write(files:file "large", ("0123456789abcdef"):rep(1 << 16))
    loop.run(function()
      local one <close> = assert(server.serve({ tls_certificate = certificate, tls_key = key }, function(request)
        return 200, { ["X-Connection"] = tostring(request) }, request:body()
      end))
      local back = files:file "back"
      local said = curl("--data-binary", "@" .. large, "-o", back, one.url, "--next", "-sS", "--cacert", certificate,
        "-w", "%{num_connects}", "--data", "x", one.url)
      assert.equal("x0", said)
      assert.equal(env.read(large), env.read(back))
    end)
  end)

  it("answers 411, 413 and 431, as without TLS", function()
    local large = env.write(files:file "large", ("x"):rep((1 << 20) + 1))
    with(function(one)
      local code = { "-o", "/dev/null", "-w", "%{http_code}", "-H", "Expect:", one.url }
      assert.equal("413", (curl("--data-binary", "@" .. large, table.unpack(code))))
      assert.equal("411", (curl("--data-binary", "@" .. large, "-H", "Transfer-Encoding: chunked", table.unpack(code))))
      assert.equal("411", (curl("--data-binary", "abc", "-H", "Transfer-Encoding: chunked", table.unpack(code))))
      assert.equal("431", (curl("-H", "A: " .. ("x"):rep(20000), table.unpack(code))))
    end)
  end)

  it("accepts only TLS 1.2 and 1.3, with forward secrecy", function()
    with(function(one)
      for _, version in ipairs { "tls1_2", "tls1_3" } do
        local said, exit = openssl(one, "-" .. version, "-cipher", "ALL:@SECLEVEL=0")
        assert.equal(0, exit)
        assert.matches("TLSv" .. version:sub(4):gsub("_", "."), said)
      end
      for _, version in ipairs { "tls1", "tls1_1" } do
        local said, exit = openssl(one, "-" .. version, "-cipher", "ALL:@SECLEVEL=0")
        assert.equal(1, exit)
        assert.matches("Cipher is %(NONE%)", said)
      end
      for _, cipher in ipairs { "kRSA", "kDHE", "3DES", "eNULL" } do
        assert.equal(1, select(2, openssl(one, "-tls1_2", "-cipher", cipher .. ":@SECLEVEL=0")))
      end
      assert.equal("GET 0 127.0.0.1", (curl(one.url)))
    end)
  end)

  it("offers HTTP/1.1 and nothing else", function()
    with(function(one)
      assert.matches("ALPN protocol: http/1.1", (openssl(one, "-alpn", "h2,http/1.1")))
    end)
  end)

  it("reloads a renewed certificate without a pause, or keeps the old one", function()
    local path, its_key = files:file "current.pem", files:file "current.key"
    local function put(from, from_key)
      env.output(("cp %s %s && cp %s %s && chmod 600 %s"):format(env.quote(from), env.quote(path), env.quote(from_key),
        env.quote(its_key), env.quote(its_key)))
    end
    put(certificate, key)
    with(function(one)
      local function exit() return select(2, curl(one.url)) end
      assert.equal(0, exit())
      put(other_certificate, other_key)
      assert.equal(0, exit())
      assert.is_true(one:reload())
      assert.equal(60, exit())
      put(certificate, other_key)
      local none, failure = one:reload()
      assert.is_nil(none)
      assert.equal("listen_failed", failure.code)
      assert.matches("current.key: this key isn't the certificate's", failure.message, 1, true)
      assert.equal(60, exit())
      put(certificate, key)
      assert.is_true(one:reload())
      assert.equal(0, exit())
    end, { tls_certificate = path, tls_key = its_key })
  end)

  it("raises when it has no certificate to reload", function()
    loop.run(function()
      local plain <close> = assert(server.serve(nil, function() end))
      local _, problem = pcall(function() plain:reload() end)
      assert.matches("^spec/listener/tls_spec.lua:%d+: server:reload: this server has no certificate", problem)
    end)
  end)
end)

describe("a certificate and its key", function()
  local function refused(pattern, a, b)
    local none, message = listener.open { tls_certificate = a, tls_key = b }
    assert.is_nil(none)
    assert.matches(pattern, message)
  end

  it("are refused when they are missing, invalid, or don't belong together", function()
    refused("can't use .*/none: No such file", files:file "none", key)
    refused("can't use .*/none: No such file", certificate, files:file "none")
    refused("can't use .*: it is a folder", files.path, key)
    refused("can't use /dev/null: it is not a regular file", "/dev/null", key)
    refused("can't use .*/junk: ", env.write(files:file "junk", "junk"), key)
    refused("can't use .*/empty: ", env.write(files:file "empty", ""), key)
    refused("can't use .*/long: too large", env.write(files:file "long", ("x"):rep((1 << 20) + 1)), key)
    refused("can't use .*/one.pem: it can be read by other users", certificate, certificate)
    refused("can't use .*/two.key: this key isn't the certificate's", certificate, other_key)
    local locked = files:file "locked.key"
    env.output(("openssl ec -in %s -aes128 -passout pass:x -out %s 2>&1 && chmod 600 %s"):format(env.quote(key),
      env.quote(locked), env.quote(locked)))
    refused("can't use .*/locked.key: ", certificate, locked)
  end)

  it("are refused when another user can read the key", function()
    local open_key = files:file "open.key"
    for _, mode in ipairs { "640", "604", "660", "602" } do
      env.output(("cp %s %s && chmod %s %s"):format(env.quote(key), env.quote(open_key), mode, env.quote(open_key)))
      refused("open.key: it can be read by other users of this machine, so it isn't used %(chmod 600%)", certificate, open_key)
    end
    env.output("chmod 400 " .. env.quote(open_key))
    assert(listener.open { tls_certificate = certificate, tls_key = open_key }):close()
  end)

  it("must both be given, as paths", function()
    for _, bad in ipairs {
      { tls_certificate = certificate }, { tls_key = key }, { tls_certificate = 1, tls_key = key },
      { tls_certificate = certificate .. "\0", tls_key = key },
    } do
      assert.has_error(function() listener.open(bad) end)
    end
  end)

  it("may be a chain, with its own certificate first, of RSA or another kind", function()
    local root, root_key, leaf, leaf_key = files:file "root.pem", files:file "root.key", files:file "leaf.pem", files:file "leaf.key"
    env.output(([[cd %s && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=root -keyout %s -out %s 2>&1 &&
      openssl req -new -newkey ed25519 -nodes -subj /CN=leaf -keyout %s -out leaf.csr 2>&1 &&
      printf 'subjectAltName=IP:127.0.0.1' >leaf.ext &&
      openssl x509 -req -in leaf.csr -CA %s -CAkey %s -CAcreateserial -days 2 -extfile leaf.ext -out %s 2>&1]]):format(
      env.quote(files.path), root_key, root, leaf_key, root, root_key, leaf))
    local chain = env.write(files:file "chain.pem", env.read(leaf) .. env.read(root))
    with(function(one)
      assert.equal("GET 0 127.0.0.1", (run("curl", "-sS", "--max-time", "20", "--cacert", root, one.url)))
    end, { tls_certificate = chain, tls_key = leaf_key })
    refused("this key isn't the certificate's", env.write(files:file "mixed.pem", env.read(root) .. env.read(leaf)), leaf_key)
  end)
end)

describe("the listener, with TLS, against hostile senders", function()
  local here = listening.here(after_each)

  local function open(options)
    options.tls_certificate, options.tls_key = certificate, key
    return here.open(options)
  end

  -- A complete ClientHello, without the rest of the handshake.
  local function greeting()
    local listening_socket = assert(socket.bind("127.0.0.1", 0))
    local _, port = listening_socket:getsockname()
    local pipe = assert(io.popen("timeout 20 openssl s_client -connect 127.0.0.1:" .. math.tointeger(port) .. " </dev/null 2>&1"))
    local client = assert(listening_socket:accept())
    local head = assert(client:receive(5))
    local text = head .. assert(client:receive((head:byte(4) << 8) + head:byte(5)))
    client:close()
    listening_socket:close()
    pipe:close()
    return text
  end

  it("closes a connection that speaks plain HTTP", function()
    open {}
    local one = here.connect(peer.GET)
    assert.is_nil((one:rest():match("^HTTP")))
    assert.is_nil(here.listener:next())
  end)

  it("closes unfinished handshakes in time and without a busy loop, and serves others meanwhile", function()
    local hello = greeting()
    open { header_timeout = env.seconds(0.5), idle_timeout = 60 }
    local began = listening.now()
    local hung = {}
    for i, text in ipairs { "", hello:sub(1, 3), hello:sub(1, -2), hello } do hung[i] = here.connect(text) end
    local steps, over = 0, 0
    here.drive(function()
      steps, over = steps + 1, 0
      for _, one in ipairs(hung) do over = over + (one:take() and 1 or 0) end
      return over == #hung
    end, nil, true)
    local took = listening.now() - began
    assert.is_true(took > env.seconds(0.4) and took < env.seconds(2), took)
    assert.is_true(steps < 200 * env.slowness, steps .. " steps")
  end)

  it("isn't stopped by any bytes", function()
    math.randomseed(11)
    local hello = greeting()
    open {}
    for i = 1, 200 do
      local bytes = { hello:byte(1, -1) }
      for _ = 1, math.random(1, 6) do
        if i % 3 == 0 then table.remove(bytes, math.random(#bytes)) else bytes[math.random(#bytes)] = math.random(0, 255) end
      end
      local one = here.connect(string.char(table.unpack(bytes)))
      here.listener:step()
      one:close()
    end
    here.close()
    with(function(one) assert.equal("GET 0 127.0.0.1", (curl(one.url))) end)
  end)

  it("can be closed within handshakes and requests", function()
    local hello = greeting()
    loop.run(function()
      local one = assert(server.serve({ tls_certificate = certificate, tls_key = key }, function() loop.park() end))
      local raw = {}
      for i = 1, 3 do
        raw[i] = assert(socket.connect(one.host, one.port))
        raw[i]:send(hello:sub(1, i * 40))
      end
      local calls = {}
      for i = 1, 5 do calls[i] = loop.spawn(function() return curl(one.url) end) end
      while not next(one.fibers) do loop.sleep(0.001) end
      one:close()
      for _, call in ipairs(calls) do assert.is_true((select(2, call:join())) ~= 0) end
      for _, client in ipairs(raw) do client:close() end
    end)
  end)
end)
