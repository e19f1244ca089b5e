-- SPDX-License-Identifier: MIT
-- Between the C client and the loop: a fiber parks until its exchange is done. A file is downloaded in as many
-- exchanges as it takes, and uploaded in one.

local core = require "omni.core"
local digest = require "omni.file.digest"
local err = require "omni.error"
local governor = require "omni.http.rate_limiter"
local loop = require "omni.loop"
local media_type = require "omni.file.media_type"
local paths = require "omni.file.path"

local max_redirects <const> = 5
local progress_every <const> = 0.25 -- seconds between two looks at a file on its way

-- --- the loop

-- The pollable of a C client. The loop knows it only while something is in flight, so that an idle client can be collected.
local Driver_methods = {}
local Driver_mt = { __name = "omni.driver", __index = Driver_methods }

function Driver_methods:pollfd() return self.http:pollfd() end

function Driver_methods:events() return "r" end -- luacheck: ignore self

function Driver_methods:timeout() return self.http:timeout() end

function Driver_methods:step()
  local http, wake = self.http, loop.wake
  http:step()
  for owner in http.finished, http do wake(owner) end
  if not self.governor:is_idle() then self.governor:advance() end
  if not http:busy() then
    loop.remove(self)
    self.driven = false
  end
end

---Gives the owner of a C client (`http`) what its exchanges need: a driver, and a governor.
---@param owner table
---@param settings table  the governor's (rate_limiter.lua)
local function attach(owner, settings)
  owner.governor = governor.new(owner.http, settings)
  owner.driver = setmetatable({ http = owner.http, governor = owner.governor, driven = false }, Driver_mt)
  owner.submits = {} -- on their way
end

---Closes the C client; who waits for it, in line or for an answer, is told.
---@param owner table
local function close(owner)
  local http = owner.http
  loop.remove(owner.driver)
  for submit in pairs(owner.submits) do submit:write_down() end
  owner.http = nil
  for _, waiting in ipairs(http:owners()) do loop.wake(waiting) end
  http:close()
  owner.governor:close()
end

local function drive(owner)
  local driver = owner.driver
  if not driver.driven then
    loop.add(driver)
    driver.driven = true
  end
end

local function closed(sent)
  return nil, { code = "closed", message = "the client was closed", retry = false, sent = sent }
end

local function too_late()
  return nil, { code = "network", message = "no answer came in time", retry = true }
end

-- A key is paused for longer than its client sits out.
local function too_long(patience)
  return nil, {
    code = "rate_limited", retry = true,
    message = core.format("the service asked to wait, for longer than %g seconds", patience),
  }
end

-- Makes an exchange for which the governor has made room, and parks the fiber until it is done. A fiber that is cancelled meanwhile
-- takes the exchange back.
local function start(owner, into, timeout, verb, ...)
  local http = owner.http
  if not http then return closed() end
  local turn <close> = owner.governor -- it learns when there is room again
  local pauses = turn.pauses
  local x <close> = http[verb](http, loop.current(), ...)
  drive(owner)
  local deadline = timeout and core.now() + timeout
  repeat -- whoever else wakes this fiber: what is on its way isn't given up for that
    local left = deadline and deadline - core.now()
    if left and left <= 0 then return too_late() end
    loop.park(left)
    if not owner.http then return closed() end
  until x:done()
  local value, failure = x:result(into)
  turn:heed(failure, pauses)
  return value, failure
end

---Makes an exchange once it is its turn, and parks the fiber until it is done.
---@param owner table         a key, or a sender: what `attach` was given
---@param into table|nil      for a query: where the state goes
---@param timeout number|nil  seconds after which it is given up, its wait for its turn included
---@param verb string         of the C client, other than "submit"
---@param ... any             the verb's arguments, all of them but the owner
---@return any value
---@return table|nil failure
local function perform(owner, into, timeout, verb, ...)
  local deadline = timeout and core.now() + timeout
  if not owner.http then return closed() end
  local patience = owner.client and owner.client.pause_for
  if not owner.governor:enter(timeout, patience) then
    if not owner.http then return closed() end
    if deadline and core.now() >= deadline then return too_late() end
    return too_long(patience)
  end
  return start(owner, into, deadline and deadline - core.now(), verb, ...)
end

-- --- a submit

