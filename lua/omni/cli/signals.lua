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

---Calls `act()` once a signal has come, at the loop's next turn; also when it came before.
---@param act fun()
---@return { close: fun(self) }
local function watch(act)
  local pollable = {
    pollfd = host.wakefd,
    events = function() return "r" end,
    timeout = function() return nil end,
    step = function()
      host.drain()
      if host.interrupted() then act() end
    end,
  }
  loop.add(pollable)
  return setmetatable({ pollable = pollable }, Watch_mt)
end

return { watch = watch, interrupted = host.interrupted }
