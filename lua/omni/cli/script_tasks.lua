-- SPDX-License-Identifier: MIT
-- What a script has in flight: its clients' submits and tasks, so that Ctrl-C loses no task id.

local loop = require "omni.loop"
local sendings = require "omni.storyboard.run.stoppable_submit"

local sending = {}                                  -- omni.Sending → its fiber, while in a submit
local tasks, count, sweep_at = {}, 0, 64             -- task id → task, whether or not the script still holds it
local stopped, waiter = false, nil

-- Those that are over are forgotten, now and then.
local function keep(task)
  tasks[task.id], count = task, count + 1
  if count < sweep_at then return end
  count = 0
  for id, known in pairs(tasks) do
    if known:done() then tasks[id] = nil else count = count + 1 end
  end
  sweep_at = math.max(64, 2 * count)
end

local function is_stopped() return stopped end

local lost = 0 -- submits that were given up on their way: the script failed elsewhere, or cancelled them

local Entry_mt = {
  __close = function(entry)
    local mine = entry.sending
    sending[mine] = nil
    if not mine.heard and not mine.pausing then lost = lost + 1 end
    if waiter then loop.wake(waiter) end
  end,
}

-- Puts itself before the client's own submit.
local function watch(client)
  local method = client.submit
  client.submit = function(self, input, options)
    if not loop.in_fiber "client:submit" then return loop.drive(self.submit, self, input, options) end
    if stopped then loop.park() end -- for ever: nothing is submitted any more
    local mine = { is_stopped = is_stopped }
    local task, problem
    do
      sending[mine] = loop.current()
      local entry <close> = setmetatable({ sending = mine }, Entry_mt) -- luacheck: ignore 211
      task, problem = sendings.submit(mine, method, self, input, options)
      mine.heard = true
    end
    if task then keep(task) end
    if stopped then loop.park() end
    return task, problem
  end
end

---Watches every client that `omni.client` opens from now on.
---@param omni table  the library
local function watch_all(omni)
  local open = omni.client
  omni.client = function(options)
    local client, problem = open(options)
    if client then watch(client) end
    return client, problem
  end
end

---Submits nothing more, and waits until the submits on their way were answered. Runs in a fiber.
local function settle()
  stopped, waiter = true, loop.current()
  for mine, fiber in pairs(sending) do
    if not sendings.on_its_way(mine) then
      sending[mine] = nil
      fiber:cancel()
    end
  end
  while next(sending) do loop.park() end
end

---The ids of the tasks that are not over, in order.
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
