-- SPDX-License-Identifier: MIT
-- Keeps track of the submits and tasks of a script that `omni lua` runs, so that no task id is lost when the user presses Ctrl-C.

local loop = require "omni.loop"
local submits = require "omni.client.submit"

local running = {}                            -- omni.Stop → the fiber of its submit
local tasks, count, sweep_at = {}, 0, 64      -- task id → task, even if the script has dropped the task
local stopped, waiter = false, nil
local lost = 0                                -- number of submits that were abandoned while their outcome was unknown

-- Adds a task to the table `tasks`, and occasionally removes all finished tasks from this table.
local function keep(task)
  tasks[task.id], count = task, count + 1
  if count < sweep_at then return end
  count = 0
  for id, known in pairs(tasks) do
    if known:done() then tasks[id] = nil else count = count + 1 end
  end
  sweep_at = math.max(64, 2 * count)
end

-- Represents a submit in progress. This object is closed even if the submit's fiber fails or is cancelled.
local Running_mt = {
  __close = function(entry)
    running[entry.stop] = nil
    if not entry.returned and entry.stop.sending then lost = lost + 1 end
    if waiter then loop.wake(waiter) end
  end,
}

-- Runs one of the script's submits. Once `settle` has been called, no further submit starts, and a submit in progress doesn't return to the
-- script any more.
local function around(stop, run)
  if stopped then loop.park() end -- never resumed
  local task, problem
  do
    running[stop] = loop.current()
    local entry <close> = setmetatable({ stop = stop }, Running_mt)
    task, problem = run()
    entry.returned = true
  end
  if task then keep(task) end
  if stopped then loop.park() end
  return task, problem
end

---Keeps track of every submit from now on.
local function watch_all()
  submits.set_around(around)
end

---Prevents further submits by the script, and waits for the responses to the script's submits in progress. Runs in a fiber.
local function settle()
  stopped, waiter = true, loop.current()
  for stop, fiber in pairs(running) do
    stop.requested = true
    if not stop.sending then
      running[stop] = nil
      fiber:cancel()
    end
  end
  while next(running) do loop.park() end
end

---Returns the ids of the tasks that haven't ended, sorted.
---@return string[]
local function task_ids()
  local ids = {}
  for id, task in pairs(tasks) do
    if not task:done() then ids[#ids + 1] = id end
  end
  table.sort(ids)
  return ids
end

return { lost = function() return lost end, settle = settle, task_ids = task_ids, watch_all = watch_all }
