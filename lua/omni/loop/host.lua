-- SPDX-License-Identifier: MIT
-- Contains the code that omni.cqueues and omni.luv share. With omni.cqueues or omni.luv, another event loop (the host) drives omni's event
-- loop, and the host's code can call functions that run in fibers.

local caller = require "omni.loop.caller"
local err = require "omni.error"
local failures = require "omni.loop.failure"
local loop = require "omni.loop"
local options = require "omni.options"
local scheduler = require "omni.loop.scheduler"

---@class omni.HostDriver
---@field calls table<omni.HostCall, true>  the calls whose results the host hasn't received yet
---@field finished omni.HostCall[]          those of these calls whose functions have ended
---@field on_detach fun()
local Driver_methods = {}
local Driver_mt = { __name = "omni.host_driver", __index = Driver_methods }

---@class omni.HostCall
---@field deliver fun(...)  receives the results
---@field fiber omni.Fiber
---@field results table     the results of pcall

local attached -- the object that is driving omni's event loop, if any

-- Adds a call to the list of ended calls, whether the call's function returned, raised an error or was cancelled.
local Ending_mt = {
  __close = function(ending)
    local finished = ending.driver.finished
    finished[#finished + 1] = ending.call
  end,
}

local function perform(driver, call, fn, ...)
  local ending <close> = setmetatable({ driver = driver, call = call }, Ending_mt) -- luacheck: ignore 211
  call.results = table.pack(xpcall(loop.run, failures.handler, fn, ...))
end

-- Passes a call's results to the host's code. Reports an error that the host's code raises.
local function deliver(call)
  local results = call.results or { false, err.new { code = "cancelled", message = "the call was cancelled" }, n = 2 }
  local fine, failure
  if results[1] then
    fine, failure = xpcall(call.deliver, failures.handler, table.unpack(results, 2, results.n))
  else
    fine, failure = xpcall(call.deliver, failures.handler, nil, results[2])
  end
  if not fine then failures.report(failure) end
end

---Starts `fn(...)`, as `omni.run` does. Calls `receive`, outside of fibers, with the results of `fn`, or with nil and the error that `fn`
---raised.
---@param name string  the public function, for messages
---@param receive fun(...)
---@param fn function
function Driver_methods:begin(name, receive, fn, ...)
  if self ~= attached then error(name .. ": the host is detached", 3) end
  if type(fn) ~= "function" then error(("%s: expected a function, got %s"):format(name, type(fn)), 3) end
  if loop.current() then error(name .. ": this is a fiber already; call the function itself", 3) end
  local call = { deliver = receive }
  self.calls[call] = true
  call.fiber = loop.spawn(perform, self, call, fn, ...)
end

---Runs one step of omni's event loop, then passes the results of the calls that have ended to the host's code. Never raises an error.
function Driver_methods:turn()
  loop:step()
  local finished = self.finished
  if not finished[1] then return end
  self.finished = {}
  for _, call in ipairs(finished) do
    if self.calls[call] then
      self.calls[call] = nil
      deliver(call)
    end
  end
end

---Stops driving omni's loop. Cancels the running calls, which then return nil and an error with the code "cancelled". Idempotent.
function Driver_methods:close()
  if self ~= attached then return end
  attached = nil
  scheduler.on_change(nil)
  caller.refuse_to_block(nil)
  self.on_detach()
  for call in pairs(self.calls) do
    call.fiber:cancel()
    deliver(call)
  end
  self.calls = {}
end

---@return boolean
function Driver_methods:is_attached() return self == attached end

---Lets a host event loop drive omni's event loop.
---@param name string  the public function, for messages
---@param opts omni.HostOptions|nil
---@param host { on_change: fun(), on_detach: fun(), is_running: fun(): boolean }  on_change: called when omni's loop has work
---@return omni.HostDriver
local function attach(name, opts, host)
  opts = options.check(opts, { blocking = "boolean" }, name, 3)
  if loop.current() then error(name .. ": omni.run is already driving the loop", 3) end
  if attached then error(name .. ": another host is already driving the loop; detach it first", 3) end
  attached = setmetatable({ calls = {}, finished = {}, on_detach = host.on_detach }, Driver_mt)
  scheduler.on_change(host.on_change)
  if opts.blocking == false then caller.refuse_to_block(host.is_running) end
  return attached
end

return { attach = attach }
