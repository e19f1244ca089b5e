-- SPDX-License-Identifier: MIT
-- Between the C client and the loop: a fiber parks until its exchange is done; a file is downloaded in as many as it takes.

local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"

local max_redirects <const> = 5
local progress_every <const> = 0.25 -- seconds

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

---Gives a client its driver.
---@param client omni.Client
local function attach(client)
  client.driver = setmetatable({ http = client.http, driven = false }, Driver_mt)
end

---@param client omni.Client
local function detach(client)
  loop.remove(client.driver)
  client.driver.driven = false
end

local function drive(client)
  local driver = client.driver
  if not driver.driven then
    loop.add(driver)
    driver.driven = true
  end
end

---Parks the fiber, which owns the exchange, until it is done. A fiber that is cancelled meanwhile takes the exchange back.
---@param client omni.Client
---@param exchange userdata
---@param into? table      for a query: where the state goes
---@param timeout? number  seconds after which it is taken back
---@return any value
---@return table|nil failure
local function perform(client, exchange, into, timeout)
  local x <close> = exchange
  drive(client)
  loop.park(timeout)
  if not x:done() then return nil, { code = "network", message = "no answer came in time", retry = true } end
  return x:result(into)
end

local function perform_download(client, exchange, on_progress)
  local x <close> = exchange
  drive(client)
  while not x:done() do
    loop.park(on_progress and progress_every)
    if on_progress then on_progress(x:progress()) end
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
local function try_download(client, first_url, path, offset, validator, on_progress)
  local url, hops = first_url, 0
  while true do
    local x, problem = client.http:download(url, path, offset, validator, loop.current())
    if not x then return nil, problem end
    local bytes, failure = perform_download(client, x, on_progress)
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
  local offset, validator, attempt = 0, nil, 0
  local deadline = core.now() + client.retry_for
  while true do
    local bytes, failure = try_download(client, url, path, offset, validator, on_progress)
    if not failure then return bytes end
    local reached = failure.offset or offset
    if reached > offset then deadline, attempt = core.now() + client.retry_for, 0 end
    validator = failure.validator or validator
    offset = validator and reached or 0 -- without a validator the rest could be another file's
    attempt = attempt + 1
    local wait = client:pause_after(failure, attempt)
    if not wait or core.now() + wait > deadline then
      failure.retry, failure.offset, failure.validator, failure.redirect = nil, nil, nil, nil
      return nil, err.new(failure)
    end
    loop.sleep(wait)
  end
end

return { attach = attach, detach = detach, perform = perform, download = download }
