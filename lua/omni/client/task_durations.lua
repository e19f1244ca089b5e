-- SPDX-License-Identifier: MIT
-- How long tasks took, by kind (model, length and resolution of the clip): what poll_schedule.lua plans with. A kind's past is asked of the
-- ledger once, when the first such task is submitted; what ends while this program runs is added. Without a ledger that is all.

local core = require "omni.core"
local loop = require "omni.loop"
local polling = require "omni.client.poll_schedule"

local longest_memory <const> = 100 -- tasks of a kind (csrc/ledger/verbs.h, `typical`, gives as many)
local one_day <const> = 86400      -- seconds; what took longer tells nothing

---Tasks that are alike. One table for all of them: a task has it in its field `submitted`.
---@class omni.Kind
---@field model string
---@field duration? number|string
---@field resolution? number|string
---@field seconds number[]          how long the last ones took, as a ring: `last` is where it was written last
---@field news integer              how many of them the plan doesn't know
---@field plan? omni.PollingPlan    nil: to be made anew

---@class omni.History
local History_methods = {}
local History_mt = { __name = "omni.history", __index = History_methods }

local function remember(kind, took)
  local seconds = kind.seconds
  if #seconds < longest_memory then
    seconds[#seconds + 1] = took
  else
    kind.last = kind.last % longest_memory + 1
    seconds[kind.last] = took
  end
  kind.news = kind.news + 1
  if kind.news >= #seconds / 8 then kind.plan, kind.news = nil, 0 end -- not at each: a plan costs about a millisecond
end

-- In a fiber of its own: nobody waits for what is only good to know.
local function ask_ledger(kind, records)
  local rows = records:ask("typical", { model = kind.model, duration = kind.duration, resolution = kind.resolution })
  if not rows then return end -- whoever waits for the ledger hears of it
  table.sort(rows, function(a, b) return a.id < b.id end)
  for _, row in ipairs(rows) do remember(kind, row.took) end
  kind.plan, kind.news = nil, 0
end

local function simple(value)
  return (type(value) == "number" or type(value) == "string") and value or nil
end

---The kind of a task with this input; its past is asked of the client's ledger when it is the first one.
---@param model string
---@param input table  checked
---@return omni.Kind
function History_methods:kind(model, input)
  local duration, resolution = simple(input.duration), simple(input.resolution)
  local name = ("%s\0%s\0%s"):format(model, duration, resolution)
  local kind = self.kinds[name]
  if not kind then
    kind = { model = model, duration = duration, resolution = resolution, seconds = {}, last = 0, news = 0, plan = nil }
    self.kinds[name] = kind
    if self.client.records then loop.background(ask_ledger, kind, self.client.records) end
  end
  return kind
end

---When tasks like this one are asked for. One that was taken up by its id is of no kind: the service tells too little of it.
---@param task omni.Task
---@return omni.PollingPlan
function History_methods:plan(task)
  local kind = task.submitted or self.unknown
  if not kind.plan then kind.plan = polling.plan(kind.seconds, self.client.poll_min, self.client.poll_max) end
  return kind.plan
end

---Learns from a task of ours that has ended well: the service says from when to when it lasted, or how long it generated.
---@param task omni.Task
function History_methods:note(task) -- luacheck: ignore self
  local kind = task.submitted
  if not kind or task.status ~= "success" then return end
  local took = task.completed_at and task.created_at and task.completed_at - task.created_at or task.duration
  if took and took >= 0 and took <= one_day then remember(kind, math.min(took, core.now() - task.since)) end
end

---@param client omni.Client
---@return omni.History
local function new(client)
  return setmetatable({ client = client, kinds = {}, unknown = { seconds = {} } }, History_mt)
end

return { new = new }
