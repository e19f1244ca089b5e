-- SPDX-License-Identifier: MIT
-- `omni run BOARD`: shoots a storyboard, cuts the film, writes the report. Run again it goes on from where it was.
--
-- Besides what omni offers to everybody it takes the storyboard's rooms by name, for a plan that is shown before it is carried out,
-- and for an interruption that hears submits out.

local boards = require "omni.cli.board_options"
local common = require "omni.cli.common"

local command = { summary = "Shoot a storyboard: plan, ask, submit, wait, fetch, cut." }

function command.define(parser)
  boards.define(parser)
  common.count(parser:option("--jobs", "Scenes in flight at most (default: the sum of the keys' limits when each has one, else 4).")
    :argname("N"))
  parser:flag("--yes", "Submit without asking.")
  parser:option("--adopt", "Take TASK_ID for the task of a scene whose outcome is unknown, or that the ledger has lost. May be given"
    .. " several times."):argname { "SCENE", "TASK_ID" }:args(2):count("*")
  parser:mutex(
    parser:flag("--keep-going", "When a scene fails, go on with those that don't build on it (the default)."),
    parser:flag("--fail-fast", "When a scene fails, submit nothing more."))
  common.add_receiver_options(parser, "not at all; results are asked for")
  parser:flag("--json", "One JSON event a line on stdout.")
end

-- --- before anything is submitted

-- Carries out what --adopt says.
local function adopt(opened)
  for _, pair in ipairs(opened.given.adopt) do
    local _, problem = require("omni.storyboard.run.adopt").adopt(opened.board, {
      client = opened.client, directory = opened.directory, scene = pair[1], task_id = pair[2],
    })
    if problem then return problem end
  end
end

-- The plan, for whoever reads: beside the question where there will be one.
local function show_plan(opened, plan)
  local given, consent, planned = opened.given, require "omni.cli.consent", require "omni.cli.view.plan"
  if given.json then
    require("omni.cli.view.run_progress").write_json(io.stdout,
      planned.event(plan, { directory = opened.directory, sandbox = given.sandbox, budget = given.budget }))
  end
  local asks = consent.is_due(plan, given) and consent.possible()
  if given.json and not asks then return end
  local fd = asks and 2 or 1
  planned.write(asks and io.stderr or io.stdout, plan, {
    given = given, ledger = opened.client.ledger_path, sandbox = given.sandbox, budget = given.budget, fold = true,
    colour = common.wants_colour(fd), columns = common.drawing_columns(fd),
  })
end

local function say_needless(opened, plan)
  for _, name in ipairs(opened.given.resubmit) do
    local entry = plan.by_name[name]
    if not entry.instead_of then
      common.say(('--resubmit: the outcome of scene "%s" isn\'t unknown; it is planned like the others')
        :format(require("omni.core").clean(name)))
    end
  end
end

-- How long such scenes take, in seconds, by scene: the median of at least three; asked of the ledger once for each kind.
local function typical_times(plan, ledger)
  local kinds, times = {}, {}
  for index, entry in ipairs(plan.scenes) do
    local input = plan.board.scenes[index].input
    local duration, resolution = input.duration, input.resolution
    if entry.selected and entry.action ~= "reuse" and type(duration) ~= "table" and type(resolution) ~= "table" then
      local kind = ("%s %s %s"):format(entry.model, duration, resolution)
      if kinds[kind] == nil then
        local rows = ledger:ask("typical", { model = entry.model, duration = duration, resolution = resolution }) or {}
        kinds[kind] = #rows >= 3 and rows[(#rows + 1) // 2].took
      end
      times[entry.scene] = kinds[kind] or nil
    end
  end
  return times
end

-- --- the run

