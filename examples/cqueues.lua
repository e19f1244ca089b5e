-- Runs omni inside the event loop of cqueues: omni's loop is one pollable among others.
--   lua5.4 examples/cqueues.lua      (needs lua-cqueues)
local cqueues = require "cqueues"
local omni = require "omni"

local queue = cqueues.new()
local ticks = 0

-- One coroutine of cqueues drives all of omni.
queue:wrap(function()
  while not omni.loop:empty() do
    cqueues.poll(omni.loop) -- calls pollfd, events and timeout
    omni.loop:step()
  end
end)

-- The rest of the program runs meanwhile.
queue:wrap(function()
  while not omni.loop:empty() do
    cqueues.sleep(0.05)
    ticks = ticks + 1
  end
end)

omni.spawn(function()
  local sandbox <close> = assert(omni.sandbox { seconds = 1 })
  local client <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, poll_min = 0.2 })
  local task = assert(client:submit { prompt = "Gulls over a harbour, handheld, early light." })
  assert(task:await())
  print(task.status, task.id)
end)

assert(queue:loop())
print("ticks of the program meanwhile:", ticks)
