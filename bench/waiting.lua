-- SPDX-License-Identifier: MIT
-- Measures the cost of waiting. waiting.lua BASE_URL COUNT SECONDS → bytes of resident memory per waiting task, and CPU seconds that
-- COUNT waiting tasks with nothing due take in SECONDS. Each task has had one query.

local omni = require "omni"

-- By default, Lua's garbage collector lets garbage grow as large as the live data. A program with so many tasks would avoid that.
collectgarbage("setpause", 120)

local base_url, count, seconds = arg[1], tonumber(arg[2]), tonumber(arg[3])
local client = assert(omni.client { base_url = base_url, api_key = "ak_" .. ("0"):rep(32), poll_min = 3600, poll_max = 3600 })

local function resident()
  collectgarbage()
  collectgarbage()
  for line in io.lines("/proc/self/status") do
    local kilobytes = line:match("^VmRSS:%s*(%d+)")
    if kilobytes then return tonumber(kilobytes) * 1024 end
  end
end

omni.run(function()
  assert(client:query "warm-up")
  local before = resident()
  local fibers = {}
  for i = 1, count do
    local task = assert(client:task(("d6956973-2f17-43d4-8514-%012d"):format(i)))
    fibers[i] = omni.spawn(task.await, task)
  end
  local poller = client.all_keys[1].poller
  repeat omni.sleep(0.1) until poller.size == count and poller.working == 0 -- each query has its response
  print(("%.0f bytes"):format((resident() - before) / count))
  local cpu = os.clock()
  omni.sleep(seconds)
  print(("%.4f CPU seconds in %g s"):format(os.clock() - cpu, seconds))
  for i = 1, count do fibers[i]:cancel() end
end)
