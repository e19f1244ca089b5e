-- SPDX-License-Identifier: MIT
-- Runs a command in the event loop, which handles the first Ctrl-C (or SIGTERM or SIGHUP) as an event. A second signal ends the program
-- immediately (csrc/host/main.c).

local LEFT = "omni: left because of a signal"

-- Returns a pollable that calls `act(leave)` once, in the event loop's first iteration after a signal. `leave()` ends the event loop at its
-- next iteration.
local function new_watch(host, act)
  local called, left = false, false
  return {
    pollfd = host.wakefd,
    events = function() return "r" end,
    timeout = function() return (left or not called and host.interrupted()) and 0 or nil end, -- the signal may already have arrived
    step = function()
      host.drain()
      if left then error(LEFT, 0) end
      if called or not host.interrupted() then return end
      called = true
      act(function() left = true end)
    end,
  }
end

---Runs `body(on_interrupt)` in the event loop. At the first signal, calls the function that was last passed to `on_interrupt`. The argument
---of this call is a function that ends the event loop. If `on_interrupt` was never called, the first signal ends the event loop. Raises any
---error that `body` raises. If a fiber that nobody joins fails, prints the error, and returns the exit code 1 instead of 0.
---@param body fun(on_interrupt: fun(act: fun(leave: fun()))): integer|nil  returns the exit code
---@return integer|nil code  nil if a signal ended the event loop
local function run(body)
  local loop = require "omni.loop"
  local act, failed
  local watch = new_watch(require "omni.host", function(leave)
    if act then act(leave) else leave() end
  end)
  local before = loop.on_error(function(problem)
    failed = true
    require("omni.cli.view.message").print(tostring(problem))
  end)
  loop.add(watch)
  local fine, result = pcall(loop.run, body, function(new_act) act = new_act end)
  loop.remove(watch)
  loop.on_error(before)
  if fine then return failed and result == 0 and 1 or result end
  if result ~= LEFT then error(result, 0) end
end

---Returns the number of the signal that has arrived, or nil.
---@return integer|nil
local function interrupted() return require("omni.host").interrupted() end

return { interrupted = interrupted, run = run }
