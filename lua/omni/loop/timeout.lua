-- SPDX-License-Identifier: MIT
-- Runs a function with a deadline, and cancels the function if it takes too long.

local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"
local options = require "omni.options"

local function run(seconds, fn, ...)
  local child <close> = loop.spawn(fn, ...)
  local join <close> = loop.begin_join({ child, n = 1 }, "omni.timeout")
  if not join:wait(seconds) then
    return nil, err.new { code = "timeout", message = core.format("not done within %g seconds", seconds) }
  end
  local results = table.pack(pcall(child.join, child))
  if results[1] then return table.unpack(results, 2, results.n) end
  local problem = results[2]
  if err.is(problem) and problem.code == "coroutine_failed" and problem.cause ~= nil then problem = problem.cause end
  error(problem, 0)
end

---Runs `fn(...)` with a deadline. At the deadline, `omni.timeout` cancels the function at the point where it is waiting, which aborts its
---requests and closes its to-be-closed variables. If a submit may have been sent before the deadline, omni records its outcome as unknown.
---Tasks that the service has already accepted continue to run after the deadline.
---@param seconds number  above 0
---@param fn function
---@param ... any         its arguments
---@return any ...        the results of `fn`; after the deadline, nil and an error with the code "timeout"
local function timeout(seconds, fn, ...)
  options.argument(seconds, "timeout", "omni.timeout")
  if type(fn) ~= "function" then error("omni.timeout: expected a function, got " .. type(fn), 2) end
  loop.in_fiber "omni.timeout"
  return loop.drive(run, seconds, fn, ...)
end

---Calls a function that may wait; if `seconds` isn't nil, the call has a deadline. For omni's own modules.
---@param seconds number|nil
---@param name string  the public function, for messages: "client:submit"
---@param fn function
---@return any ...
local function call(seconds, name, fn, ...)
  local in_fiber = loop.in_fiber(name)
  if seconds then return err.from(name, loop.drive(run, seconds, fn, ...)) end
  if in_fiber then return err.from(name, fn(...)) end
  return err.from(name, loop.drive(fn, ...))
end

return { call = call, timeout = timeout }
