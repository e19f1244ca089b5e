-- SPDX-License-Identifier: MIT
-- Asks for the state of the tasks of one key that are waited for: one query at a time a task, however many wait for it, and a few
-- fibers that ask for all of them. Who waits only parks: that is what makes a hundred thousand waiting tasks cheap.

local core = require "omni.core"
local entry = require "omni.client.submit_record"
local err = require "omni.error"
local exchange = require "omni.http.exchange"
local governor = require "omni.http.rate_limiter"
local loop = require "omni.loop"
local polling = require "omni.client.poll_schedule"

local settling <const> = 60 -- seconds in which a task that was just created may still be unknown (404)

-- One query with this key.
local function query_with(key, task)
  local state, failure = exchange.perform(key, task, nil, "query", task.id)
  if state then
    task.key = key
    return true
  end
  -- A task that we created ourselves a moment ago may not be known everywhere yet.
  if failure.code == "not_found" and task.submitted and core.now() - task.since < settling then failure.retry = true end
  return nil, failure
end

-- Asks with each key in turn until one knows the task: the keys of one account share its tasks, and a replaced key's successor has them.
local function query_all(task)
  local keyring = task.client.keyring
  local key, account = keyring:owner(task)
  if key then return query_with(key, task) end
  local failure
  for _, candidate in ipairs(keyring) do
    local fine, why = query_with(candidate, task)
    if fine then return true end
    local not_its_own = why.code == "not_found" or err.refuses_key(why)
    if not failure or failure.code == "not_found" or err.refuses_key(failure) then failure = why end
    if not not_its_own then break end
  end
  if account and failure.code == "not_found" then return nil, keyring.missing(task.id, account) end
  return nil, failure
end

local final <const> = { success = true, failed = true }
local lasting <const> = { "credits", "created_at", "completed_at", "duration", "media" }

-- A final state is final: what an earlier answer said stays, whatever a later one says. Only media may be new, as their URLs are signed
-- anew, and credits higher.
local function keep_final(task, known)
  local media, credits, empty = task.media, task.credits, task.status == "success" and task.error or known.error
  for _, name in ipairs(lasting) do task[name] = known[name] or task[name] end
  task.status, task.error = known.status, known.error
  if known.status == "success" then
    task.media = media or task.media
    task.error = not task.media and (empty or { code = "broken_result", message = "the task succeeded, and its media is not there" }) or nil
  end
  if credits and known.credits then task.credits = math.max(credits, known.credits) end
end

-- A success whose media isn't there yet is asked again for a while before it counts as broken.
local function expect_media(task)
  local patience = task.client.media_wait
  if not task.media_by then
    local is_old = task.completed_at and os.time() - task.completed_at > patience
    task.media_by = core.now() + (is_old and 0 or patience)
  end
  if core.now() < task.media_by then
    task.error = nil
  else
    task.error.hint = "it is paid for: fetch it again later, don't submit it again"
  end
end

---One query of a task, whose fields then are the answer's.
---@param task omni.Task
---@return true|nil
---@return table|nil failure
local function query(task)
  local client, before, known = task.client, task.status, nil
  if final[before] then
    known = { status = before, error = task.error }
    for _, name in ipairs(lasting) do known[name] = task[name] end
  end
  task.raw = nil
  local fine, failure
  if task.key then fine, failure = query_with(task.key, task) else fine, failure = query_all(task) end
  if not fine then return nil, failure end
  if known then keep_final(task, known) end
  if task.status == "success" and not task.media then
    expect_media(task)
  end
  if task.error then
    task.error.task_id, task.error.retry = task.id, nil
    err.new(task.error)
  end
  if task.status ~= before or known then entry.note_state(client, task) end
  if task.status ~= before then
    client.history:note(task)
    if final[task.status] then task.key:landed(task) end
  end
  return true
end

---@class omni.Watch
local Watch_methods = {}
local Watch_mt = { __name = "omni.watch", __index = Watch_methods }

