-- SPDX-License-Identifier: MIT
-- An application of `omni lua`: makes the clips of COUNT orders, each with an idempotency key, and prints how many are in which state.
--   omni lua orders.lua FOLDER COUNT NAME

local cjson = require "cjson"
local omni = require "omni"

local folder, count, name = arg[1], tonumber(arg[2]), arg[3]
local states = { delivered = 0, failed = 0, unknown = 0, later = 0 }

local function deliver(client, number)
  local path = ("%s/order-%d.mp4"):format(folder, number)
  local saved = io.open(path)
  if saved then
    saved:close()
    return "delivered"
  end
  local task, problem = client:submit({ prompt = ("%s order-%d"):format(name, number), duration = 4 },
    { idempotency_key = ("%s-%d"):format(name, number), tag = "order" })
  if not task then return problem.code == "submit_unknown" and "unknown" or "later", problem end
  local done
  done, problem = task:result()
  if not done then return task.status == "failed" and "failed" or "later", problem end
  done, problem = task:save(path)
  return done and "delivered" or "later", problem
end

omni.run(function()
  local client <close> = assert(omni.client { ledger = os.getenv "OMNI_LEDGER", poll_min = 0.1, poll_max = 1, retry_for = 20 })
  local receiver <close> = assert(omni.callbacks { client = client, listen = "127.0.0.1:0", poll = 5 }) -- luacheck: ignore 211
  local numbers = {}
  for number = 1, count do numbers[number] = number end
  omni.map(numbers, { limit = 4 }, function(number)
    local state, problem = deliver(client, number)
    states[state] = states[state] + 1
    if problem then print(number, state, problem) end
    return true
  end)
end)
print(cjson.encode(states))
