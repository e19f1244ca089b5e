-- Writes a client's events as JSON, one object per line, so that other programs can read the log.
--   omni lua examples/json_log.lua | jq .
local json = require "cjson"
local omni = require "omni"

local function on_event(event)
  event.time = os.date "!%Y-%m-%dT%H:%M:%SZ"
  if event.error then event.error = { code = event.error.code, message = event.error.message } end
  print(json.encode(event))
end

omni.run(function()
  local sandbox <close> = assert(omni.sandbox { seconds = 0.2, clips = "builtin", faults = { "status-500:on=query,first=1" } })
  local client <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, retry_min = 0.1, on_event = on_event })

  local task = assert(client:submit { prompt = "A lighthouse at dawn." })
  assert(task:await())
  assert(task:save "dawn.mp4")
end)
