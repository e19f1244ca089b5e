-- SPDX-License-Identifier: MIT
-- `omni plan BOARD`: prints what a run would do now, and what it would cost. Submits and changes nothing.

local board_options = require "omni.cli.board_options"

local command = { summary = "Show what a run would do, scene by scene, and what it would cost." }

function command.define(parser)
  board_options.define(parser)
  parser:flag("--json", "Print the plan as one line of JSON on stdout.")
end

-- Returns the exit code that a run of this plan would have if it ended before the first submit.
local function exit_code(plan, refusal)
  for _, entry in ipairs(plan.scenes) do
    if entry.selected and entry.action == "unknown" then return 4 end
  end
  return refusal and 3 or 0
end

local function show(opened, plan)
  local view = require "omni.cli.view.plan"
  local refusal = require "omni.storyboard.plan.refusal"(plan, opened.given.budget)
  local code, options = exit_code(plan, refusal), opened:view_options()
  opened:print_warnings()
  if opened.given.json then
    local event = view.event(plan, options)
    event.exit, event.error = code, refusal
    require("omni.cli.view.json_events").write("run", "plan", event)
    return code
  end
  view.write(io.stdout, plan, options)
  if refusal then
    local text = require "omni.cli.view.text"
    for index, problem in ipairs(refusal.problems or { refusal }) do
      print((index == 1 and "a run would be refused: " or "") .. text.problem(problem):gsub("^nothing was submitted: ", ""))
      if problem.hint then print("  " .. text.clean(require("omni.cli.view.hint").of(problem))) end
    end
  end
  return code
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  local opened <close>, exit = board_options.open(given, false)
  if not opened then return exit end
  return require("omni.cli.signals").run(function()
    local drawing <close> = opened.line:start() -- luacheck: ignore 211
    opened:announce_prices()
    local plan, problem = require("omni").plan_storyboard(opened.board, opened:plan_options())
    opened.line:clear()
    if plan then opened:look_up_times(plan) end
    if plan then return show(opened, plan) end
    local code = board_options.refuse(problem)
    if given.json and code == 3 then
      require("omni.cli.view.json_events").write("run", "plan", { title = opened.board.title, exit = code, error = problem })
    end
    return code
  end) or 130
end

return command
