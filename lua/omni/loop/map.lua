-- SPDX-License-Identifier: MIT
-- Calls a function for each value in a list, in coroutines, and limits how many calls run at the same time.

local failures = require "omni.loop.failure"
local loop = require "omni.loop"
local options = require "omni.options"

-- The state that all workers of one call to `map` share.
---@class omni.Batch
---@field list any[]
---@field fn function
---@field count integer
---@field next integer     index of the value that the next free worker takes
---@field results table
---@field errors table<integer, any>|nil
---@field fail_fast boolean|nil
---@field failed integer|nil  with fail_fast: the index of the first value that failed

local function one(batch, i)
  local fine, value, problem = xpcall(batch.fn, failures.handler, batch.list[i], i)
  if fine and (value ~= nil or problem == nil) then
    batch.results[i] = value
    return
  end
  batch.errors = batch.errors or {}
  batch.errors[i] = not fine and value or problem
  if batch.fail_fast and not batch.failed then
    batch.failed = i
    error "a value failed" -- ends the scope
  end
end

local function work(batch)
  while batch.next <= batch.count and not batch.failed do
    local i = batch.next
    batch.next = i + 1
    one(batch, i)
  end
end

local function run(batch, limit)
  local enter = batch.fail_fast and loop.scope or loop.run
  local fine, failure = pcall(enter, function()
    for _ = 1, math.min(limit, batch.count) do loop.spawn(work, batch) end
  end)
  if batch.failed then return nil, batch.errors[batch.failed], batch.failed end
  if not fine then error(failure, 0) end
  return batch.results, batch.errors
end

---Calls `fn(value, index)` for each value in a list, each in its own coroutine, and waits until all calls have ended. A call fails if `fn`
---returns nil and an error, or raises an error. Without `fail_fast`, the other calls continue after a failed call; `results[i]` is then
---nil, and `errors[i]` is the error.
---
---A list of submits needs no `limit`, because a key's `in_flight` option already limits the number of tasks in flight ([keys.md](keys.md)).
---@param list any[]
---@param opts? omni.MapOptions
---@param fn fun(value: any, index: integer): any, any  returns a result, or nil and an error
---@return table|nil results  each call's first result, in the order of the list, with the count `n`; nil after a failure with `fail_fast`
---@return any errors         nil if no call failed; otherwise a table that maps indexes to errors or, with `fail_fast`, the first error
---@return integer|nil index  with `fail_fast`, the index of the value whose call failed
local function map(list, opts, fn)
  if type(list) ~= "table" then error("omni.map: expected a list, got " .. type(list), 2) end
  opts = options.check(opts, { limit = "count", fail_fast = "boolean" }, "omni.map")
  if type(fn) ~= "function" then error("omni.map: expected a function, got " .. type(fn), 2) end
  loop.in_fiber "omni.map"
  local count = list.n or #list
  local batch = { list = list, fn = fn, count = count, next = 1, results = { n = count }, fail_fast = opts.fail_fast }
  return run(batch, opts.limit or count)
end

return { map = map }
