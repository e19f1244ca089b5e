-- SPDX-License-Identifier: MIT
-- A worker pool: runs at most a given number of jobs at a time, first come first served.

local err = require "omni.error"
local loop = require "omni.loop"

---@class omni.Pool
local Pool_methods = {}
local Pool_mt = { __name = "omni.pool", __index = Pool_methods }

local start_next

-- Frees a job's slot, however the job ends. Keeps a failed job in the list, so that `join` raises its error.
local Slot_mt = {
  __close = function(slot, problem)
    local pool = slot.pool
    if not problem or err.is(problem) and problem.code == "cancelled" then pool.fibers[slot.fiber] = nil end
    pool.running = pool.running - 1
    start_next(pool)
  end,
}

local function run_job(pool, job)
  local slot <close> = setmetatable({ pool = pool, fiber = loop.current() }, Slot_mt) -- luacheck: ignore 211
  job.fn(table.unpack(job, 1, job.n))
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

---Waits until every job has ended. Raises the error of a job that failed.
function Pool_methods:join()
  while true do
    local fiber = next(self.fibers)
    if not fiber then return end
    local fine, problem = pcall(fiber.join, fiber)
    self.fibers[fiber] = nil
    if not fine then error(problem, 0) end
  end
end

---Drops the waiting jobs and cancels the running ones. A closed pool starts no job any more.
function Pool_methods:close()
  self.closed, self.queue = true, {}
  local fibers = self.fibers
  self.fibers = {}
  for fiber in pairs(fibers) do
    if fiber ~= loop.current() then fiber:cancel() end
  end
end

Pool_mt.__close = Pool_methods.close

---@param limit integer  jobs at a time
---@param background? boolean  `omni.run` doesn't wait for the jobs
---@return omni.Pool
local function new(limit, background)
  return setmetatable({
    limit = limit, spawn = background and loop.background or loop.spawn, queue = {}, first = 1, last = 0, running = 0, fibers = {},
  }, Pool_mt)
end

--- Calls fn(1) to fn(count), at most `limit` at a time, and waits until all calls have ended. Starts no further call after one that
--- returned nil and an error. If the caller is cancelled, cancels the running calls.
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
