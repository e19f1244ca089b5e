-- SPDX-License-Identifier: MIT
-- Lets the event loop step an object implemented in C: a client, a job, a ledger or a listener.

local loop = require "omni.loop"

---@class omni.Driver: omni.Pollable
---@field private source omni.Source
---@field private work fun(source: omni.Source): boolean|nil
local Driver_methods = {}
local Driver_mt = { __name = "omni.driver", __index = Driver_methods }

function Driver_methods:pollfd() return self.source:pollfd() end

function Driver_methods:timeout() return self.source:timeout() end

function Driver_methods:step()
  if self.work(self.source) then self:stop() end
end

---Adds the driver's object to the event loop, unless the object has already been added.
function Driver_methods:start()
  if self.started then return end
  loop.add(self)
  self.started = true
end

---Removes the driver's object from the event loop. Call `stop` before you close the object, since closing it closes its descriptor.
function Driver_methods:stop()
  loop.remove(self)
  self.started = false
end

Driver_mt.__close = Driver_methods.stop

---Returns a driver, which makes the event loop step the object. The event loop references the object only between `start` and `stop`, so
---that an unused object can be garbage-collected.
---@param source omni.Source
---@param work fun(source: omni.Source): boolean|nil  steps the object; if it returns true, the driver stops until the next call to `start`
---@return omni.Driver
local function driver(source, work)
  return setmetatable({ source = source, work = work, started = false }, Driver_mt)
end

---Waits in a fiber until a job has ended, while the event loop steps the job. The caller must close the job.
---@param job omni.Source|table  its `step` returns whether the job has ended
---@param on_step? fun()  called each time the loop has stepped the job
local function finish(job, on_step)
  local fiber <const> = loop.current()
  local running <close> = driver(job, function()
    if job:step() or on_step then loop.wake(fiber) end
  end)
  running:start()
  repeat
    local ended = job:step()
    if on_step then on_step() end
    if not ended then loop.park() end
  until ended
end

return { driver = driver, finish = finish }
