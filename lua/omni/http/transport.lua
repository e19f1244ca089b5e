-- SPDX-License-Identifier: MIT
-- A transport sends requests through a rate limiter and an HTTP client written in C, which the event loop drives. Each API key has its own
-- transport; one more transport, which has no key, sends requests for media files. A request parks its fiber until the response has
-- arrived.

local core = require "omni.core"
local loop = require "omni.loop"
local pollable = require "omni.loop.pollable"
local rate_limiter = require "omni.http.rate_limiter"

---@class omni.Transport
---@field http table|nil           the C client; nil after the transport was closed
---@field limiter omni.RateLimiter
---@field timeout number           number of seconds without progress after which a file transfer is aborted
---@field max_pause number|nil     maximum wait of a request during a pause, in seconds; nil: no limit
---@field connections integer
---@field events omni.Events|nil   the client's events, if the client has a hook
---@field key string|nil           the API key's fingerprint; nil: the transport for media files
local Transport_methods = {}
local Transport_mt = { __name = "omni.transport", __index = Transport_methods }

-- Steps the C client and wakes the fibers whose requests are done. The event loop references the C client only while a request runs, so
-- that an unused transport can be garbage-collected.
local function driver_of(http, limiter)
  return pollable.driver(http, function()
    http:step()
    for fiber in http.finished, http do loop.wake(fiber) end
    if not limiter:is_idle() then limiter:advance() end
    return not http:busy()
  end)
end

-- --- one request

---Calls the client's `on_event` hook to report the start of a request. Close the returned object to report the end of the request.
---@param verb string  a method of the C client
---@param ... any      its arguments after the owner
---@return table|nil request  nil without a hook
function Transport_methods:observe(verb, ...)
  return self.events and self.events:request(self.key, verb, ...)
end

---Returns nil and the failure for a request on a closed transport.
---@param sent? "no"|"maybe"
---@return nil
---@return table failure
local function closed(sent)
  return nil, { code = "closed", message = "the client was closed", retry = false, sent = sent }
end

local function timed_out()
  return nil, { code = "network", message = "no response arrived in time", retry = true }
end

local function paused_too_long(seconds)
  return nil, {
    code = "rate_limited", retry = true,
    message = core.format("the service asked omni to wait for longer than %g seconds", seconds),
  }
end

-- Runs a request whose turn has come. If the fiber is cancelled, the request is aborted.
local function run(self, number, into, timeout, verb, ...)
  local request <close> = self.events and self:observe(verb, ...)
  local http = self.http
  if not http then return closed() end
  local limiter <close> = self.limiter -- reports the request's end
  local pauses = limiter.pauses
  local exchange <close> = http[verb](http, loop.current(), ...)
  self.driver:start()
  local deadline = timeout and core.now() + timeout
  repeat -- until the exchange is done, since another event may have woken the fiber
    local left = deadline and deadline - core.now()
    if left and left <= 0 then return timed_out() end
    loop.park(left)
    if not self.http then return closed() end
  until exchange:done()
  local value, failure = exchange:result(into)
  local pause = limiter:learn(failure, pauses, number)
  if request then request:note(exchange, failure, pause) end
  return value, failure
end

---Waits for the request's turn, sends the request, and waits for the response.
---@param into table|nil      for a query: receives the task's state
---@param timeout number|nil  seconds, including the wait for the request's turn
---@param verb string         a method of the C client other than "submit"
---@param ... any             its arguments after the owner
---@return any value
---@return table|nil failure
function Transport_methods:perform(into, timeout, verb, ...)
  local deadline = timeout and core.now() + timeout
  if not self.http then return closed() end
  local number = self.limiter:enter(timeout, self.max_pause)
  if not number then
    if not self.http then return closed() end
    if deadline and core.now() >= deadline then return timed_out() end
    return paused_too_long(self.max_pause)
  end
  return run(self, number, into, deadline and deadline - core.now(), verb, ...)
