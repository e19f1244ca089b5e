-- SPDX-License-Identifier: MIT
-- Sends the sandbox's callbacks. For each task with a callback_url, a fiber waits until the task ends, and then sends a POST request
-- without an API key to that URL. A failed callback isn't sent again, since the service documents no retries.

local core = require "omni.core"
local json = require "omni.json"
local loop = require "omni.loop"
local payload = require "omni.sandbox.task_payload"
local post = require "omni.http.webhook"
local random = require "omni.sandbox.random"

local timeout <const> = 10 -- seconds to wait for the receiver's response
local at_once <const> = 16 -- maximum number of simultaneous connections, since receivers limit the connections from one address

local callback_object = json.shape { "task_id", "url", "at", "status", "error", "fault" }

---Describes a callback that the sandbox has sent.
---@class omni.sandbox.Callback
---@field task_id string      the task with this callback_url
---@field url string
---@field at integer          Unix seconds
---@field began number        the same time on the monotonic clock (in this process only)
---@field status integer|nil  HTTP status of the response
---@field error string|nil    why there is no response; both are nil until the exchange ends
---@field fault string|nil    names of its faults, joined by "+"

---Describes one task's callbacks. Simulated faults (faults.lua) can change a task's callbacks.
---@class omni.sandbox.CallbackPlan
---@field task omni.sandbox.Task
---@field tasks table         all tasks of the sandbox
---@field media_urls string[] the URLs of the task's media
---@field forged_url string   a URL at which there is no file
---@field delay number        seconds after the task's end
---@field early? boolean      the response to the submit waits for all callbacks
---@field never? boolean      send no final callback
---@field wrapped? boolean    put the task into an envelope
---@field forged string[]     forged callbacks to send while the task runs: keys of `forgeries`
---@field twice? number       seconds after which the final callback is repeated
---@field stale? number       seconds after which a callback says "running"
---@field notes string[]      names of the faults that change the final callback

local Callbacks_methods = {}
local Callbacks_mt = { __name = "omni.sandbox.callbacks", __index = Callbacks_methods }

-- --- bodies

local function text_of(plan, object)
  if plan.wrapped then object = payload.envelope { code = 200, message = "success", data = object } end
  return json.text(object)
end

local function true_body(plan)
  return text_of(plan, plan.tasks:describe(plan.task, plan.media_urls))
end

local function stale_body(plan)
  return text_of(plan, plan.tasks:pretend(plan.task, "running"))
end

-- Returns the id of the newest task other than `plan.task`. If there is no other task, returns an id that no task has.
local function another_id(self, plan)
  local all = plan.tasks.in_order
  for i = #all, 1, -1 do
    if all[i] ~= plan.task then return all[i].id end
  end
  return random.uuid(self.ids)
end

local forgeries = {}

function forgeries.status(_, plan)
  return text_of(plan, plan.tasks:pretend(plan.task, "success", plan.forged_url))
end

function forgeries.id(self, plan)
  return text_of(plan, plan.tasks:pretend(plan.task, "success", plan.forged_url, another_id(self, plan)))
end

function forgeries.garbage() return payload.garbage end

-- --- times

local function send(self, plan, body, fault)
  local task = plan.task
  local callback = callback_object { task_id = task.id, url = task.callback_url, at = os.time(), began = core.now(), fault = fault }
  self.sent[#self.sent + 1] = callback
  self.sender = self.sender or post.open { timeout = timeout, connect_timeout = timeout, connections = at_once }
  local answer, failure = self.sender:post(task.callback_url, body, "application/json")
  callback.status, callback.error = answer and answer.status, failure and failure.message
end

local function await_end(self, plan)
  local task, fiber = plan.task, loop.current()
  function task.drawn() self.clock:wake(fiber) end
  plan.tasks:settle(task)
  while not task.completed do
    local drawing = self.clock:now() >= task.ends_at and task.draws and not task.drawn_at
    self.clock:park(not drawing and task.ends_at or nil)
    plan.tasks:settle(task)
  end
  task.drawn = nil
end

local function sleep(self, seconds) self.clock:sleep_until(self.clock:now() + seconds) end

local function send_all(self, plan)
  if plan.forged[1] then
    self.clock:sleep_until(plan.task.runs_at)
    for _, kind in ipairs(plan.forged) do send(self, plan, forgeries[kind](self, plan), "callback-forged") end
  end
  if plan.task.fate.never then return end
  await_end(self, plan)
  sleep(self, plan.delay)
  if not plan.never then
    local notes = table.concat(plan.notes, "+")
    send(self, plan, true_body(plan), notes ~= "" and notes or nil)
    if plan.twice then
      sleep(self, plan.twice)
      send(self, plan, true_body(plan), (notes ~= "" and notes .. "+" or "") .. "callback-twice")
    end
  end
  if plan.stale then
    sleep(self, plan.stale)
    send(self, plan, stale_body(plan), "callback-stale")
  end
end

---Returns a plan without faults: a single callback when the task ends.
---@param about { task: omni.sandbox.Task, tasks: table, media_urls: string[], forged_url: string }
---@return omni.sandbox.CallbackPlan
function Callbacks_methods:plan(about) -- luacheck: ignore self
  about.delay, about.forged, about.notes = 0, {}, {}
  return about
end

---Schedules the callbacks of a plan. Returns without waiting for the callbacks.
---@param plan omni.sandbox.CallbackPlan
---@return fun()|nil wait  for an early plan: waits until all callbacks have got a response
function Callbacks_methods:schedule(plan)
  local fiber
  fiber = self.clock:spawn(function()
    send_all(self, plan)
    self.fibers[fiber] = nil
  end)
  self.fibers[fiber] = true
  return plan.early and function() fiber:join() end or nil
end

---Returns all callbacks in the order in which they were sent.
---@return omni.sandbox.Callback[]
function Callbacks_methods:list()
  return self.sent
end

---Stops sending callbacks, and aborts the running requests.
function Callbacks_methods:close()
  local fibers = self.fibers
  self.fibers = {}
  for fiber in pairs(fibers) do fiber:cancel() end
  if self.sender then self.sender:close() end
end

---@param settings { seed: integer, clock: table }
local function open(settings)
  return setmetatable({ ids = random.stream(settings.seed, "forged"), clock = settings.clock, sent = {}, fibers = {} }, Callbacks_mt)
end

return { open = open }
