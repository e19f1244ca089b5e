-- SPDX-License-Identifier: MIT
-- Whether a scene may be submitted now: within the run's budget, and as long as the service takes submits at all.

local core = require "omni.core"
local err = require "omni.error"

-- A refusal of this kind would meet every other scene, too. A ledger that can't be written ends everything.
local ends_the_run = {
  unauthorized = true, key_disabled = true, insufficient_credits = true, feature_disabled = true, ledger_failed = true,
}

-- What the run has cost so far and may still cost through what it has submitted.
local function committed(run)
  local sum = 0
  for _, record in ipairs(run.records) do
    if record.reserved then sum = sum + (record.credits or record.estimate or 0) end
  end
  return sum
end

local function halted(run)
  local cause = run.halted.error
  return err.new { code = cause.code, cause = cause, hint = cause.hint,
    message = ('not submitted, because of what came of scene "%s": %s'):format(run.halted.scene, cause.message) }
end

---The reason why this scene is not to be submitted, or nil; then its price is reserved. Asks for the price when it isn't known yet;
---between the check and the reservation nothing waits.
---@param run omni.Run
---@param record omni.RunRecord
---@param input table   as it will be sent
---@return omni.Error|nil
local function reserve(run, record, input)
  local problem
  if not record.estimate then
    local price
    price, problem = run.client:estimate(input, { model = record.entry.model })
    record.estimate = price and price.credits
  end
  if run.halted then return halted(run) end
  if run.budget and not record.estimate then
    return err.new { code = "price_unknown", cause = problem,
      message = "not submitted: there is a budget, and the price is not known" .. (problem and " (" .. problem.message .. ")" or "") }
  end
  local before = run.budget and committed(run)
  if before and before + record.estimate > run.budget + 1e-9 then
    return err.new { code = "over_budget", hint = "raise the budget, or make the film cheaper",
      message = core.format("not submitted: it costs about %.14g credits, and %.14g of the budget of %.14g are spent or promised",
        record.estimate, before, run.budget) }
  end
  record.reserved = true
end

-- Whether it is about one task only: of several keys one is refused, with which this task was made.
local function is_of_its_key(run, record, problem)
  return err.rejects_key(problem) and record.task_id ~= nil and #run.client.all_keys > 1
end

---What a failure means for the scenes that aren't submitted yet.
---@param run omni.Run
---@param record omni.RunRecord
---@param problem omni.Error
local function heed(run, record, problem)
  if run.fail_fast or ends_the_run[problem.code] and not is_of_its_key(run, record, problem) then
    run.halted = run.halted or { scene = record.scene, error = problem }
  end
end

---After a refusal for want of credits: what the account has.
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

return { explain = explain, heed = heed, reserve = reserve }
