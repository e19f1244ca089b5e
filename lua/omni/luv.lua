-- SPDX-License-Identifier: MIT
-- Runs omni inside a libuv event loop (luv). One poll handle and one timer drive omni's own event loop.

local failures = require "omni.loop.failure"
local hosts = require "omni.loop.host"
local loop = require "omni.loop"
local uv = require "luv"

local LONGEST <const> = 1e9 -- milliseconds

---@class omni.LuvHost
---@field private driver omni.HostDriver
local Host_methods = {}
local Host_mt = { __name = "omni.luv_host", __index = Host_methods }

-- Sets the timer for the next turn of omni's event loop. The poll handle and the timer keep uv.run from returning while a fiber runs, but
-- not otherwise.
local function prepare(self)
  local seconds, change = loop:timeout(), loop:empty() and uv.unref or uv.ref
  self.timer:stop()
  if seconds then self.timer:start(math.ceil(math.min(seconds * 1000, LONGEST)), 0, self.turn) end
  change(self.timer)
  change(self.poll)
end

---Calls `fn(...)` in a fiber, as `omni.run` does, and then calls `callback` with the results. Passes nil and an error to `callback` if `fn`
---raised an error or the host was detached (code "cancelled"). Returns immediately, without waiting.
---@param callback fun(...)  an error that it raises goes to `omni.on_error`
---@param fn function
function Host_methods:start(callback, fn, ...)
  if type(callback) ~= "function" then error("host:start: expected a callback, got " .. type(callback), 2) end
  self.driver:begin("host:start", callback, fn, ...)
end

---Calls `fn(...)` in a fiber and returns the results. The calling coroutine yields until `fn` has returned. If the coroutine fails after it
---has been resumed, the error goes to `omni.on_error`.
---@param fn function
---@return any ...
function Host_methods:call(fn, ...)
  if not coroutine.isyieldable() then error("host:call: this isn't a coroutine that can yield; use host:start with a callback", 2) end
  local co, results, waiting = coroutine.running(), nil, false
  self.driver:begin("host:call", function(...)
    results = table.pack(...)
    if not waiting or coroutine.status(co) ~= "suspended" then return end
    local fine, problem = coroutine.resume(co)
    if not fine then failures.report(failures.of(problem, debug.traceback(co))) end
  end, fn, ...)
  waiting = true
  while not results do coroutine.yield() end
  waiting = false
  return table.unpack(results, 1, results.n)
end

---Stops driving omni's event loop and closes the host's libuv handles. Cancels running calls. Calling `detach` again has no effect.
function Host_methods:detach() self.driver:close() end

Host_mt.__close = Host_methods.detach

---Lets libuv's event loop drive omni's event loop until you call `host:detach()`. While libuv drives omni's event loop, the fibers that you
---spawn run even if nothing waits for them, and they keep `uv.run` from returning.
---@param opts? omni.HostOptions
---@return omni.LuvHost
local function attach(opts)
  local self = setmetatable({}, Host_mt)
  self.driver = hosts.attach("omni.luv.attach", opts, {
    on_change = function()
      if self.timer:is_closing() or self.poll:is_closing() then return self:detach() end -- the program is closing all of its libuv handles
      prepare(self)
    end,
    on_detach = function()
      -- Outside of uv.run, only stops the handles, which Lua's garbage collector closes later. If this code closed a handle and uv.run
      -- didn't run again, luv would crash at the program's end.
      for _, handle in ipairs { self.poll, self.timer } do
        if not handle:is_closing() then handle[uv.loop_mode() and "close" or "stop"](handle) end
      end
    end,
    is_running = function() return uv.loop_mode() ~= nil end,
  })
  function self.turn()
    self.driver:turn()
    if self.driver:is_attached() then prepare(self) end
  end
  self.poll, self.timer = assert(uv.new_poll(loop:pollfd())), assert(uv.new_timer())
  self.poll:start("r", self.turn)
  prepare(self)
  return self
end

return { attach = attach }