-- --- what is due when: a binary heap in two arrays. A task has at most one entry; its field `waiter` tells:
-- nil: no entry; false: an entry, but nobody waits any more; else the fiber that waits, or an array of them.

local function push(self, due, task)
  local times, tasks = self.times, self.tasks
  local slot = self.size + 1
  self.size = slot
  while slot > 1 and times[slot // 2] > due do
    times[slot], tasks[slot] = times[slot // 2], tasks[slot // 2]
    slot = slot // 2
  end
  times[slot], tasks[slot] = due, task
  return slot == 1
end

local function pop(self)
  local times, tasks, size = self.times, self.tasks, self.size
  local first, due, task = tasks[1], times[size], tasks[size]
  times[size], tasks[size] = nil, nil
  size = size - 1
  self.size = size
  local slot = 1
  while size > 0 do
    local child = slot * 2
    if child < size and times[child + 1] < times[child] then child = child + 1 end
    if child > size or due <= times[child] then
      times[slot], tasks[slot] = due, task
      break
    end
    times[slot], tasks[slot] = times[child], tasks[child]
    slot = child
  end
  return first
end

-- --- who waits

-- A failure of its own for each who waits: what one of them does with it changes nobody else's.
local function own(value)
  return type(value) == "table" and err.copy(value) or value
end

-- Wakes those who wait, and forgets them: whoever isn't satisfied waits anew. Until then its fiber may wait for something else,
-- which must not be taken for over.
local function wake_all(task, value)
  local waiter = task.waiter
  if not waiter then return end
  task.waiter = false
  if #waiter == 0 then return loop.wake(waiter, own(value)) end
  for _, fiber in ipairs(waiter) do loop.wake(fiber, own(value)) end
end

-- Whether anybody still waits; a fiber that was cancelled doesn't.
local function is_waited_for(waiter)
  if not waiter then return false end
  if #waiter == 0 then return not waiter:done() end
  for _, fiber in ipairs(waiter) do
    if not fiber:done() then return true end
  end
  return false
end

local function join(task)
  local fiber, waiter = loop.current(), task.waiter
  if not waiter then
    task.waiter = fiber
  elseif #waiter > 0 then
    waiter[#waiter + 1] = fiber
  elseif waiter ~= fiber then
    task.waiter = { waiter, fiber }
  end
end

local function leave(task)
  local fiber, waiter = loop.current(), task.waiter
  if waiter == fiber then
    task.waiter = false
  elseif waiter and #waiter > 0 then
    for i = #waiter, 1, -1 do
      if waiter[i] == fiber then table.remove(waiter, i) end
    end
    if #waiter == 0 then task.waiter = false end
  end
end

-- --- who asks

local function schedule(self, task, wait)
  if push(self, core.now() + wait, task) and self.keeper then loop.wake(self.keeper) end
end

local function settle(task, value)
  wake_all(task, value)
  task.waiter = nil
end

-- Seconds for which a task that isn't over has lasted. Of one that isn't ours the service tells when it was made.
local function age_of(task)
  local known = core.now() - task.since
  if task.submitted or not task.created_at then return known end
  return math.max(known, os.time() - task.created_at)
end

-- Seconds until the next query of a task of this age; where a callback is expected it is only there in case that is lost.
local function pause(task, age)
  local client = task.client
  if task.callback and client.receiver and task.status ~= "success" then return client.callback_poll * (0.9 + 0.2 * math.random()) end
  return polling.next_query(age, client.history:plan(task), math.random())
end

local function ask(self, task)
  if not is_waited_for(task.waiter) then
    task.waiter = nil
    return
  end
  local client, before = self.client, task.status
  local fine, failure = query(task)
  if fine then
    self.attempts[task], self.failures[task] = nil, nil
    if task:done() then return settle(task, true) end
    if task.status ~= before then wake_all(task, true) else task.answer = nil end
    schedule(self, task, pause(task, age_of(task)))
  else
    local attempt = (self.attempts[task] or 0) + 1
    local wait = client:pause_after(failure, attempt)
    if not wait then return settle(task, failure) end
    self.failures[task] = failure
    if governor.is_paced(failure) then -- the governor makes it wait, but for no longer than the client's patience
      local left = self.key.governor:paused()
      return schedule(self, task, left > client.pause_for and left or 0)
    end
    self.attempts[task] = attempt
    schedule(self, task, wait)
  end
end

-- A fiber that asks for one task after the other, as long as any is due.
local function work(self, task)
  repeat
    ask(self, task)
    task = self.size > 0 and self.times[1] <= core.now() and pop(self)
  until not task
  self.working = self.working - 1
  if self.keeper then loop.wake(self.keeper) end
end

-- When to ask first: of our own submit we know when it began, of any other task nothing.
local function first_wait(task)
  return task.submitted and math.max(0, pause(task, 0) - (core.now() - task.since)) or 0
end

-- The fiber that starts those; it is there while anybody waits.
local function keep(self)
  while self.size > 0 or self.new > 0 or self.working > 0 do
    for i = 1, self.new do
      schedule(self, self.fresh[i], first_wait(self.fresh[i]))
      self.fresh[i] = nil
    end
    self.new = 0
    local wait = self.size > 0 and self.times[1] - core.now()
    if not wait then
      loop.park()
    elseif wait > 0 then
      loop.park(wait)
    elseif self.working < self.most then
      self.working = self.working + 1
      loop.background(work, self, pop(self))
    else
      loop.park()
    end
  end
  self.keeper = nil
end

---Parks the fiber until the task's status has changed, or asking for it has become useless.
---@param task omni.Task
---@param deadline number  monotonic seconds
---@return true|table|nil  true: it changed; a failure: asking is of no use; nil: the time is over
function Watch_methods:wait(task, deadline)
  if deadline <= core.now() then return nil end
  task.answer = nil -- who waits for long needs no text to look at
  -- As little as can be is done on the stack of who waits: it would keep its size for as long as the wait lasts.
  if task.waiter == nil then
    self.new = self.new + 1
    self.fresh[self.new] = task
  end
  join(task)
  if not self.keeper then
    self.keeper = loop.background(keep, self)
  elseif self.new == 1 then
    loop.wake(self.keeper)
  end
  local woken
  repeat -- a fiber that waits within a callback is woken by what it called from, too
    woken = loop.park(deadline - core.now())
  until woken or deadline <= core.now()
  if not woken then leave(task) end
  return woken
end

---Asks for a task at once, as something was heard of it; who waits for it is woken when that is true.
---@param task omni.Task
---@return boolean over
local function confirm(task)
  if task:done() then return true end
  local before = task.status
  if not query(task) then return false end
  if task:done() or task.status ~= before then wake_all(task, true) end
  return task:done()
end

---What went wrong last with asking for a task, or nil when the last query was answered.
---@param task omni.Task
---@return table|nil failure
function Watch_methods:last_failure(task)
  return self.failures[task]
end

---Tells all who wait that the client was closed.
---@param failure table
function Watch_methods:close(failure)
  while self.size > 0 do settle(pop(self), failure) end
  for i = 1, self.new do settle(self.fresh[i], failure) end
  self.new, self.fresh = 0, {}
end

---@param key omni.Key
---@param most integer  queries at the same time
---@return omni.Watch
local function new(key, most)
  return setmetatable({
    key = key, client = key.client, most = most, working = 0, size = 0, times = {}, tasks = {}, new = 0, fresh = {},
    attempts = setmetatable({}, { __mode = "k" }), failures = setmetatable({}, { __mode = "k" }), -- of tasks whose last query failed
  }, Watch_mt)
end

return { confirm = confirm, new = new, query = query }
