-- SPDX-License-Identifier: MIT
-- Downloads and uploads of media files. They go through the client's media transport, which sends no API key and isn't held up by a key's
-- pauses. A download takes as many requests as it needs; an upload is one request.

local core = require "omni.core"
local digest = require "omni.file.digest"
local err = require "omni.error"
local loop = require "omni.loop"
local media_type = require "omni.file.media_type"
local path_of = require "omni.file.path"
local transports = require "omni.http.transport"

local MAX_REDIRECTS <const> = 5
local PROGRESS_EVERY <const> = 0.25 -- seconds

-- --- one request

-- Runs one request for a file, for as long as bytes move. `finish(exchange, transport)` turns the done exchange into bytes, or nil
-- and a failure.
local function run(transport, on_progress, finish, verb, ...)
  if not transport.http or not transport.limiter:enter() then return transports.closed() end
  local http, timeout = transport.http, transport.timeout
  local limiter <close> = transport.limiter -- luacheck: ignore 211 (reports the request's end)
  local exchange <close>, problem = http[verb](http, loop.current(), ...)
  if not exchange then return nil, problem end
  transport.driver:start()
  local last_bytes, since = -1, core.now()
  while not exchange:done() do
    loop.park(math.min(PROGRESS_EVERY, timeout / 2))
    if not transport.http then return transports.closed() end
    local bytes, total, validator = exchange:progress()
    if bytes ~= last_bytes then
      if on_progress then on_progress(bytes, total) end
      if not transport.http then return transports.closed() end
      last_bytes, since = bytes, core.now()
    elseif core.now() - since > timeout and not exchange:done() then
      return nil, {
        code = "network", retry = true, offset = bytes, stamp = exchange:stamp(), total = total, validator = validator,
        message = core.format("nothing was %s for %g seconds", verb == "download" and "received" or "sent", timeout),
      }
    end
  end
  return finish(exchange, transport)
end

-- Returns an http URL as https, as browsers do on an https page; nil if it names a port, which would be another server.
local function to_https(url)
  local authority, rest = url:match "^http://([^/?#]+)(.*)$"
  if not authority then return url end
  return not authority:find ":%d+$" and "https://" .. authority .. rest or nil
end

local function refused(why)
  return nil, { code = "url_refused", message = why, retry = false }
end

-- Runs a request for a file and follows its redirects. With an https service, or after an https URL, plain http is refused.
local function follow(client, on_progress, finish, verb, url, ...)
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

local function result_of(exchange) return exchange:result() end

---Uploads a file with one PUT. A redirect that keeps the method sends the file again from its beginning.
---@param client omni.Client
---@param url string
---@param path string
---@param content_type string
---@param on_progress? fun(bytes: integer, total: integer)
---@return integer|nil bytes
---@return table|nil failure
local function upload(client, url, path, content_type, on_progress)
  return follow(client, on_progress, result_of, "upload", url, path, content_type)
end

-- --- the end of a download

-- An older file at a download's path steps aside once. It gets its name back if the new file doesn't take it.
local Way_mt = {}

function Way_mt:__close()
  if self.older then path_of.put_back(self.older, self.path) end
end

-- Moves the file at the path aside, or returns its size if the new file has the same bytes.
local function make_way(way, part)
  local new, old = digest.file(part), digest.file(way.path)
  if new and old and new.sha256 == old.sha256 then return new.size end
  local problem
  way.older, problem = path_of.step_aside(way.path)
  return nil, problem
end

-- Gives a whole download its name. If `given.accept` refuses it, the downloaded file is removed.
local function keep(transport, exchange, path, given)
  local bytes, failure = exchange:result()
  if not bytes then return nil, failure end
  local head, encoding, part = exchange:head(media_type.enough)
  if not head then return nil, { code = "io", message = encoding, retry = false } end
  local refusal = given.accept and given.accept(head, encoding)
  if refusal then
    exchange:discard()
    return nil, refusal
  end
  local way <close> = setmetatable({ path = path }, Way_mt)
  while true do
    exchange:keep(not given.aside)
    transport.driver:start()
    repeat
      loop.park(PROGRESS_EVERY)
      if not transport.http then return transports.closed() end
    until exchange:done()
    bytes, failure = exchange:result()
    if bytes then way.older = nil end
    if bytes or not failure.exists or way.older then return bytes, failure end
    local same_size, problem = make_way(way, part)
    if not transport.http then return transports.closed() end
    if problem then return nil, problem end
    if same_size then
      exchange:discard()
      return same_size
    end
  end
end

---Downloads a file into PATH.part, and renames it to PATH once it is whole and on disk. An interrupted download is resumed where the
---server makes that safe. It fails after the client's `retry_for` seconds without a byte.
---@param client omni.Client
---@param url string
---@param path string
---@param given { on_progress?: fun(bytes: integer, total: integer|nil), aside?: boolean,
---  accept?: fun(head: string, encoding: string|nil): table|nil }  accept: gets the first bytes and the answer's Content-Encoding, and
---  returns a failure if the file isn't wanted; aside: a different file at PATH is renamed (file/path.lua, step_aside), not replaced
---@return integer|nil bytes
---@return omni.Error|nil
local function download(client, url, path, given)
  local offset, attempt, stamp, validator, total = 0, 0, nil, nil, nil
  local deadline = core.now() + client.retry_for
  local function finish(exchange, transport) return keep(transport, exchange, path, given) end
  while true do
    local bytes, failure = follow(client, given.on_progress, finish, "download", url, path, offset, stamp, validator, total)
    if not failure then return bytes end
    local reached = failure.offset or offset
    if reached > offset then deadline, attempt = core.now() + client.retry_for, 0 end
    stamp, validator, total = failure.stamp, failure.validator or validator, failure.total or total
    offset = validator and reached or 0 -- without a validator the rest could be another file's
    attempt = attempt + 1
    local wait = client:wait_before_retry(failure, attempt)
    if not wait or core.now() + wait > deadline then return nil, err.public(failure) end
    loop.sleep(wait)
  end
end

return { download = download, upload = upload }
