-- SPDX-License-Identifier: MIT
-- Measures the cost of waiting. waiting.lua BASE_URL COUNT SECONDS [default|generational|PAUSE] → resident and live bytes of a waiting
-- task, and CPU seconds that COUNT waiting tasks with nothing due take in SECONDS. Each task has had one query. The last argument sets
-- Lua's garbage collector; a PAUSE of 120 is assumed.

local omni = require "omni"

local base_url, count, seconds, collector = arg[1], tonumber(arg[2]), tonumber(arg[3]), arg[4] or "120"
if collector == "generational" then
  collectgarbage "generational"
elseif collector ~= "default" then
  collectgarbage("setpause", tonumber(collector)) -- by default, Lua lets garbage grow as large as the live data
end
local client = assert(omni.client { base_url = base_url, api_key = "ak_" .. ("0"):rep(32), poll_min = 3600, poll_max = 3600 })

local function live() return collectgarbage "count" * 1024 end

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
  local before, live_before = resident(), live()
  local fibers = {}
  for i = 1, count do
    local task = assert(client:task(("d6956973-2f17-43d4-8514-%012d"):format(i)))
    fibers[i] = omni.spawn(task.await, task)
  end
  local poller = client.all_keys[1].poller
  repeat omni.sleep(0.1) until poller.size == count and poller.working == 0 -- each query has its response
  local bytes = (resident() - before) / count
  print(("%.0f bytes, %.0f of them live"):format(bytes, (live() - live_before) / count))
  local cpu = os.clock()
  omni.sleep(seconds)
  print(("%.4f CPU seconds in %g s"):format(os.clock() - cpu, seconds))
  for i = 1, count do fibers[i]:cancel() end
end)
