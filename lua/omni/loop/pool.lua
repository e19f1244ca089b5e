-- SPDX-License-Identifier: MIT
-- A worker pool: runs at most a given number of jobs at a time, first come, first served.

local failures = require "omni.loop.failure"
local loop = require "omni.loop"

---A worker pool. To the scheduler, a pool is an `omni.Join` of the pool's workers. When a worker ends (even if memory ran out before its
---first line), the scheduler decrements the pool's `left` and wakes the fiber that is waiting in the pool's `join`.
---@class omni.Pool
---@field left integer            number of workers that haven't ended
---@field fiber omni.Fiber|false  the fiber that waits in `join`
---@field failed boolean          whether a worker has failed
local Pool_methods = {}
local Pool_mt = { __name = "omni.pool", __index = Pool_methods }

-- Runs the waiting jobs, one after the other, until none is left.
local function work(pool)
  while pool.first <= pool.last and not pool.closed do
    local job = pool.queue[pool.first]
    pool.queue[pool.first] = nil
    pool.first = pool.first + 1
    local fine, failure = xpcall(job.fn, failures.handler, table.unpack(job, 1, job.n))
    if not fine and failure.code ~= "cancelled" then
      pool.failures[#pool.failures + 1] = failure
      if pool.fiber then loop.wake(pool.fiber) end
    end
  end
  pool.workers[loop.current()] = nil
end

local function start_worker(pool)
  local joins = { [pool] = true }
  local worker = pool.spawn(work, pool)
  worker.joins = joins
  pool.left = pool.left + 1
  pool.workers[worker] = true -- the worker runs even if this line raises an error because memory ran out
end

---Runs `fn(...)` in a fiber as soon as a slot is free. Doesn't wait. Does nothing if the pool is closed.
---@param fn function
function Pool_methods:add(fn, ...)
  if self.closed then return end
  local job = table.pack(...)
  job.fn = fn
  self.queue[self.last + 1] = job
  self.last = self.last + 1
  if self.left < self.limit then start_worker(self) end
end

-- Returns the error of a job that failed, or of a worker that ended because memory ran out. Returns each error once.
local function take_failure(self)
  local failure = table.remove(self.failures, 1)
  if failure or not self.failed then return failure end
  for worker in pairs(self.workers) do
    if worker:done() then
      self.workers[worker] = nil
      if worker.failure.code ~= "cancelled" then return worker.failure end
    end
  end
  self.failed = false
end

---Waits until every job has ended. Raises a failed job's error immediately; the next call to `join` waits for the other jobs.
function Pool_methods:join()
  self.fiber = loop.current()
  local failure = take_failure(self)
  while not failure and (self.left > 0 or self.first <= self.last and not self.closed) do
    if self.left == 0 then start_worker(self) end
    loop.park()
    failure = take_failure(self)
  end
  self.fiber = false
  if failure then error(failure, 0) end
end

---Drops the waiting jobs, cancels the running jobs and reports the errors that no `join` has raised. A closed pool starts no more jobs.
function Pool_methods:close()
  self.closed = true
  local failure = take_failure(self)
  while failure do
    failures.report(failure)
    failure = take_failure(self)
  end
  for worker in pairs(self.workers) do
    self.workers[worker] = nil
    if worker ~= loop.current() then worker:cancel() end
  end
end

Pool_mt.__close = Pool_methods.close

---@param limit integer  maximum number of jobs that run at a time
---@param background? boolean  `omni.run` doesn't wait for the jobs
---@return omni.Pool
local function new(limit, background)
  return setmetatable({
    limit = limit, spawn = background and loop.background or loop.spawn, queue = {}, first = 1, last = 0, workers = {}, failures = {},
    left = 0, fiber = false, failed = false, fail_fast = true, closed = false,
  }, Pool_mt)
end

---Calls fn(1) to fn(count), at most `limit` at a time, and waits until all calls have ended. Once a call has returned nil and an error,
---starts no further calls. If the caller is cancelled, the running calls are cancelled too.
---@param count integer
---@param limit integer
---@param fn fun(i: integer): any, omni.Error|nil
---@return true|nil
---@return omni.Error|nil err
local function each(count, limit, fn)
  local failed, failure = false, nil
  local pool <close> = new(limit)
  for i = 1, count do
    pool:add(function()
      if failed then return end
      local fine, problem = fn(i)
      if not fine and not failed then failed, failure = true, problem end
    end)
  end
  pool:join()
  if failed then return nil, failure end
  return true
end

return { each = each, new = new }
