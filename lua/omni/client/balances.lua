-- SPDX-License-Identifier: MIT
-- Queries the credit balances of a client's keys, and adds them up.

local loop = require "omni.loop"
local retry = require "omni.client.retry"

-- When closed, cancels the fibers that query the balances.
local Fibers_mt = {
  __close = function(fibers)
    for _, fiber in ipairs(fibers) do fiber:cancel() end
  end,
}

---Queries the balances of all keys' accounts at the same time.
---@param client omni.Client
---@return omni.Balance[]  in the order in which the keys were given
local function each(client)
  local found, fibers <close> = {}, setmetatable({}, Fibers_mt)
  for i, key in ipairs(client.all_keys) do
    found[i] = { key = key.name }
    fibers[i] = loop.spawn(function()
      found[i].balance, found[i].error = retry.persist(client, function() return key:balance() end)
    end)
  end
  loop.join(table.unpack(fibers))
  for _, one in ipairs(found) do
    if one.error then one.error.call = "client:balances" end
  end
  return found
end

---Adds up the balances. The sum leaves out balances that couldn't be queried.
---@param found omni.Balance[]
---@return number|nil sum         nil if no balance could be queried
---@return omni.Error|nil problem the first query that failed
local function total(found)
  local sum, problem
  for _, one in ipairs(found) do
    if one.balance then sum = (sum or 0) + one.balance end
    problem = problem or one.error
  end
  return sum, problem
end

return { each = each, total = total }
