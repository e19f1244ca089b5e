-- SPDX-License-Identifier: MIT
-- A worker pool: runs at most a given number of jobs at a time, first come, first served.

local failures = require "omni.loop.failure"
local loop = require "omni.loop"

---@class omni.Pool
local Pool_methods = {}
local Pool_mt = { __name = "omni.pool", __index = Pool_methods }

local start_next

-- Frees a job's slot, however the job ends.
local Slot_mt = {
  __close = function(slot)
    local pool = slot.pool
    pool.fibers[slot.fiber] = nil
    pool.running = pool.running - 1
    start_next(pool)
    if pool.waiter then loop.wake(pool.waiter) end
  end,
}

local function run_job(pool, job)
  local slot <close> = setmetatable({ pool = pool, fiber = loop.current() }, Slot_mt) -- luacheck: ignore 211
  local fine, failure = xpcall(job.fn, failures.handler, table.unpack(job, 1, job.n))
  if not fine and failure.code ~= "cancelled" then pool.failures[#pool.failures + 1] = failure end
end

function start_next(pool)
  local job = pool.queue[pool.first]
  if not job or pool.closed or pool.running >= pool.limit then return end
  pool.queue[pool.first] = nil
  pool.first, pool.running = pool.first + 1, pool.running + 1
  pool.fibers[pool.spawn(run_job, pool, job)] = true
end

---Runs `fn(...)` in a fiber as soon as a slot is free. Doesn't wait.
---@param fn function
function Pool_methods:add(fn, ...)
  self.last = self.last + 1
  local job = table.pack(...)
  job.fn = fn
  self.queue[self.last] = job
  start_next(self)
end

---Waits until every job has ended. Raises a failed job's error immediately; the next call to `join` waits for the other jobs.
function Pool_methods:join()
  self.waiter = loop.current()
  while next(self.fibers) and not self.failures[1] do loop.park() end
  self.waiter = nil
  local failure = table.remove(self.failures, 1)
  if failure then error(failure, 0) end
end

---Drops the waiting jobs, cancels the running jobs and reports the errors that no `join` has raised. A closed pool starts no more jobs.
function Pool_methods:close()
  self.closed, self.queue = true, {}
  local fibers = self.fibers
  self.fibers = {}
  for fiber in pairs(fibers) do
    if fiber ~= loop.current() then fiber:cancel() end
  end
  for i, failure in ipairs(self.failures) do
    self.failures[i] = nil
    failures.report(failure)
  end
end

Pool_mt.__close = Pool_methods.close

---@param limit integer  maximum number of jobs that run at a time
---@param background? boolean  `omni.run` doesn't wait for the jobs
---@return omni.Pool
local function new(limit, background)
  return setmetatable({
    limit = limit, spawn = background and loop.background or loop.spawn, queue = {}, first = 1, last = 0, running = 0, fibers = {},
    failures = {},
  }, Pool_mt)
end

---Calls fn(1) to fn(count), at most `limit` at a time, and waits until all calls have ended. Starts no further calls once a call has
---returned nil and an error. If the caller is cancelled, the running calls are cancelled too.
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
