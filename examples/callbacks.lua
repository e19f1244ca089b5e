-- Receives callbacks: when a task is over, the sandbox POSTs to the receiver, as the service does, and task:await returns at once.
--   omni lua examples/callbacks.lua
local omni = require "omni"

omni.run(function()
  local sandbox <close> = assert(omni.sandbox { seconds = 1 })
  local client <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key })
  local receiver <close> = assert(omni.callbacks { client = client, listen = "127.0.0.1:0" }) -- with the real service, also pass public_url

  local task = assert(client:submit { prompt = "Gulls over a harbour, handheld, early light." })
  assert(task:await())
  print(task.status, task.id, receiver.counts.confirmed .. " callback confirmed")
end)
