-- SPDX-License-Identifier: MIT
-- An API key's rate limiter decides when each request may start. Requests wait in a single queue, first come, first served. A request may
-- start when a connection is free, the key isn't paused after a 429 or 455 response, and the key's rate allows another request. Programs
-- that share a ledger also share each key's pauses and rate.

local backoff = require "omni.http.backoff"
local core = require "omni.core"
local loop = require "omni.loop"
local wait_queue = require "omni.loop.wait_queue"

-- Failures that pause all of a key's requests. Each number is the factor by which a failure multiplies the length of the pause.
local PAUSES <const> = { rate_limited = 1, maintenance = 10 }

local REPORTED <const> = 1 -- seconds: the shortest extension of a pause that the limiter reports

---Returns whether a failure pauses all of the key's requests.
---@param failure table
---@return boolean
local function is_pause(failure)
  return PAUSES[failure.code] ~= nil
end

---@class omni.RateLimiter
---@field http table|nil        the C client; nil after the limiter was closed
---@field connections integer   maximum number of simultaneous requests
---@field interval number|nil   seconds between the starts of two requests; nil: no limit
---@field least number          seconds: the first pause
---@field most number           seconds: the longest pause that the service didn't ask for
---@field reserved integer      the number of requests that have their turn but haven't started yet
---@field pauses integer        the number of pauses so far
---@field paused_until number|nil  monotonic seconds
---@field strikes integer       pauses since the last success
---@field allowance integer|nil how many more requests may start before a response arrives; nil: any number
---@field window integer        the number of requests in a round; a round doubles when all requests of the round before it have ended
---@field ended integer         how many requests of this round have ended
---@field started integer       how many requests have started since the last pause ended
---@field succeeded integer     how many of these requests got a response
---@field next_at number|nil    monotonic seconds: the next request may start then; nil: the start must be reserved first
---@field shared omni.AccountRow|nil  the state that programs with the same key share; nil: none
---@field queue omni.WaitQueue
---@field events omni.Events|nil  the client's events, if the client has a hook
---@field key string|nil        the API key's fingerprint
local Limiter_methods = {}
local Limiter_mt = { __name = "omni.rate_limiter", __index = Limiter_methods }

-- Ends a pause. After a pause, the limiter initially allows 1.5 times as many requests as succeeded before the pause. With the factor 1.5,
-- the service refuses at most one request for every two that it accepts. If fewer requests started than the window (the number of requests
-- in a round) allows, and at least half of them succeeded, the window doesn't change, because so few requests reveal nothing about the
-- service's limit.
local function end_pause(self)
  self.paused_until = nil
  if self.started >= self.window or self.started > 2 * self.succeeded then
    self.window = math.max(1, math.ceil(1.5 * self.succeeded))
  end
  self.allowance, self.started, self.succeeded, self.ended = self.window, 0, 0, 0
  if self.events then loop.background(self.events.emit, self.events, { event = "resumed", key = self.key }) end
end

-- When a reservation is closed, sets the next request's start time, even if the fiber that reserved the start has failed.
local Reservation_mt = {
  __close = function(reservation)
    local self = reservation.limiter
    self.next_at = reservation.at or self.own_next_at
    self:advance()
  end,
}

-- Reserves the next request's start time among all programs that share the key's rate. No request starts until the reservation is made. If
-- the ledger fails, only this program's own requests count towards the rate.
local function reserve_start(self)
  self.next_at = math.huge
  loop.background(function()
    local reservation <close> = setmetatable({ limiter = self }, Reservation_mt)
    local wait = self.shared:reserve_start(self.interval)
    reservation.at = wait and core.now() + wait
  end)
end

-- Returns the number of seconds until the next request may start, or math.huge if another request must end first.
local function time_until_turn(self)
  if self.paused_until then
    local left = self.paused_until - core.now()
    if left > 0 then return left end
    end_pause(self)
  end
  if self.http:running() + self.reserved >= self.connections or self.allowance and self.allowance <= 0 then return math.huge end
  if not self.interval then return 0 end
  if not self.next_at then reserve_start(self) end
  return math.max(0, self.next_at - core.now())
end

local function take_turn(self)
  self.started = self.started + 1
  if self.allowance then self.allowance = self.allowance - 1 end
  if not self.interval then return end
  self.own_next_at = math.max(self.own_next_at, core.now()) + self.interval
  if self.shared and self.shared:is_shared() then self.next_at = nil else self.next_at = self.own_next_at end
end

-- Returns how many waiting requests to wake. The result is at least one, even if no request may start now. The first request in the queue
-- always wakes, because it waits for the next start time on behalf of all requests.
local function turns_available(self)
  if self.paused_until or self.interval or not self.http then return 1 end
  return math.max(1, math.min(self.connections - self.http:running() - self.reserved, self.allowance or math.huge))
end

---Wakes the requests that may start now. Call `advance` whenever another request might be able to start.
function Limiter_methods:advance()
  self.queue:wake_first(turns_available(self))
end

---Returns true if no request is waiting.
---@return boolean
function Limiter_methods:is_idle()
  return self.queue:is_empty()
end

-- Returns the number of the fiber's request, which determines the request's position in the queue. If the service refused the fiber's last
-- request, the retry keeps that request's number.
local function number_of(self)
  local number = self.numbers[loop.current()]
  if not number then
    number = self.last_number + 1
    self.last_number = number
  end
  return number
end

