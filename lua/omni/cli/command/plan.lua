-- SPDX-License-Identifier: MIT
-- `omni plan BOARD`: what a run would do now, and what it would cost. Submits nothing, changes nothing.

local boards = require "omni.cli.board_options"
local common = require "omni.cli.common"

local command = { summary = "Show what a run would do, scene by scene, and what it would cost." }

function command.define(parser)
  boards.define(parser)
  parser:flag("--json", "The plan as one line of JSON on stdout.")
end

-- What a run of this plan would exit with before it submits anything.
local function exit_code(plan, refusal)
  for _, entry in ipairs(plan.scenes) do
    if entry.selected and entry.action == "unknown" then return 4 end
  end
  return refusal and 3 or 0
end

local function show(opened, plan)
  local given, planned = opened.given, require "omni.cli.view.plan"
  local refusal = require("omni.storyboard.run").refusal(plan, given.budget)
  local code = exit_code(plan, refusal)
  opened:print_warnings()
  if given.json then
    local event = planned.event(plan, { directory = opened.directory, sandbox = given.sandbox, budget = given.budget })
    event.exit, event.error = code, refusal
    require("omni.cli.view.run_progress").write_json(io.stdout, event)
    return code
  end
  planned.write(io.stdout, plan, {
    given = given, ledger = opened.client.ledger_path, sandbox = given.sandbox, budget = given.budget, colour = common.wants_colour(),
    columns = common.drawing_columns(),
  })
  if refusal then
    local text = require "omni.cli.view.text"
    print("a run would be refused: " .. text.problem(refusal):gsub("^nothing was submitted: ", ""))
    if refusal.hint then print("  " .. text.clean(refusal.hint)) end
  end
  return code
end

---@param given table  what argparse found
---@return integer exit code
function command.run(given)
  local opened <close>, exit = boards.open(given, true)
  if not opened then return exit end
  local code, failure = common.in_loop(function()
    opened:announce_prices()
    local plan, problem = require("omni").plan_storyboard(opened.board, opened:plan_options())
    opened:clear()
    if plan then return show(opened, plan) end
    local refused = boards.refuse(problem)
    if given.json and refused == 3 then
      require("omni.cli.view.run_progress").write_json(io.stdout,
        { event = "plan", title = opened.board.title, exit = refused, error = problem })
    end
    return refused
  end)
  if failure then error(failure, 0) end
  return code or 130
end

return command
