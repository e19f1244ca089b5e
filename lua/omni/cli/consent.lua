-- SPDX-License-Identifier: MIT
-- Whether a run may spend money: asked before anything is submitted.

local common = require "omni.cli.common"
local core = require "omni.core"
local err = require "omni.error"
local planned = require "omni.cli.view.plan"
local refusal = require("omni.storyboard.run").refusal
local text = require "omni.cli.view.text"

local function no_consent(message, hint)
  return err.new { code = "no_consent", message = "nothing was submitted: " .. message, hint = hint }
end

---Says that it takes a moment, where that can be taken back; answers the function that does.
---@param message string
---@return fun()
local function announce(message)
  if not common.drawing_columns(2) then return function() end end
  io.stderr:write(message)
  return function() io.stderr:write("\r\27[K") end
end

---Whether a person must say yes to this plan: it submits something, at whatever price, and nobody has set a limit or said yes beforehand.
---@param plan omni.Plan
---@param options { budget?: number, yes?: boolean, sandbox?: boolean }
---@return boolean
local function is_due(plan, options)
  return plan.submits > 0 and not (options.sandbox or options.budget or options.yes or plan.board.budget)
end

---Whether there is somebody to ask.
---@return boolean
local function possible()
  return core.terminal(0) ~= nil and core.terminal(2) ~= nil
end

---Decides; asks a person where that is due and possible.
---@param plan omni.Plan
---@param options { budget?: number, yes?: boolean, sandbox?: boolean }
---@return omni.Error|nil refusal  nil: go on
local function decide(plan, options)
  local problem = refusal(plan, options.budget)
  if problem or not is_due(plan, options) then return problem end
  local said = planned.cost(plan)
  if plan.balance then said = ("%s; the account has %s"):format(said, text.credits(plan.balance)) end
  local yes = common.ask(("%s, %s. Submit?"):format(text.count(plan.submits, "scene"), said))
  if yes == nil then
    return no_consent(("the plan costs %s, and there is no terminal to ask on"):format(said), "give --yes, or a ceiling with --budget N")
  end
  if not yes then return no_consent("you didn't say yes") end
end

-- What keeps a submit from going through, too.
local unavailable = { unauthorized = true, key_disabled = true, network = true, rate_limited = true, maintenance = true,
  invalid_input = true, invalid_request = true, insufficient_credits = true }

-- Why a submit of this price can't be made at all, or not within the budget.
local function refusal_of_one(price, problem, budget)
  local function refuse(code, message, hint)
    return err.new { code = code, message = "nothing was submitted: " .. message, hint = hint }
  end
  if problem and unavailable[problem.code] then return refuse(problem.code, problem.message, problem.hint) end
  if budget and not price then
    return refuse("price_unknown", ("there is a budget, but the price isn't known (%s)"):format(problem.message),
      "submit it without a budget to go on all the same")
  elseif budget and price.credits > budget + 1e-9 then
    return refuse("over_budget", core.format("it costs about %.14g credits, the budget is %.14g", price.credits, budget),
      "raise the budget, or make it cheaper (shorter, a lower resolution)")
  elseif price and price.affordable == false then
    return refuse("insufficient_credits", core.format("it costs about %.14g credits%s", price.credits,
      price.balance and core.format("; the account has %.14g", price.balance) or ", more than the account has"),
      require("omni.core").codes[402].hint)
  end
end

---Decides over one submit; asks a person where that is due and possible.
---@param price? { credits: number, balance?: number, affordable?: boolean }
---@param problem? omni.Error  why there is no price
---@param options { budget?: number, yes?: boolean, sandbox?: boolean, show: fun() }  show: tells the price; what is refused for it says
---  why itself
---@return omni.Error|nil refusal  nil: go on
local function decide_one(price, problem, options)
  local refused = refusal_of_one(price, problem, options.budget)
  if refused then return refused end
  options.show()
  if options.sandbox or options.budget or options.yes then return nil end
  local yes = common.ask "Submit?"
  if yes == nil then
    return no_consent(("it costs %s, and there is no terminal to ask on"):format(
      price and "about " .. text.credits(price.credits) or "an unknown price"), "give --yes, or a ceiling with --budget N")
  end
  if not yes then return no_consent("you didn't say yes") end
end

return { announce = announce, decide = decide, decide_one = decide_one, is_due = is_due, possible = possible }
