-- SPDX-License-Identifier: MIT
-- Downloads or uploads a media file with one request. Follows redirects, and aborts a request that transfers no bytes for a while. Requests
-- for media files use the client's media transport, which sends no API key and isn't delayed when a key is paused.

local core = require "omni.core"
local loop = require "omni.loop"
local transports = require "omni.http.transport"

local MAX_REDIRECTS <const> = 5
local PROGRESS_EVERY <const> = 0.25 -- seconds

-- Runs one request for a file. Aborts the request if it transfers no bytes for `timeout` seconds. `finish(exchange, transport)` turns the
-- finished exchange into a number of bytes, or nil and a failure.
local function run(transport, on_progress, finish, verb, ...)
  local request <close> = transport:observe(verb, ...)
  if not transport.http or not transport.limiter:enter() then return transports.closed() end
  local http, timeout = transport.http, transport.timeout
  local limiter <close> = transport.limiter -- luacheck: ignore 211 (reports the request's end)
  local exchange <close>, problem = http[verb](http, loop.current(), ...)
  if not exchange then
    if request then request.failure = problem end
    return nil, problem
  end
  transport.driver:start()
  local last_bytes, since = -1, core.now()
  while not exchange:done() do
    loop.park(math.min(PROGRESS_EVERY, timeout / 2))
    if not transport.http then return transports.closed() end
    local bytes, total, validator = exchange:progress()
    if bytes ~= last_bytes then
      if on_progress then on_progress(bytes, total) end
      if request then request:progress(bytes, total) end
      if not transport.http then return transports.closed() end
      last_bytes, since = bytes, core.now()
    elseif core.now() - since > timeout and not exchange:done() then
      return nil, {
        code = "network", retry = true, offset = bytes, stamp = exchange:stamp(), total = total, validator = validator,
        message = core.format("nothing was %s for %g seconds", verb == "download" and "received" or "sent", timeout),
      }
    end
  end
  local size, failure = finish(exchange, transport)
  if request and transport.http then request:note(exchange, failure) end
  return size, failure
end

-- Turns an http URL into an https URL, in the same way as browsers on an https page. Returns nil if the URL contains a port, since the
-- server at that port might not be the server at the https port.
local function to_https(url)
  local authority, rest = url:match "^http://([^/?#]+)(.*)$"
  if not authority then return url end
  return not authority:find ":%d+$" and "https://" .. authority .. rest or nil
end

local function refused(why)
  return nil, { code = "url_refused", message = why, retry = false }
end

---Sends a request for a file and follows its redirects. Refuses a plain http URL if the service's URL, or an earlier URL of the same
---request, uses https.
---@param client omni.Client
---@param on_progress? fun(bytes: integer, total: integer|nil)
---@param finish fun(exchange: omni.Exchange, transport: omni.Transport): integer|nil, table|nil  as for `run`
---@param verb "download"|"upload"
---@param url string
---@param ... any  the arguments of the C client's method with that name after the URL
---@return integer|nil bytes
---@return table|nil failure
local function send(client, on_progress, finish, verb, url, ...)
  local transport = client:media_transport()
  if not transport then return transports.closed() end
  local must_be_secure = client.base_url:find "^https:" ~= nil
  for _ = 0, MAX_REDIRECTS do
    must_be_secure = must_be_secure or url:find "^https:" ~= nil
    local target = must_be_secure and to_https(url) or url
    if must_be_secure and not target:find "^https:" then return refused "the URL leads from https down to http" end
    local bytes, failure = run(transport, on_progress, finish, verb, target, ...)
    local location = failure and failure.redirect
    if not location then return bytes, failure end
    local next_url, wrong = core.resolve_url(target, location)
    if not next_url then return refused("the server redirects to a URL that can't be used: it " .. wrong) end
    url = next_url
  end
  return nil, { code = verb .. "_failed", message = ("more than %d redirects"):format(MAX_REDIRECTS), retry = false }
end

return { send = send }
