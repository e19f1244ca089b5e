-- SPDX-License-Identifier: MIT
-- Looks up in the ledger how long tasks usually take. Progress views show a typical duration next to the elapsed time, together with the
-- number of tasks on which this duration is based.

local FEWEST <const> = 3 -- minimum number of finished tasks needed to estimate a typical time

local typical_duration = {}

local function simple(value)
  return (type(value) == "number" or type(value) == "string") and value or nil
end

---@class omni.cli.TypicalTime
---@field seconds number  the median duration
---@field tasks integer   number of tasks that the median is based on: the latest ones, at most 100

---Returns how long successful tasks with this model, duration and resolution usually take. Returns nil if the ledger has fewer than three
---such tasks. Waits for the ledger.
---@param ledger omni.Ledger
---@param model string
---@param input table
---@return omni.cli.TypicalTime|nil
function typical_duration.of(ledger, model, input)
  local rows = ledger:ask("durations", { model = model, duration = simple(input.duration), resolution = simple(input.resolution) }) or {}
  return #rows >= FEWEST and { seconds = rows[(#rows + 1) // 2].took, tasks = #rows } or nil
end

---Returns the usual duration of each scene that a run of this plan waits for. Queries the ledger once for each kind of scene. Waits.
---@param plan omni.Plan
---@return table<string, omni.cli.TypicalTime|false>  by the scene's name; false: not known
function typical_duration.of_plan(plan)
  local kinds, times = {}, {}
  for index, entry in ipairs(plan.scenes) do
    local input = plan.board.scenes[index].input
    if input and (entry.pays or entry.selected and entry.action == "resume") then
      local kind = ("%s %s %s"):format(entry.model, input.duration, input.resolution)
      if kinds[kind] == nil then kinds[kind] = typical_duration.of(plan.ledger, entry.model, input) or false end
      times[entry.scene] = kinds[kind]
    end
  end
  return times
end

---Describes the usual durations of a plan's scenes in words such as "a scene usually takes 1:20, judging by 14 finished tasks like it in
---the ledger".
---@param times table<string, omni.cli.TypicalTime|false>  from `of_plan`
---@return string|nil  nil: the run waits for no scene
function typical_duration.describe(times)
  local elapsed = require("omni.cli.view.text").elapsed
  local least, most, tasks, unknown, counted = math.huge, 0, 0, 0, {}
  for _, time in pairs(times) do
    if time then
      least, most = math.min(least, time.seconds), math.max(most, time.seconds)
      if not counted[time] then tasks = tasks + time.tasks end
      counted[time] = true
    else
      unknown = unknown + 1
    end
  end
  if tasks == 0 then
    return unknown > 0 and "how long a scene usually takes isn't known yet: that needs 3 finished tasks like it in the ledger" or nil
  end
  local range = elapsed(least) == elapsed(most) and elapsed(least) or ("%s to %s"):format(elapsed(least), elapsed(most))
  local rest = unknown > 0 and ("; not known yet for %d scene%s"):format(unknown, unknown == 1 and "" or "s") or ""
  return ("a scene usually takes %s, judging by %d finished tasks like it in the ledger%s"):format(range, tasks, rest)
end

return typical_duration