end

-- --- a submit

-- A submit request that may have been sent but has no recorded outcome yet. If the submit's fiber was cancelled (perhaps just after the
-- response arrived) or the transport was closed, `on_abandoned` receives the outcome instead of the fiber.
local Submit_methods = {}
local Submit_mt = { __name = "omni.transport.submit", __index = Submit_methods }

-- Returns whether the exchange is done and, if it is, takes the exchange's result.
function Submit_methods:is_done()
  if not self.done and self.exchange:done() then
    self.value, self.failure = self.exchange:result()
    self.done = true -- set last: if memory runs out in the lines above, a later call takes the result
  end
  return self.done
end

function Submit_mt:__close()
  local transport = self.transport
  transport.submits[self] = nil
  if self.received or not self.on_abandoned then return end
  if transport.http and self:is_done() then
    self.on_abandoned(self.value, self.failure)
  elseif not self.done then
    self.on_abandoned(nil, self.exchange:sends() == 0 and { code = "cancelled", message = "given up before it was sent" } or nil)
  end
end

---Sends a submit request whose turn has come, never more than once, and waits for the response.
---@param body string
---@param number integer  the number of the request, from the rate limiter
---@param on_abandoned? fun(task_id: string|nil, failure: table|nil)  gets the outcome if the fiber can't; must not wait
---@param request? table  from `observe`
---@param sending? table  gets `begun` = true when, from now on, `on_abandoned` gets the outcome; before that, nothing was sent
---@return string|nil task_id
---@return table|nil failure
function Transport_methods:submit(body, number, on_abandoned, request, sending)
  local http = self.http
  if not http then return closed "no" end
  local limiter <close> = self.limiter
  local pauses = limiter.pauses
  local exchange <close> = http:submit(loop.current(), body)
  local submit <close> = setmetatable({ transport = self, exchange = exchange, on_abandoned = on_abandoned, done = false }, Submit_mt)
  if sending then sending.begun = true end
  self.submits[submit] = true
  self.driver:start()
  repeat loop.park() until not self.http or submit:is_done() -- an event other than the response may have woken the fiber
  local value, failure = submit.value, submit.failure
  if submit.done then
    local pause = limiter:learn(failure, pauses, number)
    if request then request:note(exchange, failure, pause) end
  elseif exchange:sends() == 0 then
    value, failure = closed "no"
  else
    failure = {
      code = "submit_unknown", sent = "maybe", retry = false,
      message = "the outcome of this submit is unknown: the client was closed before the response arrived",
      hint = "it may have been accepted and charged; look at the account's balance before you submit it again",
    }
  end
  submit.received = true -- set last: if memory runs out in the lines above, `on_abandoned` gets the outcome
  return value, failure
end

-- --- opening and closing

---Gives up all requests. Fibers that are waiting for a response receive the failure "closed". Idempotent.
function Transport_methods:close()
  local http = self.http
  if not http then return end
  self.driver:stop()
  for submit in pairs(self.submits) do
    if submit:is_done() and submit.on_abandoned then submit.on_abandoned(submit.value, submit.failure) end
  end
  self.http = nil
  for _, fiber in ipairs(http:owners()) do loop.wake(fiber) end
  http:close()
  self.limiter:close()
end

---@param http table  a C client, the transport then owns it
---@param settings { connections: integer, least?: number, most?: number, rate?: number, timeout?: number, max_pause?: number,
---  events?: omni.Events, key?: string, shared?: omni.AccountRow }
---@return omni.Transport
local function new(http, settings)
  local limiter = rate_limiter.new(http, settings)
  return setmetatable({
    http = http, limiter = limiter, timeout = settings.timeout, max_pause = settings.max_pause, connections = settings.connections,
    driver = driver_of(http, limiter), events = settings.events, key = settings.key,
    submits = {}, -- submit requests that may have been sent but have no outcome yet
  }, Transport_mt)
end

return { closed = closed, new = new }
