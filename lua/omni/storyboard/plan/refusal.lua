-- SPDX-License-Identifier: MIT
-- Decides whether a plan can run: the board must have no problems, the service must be usable, and the price must fit the budgets and the
-- balance.

local core = require "omni.core"
local err = require "omni.error"
local errors = require "omni.storyboard.language.errors"
local listed = require("omni.storyboard.language.defaults_check").listed

-- Returns an error if the board's problems prevent a run. The error's `problems` field lists all of the board's problems.
local function problems_of(plan)
  local found, by_message = table.move(plan.problems, 1, #plan.problems, 1, {}), {}
  for index, planned in ipairs(plan.scenes) do
    if planned.selected and planned.action == "invalid" then
      for _, problem in ipairs(planned.problems or { planned.error }) do
        local group = by_message[problem.message]
        if not group then
          group = { problem = problem, names = {}, where = plan.board.scenes[index].where }
          by_message[problem.message], found[#found + 1] = group, group
        end
        table.insert(group.names, planned.scene)
      end
    end
  end
  if #found == 0 then return nil end
  errors.sort(found)
  for i, item in ipairs(found) do
    local problem, what = item.problem or item, ""
    if item.names then what = (#item.names == 1 and errors.quoted(item.names[1]) or listed(item.names)) .. ": " end
    found[i] = err.new { code = problem.code, field = problem.field, hint = problem.hint, where = item.where,
      scene = item.names and item.names[1], message = (item.where and item.where .. ": " or "") .. what .. problem.message }
  end
  found[1].message = "nothing was submitted: " .. found[1].message
  found[1].problems = found
  return found[1]
end

---Returns the reason why omni refuses to run a plan, or nil if the plan can run.
---@param plan omni.Plan
---@param budget? number  credits
---@return omni.Error|nil
local function refusal(plan, budget)
  local function refuse(code, message, hint)
    return err.new { code = code, message = "nothing was submitted: " .. message, hint = hint }
  end
  local wrong = problems_of(plan)
  if wrong then return wrong end
  if plan.unavailable then return refuse(plan.unavailable.code, plan.unavailable.message, plan.unavailable.hint) end
  local kind = plan.sandbox and "sandbox " or ""
  local of_board, spent = plan.board.budget, plan.spent.credits + plan.spent.estimated
  if (budget or of_board) and not plan.complete then
    return refuse("price_unknown", ("there is a budget, and some price is unknown%s")
      :format(plan.error and " (" .. plan.error.message .. ")" or ""), "to run it anyway, run it without a budget")
  elseif budget and plan.credits > budget + 1e-9 then
    return refuse("over_budget", core.format("the plan costs about %.14g %scredits, the budget is %.14g", plan.credits, kind, budget),
      "raise the budget, or make the film cheaper (shorter scenes, a lower resolution)")
  elseif of_board and plan.credits > 0 and spent + plan.credits > of_board + 1e-9 then
    return refuse("over_budget", core.format("the plan costs about %.14g %scredits, %.14g are spent, and the board's budget is %.14g",
      plan.credits, kind, spent, of_board), "raise the board's budget, or make the film cheaper")
  elseif plan.balance and plan.credits > plan.balance then
    return refuse("insufficient_credits", core.format("the plan costs about %.14g %scredits; the account has %.14g",
      plan.credits, kind, plan.balance), core.codes[402].hint)
  end
end

return refusal
