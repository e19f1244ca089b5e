-- SPDX-License-Identifier: MIT
-- Handles errors from fibers: turns any error value into an `omni.Error`, and reports errors that nobody is waiting for.

local err = require "omni.error"

local on_error -- the function that the application has passed to `omni.on_error`, if any

-- Returns text for any error value, even for one whose __tostring metamethod raises an error.
local function text_of(problem)
  local fine, text = pcall(tostring, problem)
  return fine and text or ("(an error value of type %s)"):format(type(problem))
end

---Turns any value raised by a fiber into an `omni.Error`, and adds the traceback.
---@param problem any
---@param traceback string
---@return omni.Error
local function of(problem, traceback)
  if err.is(problem) then
    problem.traceback = problem.traceback or traceback
    return problem
  end
  return err.new { code = "coroutine_failed", message = text_of(problem), cause = problem, traceback = traceback }
end

---A message handler for `xpcall` that returns an `omni.Error` with a traceback.
---@param problem any
---@return omni.Error
local function handler(problem)
  return of(problem, debug.traceback(nil, 2))
end

local function print_error(problem)
  pcall(io.stderr.write, io.stderr, "omni: an error that nobody waits for: ", text_of(problem), "\n") -- stderr may be closed
end

---Reports an error that nobody is waiting for.
---@param problem omni.Error
local function report(problem)
  if not on_error then return print_error(problem) end
  local fine, failure = xpcall(on_error, handler, problem)
  if fine then return end
  print_error(problem)
  print_error(failure)
end

---Sets the function that receives the error of each fiber that fails while nobody is waiting to join it. The event loop calls `fn` at the
---end of the turn in which the fiber failed. `fn` can't wait, but it can call `omni.spawn`. If `fn` is nil, omni prints the error and its
---traceback to stderr. If `fn` itself raises an error, omni prints that error and the fiber's error. Errors that `join`, `omni.scope` or
---`omni.run` raise don't go to `fn`.
---@param fn? fun(problem: omni.Error)  called with each error, whose `cause` is the raised value; nil to print errors to stderr
---@return (fun(problem: omni.Error))|nil before  the function that was set before
local function set_on_error(fn)
  if fn ~= nil and type(fn) ~= "function" then error("omni.on_error: expected a function or nil, got " .. type(fn), 2) end
  local before = on_error
  on_error = fn
  return before
end

return { handler = handler, of = of, on_error = set_on_error, report = report }