-- A submit on its way. What became of it is written down even when its fiber doesn't hear of it: because it is cancelled, perhaps after the
-- answer came and before it ran again, or because the client is closed.
local Submit_methods = {}
local Submit_mt = { __name = "omni.exchange.submit", __index = Submit_methods }

---Takes the exchange's result once it is done.
---@return boolean
function Submit_methods:is_done()
  if not self.done and self.exchange:done() then
    self.done = true
    self.value, self.failure = self.exchange:result()
  end
  return self.done
end

-- The client is about to be closed.
function Submit_methods:write_down()
  if self:is_done() and self.late then self.late(self.value, self.failure) end
end

function Submit_mt:__close()
  local owner = self.owner
  owner.submits[self] = nil
  if self.heard or not self.late then return end
  if owner.http and self:is_done() then
    self.late(self.value, self.failure)
  elseif not self.done then
    self.late(nil, self.exchange:sends() == 0 and { code = "cancelled", message = "given up before it was sent" } or nil)
  end
end

---Sends a submit for which the governor has made room, and parks the fiber until it is answered.
---@param owner table
---@param body string
---@param late? fun(task_id: string|nil, failure: table|nil)  called with what became of it when the fiber was cancelled meanwhile, or the
---  client is being closed; with nothing when nobody will know. Must not wait.
---@return string|nil task_id
---@return table|nil failure
local function submit(owner, body, late)
  local http = owner.http
  if not http then return closed "no" end
  local turn <close> = owner.governor
  local pauses = turn.pauses
  local x <close> = http:submit(loop.current(), body)
  local sent <close> = setmetatable({ owner = owner, exchange = x, late = late, done = false }, Submit_mt)
  owner.submits[sent] = true
  drive(owner)
  repeat loop.park() until not owner.http or sent:is_done() -- whoever else wakes this fiber
  sent.heard = true
  if sent.done then
    turn:heed(sent.failure, pauses)
    return sent.value, sent.failure
  elseif x:sends() == 0 then
    return closed "no"
  end
  return nil, {
    code = "submit_unknown", sent = "maybe", retry = false,
    message = "the outcome of this submit is unknown: the client was closed before the answer came",
    hint = "it may have been accepted and charged; look at the account's balance before you submit it again",
  }
end

-- --- files

-- The same as `perform` for a file, however long it takes: it is given up only when nothing of it moves.
local function perform_file(owner, on_progress, finish, verb, ...)
  if not owner.http or not owner.governor:enter() then return closed() end
  local http = owner.http
  local turn <close> = owner.governor -- luacheck: ignore 211
  local x <close>, problem = http[verb](http, loop.current(), ...)
  if not x then return nil, problem end
  drive(owner)
  local seen, since = -1, core.now()
  while not x:done() do
    loop.park(math.min(progress_every, owner.timeout / 2))
    if not owner.http then return closed() end
    local bytes, total, validator = x:progress()
    if bytes ~= seen then
      if on_progress then on_progress(bytes, total) end
      if not owner.http then return closed() end
      seen, since = bytes, core.now()
    elseif core.now() - since > owner.timeout and not x:done() then
      local message = core.format("nothing %s for %g seconds", verb == "download" and "came" or "went", owner.timeout)
      local stamp = x:stamp()
      return nil, { code = "network", message = message, retry = true, offset = bytes, stamp = stamp, total = total, validator = validator }
    end
  end
  return finish(x)
end

local function result_of(x) return x:result() end

-- Returns the https URL in place of an http one, as browsers do for what a page of https holds; nil for one on a port of its own.
local function secure(url)
  local authority, rest = url:match "^http://([^/?#]+)(.*)$"
  if not authority then return url end
  return not authority:find ":%d+$" and "https://" .. authority .. rest or nil
end

local function refused(why)
  return nil, { code = "url_refused", message = why, retry = false }
end

-- Performs a request for a file, following redirects, and ends with `finish`; `...` follows the URL in the verb's arguments. Returns
-- bytes, or nil and a failure. Below an https service, and behind an https URL, nothing is asked over plain http.
local function follow(owner, on_progress, finish, verb, url, ...)
  local must_be_secure = owner.base_url:find "^https:" ~= nil
  for _ = 0, max_redirects do
    must_be_secure = must_be_secure or url:find "^https:" ~= nil
    local target = must_be_secure and secure(url) or url
    if must_be_secure and not target:find "^https:" then return refused "the URL leads from https down to http" end
    local bytes, failure = perform_file(owner, on_progress, finish, verb, target, ...)
    local location = failure and failure.redirect
    if not location then return bytes, failure end
    local next_url, wrong = core.resolve_url(target, location)
    if not next_url then return refused("the server redirects to a URL that can't be used: it " .. wrong) end
    url = next_url
  end
  return nil, { code = verb .. "_failed", message = ("more than %d redirects"):format(max_redirects), retry = false }
