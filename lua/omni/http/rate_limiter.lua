-- SPDX-License-Identifier: MIT
-- Pacing: decides when one key's next request may begin. All that wants to be sent stands in one line, first come, first served, until
-- there is a connection, the service wants to hear of us (429, 455), and the key's own rate allows it.

local core = require "omni.core"
local loop = require "omni.loop"
local polling = require "omni.client.poll_schedule"

local paced <const> = { rate_limited = 1, maintenance = 10 } -- failures that concern all of a key's traffic → how much longer it waits

---Whether a failure asks for a pause of all of the key's traffic.
---@param failure table
---@return boolean
local function is_paced(failure)
  return paced[failure.code] ~= nil
end

---@class omni.Governor
---@field http table|nil        the C client; nil: closed
---@field connections integer   requests at the same time
---@field interval number|nil   seconds between the beginnings of two requests
---@field least number          seconds: the first pause
---@field most number           seconds: the longest pause of our own
---@field held integer          places promised to requests that have not begun
---@field pauses integer        how many there were
---@field opens_at number|nil   monotonic seconds: until then nothing is sent
---@field passed integer        requests that got through since the last pause was over
---@field strikes integer       pauses since something got through
---@field allowance integer|nil how many more may begin before one is answered; nil: any number
---@field sent integer          requests that began since the last pause was over
---@field ceiling integer       how many may begin after a pause
---@field probing boolean       nothing got through before the pause: one request looks whether anything does
local Governor_methods = {}
local Governor_mt = { __name = "omni.governor", __index = Governor_methods }

-- After a pause at most twice as many go out as got through before it: so a limit is found, and no more than half of all requests are
-- refused on the way. Where fewer were sent than might have been, what got through says nothing of a limit.
local function reopen(self)
  self.opens_at = nil
  if self.sent >= self.ceiling then self.ceiling = math.max(1, 2 * self.passed) end
  self.probing = self.passed == 0
  self.allowance = self.probing and 1 or self.ceiling
  self.sent, self.passed = 0, 0
end

-- Seconds until the next request may begin; math.huge when that depends on another one.
local function wait_of(self)
  if self.opens_at then
    local left = self.opens_at - core.now()
    if left > 0 then return left end
    reopen(self)
  end
  if self.http:running() + self.held >= self.connections or self.allowance and self.allowance <= 0 then return math.huge end
  if self.interval then return math.max(0, self.next_at - core.now()) end
  return 0
end

-- A request begins.
local function take(self)
  self.sent = self.sent + 1
  if self.allowance then self.allowance = self.allowance - 1 end
  if self.interval then self.next_at = math.max(self.next_at, core.now()) + self.interval end
end

-- How many of the first in line may find that it is their turn; at least the first, which watches the clock for all.
local function turns(self)
  if self.opens_at or self.interval or not self.http then return 1 end
  return math.max(1, math.min(self.connections - self.http:running() - self.held, self.allowance or math.huge))
end

---Lets the first in line look whether it is their turn: all that there is room for together, as the first refusal ends it for the others.
---To be called whenever that may be so.
function Governor_methods:advance()
  local line = self.line
  while line.first <= line.last and not line[line.first].fiber do -- those who left
    line[line.first] = nil
    line.first = line.first + 1
  end
  if line.first > line.last then return end
  for i = line.first, math.min(line.last, line.first + turns(self) - 1) do
    if line[i].fiber then loop.wake(line[i].fiber, true) end
  end
end

---Whether nobody stands in line.
function Governor_methods:is_idle()
  return self.line.first > self.line.last
end

local Place_mt = {
  __close = function(place)
    place.fiber = nil
    place.governor:advance()
  end,
}

-- A place in line, by its number: mostly at the end; who was refused stands where it stood.
local function join(self, number)
  local line = self.line
  local place = setmetatable({ fiber = loop.current(), governor = self, number = number }, Place_mt)
  local at = line.last + 1
  line.last = at
  while at > line.first and line[at - 1].number > number do
    line[at] = line[at - 1]
    at = at - 1
  end
  line[at] = place
  return place
end

