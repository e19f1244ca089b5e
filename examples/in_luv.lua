-- omni inside the event loop of libuv: its coroutines yield until omni is done, and its callbacks get the results.
--   lua5.4 examples/in_luv.lua      (needs lua-luv)
local omni = require "omni"
local uv = require "luv"

local host = require("omni.luv").attach { blocking = false } -- inside uv.run, a call to omni outside of a fiber raises an error
local ticks, ticker = 0, assert(uv.new_timer())
ticker:start(50, 50, function() ticks = ticks + 1 end) -- the program does other work in the meantime

-- Returns a finished task, or nil and an error.
local function generate(client, prompt)
  local task, problem = client:submit { prompt = prompt }
  if not task then return nil, problem end
  return task:await()
end

coroutine.wrap(function()
  local sandbox = assert(host:call(omni.sandbox, { seconds = 1, clips = "builtin" }))
  local client = assert(host:call(omni.client, { base_url = sandbox.url, api_key = sandbox.key }))
  host:start(function(task, problem) print(task and task.status or "refused: " .. problem.code) end, generate, client, "")
  local task, problem = host:call(generate, client, "Gulls over a harbour, handheld, early light.")
  print(task and task.status or "failed: " .. problem.code)
  print("ticks meanwhile:", ticks)
  host:call(function()
    client:close()
    sandbox:close()
  end)
  host:detach()
  ticker:close()
end)()

uv.run()
