-- SPDX-License-Identifier: MIT
-- The sandbox's callbacks: what is POSTed to a task's callback_url, when, and what came back. Nothing is sent again, as nothing is
-- documented about retries.
--
-- Takes omni.loop and omni.post by name: a fiber waits for each task's end, and what it sends carries no key.

local core = require "omni.core"
local json = require "omni.json"
local loop = require "omni.loop"
local payload = require "omni.sandbox.task_payload"
local post = require "omni.http.webhook"
local random = require "omni.sandbox.random"

local patience <const> = 10 -- seconds that an endpoint has for its answer
local at_once <const> = 16  -- on their way; endpoints limit how many connections one address may have

local entry_object = json.shape { "task_id", "url", "at", "status", "error", "fault" }

---One that was sent, or is on its way.
---@class omni.sandbox.Callback
---@field task_id string      of the task whose URL it went to
---@field url string
---@field at integer          Unix seconds: when it was sent
---@field began number        the same on the monotonic clock (in this process only)
---@field status integer|nil  what it was answered
---@field error string|nil    why there was no answer; neither of the two while it is on its way
---@field fault string|nil    names of the faults at work, joined by "+"

---What is sent for one task; faults edit it (faults.lua).
---@class omni.sandbox.CallbackPlan
---@field task omni.sandbox.Task
---@field tasks table         all of the sandbox's
---@field media_urls string[] where what the task made can be had
---@field forged_url string   where none can be had
---@field delay number        seconds after the task's end
---@field early? boolean      the submit's own answer waits until all of it is over
---@field never? boolean      the one at the end isn't sent
---@field wrapped? boolean    in the envelope
---@field forged string[]     what is sent once the task runs: keys of `forgeries`
---@field twice? number       the one at the end is sent again, after so many seconds
---@field stale? number       after so many seconds one follows that says "running"
---@field notes string[]      names of the faults that change the one at the end

local Callbacks_methods = {}
local Callbacks_mt = { __name = "omni.sandbox.callbacks", __index = Callbacks_methods }

-- --- what is sent

local function text_of(plan, object)
  if plan.wrapped then object = payload.envelope { code = 200, message = "success", data = object } end
  return json.text(object)
end

local function truth(plan)
  return text_of(plan, plan.tasks:describe(plan.task, plan.media_urls))
end

local function stale(plan)
  return text_of(plan, plan.tasks:pretend(plan.task, "running"))
end

-- The newest task beside this one, or one that nobody has.
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

-- --- when

local function send(self, plan, body, fault)
  local task = plan.task
  local entry = entry_object { task_id = task.id, url = task.callback_url, at = os.time(), began = core.now(), fault = fault }
  self.entries[#self.entries + 1] = entry
  self.sender = self.sender or post.open { timeout = patience, connect_timeout = patience, connections = at_once }
  local answer, failure = self.sender:post(task.callback_url, body, "application/json")
  entry.status, entry.error = answer and answer.status, failure and failure.message
end

local function await_end(self, plan)
  local task, fiber = plan.task, loop.current()
  function task.drawn() loop.wake(fiber) end
  plan.tasks:settle(task)
  while not task.completed do
    local drawing = self.clock:now() >= task.ends_at and task.draws and not task.drawn_at
    self.clock:park(not drawing and task.ends_at or nil)
    plan.tasks:settle(task)
  end
  task.drawn = nil
end

local function sleep(self, seconds) self.clock:sleep_until(self.clock:now() + seconds) end

local function carry_out(self, plan)
  if plan.forged[1] then
    self.clock:sleep_until(plan.task.runs_at)
    for _, kind in ipairs(plan.forged) do send(self, plan, forgeries[kind](self, plan), "callback-forged") end
  end
  if plan.task.fate.never then return end
  await_end(self, plan)
  sleep(self, plan.delay)
  if not plan.never then
    local notes = table.concat(plan.notes, "+")
    send(self, plan, truth(plan), notes ~= "" and notes or nil)
    if plan.twice then
      sleep(self, plan.twice)
      send(self, plan, truth(plan), (notes ~= "" and notes .. "+" or "") .. "callback-twice")
    end
  end
  if plan.stale then
    sleep(self, plan.stale)
    send(self, plan, stale(plan), "callback-stale")
  end
end

---What is sent when nothing goes wrong.
---@param about { task: omni.sandbox.Task, tasks: table, media_urls: string[], forged_url: string }
---@return omni.sandbox.CallbackPlan
function Callbacks_methods:plan(about) -- luacheck: ignore self
  about.delay, about.forged, about.notes = 0, {}, {}
  return about
end

---Sends what the plan says, when it is due.
---@param plan omni.sandbox.CallbackPlan
---@return fun()|nil wait  of an early one: parks until all is sent and answered
function Callbacks_methods:expect(plan)
  local fiber
  fiber = loop.background(function()
    carry_out(self, plan)
    self.fibers[fiber] = nil
  end)
  self.fibers[fiber] = true
  return plan.early and function() fiber:join() end or nil
end

---All that were sent, in order.
---@return omni.sandbox.Callback[]
function Callbacks_methods:list()
  return self.entries
end

---Sends nothing any more; what is on its way is given up.
function Callbacks_methods:close()
  local fibers = self.fibers
  self.fibers = {}
  for fiber in pairs(fibers) do fiber:cancel() end
  if self.sender then self.sender:close() end
end

---@param settings { seed: integer, clock: table }
local function open(settings)
  return setmetatable({ ids = random.stream(settings.seed, "forged"), clock = settings.clock, entries = {}, fibers = {} }, Callbacks_mt)
end

return { open = open }
