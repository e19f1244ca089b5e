-- SPDX-License-Identifier: MIT
-- Calls the client's `on_event` hook for each event. If the client has no hook, no events are created.
--
-- The hook runs in its own coroutine and can't wait, so it can neither delay nor end a submit. omni reports an error in the hook in the
-- same way as an error in a coroutine that nobody joins.

local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"

---@class omni.Events
---@field hook fun(event: omni.ClientEvent)
---@field requests integer  the number of requests that have begun
---@field attempts table<omni.Fiber, integer>  the number of the attempt that the fiber's next request makes
local Events_methods = {}
local Events_mt = { __name = "omni.events", __index = Events_methods }

-- --- calling the hook

local DONE <const> = {} -- what the coroutine yields when it is ready for the next event

local function run(hook, event)
  while true do
    hook(event)
    hook, event = coroutine.yield(DONE)
  end
end

local function raise(problem) error(problem, 0) end

local function call(self, event)
  local co = self.co
  self.co = nil -- an event that the hook itself causes needs another coroutine
  if not co then co = coroutine.create(run) end
  local fine, result = coroutine.resume(co, self.hook, event)
  if fine and result == DONE then
    self.co = co
    return
  end
  if fine then result = "coroutine.yield was called in on_event" end
  loop.background(raise, err.new {
    code = "coroutine_failed", message = tostring(result), cause = result, traceback = debug.traceback(co),
  })
  coroutine.close(co)
end

---Calls the hook with an event: usually immediately, but in the event loop's next iteration if the caller is inside a C function, a
---finalizer or a cancelled fiber.
---@param event omni.ClientEvent
function Events_methods:emit(event)
  local _, is_main = coroutine.running()
  if is_main or coroutine.isyieldable() then return call(self, event) end
  loop.background(call, self, event)
end

-- --- requests

local function copy_of(about, event)
  local copy = { event = event }
  for name, value in pairs(about) do copy[name] = value end
  return copy
end

-- A running request. Represents a request. Closing the object reports the request's end.
local Request_methods = {}
local Request_mt = { __name = "omni.events.request", __index = Request_methods }

local methods <const> = { submit = "POST", query = "GET", download = "GET", upload = "PUT" }
local paths <const> = { submit = "/api/v1/client/job/CreateTask", query = "/api/v1/client/job/TaskInfo" }

---Sets the attempt number for the fiber's next request.
---@param number integer
function Events_methods:attempt(number)
  self.attempts[loop.current()] = number
end

---Reports that a request is starting.
---@param key string|nil  the API key's fingerprint; nil for a media file, which is transferred without a key
---@param verb "submit"|"query"|"call"|"download"|"upload"|"request"
---@param first? string  the task's id, the method, or the URL of a file
---@param second? string  the path of a call, the path of the local file, or the URL of a request
---@return table request  to be closed
function Events_methods:request(key, verb, first, second)
  local fiber = loop.current()
  self.requests = self.requests + 1
  local about = {
    request = self.requests, kind = verb, key = key, method = methods[verb] or first, path = paths[verb],
    attempt = self.attempts[fiber] or 1,
  }
  self.attempts[fiber] = nil
  if verb == "query" then about.task_id = first end
  if verb == "call" then about.path = second:match "^[^?]*" end -- removes the query string, which may contain private data
  if verb == "request" then first, second = second, nil end
  if not key then about.host, about.file = first:match "^%a+://([^/?#]*)", second end
  local request = setmetatable({ events = self, about = about, begun = core.now() }, Request_mt)
  self:emit(copy_of(about, "request_begun"))
  return request
end

---Reports the progress of a transfer.
---@param bytes integer  so far
---@param total integer|nil
function Request_methods:progress(bytes, total)
  local about = self.about
  self.events:emit { event = about.kind, request = about.request, file = about.file, bytes = bytes, total = total }
end

---Stores a request's result. The request's end is reported when the request is closed; a submit request is closed after its outcome has
---been recorded.
---@param exchange omni.Exchange  a finished one
---@param failure table|nil
---@param pause number|nil  the length of the pause, if the failure has started a pause of the key
function Request_methods:note(exchange, failure, pause)
  self.failure, self.pause = failure, pause
  local trace = core.trace(exchange)
  self.status, self.bytes = trace.status, self.about.kind == "upload" and trace.sent or trace.received
  self.seconds = core.now() - self.begun
end

function Request_mt:__close()
  local event = copy_of(self.about, "request_ended")
  event.status, event.bytes, event.seconds = self.status, self.bytes, self.seconds or core.now() - self.begun
  local failure = self.failure
  if not self.seconds and not failure then failure = { code = "cancelled", message = "the request was given up" } end
  event.error = failure and err.public(failure)
  self.events:emit(event)
  if self.pause then self.events:emit { event = "paused", key = event.key, seconds = self.pause, reason = failure.code } end
end

---@param hook fun(event: omni.ClientEvent)
---@return omni.Events
local function new(hook)
  return setmetatable({ hook = hook, requests = 0, attempts = setmetatable({}, { __mode = "k" }) }, Events_mt)
end

return { new = new }
