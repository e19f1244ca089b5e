-- SPDX-License-Identifier: MIT
-- Measures the time from the sending of a callback until the waiting coroutine runs, including the confirming query and a ledger.
-- callback_wait.lua BASE_URL COUNT LEDGER [URL] → median and 99th percentile in ms, then those of a query every 5 s
-- URL: where another program receives the callbacks (callback_elsewhere.lua)

local core = require "omni.core"
local omni = require "omni"

local base_url, count, ledger, elsewhere = arg[1], tonumber(arg[2]), arg[3], arg[4]
local delays, polled, over = {}, {}, 0

omni.run(function()
  local client <close> = assert(omni.client { base_url = base_url, api_key = "ak_" .. ("0"):rep(32), ledger = ledger })
  local receiver <close> = assert(omni.callbacks {
    client = client, listen = not elsewhere and "127.0.0.1:0", public_url = elsewhere,
  })
  for i = 1, count do
    omni.spawn(function()
      local task = assert(client:submit { prompt = "A lighthouse keeper climbs the stairs at dusk." })
      assert(task:await())
      delays[i] = (core.now() - task.raw.sent_at) * 1000
      over = over + 1
    end)
  end
  repeat omni.sleep(0.5) until over == count
  assert(receiver.counts.confirmed == (elsewhere and 0 or count))
end)

for i = 1, count do polled[i] = math.random() * 5000 end

local function print_of(values)
  table.sort(values)
  print(("%.2f %.2f"):format(values[count // 2], values[math.ceil(count * 0.99)]))
end
print_of(delays)
print_of(polled)
