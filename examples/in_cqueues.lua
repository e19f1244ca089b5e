-- omni inside the event loop of cqueues: its coroutines call omni and wait for it as they wait for a socket.
--   lua5.4 examples/in_cqueues.lua      (needs lua-cqueues)
local cqueues = require "cqueues"
local omni = require "omni"

local queue = cqueues.new()
local host = require("omni.cqueues").attach(queue, { blocking = false }) -- from now on, a call to omni outside of host:call raises an error

-- Returns a finished task, or nil and an error.
local function generate(client, prompt)
  local task, problem = client:submit { prompt = prompt }
  if not task then return nil, problem end
  return task:await()
end

queue:wrap(function()
  local sandbox = assert(host:call(omni.sandbox, { seconds = 1, clips = "builtin" }))
  local client = assert(host:call(omni.client, { base_url = sandbox.url, api_key = sandbox.key }))
  local left = 2
  for _, prompt in ipairs { "Gulls over a harbour, handheld, early light.", "" } do
    queue:wrap(function()
      local task, problem = host:call(generate, client, prompt)
      print(task and task.status or "refused: " .. problem.code)
      left = left - 1
    end)
  end
  local ticks = 0
  while left > 0 do -- the program does other work in the meantime
    cqueues.sleep(0.05)
    ticks = ticks + 1
  end
  print("ticks meanwhile:", ticks)
  host:call(function()
    client:close()
    sandbox:close()
  end)
  host:detach()
end)

assert(queue:loop())
