-- SPDX-License-Identifier: MIT
-- Asks for consent to spend credits, before anything is submitted.

local core = require "omni.core"
local err = require "omni.error"
local plan_view = require "omni.cli.view.plan"
local terminal = require "omni.cli.view.terminal"
local text = require "omni.cli.view.text"

local function refuse(code, message, hint)
  return err.new { code = code, message = "nothing was submitted: " .. message, hint = hint }
end

-- Asks a question on the terminal. Returns nil if the answer is yes, or else an error that says why nothing was submitted.
local function ask(question, cost)
  local yes = terminal.ask(question)
  if yes == nil then
    return refuse("no_consent", cost .. ", and there is no terminal to ask on", "give --yes, or a limit with --budget N")
  end
  if not yes then return refuse("no_consent", "you didn't say yes") end
end

---Returns whether a person must consent to this plan. Consent is necessary if the plan submits anything, whatever the price, unless an
---option gives consent or sets a budget.
---@param plan omni.Plan
---@param options { budget?: number, yes?: boolean, sandbox?: boolean }
---@return boolean
local function is_needed(plan, options)
  return plan.submits > 0 and not (options.sandbox or options.budget or options.yes or plan.board.budget)
end

---Asks a person for consent to a plan, if consent is needed.
---@param plan omni.Plan
---@param options { budget?: number, yes?: boolean, sandbox?: boolean }
---@return omni.Error|nil refusal  nil: go on
local function decide(plan, options)
  if not is_needed(plan, options) then return nil end
  local cost = plan_view.cost(plan, plan.sandbox)
  if plan.balance then cost = ("%s; the account has %s"):format(cost, text.credits(plan.balance, plan.sandbox)) end
  return ask(("%s, %s. Submit?"):format(text.count(plan.submits, "scene"), cost), "the plan costs " .. cost)
end

-- Error codes: if an estimate fails with one of these codes, a submit would fail with the same code.
local unavailable = { unauthorized = true, key_disabled = true, network = true, rate_limited = true, maintenance = true,
  invalid_input = true, invalid_request = true, insufficient_credits = true }

-- Returns an error if a submit at this price is impossible or exceeds the budget, and nil otherwise.
local function refusal_of_one(price, problem, budget, sandbox)
  if problem and unavailable[problem.code] then return refuse(problem.code, problem.message, problem.hint) end
  if budget and not price then
    return refuse("price_unknown", ("there is a budget, but the price is unknown (%s)"):format(problem.message),
      "to submit it anyway, leave out the budget")
  elseif budget and price.credits > budget + 1e-9 then
    return refuse("over_budget", core.format("it costs about %s, the budget is %.14g", text.credits(price.credits, sandbox), budget),
      "raise the budget, or make it cheaper (shorter, a lower resolution)")
  elseif price and price.affordable == false then
    return refuse("insufficient_credits", core.format("it costs about %s%s", text.credits(price.credits, sandbox),
      price.balance and core.format("; the account has %.14g", price.balance) or ", more than the account has"),
      core.codes[402].hint)
  end
end

---Checks the price of one submit against the budget and the balance, and asks a person for consent if necessary.
---@param price? { credits: number, balance?: number, affordable?: boolean }
---@param problem? omni.Error  why there is no price
---@param options { budget?: number, yes?: boolean, sandbox?: boolean, show: fun() }  show: prints the price
---@return omni.Error|nil refusal  nil: go on
local function decide_one(price, problem, options)
  local refused = refusal_of_one(price, problem, options.budget, options.sandbox)
  if refused then return refused end
  options.show()
  if options.sandbox or options.budget or options.yes then return nil end
  return ask("Submit?", "it costs " .. (price and "about " .. text.credits(price.credits, options.sandbox) or "an unknown price"))
end

return { decide = decide, decide_one = decide_one, is_needed = is_needed }