---Waits until the fiber's request may start. If `enter` returns a number, the caller must start the request or call `leave`.
---@param timeout? number    maximum total wait, in seconds
---@param max_pause? number  maximum wait during pauses, in seconds; other waits don't count
---@return integer|false number  for `learn`; false: a limit was reached, or the key was closed
function Limiter_methods:enter(timeout, max_pause)
  if not self.http then return false end
  if self.shared then self.shared:look() end
  local number = number_of(self)
  if self:is_idle() and time_until_turn(self) == 0 then
    take_turn(self)
    return number
  end
  local deadline, pause_deadline = timeout and core.now() + timeout, max_pause and core.now() + max_pause
  local place <close> = self.queue:join(number)
  while true do
    local wait = math.huge
    if self.queue:is_first(place) then
      wait = time_until_turn(self)
      if wait == 0 then break end
    end
    if deadline then
      local left = deadline - core.now()
      if left <= 0 then return false end
      wait = math.min(wait, left)
    end
    if pause_deadline then
      local left = pause_deadline - core.now()
      if left <= 0 and self:paused() > 0 then return false end
      if left > 0 then wait = math.min(wait, left) end
    end
    if wait == math.huge then loop.park() else loop.park(wait) end
    if not self.http then return false end
  end
  take_turn(self)
  return number
end

---Notifies the limiter that a request has ended or won't start.
function Limiter_methods:leave()
  if self.allowance then
    self.ended = self.ended + 1
    if self.ended >= self.window then
      self.window, self.ended = 2 * self.window, 0
      self.allowance = self.window
      if self.window > self.connections then self.allowance, self.window = nil, self.connections end
    end
  end
  if self.http and not self:is_idle() then self:advance() end
end

Limiter_mt.__close = Limiter_methods.leave -- a `<close>` variable calls `leave` at the end of its block

local Turn_methods = {}
local Turn_mt = { __name = "omni.rate_limiter.turn", __index = Turn_methods }

---Like `enter`, waits for a turn, but for a request that the caller still has to prepare. The request keeps its turn until it starts, or
---until the caller closes the turn.
---@param max_pause? number
---@return table|nil turn
function Limiter_methods:reserve(max_pause)
  local number = self:enter(nil, max_pause)
  if not number then return nil end
  self.reserved = self.reserved + 1
  return setmetatable({ limiter = self, number = number }, Turn_mt)
end

---Notifies the limiter that this turn's request is starting now.
function Turn_methods:use()
  self.used = true
  self.limiter.reserved = self.limiter.reserved - 1
end

function Turn_mt:__close()
  if self.used then return end
  self:use()
  self.limiter:leave()
end

---Adapts the limiter to a request's outcome. If the service refuses several requests at the same time, the limiter pauses the key only
---once.
---@param failure table|nil
---@param pauses integer  `self.pauses` when the request started
---@param number integer  what `enter` returned for the request
---@return number|nil seconds  the length of the pause, if one begins or is prolonged
function Limiter_methods:learn(failure, pauses, number)
  local factor = failure and PAUSES[failure.code]
  self.numbers[loop.current()] = factor and number or nil
  if not factor then
    if failure then return end
    self.succeeded, self.strikes = self.succeeded + 1, 0
    return
  end
  local retry_after = failure.retry_after
  if pauses ~= self.pauses then -- a request that started before the current pause can extend it only with a Retry-After header
    local ends = self.paused_until and retry_after and core.now() + retry_after
    if not ends or ends <= self.paused_until then return end
    local more = ends - self.paused_until
    self.paused_until = ends
    if self.shared then self.shared:pause(ends - core.now()) end
    return more >= REPORTED and retry_after or nil
  end
  self.strikes, self.pauses, self.allowance = self.strikes + 1, self.pauses + 1, nil
  local seconds = backoff.wait_before_retry(self.strikes, retry_after, self.least * factor, self.most * factor, math.random())
  self.paused_until = core.now() + seconds
  if self.shared then self.shared:pause(seconds) end
  return seconds
end

---Pauses the key's requests because the service refused a request from another program that uses the same key. Never shortens a pause.
---@param seconds number
function Limiter_methods:join_pause(seconds)
  local now = core.now()
  local more = seconds - self:paused()
  if more <= 0 then return end
  if self:paused() == 0 then self.pauses, self.allowance = self.pauses + 1, nil end
  self.paused_until = now + seconds
  if more >= REPORTED and self.events then
    self.events:emit { event = "paused", key = self.key, seconds = seconds, reason = "rate_limited" }
  end
end

---Returns the number of seconds until the current pause ends, or 0 if there is no pause.
---@return number
function Limiter_methods:paused()
  return self.paused_until and math.max(0, self.paused_until - core.now()) or 0
end

---Closes the limiter: no further request starts, and `enter` returns false in every waiting fiber.
function Limiter_methods:close()
  self.http = nil
  self.queue:wake_first(math.huge)
end

---@param http table  the C client
---@param settings { connections: integer, least?: number, most?: number, rate?: number, events?: omni.Events, key?: string,
---  shared?: omni.AccountRow }
---  `least` and `most` are the lengths of the first and the longest pause, in seconds (default 1 and 60); `rate` is in requests per second
---@return omni.RateLimiter
local function new(http, settings)
  return setmetatable({
    http = http, connections = settings.connections, least = settings.least or 1, most = settings.most or 60,
    interval = settings.rate and 1 / settings.rate or nil, own_next_at = 0, shared = settings.shared,
    next_at = not settings.shared and 0 or nil, reserved = 0, pauses = 0, paused_until = nil, strikes = 0,
    allowance = nil, window = settings.connections, started = 0, succeeded = 0, ended = 0, queue = wait_queue.new(),
    events = settings.events, key = settings.key,
    last_number = 0, numbers = setmetatable({}, { __mode = "k" }), -- fiber → the number of its refused request
  }, Limiter_mt)
end

return { is_pause = is_pause, new = new }
