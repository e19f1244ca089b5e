-- SPDX-License-Identifier: MIT
-- Downloads a media file. Resumes an interrupted download, and gives the file its final name once the file is complete.

local core = require "omni.core"
local digest = require "omni.file.digest"
local err = require "omni.error"
local loop = require "omni.loop"
local media_transfer = require "omni.client.media_transfer"
local media_type = require "omni.file.media_type"
local older_file = require "omni.file.older_file"
local transports = require "omni.http.transport"

local LOOK_EVERY <const> = 0.25 -- seconds between two checks of whether the C client has renamed the file

-- Represents the older file at a download's path, which is renamed at most once. If the download fails, restores the older file's name.
local Way_mt = {}

function Way_mt:__close()
  if self.older then older_file.put_back(self.older, self.path) end
end

-- Renames the older file at the download's path. If the new file has the same content, leaves the older file in place and returns its size.
local function make_way(way, part)
  local new, old = digest.file(part), digest.file(way.path)
  if new and old and new.sha256 == old.sha256 then return new.size end
  local problem
  way.older, problem = older_file.step_aside(way.path)
  return nil, problem
end

-- Gives a complete download its final name, or removes the downloaded file if `given.accept` refuses it.
local function keep(transport, exchange, path, given)
  local bytes, failure = exchange:result()
  if not bytes then return nil, failure end
  local head, encoding, part = exchange:head(media_type.enough)
  if not head then return nil, { code = "io", message = encoding, retry = false } end
  local refusal = given.accept and given.accept(head, encoding, part)
  if refusal then
    if transport.http then exchange:discard() end
    return nil, refusal
  end
  if not transport.http then return transports.closed() end
  local way <close> = setmetatable({ path = path }, Way_mt)
  while true do
    exchange:keep(not given.aside)
    transport.driver:start()
    repeat
      loop.park(LOOK_EVERY)
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

---Downloads a file into PATH.part, and renames it to PATH once the file is complete and on disk. Resumes an interrupted download if the
---server's headers prove that the file is still the same. Fails after the client's `retry_for` seconds without a new byte. The function
---`accept` gets the first bytes, the response's Content-Encoding and the path of the downloaded file. To refuse the file, `accept` returns
---a failure; `accept` can wait. If `aside` is true, renames an existing file at PATH that has other content (`step_aside`) instead of
---replacing it.
---@param client omni.Client
---@param url string
---@param path string
---@param given { on_progress?: fun(bytes: integer, total: integer|nil), aside?: boolean,
---  accept?: fun(head: string, encoding: string|nil, part: string): table|nil }
---@return integer|nil bytes
---@return omni.Error|nil
local function download(client, url, path, given)
  local offset, attempt, stamp, validator, total = 0, 0, nil, nil, nil
  local deadline = core.now() + client.retry_for
  local function finish(exchange, transport) return keep(transport, exchange, path, given) end
  while true do
    local bytes, failure = media_transfer.send(client, given.on_progress, finish, "download", url, path, offset, stamp, validator, total)
    if not failure then return bytes end
    local reached = failure.offset or offset
    if reached > offset then deadline, attempt = core.now() + client.retry_for, 0 end
    stamp, validator, total = failure.stamp, failure.validator or validator, failure.total or total
    offset = validator and reached or 0 -- without a validator, the remaining bytes could come from another version of the file
    attempt = attempt + 1
    local wait = client:wait_before_retry(failure, attempt)
    if not wait or core.now() + wait > deadline then return nil, err.public(failure) end
    client:report_retry(failure, attempt, wait)
    loop.sleep(wait)
  end
end

return { download = download }
