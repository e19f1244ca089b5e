-- SPDX-License-Identifier: MIT
-- Whether a run may spend money: asked before anything is submitted.

local core = require "omni.core"
local err = require "omni.error"
local text = require "omni.cli.text"

local function refuse(code, message, hint)
  return err.new { code = code, message = "nothing was submitted: " .. message, hint = hint }
end

-- What the plan costs, as text: "about 36 credits; the account has 100 credits".
local function said(plan)
  local cost
  if plan.complete then
    cost = "about " .. text.credits(plan.credits)
  elseif plan.credits > 0 then
    cost = ("more than %s (not every price is known)"):format(text.credits(plan.credits))
  else
    cost = "an unknown price"
  end
  if plan.error then cost = ("%s (%s)"):format(cost, text.problem(plan.error)) end
  return plan.balance and ("%s; the account has %s"):format(cost, text.credits(plan.balance)) or cost
end

-- Asks on the terminal; true for a yes.
local function ask(board, plan)
  local out = io.stderr
  for _, scene in ipairs(plan.scenes) do
    out:write(("  %s  %s\n"):format(text.clean(scene.scene), scene.credits and text.credits(scene.credits) or "price unknown"))
  end
  out:write(("%d scenes, %s. Submit? [y/N] "):format(#board.scenes, said(plan)))
  out:flush()
  local answer = io.read()
  if not answer then out:write("\n") end
  return answer ~= nil and answer:lower():match("^%s*y[es]*%s*$") ~= nil
end

-- Says that it takes a moment, where that can be taken back; answers the function that does.
local function announce(message)
  if not core.terminal(2) or os.getenv("TERM") == "dumb" then return function() end end
  io.stderr:write(message)
  return function() io.stderr:write("\r\27[K") end
end

---Decides; asks a person where that is due and possible.
---@param board omni.Storyboard
---@param plan table  what `omni.storyboard.price` gave
---@param options { budget?: number, yes?: boolean, sandbox?: boolean }
---@return omni.Error|nil refusal  nil: go on
local function refusal(board, plan, options)
  local budget = options.budget
  if plan.unavailable then return refuse(plan.unavailable.code, text.problem(plan.unavailable), plan.unavailable.hint) end
  if budget and not plan.complete then
    return refuse("price_unknown", ("there is a budget of %s, but not every price is known%s")
      :format(text.credits(budget), plan.error and ": " .. text.problem(plan.error) or ""),
      "run it without --budget to go on all the same")
  end
  if budget and plan.credits > budget + 1e-9 then
    return refuse("over_budget", ("the plan costs about %s, the budget is %s"):format(text.credits(plan.credits), text.credits(budget)),
      "raise --budget, or make the film cheaper (shorter scenes, a lower resolution)")
  end
  if options.sandbox then return nil end
  if plan.balance and plan.credits > plan.balance then
    return refuse("insufficient_credits", "the plan costs " .. said(plan), "add credits to the account, or make the film cheaper")
  end
  if budget or options.yes then return nil end
  if not (core.terminal(0) and core.terminal(2)) then
    return refuse("no_consent", ("the plan costs %s, and there is no terminal to ask on"):format(said(plan)),
      "give --yes, or a ceiling with --budget N")
  end
  if not ask(board, plan) then return refuse("no_consent", "you didn't say yes") end
end

return { announce = announce, refusal = refusal }
