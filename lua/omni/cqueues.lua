-- SPDX-License-Identifier: MIT
-- Runs omni inside a cqueues event loop.

local condition = require "cqueues.condition"
local cqueues = require "cqueues"
local hosts = require "omni.loop.host"
local loop = require "omni.loop"

---@class omni.CqueuesHost
---@field private driver omni.HostDriver
local Host_methods = {}
local Host_mt = { __name = "omni.cqueues_host", __index = Host_methods }

-- Drives omni's event loop from within a cqueues coroutine.
local function pump(driver, changed)
  while driver:is_attached() do
    cqueues.poll(loop, changed)
    if driver:is_attached() then driver:turn() end
  end
end

---Calls `fn(...)` in a fiber, as `omni.run` does. The calling cqueues coroutine waits until `fn` returns, while other coroutines continue
---to run. Any number of coroutines can use `call` at the same time.
---@param fn function
---@return any ...  what `fn` returned; nil and the error if it raised one, or if the host was detached (code "cancelled")
function Host_methods:call(fn, ...)
  if not select(2, cqueues.running()) then error("host:call: this isn't a coroutine of cqueues; wrap the function", 2) end
  local done, results = condition.new(), nil
  self.driver:begin("host:call", function(...)
    results = table.pack(...)
    done:signal()
  end, fn, ...)
  while not results do done:wait() end
  return table.unpack(results, 1, results.n)
end

---Stops driving omni's event loop, so that the cqueues controller can become empty. Cancels running calls. Calling `detach` again has no
---effect.
function Host_methods:detach() self.driver:close() end

Host_mt.__close = Host_methods.detach

---Lets a cqueues controller drive omni's event loop until you call `host:detach()`. While the controller drives omni's event loop, the
---fibers that you spawn run even if nothing waits for them.
---@param controller table  from `cqueues.new()`
---@param opts? omni.HostOptions
---@return omni.CqueuesHost
local function attach(controller, opts)
  if cqueues.type(controller) ~= "controller" then error("omni.cqueues.attach: expected a controller, from cqueues.new()", 2) end
  local changed = condition.new()
  local function wake() changed:signal() end
  local driver = hosts.attach("omni.cqueues.attach", opts, {
    on_change = wake, on_detach = wake, is_running = function() return cqueues.running() ~= nil end,
  })
  controller:wrap(pump, driver, changed)
  return setmetatable({ driver = driver }, Host_mt)
end

return { attach = attach }