---Parks the fiber until its request may begin. Each call is followed by a request, or by `leave`.
---@param timeout? number   seconds
---@param patience? number  seconds after which a pause isn't sat out; other waits are
---@return boolean          false: the time is over, or the key closed
function Governor_methods:enter(timeout, patience)
  if not self.http then return false end
  local number = self.numbers[loop.current()]
  if not number then
    number = self.number + 1
    self.number, self.numbers[loop.current()] = number, number
  end
  if self:is_idle() and wait_of(self) == 0 then
    take(self)
    return true
  end
  local line, deadline, limit = self.line, timeout and core.now() + timeout, patience and core.now() + patience
  local place <close> = join(self, number)
  while true do
    local wait = math.huge
    if line[line.first] == place then
      wait = wait_of(self)
      if wait == 0 then break end
    end
    if deadline then
      local left = deadline - core.now()
      if left <= 0 then return false end
      wait = math.min(wait, left)
    end
    if limit then
      local left = limit - core.now()
      if left <= 0 and self:paused() > 0 then return false end
      if left > 0 then wait = math.min(wait, left) end
    end
    if wait == math.huge then loop.park() else loop.park(wait) end
    if not self.http then return false end
  end
  take(self)
  return true
end

---A request is over, or was given up: there may be room for the next.
function Governor_methods:leave()
  if self.allowance then
    self.allowance = self.allowance + 2
    if self.allowance > 2 * self.connections then self.allowance, self.ceiling = nil, self.connections end
  end
  if self.http and not self:is_idle() then self:advance() end
end

Governor_mt.__close = Governor_methods.leave -- of a request that runs in a block

local Hold_methods = {}
local Hold_mt = { __name = "omni.hold", __index = Hold_methods }

---As `enter`, for a request that isn't ready yet: its place stays its own until it begins, or the hold is closed.
---@param patience? number
---@return table|nil hold
function Governor_methods:hold(patience)
  if not self:enter(nil, patience) then return nil end
  self.held = self.held + 1
  return setmetatable({ governor = self }, Hold_mt)
end

---The request begins now.
function Hold_methods:use()
  self.used = true
  self.governor.held = self.governor.held - 1
end

function Hold_mt:__close()
  if self.used then return end
  self:use()
  self.governor:leave()
end

---Learns from an answer. A refusal pauses the traffic once, however many requests were on their way when it began; who was refused keeps
---its place in line.
---@param failure table|nil
---@param pauses integer     `self.pauses` when the request began
function Governor_methods:heed(failure, pauses)
  local longer = failure and paced[failure.code]
  if not longer then
    self.numbers[loop.current()] = nil
    if failure then return end
    self.passed, self.strikes = self.passed + 1, 0
    if self.probing then
      self.probing = false
      if self.allowance then self.allowance = self.allowance + self.ceiling end
    end
    return
  end
  local asked = failure.retry_after
  if pauses ~= self.pauses then -- it was on its way before the pause
    if self.opens_at and asked then self.opens_at = math.max(self.opens_at, core.now() + asked) end
    return
  end
  self.strikes, self.pauses, self.allowance = self.strikes + 1, self.pauses + 1, nil
  self.opens_at = core.now() + polling.next_try(self.strikes, asked, self.least * longer, self.most * longer, math.random())
end

---Seconds until traffic goes on, 0 when it isn't paused.
---@return number
function Governor_methods:paused()
  return self.opens_at and math.max(0, self.opens_at - core.now()) or 0
end

---Nothing is sent any more: who stands in line is told.
function Governor_methods:close()
  self.http = nil
  local line = self.line
  for i = line.first, line.last do
    if line[i].fiber then loop.wake(line[i].fiber, true) end
  end
end

---@param http table  the C client
---@param settings { connections: integer, least?: number, most?: number, rate?: number }  least, most: seconds of a pause (1, 60);
---  rate: requests a second
---@return omni.Governor
local function new(http, settings)
  return setmetatable({
    http = http, connections = settings.connections, least = settings.least or 1, most = settings.most or 60,
    interval = settings.rate and 1 / settings.rate or nil, next_at = 0, held = 0, pauses = 0, passed = 0, strikes = 0,
    opens_at = nil, allowance = nil, sent = 0, ceiling = settings.connections, probing = false, number = 0, line = { first = 1, last = 0 },
    numbers = setmetatable({}, { __mode = "k" }), -- of fibers whose request is under way, or was refused for the moment
  }, Governor_mt)
end

return { is_paced = is_paced, new = new }
