-- omni inside of a program that lives in cqueues: the loop is one pollable among others.
--   lua5.4 examples/cqueues.lua      (needs lua-cqueues)
local cqueues = require "cqueues"
local omni = require "omni"

local queue = cqueues.new()
local ticks = 0

-- All of omni, as one coroutine of cqueues.
queue:wrap(function()
  while not omni.loop:empty() do
    cqueues.poll(omni.loop) -- its pollfd, events and timeout
    omni.loop:step()
  end
end)

-- The rest of the program goes on meanwhile.
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
