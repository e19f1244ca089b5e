-- SPDX-License-Identifier: MIT
-- Makes a single request with one API key and traces the exchange, for `omni doctor`. The probe uses the C client directly, since
-- omni.Client returns no trace.

local core = require "omni.core"
local loop = require "omni.loop"
local pollable = require "omni.loop.pollable"

local path <const> = "/api/v1/client/account/balance"

---@class omni.cli.Probe
---@field balance? number
---@field failure? omni.Failure
---@field trace table          from core.trace
---@field network table        the proxy and certificates in use, from http:network
---@field ahead? integer       seconds by which the service's clock is ahead of this machine's

-- Waits until the C client `http` has finished its only exchange.
local function wait(http)
  local fiber = loop.current()
  local driver <close> = pollable.driver(http, function()
    http:step()
    if http:finished() then loop.wake(fiber) end
  end)
  driver:start()
  loop.park()
end

---Requests the balance from the service without retries, and waits for the response. This costs nothing.
---@param base_url string
---@param key string
---@return omni.cli.Probe
local function ask(base_url, key)
  local http <close> = core.client { base_url = base_url, api_key = key, connect_timeout = 10, timeout = 20, max_bytes = 65536 }
  local exchange <close> = http:call("probe", "GET", path)
  repeat wait(http) until exchange:done()
  local trace, now = core.trace(exchange), os.time()
  local data, failure = exchange:result()
  local balance = type(data) == "table" and type(data.balance) == "number" and data.balance or nil
  if not failure and not balance then
    failure = { code = "bad_answer", message = "the response contains no valid balance", status = 200, retry = false }
  end
  return {
    balance = not failure and balance or nil, failure = failure, trace = trace, network = http:network(),
    ahead = trace.date and trace.date - now,
  }
end

return { ask = ask }
