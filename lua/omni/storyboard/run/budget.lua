-- SPDX-License-Identifier: MIT
-- Keeps a run within its budget: reserves each scene's price before the scene is submitted.

local core = require "omni.core"
local err = require "omni.error"
local fail_fast = require "omni.storyboard.run.fail_fast"

-- Returns the credits that the run has spent or reserved.
local function committed(run)
  local sum = 0
  for _, record in ipairs(run.records) do
    if record.reserved then sum = sum + (record.credits or record.estimate or 0) end
  end
  return sum
end

---Reserves a scene's price in the budget. Returns an error if the budget doesn't allow the submit. If the scene's price is unknown,
---`reserve` first requests the price from the service. `reserve` never waits between checking the budget and reserving the credits, so that
---no other scene can reserve the same credits.
---@param run omni.Run
---@param record omni.RunRecord
---@param input table   as it will be sent
---@return omni.Error|nil
local function reserve(run, record, input)
  local problem
  if not record.estimate then
    local price
    price, problem = run.client:estimate(input, { model = record.planned.model })
    record.estimate = price and price.credits
  end
  local stopped = fail_fast.check(run)
  if stopped then return stopped end
  if run.budget and not record.estimate then
    return err.new { code = "price_unknown", cause = problem,
      message = "not submitted: there is a budget, and the price is unknown" .. (problem and " (" .. problem.message .. ")" or "") }
  end
  local before = run.budget and committed(run)
  if before and before + record.estimate > run.budget + 1e-9 then
    return err.new { code = "over_budget", hint = "raise the budget, or make the film cheaper",
      message = core.format("not submitted: it costs about %.14g %scredits, and %.14g of the budget of %.14g are spent or reserved",
        record.estimate, run.client.is_sandbox and "sandbox " or "", before, run.budget) }
  end
  record.reserved = true
end

---If the service refused a submit for lack of credits, adds the account's balance to the error.
---@param run omni.Run
---@param record omni.RunRecord
---@param problem omni.Error
local function explain(run, record, problem)
  if problem.code ~= "insufficient_credits" then return end
  local one_key = #run.client.all_keys == 1
  local balance = one_key and problem.balance or run.client:balance()
  if balance and record.estimate then
    problem.hint = core.format("the scene costs about %.14g credits; the account has %.14g; buy credits at %s",
      record.estimate, balance, core.pages.billing)
  end
end

return { explain = explain, reserve = reserve }
