-- SPDX-License-Identifier: MIT
-- The table of "certainly not sent": a submit without an answer may be tried again only in these cases.
local answers = require "helper.answers"
local env = require "helper.env"
local hostile = require "helper.hostile"
local omni = require "omni"
local tls = require "helper.tls"

local INPUT = { prompt = "a lighthouse in a storm" }

describe("a submit was certainly not sent when", function()
  local server, directory, certificate, key
  setup(function()
    server = hostile.start()
    directory = env.directory()
    certificate, key = tls.certificate(directory, "good", "IP:127.0.0.1")
  end)
  teardown(function()
    server:close()
    directory:close()
  end)

  local function assert_not_sent(base_url, options)
    local client = answers.client(base_url, options)
    local task, err = client:submit(INPUT)
    assert.is_nil(task)
    answers.text_of(err)
    assert.equal("network", err.code)
    assert.equal("no", err.sent)
    assert.equal(0, #server:requests "POST")
  end

  local function https() return "https://127.0.0.1:" .. server.port end

  it("the name doesn't resolve", function()
    assert_not_sent("https://no-such-host.invalid", { connect_timeout = env.seconds(2) })
  end)

  it("the port is closed", function()
    assert_not_sent("http://127.0.0.1:" .. hostile.dead_port())
  end)

  it("the server doesn't speak TLS", function()
    server:script{ accept = { { hostile.send "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" } } }
    assert_not_sent(https())
  end)

  it("the server closes in the TLS handshake", function()
    server:script{ accept = { { hostile.close() } } }
    assert_not_sent(https())
  end)

  it("the server resets in the TLS handshake", function()
    server:script{ accept = { { hostile.reset() } } }
    assert_not_sent(https())
  end)

  it("the TLS handshake hangs until the connect timeout", function()
    server:script{ accept = { { hostile.hang() } } }
    assert_not_sent(https(), { connect_timeout = env.seconds(0.3) })
  end)

  it("the TLS handshake hangs until the timeout of the whole call", function()
    server:script{ accept = { { hostile.hang() } } }
    assert_not_sent(https(), { timeout = env.seconds(0.3) })
  end)

  it("the certificate isn't trusted", function()
    local secure <close> = tls.serve(directory, certificate, key)
    assert_not_sent(secure.url)
  end)

  it("the certificate is for another host", function()
    local other, other_key = tls.certificate(directory, "other", "DNS:other.invalid")
    local secure <close> = tls.serve(directory, other, other_key)
    assert_not_sent(secure.url, { ca_file = other })
  end)

  it("the CA file doesn't exist", function()
    local secure <close> = tls.serve(directory, certificate, key)
    assert_not_sent(secure.url, { ca_file = directory:file "none.pem" })
  end)

  it("the proxy refuses", function()
    for _, status in ipairs{ "403 Forbidden", "407 Proxy Authentication Required", "502 Bad Gateway", "302 Found" } do
      server:script{ CONNECT = { { hostile.answer(status, "", { "Location: /elsewhere" }) } } }
      assert_not_sent("https://service.invalid", { proxy = server.url })
      assert.equal(1, #server:requests "CONNECT")
    end
  end)

  it("the proxy closes", function()
    server:script{ CONNECT = { { hostile.close() } } }
    assert_not_sent("https://service.invalid", { proxy = server.url })
  end)

  it("the proxy hangs", function()
    server:script{ CONNECT = { { hostile.hang() } } }
    assert_not_sent("https://service.invalid", { proxy = server.url, timeout = env.seconds(0.3) })
  end)

  it("the proxy connects to something that isn't TLS", function()
    server:script{ CONNECT = { { hostile.send "HTTP/1.1 200 Connected\r\n\r\nhello, I am not TLS\r\n" } } }
    assert_not_sent("https://service.invalid", { proxy = server.url })
  end)

  it("the proxy can't be reached", function()
    assert_not_sent("https://service.invalid", { proxy = "http://127.0.0.1:" .. hostile.dead_port() })
  end)

  it("its text is invalid, and then nothing is tried at all", function()
    server:script{ POST = { { answers.accepted() } } }
    local task, err = answers.client(server.url):submit{ prompt = "\xff" }
    assert.is_nil(task)
    assert.equal("invalid_input", err.code)
    assert.equal(0, server:seen().connections)
  end)

  it("the server can't be reached yet: then it is tried again, and sent once", function()
    local port = env.free_ports(1)
    local client = answers.client("http://127.0.0.1:" .. port, { retry_for = 120 })
    omni.run(function()
      local task, err
      local fiber <close> = omni.spawn(function() task, err = client:submit(INPUT) end)
      omni.sleep(0.05) -- the first tries are over by now
      local late <close> = hostile.start(port)
      late:script{ POST = { { answers.accepted() } } }
      omni.join(fiber)
      assert.equal(answers.ID, assert(task, err).id)
      assert.is_true(late:posts() == 1)
    end)
  end)
end)
