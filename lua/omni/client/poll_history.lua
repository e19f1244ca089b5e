-- SPDX-License-Identifier: MIT
-- Stores task durations for the poll schedule. Tasks of the same kind have the same model, clip length and resolution.
-- omni reads the durations of a kind from the ledger at the first submit of that kind, and adds the durations of tasks that end while this
-- program runs.

local core = require "omni.core"
local loop = require "omni.loop"
local poll_schedule = require "omni.client.poll_schedule"

local REMEMBERED <const> = 100 -- maximum number of durations to keep for each kind of task (also in csrc/ledger/verbs.h, `typical`)
local ONE_DAY <const> = 86400  -- one day in seconds; omni ignores longer durations

---Describes a kind of task. All tasks of a kind share one `omni.TaskKind` in their `submitted` field.
---@class omni.TaskKind
---@field model string
---@field duration? number|string
---@field resolution? number|string
---@field seconds number[]          the last durations, as a ring buffer; `last` is the index of the newest
---@field news integer              how many of these durations the plan doesn't include yet
---@field plan? omni.PollSchedule   nil: omni must compute it

---@class omni.TaskDurations
local Durations_methods = {}
local Durations_mt = { __name = "omni.poll_history", __index = Durations_methods }

local function remember(kind, took)
  local seconds = kind.seconds
  if #seconds < REMEMBERED then
    seconds[#seconds + 1] = took
  else
    kind.last = kind.last % REMEMBERED + 1
    seconds[kind.last] = took
  end
  kind.news = kind.news + 1
  if kind.news >= #seconds / 8 then kind.plan, kind.news = nil, 0 end -- not for each task: a new schedule takes 0.04 ms
end

-- Reads the durations of one kind of task from the ledger. Runs in its own fiber, so that no submit has to wait.
local function read_ledger(kind, ledger)
  local rows = ledger:ask("durations", { model = kind.model, duration = kind.duration, resolution = kind.resolution })
  if not rows then return end -- if the ledger can't be read, the submit reports the error
  table.sort(rows, function(a, b) return a.id < b.id end)
  for _, row in ipairs(rows) do remember(kind, row.took) end
  kind.plan, kind.news = nil, 0
end

local function simple(value)
  return (type(value) == "number" or type(value) == "string") and value or nil
end

---Returns the kind of a task with this input. If the kind is new, starts reading its durations from the ledger.
---@param model string
---@param input table  a checked input
---@return omni.TaskKind
function Durations_methods:kind(model, input)
  local duration, resolution = simple(input.duration), simple(input.resolution)
  local name = ("%s\0%s\0%s"):format(model, duration, resolution)
  local kind = self.kinds[name]
  if not kind then
    kind = { model = model, duration = duration, resolution = resolution, seconds = {}, last = 0, news = 0, plan = nil }
    self.kinds[name] = kind
    if self.client.own_ledger then loop.background(read_ledger, kind, self.client.own_ledger) end
  end
  return kind
end

---Returns the poll schedule for a task. A handle that was created from a task id has no kind, since omni doesn't know the task's input.
---@param task omni.Task
---@return omni.PollSchedule
function Durations_methods:plan(task)
  local kind = task.submitted or self.unknown
  if not kind.plan then kind.plan = poll_schedule.plan(kind.seconds, self.client.poll_min, self.client.poll_max) end
  return kind.plan
end

---Records the duration of a successful task that this program submitted.
---@param task omni.Task
function Durations_methods:learn(task) -- luacheck: ignore self
  local kind = task.submitted
  if not kind or task.status ~= "success" then return end
  local took = task.completed_at and task.created_at and task.completed_at - task.created_at or task.duration
  if took and took >= 0 and took <= ONE_DAY then remember(kind, math.min(took, core.now() - task.since)) end
end

---@param client omni.Client
---@return omni.TaskDurations
local function new(client)
  return setmetatable({ client = client, kinds = {}, unknown = { seconds = {} } }, Durations_mt)
end

return { new = new }
