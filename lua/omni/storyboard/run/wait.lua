-- SPDX-License-Identifier: MIT
-- Calls a run's `on_event` hook when the run starts or stops waiting for something other than its tasks.

local last = 0 -- number of the most recent wait in this process

local function none() end

local Wait_methods = {}
local Wait_mt = { __index = Wait_methods }

---Reports the end of the wait. Calling `close` again does nothing.
function Wait_methods:close()
  if self.is_over then return end
  self.is_over = true
  self.on_event { event = "wait_over", wait = self.number, kind = self.kind, scene = self.scene, index = self.index }
end

Wait_mt.__close = Wait_methods.close

---Reports the beginning of a wait. Closing the returned object reports the end of the wait.
---@param on_event? fun(event: omni.RunEvent)
---@param kind "lock"|"submit"|"callback"|"film"|"report"  the reason for the wait (omni.RunEvent)
---@param about { scene?: string, index?: integer, directory?: string }
---@return table  the caller must close it
local function begin(on_event, kind, about)
  last = last + 1
  local wait = { on_event = on_event or none, number = last, kind = kind, scene = about.scene, index = about.index }
  wait.on_event {
    event = "wait", wait = last, kind = kind, scene = about.scene, index = about.index, directory = about.directory,
  }
  return setmetatable(wait, Wait_mt)
end

return { begin = begin }