local function shoot(opened, plan, directory, on_interrupt)
  local given, loop = opened.given, require "omni.loop"
  local signals = require "omni.cli.signals"
  local shown = require("omni.cli.view.run_progress").open {
    json = given.json, plan = plan, sandbox = given.sandbox, out = io.stdout, typical = typical_times(plan, plan.ledger),
    colour = common.wants_colour(), columns = common.drawing_columns, rows = require("omni.host").rows, now = require("omni.core").now,
  }
  local run <close> = require("omni.storyboard.run").start(plan, {
    client = opened.client, directory = directory, jobs = given.jobs, budget = given.budget, fail_fast = given.fail_fast,
    interrupted = function() return signals.interrupted() ~= nil end,
    on_event = function(event) shown:event(event) end,
  })
  on_interrupt(function() run:interrupt() end)
  local clock <close> = shown.draws and loop.background(function() -- luacheck: ignore 211
    while true do
      shown:tick()
      loop.sleep(0.1)
    end
  end)
  local summary = run:join()
  shown:finish()
  return summary
end

-- What the board has cost, this run included.
local function spent_on(plan)
  local sum, promised = 0, 0
  for _, row in ipairs(plan.ledger:ask("spent", { board = plan.board_key }) or {}) do
    sum, promised = sum + row.credits, promised + row.promised
  end
  return sum, promised
end

---@param plan? omni.Plan             nil: there was none
---@param summary? omni.RunSummary    nil: refused
---@param refused? omni.Error
local function tell_end(opened, plan, summary, refused)
  local given, result = opened.given, require "omni.cli.view.run_summary"
  local code = summary and result.exit_code(summary) or result.exit_codes.refused
  local spent, promised
  if summary then spent, promised = spent_on(plan) end
  if given.json then
    require("omni.cli.view.run_progress").write_json(io.stdout, result.event(opened.board, plan, summary, {
      sandbox = given.sandbox, spent = spent, exit = code, error = refused,
    }))
  elseif summary then
    result.write(io.stdout, plan, summary, {
      given = given, ledger = opened.client.ledger_path, sandbox = given.sandbox, spent = spent, promised = promised,
      colour = common.wants_colour(), columns = common.drawing_columns(),
    })
  end
  if refused then common.tell(refused) end
  return code
end

-- From the lock to the end; in the loop. Answers the exit code, or nothing when it was interrupted before anything was submitted.
local function carry_out(opened, on_interrupt)
  local directories, signals = require "omni.storyboard.run.output_lock", require "omni.cli.signals"
  local directory <close>, problem = directories.open(opened.directory, function()
    common.say(("another omni run is at work in %s; waiting for it"):format(require("omni.core").clean(opened.directory)))
  end)
  local records
  if not problem then records, problem = opened.client:board_ledger(opened.directory) end
  if opened.given.listen and not problem then -- it is closed with the client
    problem = select(2, common.open_receiver(opened.given, opened.client))
  end
  if records then require("omni.callbacks.receiver").settle_heard(opened.client, records) end
  problem = problem or adopt(opened)
  local plan
  if not problem then plan, problem = opened:plan() end
  if problem and problem.code == "invalid_input" then return boards.refuse(problem) end
  if problem then return tell_end(opened, nil, nil, problem) end
  say_needless(opened, plan)
  show_plan(opened, plan)
  local refused = require("omni.cli.consent").decide(plan, opened.given)
  if signals.interrupted() then return nil end -- while it was asked
  local summary = not refused and shoot(opened, plan, directory, on_interrupt) or nil
  opened:tell_warnings() -- not into the drawing
  return tell_end(opened, plan, summary, refused)
end

---@param given table  what argparse found
---@return integer exit code
function command.run(given)
  local misuse = common.receiver_misuse(given)
  if misuse then return common.say(misuse) or 2 end
  local opened <close>, exit = boards.open(given, false)
  if not opened then return exit end
  local code, failure = common.in_loop(function(on_interrupt) return carry_out(opened, on_interrupt) end)
  if failure then error(failure, 0) end
  if code then return code end
  common.say("interrupted: nothing was submitted")
  return 130
end

return command
