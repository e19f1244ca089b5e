-- SPDX-License-Identifier: MIT
-- Receives 1 KB callbacks as fast as they arrive, parses each body and checks the token. A local function responds to the confirming
-- query.
-- callback_rate.lua COUNT TARGETS → its port; into TARGETS a line "PATH TASK_ID" for each of COUNT tokens

local loop = require "omni.loop"
local omni = require "omni"

collectgarbage("setpause", 400) -- trades memory for speed, as a program with enough memory would

local count, targets = tonumber(arg[1]), assert(io.open(arg[2], "w"))
local tasks = {} -- keeps the tasks alive, as coroutines that wait for them would

omni.run(function()
  local client = assert(omni.client { base_url = "http://127.0.0.1:9", api_key = "ak_" .. ("0"):rep(32), ledger = false })
  local receiver = assert(omni.callbacks { client = client, listen = "127.0.0.1:0" })
  require("omni.client.poller").confirm = function(task)
    task.status = "success"
    return true
  end
  for i = 1, count do
    local url, hash = receiver:issue()
    local task = assert(client:task("d6956973-2f17-43d4-8514-" .. i))
    receiver:submit_ended(hash, task)
    tasks[i] = task
    targets:write(url:match "/%x+$", " ", task.id, "\n")
  end
  targets:close()
  assert(#tasks == count)
  print(receiver.server.port)
  io.stdout:flush()
  loop.sleep(120) -- longer than the benchmark runs
end)
