-- SPDX-License-Identifier: MIT
-- Many tasks through one process: half of them wait for callbacks, and half for queries. tasks.lua URL COUNT LEDGER

local core = require "omni.core"
local measure = require "soak.measure"
local omni = require "omni"

local url, count, ledger = arg[1], math.tointeger(tonumber(arg[2])), arg[3]
local AT_ONCE <const> = 32      -- of each kind
local SAMPLES <const> = 100
local WARM_UP <const> = 30000   -- tasks; the receiver remembers the tokens of the last 10,000 tasks that are over

omni.run(function()
  local function open()
    return assert(omni.client { base_url = url, api_key = "ak_" .. ("0"):rep(32), ledger = ledger, schemas = false, poll_min = 0.01,
      poll_max = 0.1, retry_for = 600 })
  end
  local called <close> = open()
  local asking <close> = open()
  local receiver <close> = assert(omni.callbacks { client = called, listen = "127.0.0.1:0" })
  local started, samples, begun = 0, {}, core.now()

  local function work(client, last)
    while started < last do
      started = started + 1
      local number = started
      local task = assert(client:submit({ prompt = "A lighthouse.", duration = 4 }, { idempotency_key = ("soak %d"):format(number) }))
      assert(assert(task:result()).status == "success")
    end
  end
  for i = 1, SAMPLES do
    local last, fibers = count * i // SAMPLES, {}
    for _ = 1, AT_ONCE do
      fibers[#fibers + 1] = omni.spawn(work, called, last)
      fibers[#fibers + 1] = omni.spawn(work, asking, last)
    end
    omni.join(table.unpack(fibers))
    samples[i] = measure.sample(("%d tasks, %.0f s"):format(started, core.now() - begun))
  end
  local seconds = core.now() - begun
  measure.report(samples, math.max(0.1, math.min(0.5, WARM_UP / count)), { tasks = started, seconds = seconds,
    cpu_seconds = os.clock(), called_back = receiver.counts.confirmed })
end)
