-- SPDX-License-Identifier: MIT
-- Queries through the public API, with coroutines, JSON decoding and task objects. query.lua BASE_URL COUNT IN_FLIGHT → queries a second

local omni = require "omni"
local core = require "omni.core"

local base_url, count, in_flight = arg[1], tonumber(arg[2]), tonumber(arg[3])
local client = assert(omni.client { base_url = base_url, api_key = "ak_" .. ("0"):rep(32), max_connections = in_flight })
local left = count

local function ask()
  while left > 0 do
    left = left - 1
    local task = assert(client:query "d6956973-2f17-43d4-8514-af6cc3a2f55d")
    assert(task.status == "running")
  end
end

local begin = core.now()
omni.run(function()
  for _ = 1, in_flight do omni.spawn(ask) end
end)
print(("%.0f"):format(count / (core.now() - begin)))
