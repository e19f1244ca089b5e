-- SPDX-License-Identifier: MIT
-- Between the C client and the loop: a fiber parks until its exchange is done; a file is downloaded in as many as it takes.

local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"

local max_redirects <const> = 5
local progress_every <const> = 0.25 -- seconds between two looks at a download

-- The pollable of a client. The loop knows it only while something is in flight, so that an idle client can be collected.
local Driver_methods = {}
local Driver_mt = { __name = "omni.driver", __index = Driver_methods }

function Driver_methods:pollfd() return self.http:pollfd() end

function Driver_methods:events() return "r" end -- luacheck: ignore self

function Driver_methods:timeout() return self.http:timeout() end

function Driver_methods:step()
  local http, wake = self.http, loop.wake
  http:step()
  for owner in http.finished, http do wake(owner) end
  if not http:busy() then
    loop.remove(self)
    self.driven = false
  end
end

-- The places of a client's connections. Who finds none waits in line, as a fiber only: what it wants to send is made when it
-- is its turn, so that a hundred thousand waiting queries cost no more than their fibers.
local Gate_methods = {}
local Gate_mt = { __name = "omni.gate", __index = Gate_methods }

-- Takes a place, at the latest after `timeout` seconds; false when the time is over. Given back by `<close>`.
function Gate_methods:enter(timeout)
  if self.free > 0 then
    self.free = self.free - 1
    return true
  end
  local fiber = loop.current()
  self.last = self.last + 1
  self.line[self.last] = fiber
  fiber.in_line = self -- who gives up, or is cancelled, leaves it
  local turn = loop.park(timeout)
  fiber.in_line = nil
  return turn == self
end

function Gate_mt:__close()
  while self.first <= self.last do
    local fiber = self.line[self.first]
    self.line[self.first] = nil
    self.first = self.first + 1
    if fiber.in_line == self and not fiber:done() then
      fiber.in_line = nil
      return loop.wake(fiber, self) -- the place goes over to it
    end
  end
  self.free = self.free + 1
end

---Gives a client its driver and its gate.
---@param client omni.Client
---@param connections integer
local function attach(client, connections)
  client.driver = setmetatable({ http = client.http, driven = false }, Driver_mt)
  client.gate = setmetatable({ free = connections, line = {}, first = 1, last = 0 }, Gate_mt)
end

---Closes the C client; who waits for it, in line or for an answer, is told.
---@param client omni.Client
local function close(client)
  local http, gate = client.http, client.gate
  loop.remove(client.driver)
  client.http = nil
  for _, owner in ipairs(http:owners()) do loop.wake(owner) end
  http:close()
  for i = gate.first, gate.last do
    local fiber = gate.line[i]
    if fiber.in_line == gate then loop.wake(fiber, gate) end
  end
  gate.first, gate.last, gate.line = 1, 0, {}
end

local function drive(client)
  local driver = client.driver
  if not driver.driven then
    loop.add(driver)
    driver.driven = true
  end
end

local function closed()
  return nil, { code = "closed", message = "the client was closed", retry = false }
end

local function too_late()
  return nil, { code = "network", message = "no answer came in time", retry = true }
end

---Makes an exchange and parks the fiber until it is done. A fiber that is cancelled meanwhile takes the exchange back.
---@param client omni.Client
---@param into table|nil      for a query: where the state goes
---@param timeout number|nil  seconds after which it is given up
---@param verb string         of the C client
---@param ... any             the verb's arguments, all of them but the owner
---@return any value
---@return table|nil failure
local function perform(client, into, timeout, verb, ...)
  local gate = client.gate
  if not gate:enter(timeout) then return too_late() end
  local _ <close> = gate
  local http = client.http
  if not http then return closed() end
  local x <close> = http[verb](http, loop.current(), ...)
  drive(client)
  loop.park(timeout)
  if not client.http then return closed() end
  if not x:done() then return too_late() end
  return x:result(into)
end

local function perform_download(client, on_progress, ...)
  local gate = client.gate
  gate:enter()
  local _ <close> = gate
  if not client.http then return closed() end
  local x <close>, problem = client.http:download(loop.current(), ...)
  if not x then return nil, problem end
  drive(client)
  local seen, since = -1, core.now()
  while not x:done() do
    loop.park(math.min(progress_every, client.timeout / 2))
    if not client.http then return closed() end
    local bytes, total, validator = x:progress()
    if bytes ~= seen or bytes == total then
      if on_progress then on_progress(bytes, total) end
      seen, since = bytes, core.now()
    elseif core.now() - since > client.timeout and not x:done() then
      local message = ("nothing came for %g seconds"):format(client.timeout)
      return nil, { code = "network", message = message, retry = true, offset = bytes, total = total, validator = validator }
    end
  end
  return x:result()
end

-- Where a redirect may lead: http(s), never from https down to http. Returns an error when it may not.
local function redirect_trouble(from, to, hops)
  local why
  if hops > max_redirects then
    why = ("more than %d redirects"):format(max_redirects)
  elseif not core.is_usable_url(to) then
    why = "a redirect to something that isn't an http(s) URL"
  elseif from:lower():find("^https:") and not to:lower():find("^https:") then
    why = "a redirect from https down to http"
  end
  return why and { code = "download_failed", message = "the download was stopped: " .. why, retry = false }
end

-- One try: follows redirects; returns the file's size, or nil and a failure with the `offset` from which to go on.
local function try_download(client, on_progress, first_url, path, offset, ...)
  local url, hops = first_url, 0
  while true do
    local bytes, failure = perform_download(client, on_progress, url, path, offset, ...)
    if not failure then return bytes end
    if not failure.redirect then return nil, failure end
    hops = hops + 1
    local trouble = redirect_trouble(url, failure.redirect, hops)
    if trouble then return nil, trouble end
    url = failure.redirect
  end
end

---Downloads a file: into PATH.part, which becomes PATH when it is whole and on disk. A break is resumed where the server lets
---that be done safely. Gives up when nothing came for the client's retry_for seconds.
---@param client omni.Client
---@param url string
---@param path string
---@param on_progress? fun(bytes: integer, total: integer|nil)
---@return integer|nil bytes
---@return omni.Error|nil
local function download(client, url, path, on_progress)
  local offset, validator, total, attempt = 0, nil, nil, 0
  local deadline = core.now() + client.retry_for
  while true do
    local bytes, failure = try_download(client, on_progress, url, path, offset, validator, total)
    if not failure then return bytes end
    local reached = failure.offset or offset
    if reached > offset then deadline, attempt = core.now() + client.retry_for, 0 end
    validator, total = failure.validator or validator, failure.total or total
    offset = validator and reached or 0 -- without a validator the rest could be another file's
    attempt = attempt + 1
    local wait = client:pause_after(failure, attempt)
    if not wait or core.now() + wait > deadline then
      failure.retry, failure.offset, failure.validator, failure.total, failure.redirect = nil, nil, nil, nil, nil
      return nil, err.new(failure)
    end
    loop.sleep(wait)
  end
end

return { attach = attach, close = close, perform = perform, download = download }
