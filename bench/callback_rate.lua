-- SPDX-License-Identifier: MIT
-- A receiver that takes as many callbacks as come: 1 KB each, parsed, the token checked; the confirming query is answered at once here.
-- callback_rate.lua COUNT TARGETS → its port; into TARGETS a line "PATH TASK_ID" for each of COUNT tokens

local loop = require "omni.loop"
local omni = require "omni"

collectgarbage("setpause", 400) -- as a program would that has memory to spare for speed

local count, targets = tonumber(arg[1]), assert(io.open(arg[2], "w"))
local tasks = {} -- held, as by those who wait for them

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
    receiver:answered(hash, task)
    tasks[i] = task
    targets:write(url:match "/%x+$", " ", task.id, "\n")
  end
  targets:close()
  assert(#tasks == count)
  print(receiver.server.port)
  io.stdout:flush()
  loop.sleep(120) -- longer than anybody needs it
end)
