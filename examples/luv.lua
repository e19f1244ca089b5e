-- Runs omni inside the event loop of libuv: one poll handle and one timer drive omni's loop.
--   lua5.4 examples/luv.lua      (needs lua-luv)
local omni = require "omni"
local uv = require "luv"

local poll = assert(uv.new_poll(omni.loop:pollfd()))
local timer = assert(uv.new_timer())
local ticker = assert(uv.new_timer())
local ticks = 0

local function turn()
  omni.loop:step()
  if omni.loop:empty() then
    for _, handle in ipairs { poll, timer, ticker } do handle:close() end
    return
  end
  local seconds = omni.loop:timeout()
  timer:stop()
  if seconds then timer:start(math.ceil(seconds * 1000), 0, turn) end
end

omni.spawn(function()
  local sandbox <close> = assert(omni.sandbox { seconds = 1 })
  local client <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, poll_min = 0.2 })
  local task = assert(client:submit { prompt = "Gulls over a harbour, handheld, early light." })
  assert(task:await())
  print(task.status, task.id)
end)

poll:start("r", turn)
ticker:start(50, 50, function() ticks = ticks + 1 end) -- the rest of the program runs meanwhile
turn()
uv.run()
print("ticks of the program meanwhile:", ticks)
