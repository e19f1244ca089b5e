-- SPDX-License-Identifier: MIT
-- The versions of libraries, and the durations of an exchange, over real sockets.
local core = require "omni.core"
local env = require "helper.env"
local hostile = require "helper.hostile"

local KEY <const> = "ak_" .. ("0"):rep(32)
local DATE <const> = 1768900378

describe("core.libraries", function()
  it("returns the versions of libcurl and its TLS library", function()
    local found = core.libraries()
    assert.matches("^%d+%.%d+%.%d+", found.curl)
    assert.matches("^%w+/[%d.]+", found.tls)
  end)
end)

describe("core.trace", function()
  local server, http, exchange

  before_each(function() server = hostile.start() end)
  after_each(function()
    if http then http:close() end
    server:close()
  end)

  local function start(url)
    http = core.client { base_url = url or server.url, api_key = KEY, timeout = env.seconds(10) }
    exchange = http:call("owner", "GET", "/api/v1/client/account/balance")
  end

  local function finish()
    local ready, poll_set <close> = {}, core.poll_set()
    poll_set:add(http:pollfd())
    while not exchange:done() do
      poll_set:wait(http:timeout(), ready)
      http:step()
      http:finished()
    end
  end

  local function answer(headers)
    server:script { GET = { { hostile.answer("200 OK", '{"code":200,"message":"success","data":{"balance":1}}', headers) } } }
    start()
    finish()
    return core.trace(exchange)
  end

  it("returns the server's address, its date and the durations, even after the result was taken", function()
    local trace = answer { "Date: " .. os.date("!%a, %d %b %Y %H:%M:%S GMT", DATE) }
    assert.same({ "127.0.0.1", DATE }, { trace.address, trace.date })
    assert.is_true(trace.connect > 0 and trace.connect <= trace.total)
    assert.is_nil(trace.tls)
    exchange:result()
    assert.equal(DATE, core.trace(exchange).date)
  end)

  it("leaves out a missing or invalid date", function()
    assert.is_nil(answer({}).date)
    http:close()
    assert.is_nil(answer({ "Date: tomorrow, or so" }).date)
  end)

  it("leaves out the connection when there was none", function()
    start("http://127.0.0.1:" .. hostile.dead_port())
    finish()
    local trace = core.trace(exchange)
    assert.is_nil(trace.connect)
    assert.is_nil(trace.date)
  end)

  it("refuses an exchange that runs or is closed, and any other value", function()
    server:script { GET = { { hostile.hang() } } }
    start()
    assert.error_matches(function() core.trace(exchange) end, "still runs, or is closed")
    exchange:close()
    assert.error_matches(function() core.trace(exchange) end, "still runs, or is closed")
    assert.error_matches(function() core.trace {} end, "exchange expected")
  end)
end)
