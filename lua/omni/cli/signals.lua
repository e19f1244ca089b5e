-- SPDX-License-Identifier: MIT
-- The first Ctrl-C (or SIGTERM, SIGHUP) as an event of the loop. The second one ends the program at once, in C.

local host = require "omni.host"
local loop = require "omni.loop"

local Watch_methods = {}
local Watch_mt = { __name = "omni.cli.signals", __index = Watch_methods }

function Watch_methods:close()
  loop.remove(self.pollable)
end

Watch_mt.__close = Watch_methods.close

-- What `omni.run` raises when it was left.
local LEFT = "omni: left because of a signal"

---Calls `act(leave)` once a signal has come, at the loop's next turn; also when it came before. `leave()` ends `omni.run`, with all that
---still waits in it, at the next turn.
---@param act fun(leave: fun())
---@return { close: fun(self) }
local function watch(act)
  local told, left = false, false
  local pollable = {
    pollfd = host.wakefd,
    events = function() return "r" end,
    timeout = function() return left and 0 or nil end,
    step = function()
      host.drain()
      if left then error(LEFT, 0) end
      if told or not host.interrupted() then return end
      told = true
      act(function() left = true end)
    end,
  }
  loop.add(pollable)
  return setmetatable({ pollable = pollable }, Watch_mt)
end

return { LEFT = LEFT, watch = watch, interrupted = host.interrupted }
