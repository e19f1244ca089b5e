-- SPDX-License-Identifier: MIT
-- Requests the price of each scene in a plan from the service. Requesting prices costs nothing and submits nothing.

local pool = require "omni.loop.pool"

local at_once <const> = 8

-- The codes of errors that every further request would get, too.
local unavailable = { unauthorized = true, key_disabled = true, network = true, rate_limited = true, maintenance = true, closed = true }

---Sets the `credits` or the `price_error` of each scene that this run would pay for. Also sets the plan's `credits` (the sum of the known
---prices), `complete`, `balance`, `error` (of the first unknown price) and `unavailable` (if the service can't be used).
---@param plan omni.Plan
---@param client omni.Client
local function price(plan, client)
  local paid = {}
  for _, scene in ipairs(plan.scenes) do
    if scene.pays then paid[#paid + 1] = scene end
  end
  pool.each(#paid, at_once, function(i)
    local scene = paid[i]
    local declared = plan.board.scenes[scene.index]
    local estimate, problem = client:estimate(declared.input, { model = declared.model })
    scene.credits, scene.price_error = estimate and estimate.credits, problem
    -- If the client has several keys, an estimate contains only one key's balance.
    if estimate and estimate.balance and #client.all_keys == 1 then plan.balance = estimate.balance end
    if problem and unavailable[problem.code] then plan.unavailable = problem end
    return not plan.unavailable, problem
  end)

  plan.credits, plan.complete = 0, true
  for _, scene in ipairs(paid) do
    if scene.credits then
      plan.credits = plan.credits + scene.credits
    else
      plan.complete, plan.error = false, plan.error or scene.price_error or plan.unavailable
    end
  end
  if #paid > 0 and not plan.balance and not plan.unavailable then plan.balance = client:balance() end
end

return { price = price }