end

---Sends a file's bytes to where the service said, in one try. Redirects that keep the method are followed, with the file from its
---beginning.
---@param owner table
---@param url string
---@param path string
---@param content_type string
---@param on_progress? fun(bytes: integer, total: integer)
---@return integer|nil bytes
---@return table|nil failure
local function upload(owner, url, path, content_type, on_progress)
  local bytes, failure = follow(owner, on_progress, result_of, "upload", url, path, content_type)
  if failure then failure.redirect = nil end
  return bytes, failure
end

-- --- a file that was downloaded

-- What is at a download's path steps aside once, and comes back when the new file doesn't get its name.
local Way_mt = {}

function Way_mt:__close()
  if self.older then paths.put_back(self.older, self.path) end
end

-- What is at the path steps aside; but it stays when its bytes are the same. Returns their number then.
local function make_way(way, part)
  local new, old = digest.file(part), digest.file(way.path)
  if new and old and new.sha256 == old.sha256 then return new.size end
  local problem
  way.older, problem = paths.step_aside(way.path)
  return nil, problem
end

-- Gives the file of a whole download its name, unless `accept` says what is wrong with it; then nothing of it stays.
local function keep(owner, x, path, given)
  local bytes, failure = x:result()
  if not bytes then return nil, failure end
  local head, encoding, part = x:head(media_type.enough)
  if not head then return nil, { code = "io", message = encoding, retry = false } end
  local trouble = given.accept and given.accept(head, encoding)
  if trouble then
    x:discard()
    return nil, trouble
  end
  local way <close> = setmetatable({ path = path }, Way_mt)
  while true do
    x:keep(not given.aside)
    drive(owner)
    repeat
      loop.park(progress_every)
      if not owner.http then return closed() end
    until x:done()
    bytes, failure = x:result()
    if bytes then way.older = nil end
    if bytes or not failure.exists or way.older then return bytes, failure end
    local same, problem = make_way(way, part)
    if not owner.http then return closed() end
    if problem then return nil, problem end
    if same then
      x:discard()
      return same
    end
  end
end

---Downloads a file: into PATH.part, which becomes PATH when it is whole and on disk. A break is resumed where the server lets
---that be done safely. Gives up when nothing came for the client's retry_for seconds. `accept` looks at the file before it gets its
---name: at its first bytes and at the Content-Encoding of the answer; it returns a failure for a file that isn't wanted. `aside`: a
---file at PATH with other bytes steps aside (paths.step_aside) instead of being replaced.
---@param owner table
---@param url string
---@param path string
---@param given { on_progress?: fun(bytes: integer, total: integer|nil), aside?: boolean,
---  accept?: fun(head: string, encoding: string|nil): omni.Failure|nil }
---@return integer|nil bytes
---@return omni.Error|nil
local function download(owner, url, path, given)
  local offset, attempt, stamp, validator, total = 0, 0, nil, nil, nil
  local deadline = core.now() + owner.retry_for
  local function finish(x) return keep(owner, x, path, given) end
  while true do
    local bytes, failure = follow(owner, given.on_progress, finish, "download", url, path, offset, stamp, validator, total)
    if not failure then return bytes end
    local reached = failure.offset or offset
    if reached > offset then deadline, attempt = core.now() + owner.retry_for, 0 end
    stamp, validator, total = failure.stamp, failure.validator or validator, failure.total or total
    offset = validator and reached or 0 -- without a validator the rest could be another file's
    attempt = attempt + 1
    local wait = owner:pause_after(failure, attempt)
    if not wait or core.now() + wait > deadline then
      for _, name in ipairs { "retry", "offset", "stamp", "validator", "total", "redirect", "exists" } do failure[name] = nil end
      return nil, err.new(failure)
    end
    loop.sleep(wait)
  end
end

return { attach = attach, close = close, perform = perform, submit = submit, download = download, upload = upload }
