-- SPDX-License-Identifier: MIT
-- Receives the callbacks of another program's tasks, for callback_wait.lua: confirms them, and records the results in the ledger that both
-- programs share. callback_elsewhere.lua BASE_URL LEDGER → the receiver's URL

local omni = require "omni"

omni.run(function()
  local client <close> = assert(omni.client { base_url = arg[1], api_key = "ak_" .. ("0"):rep(32), ledger = arg[2] })
  local receiver <close> = assert(omni.callbacks { client = client, listen = "127.0.0.1:0" })
  assert(client:find { tag = "none" }) -- connects to the ledger
  print(receiver.url)
  io.stdout:flush()
  omni.sleep(120) -- longer than the benchmark runs
end)
