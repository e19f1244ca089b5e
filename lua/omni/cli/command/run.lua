-- SPDX-License-Identifier: MIT
-- `omni run BOARD`: shoots a storyboard, cuts the film, writes the report. Run again it goes on from where it was.

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

-- --- before the first submit

-- Gives the tasks of --adopt to their scenes. Returns an error value, or nil.
local function adopt(opened)
  for _, pair in ipairs(opened.given.adopt) do
    local _, problem = require("omni").adopt_task(opened.board, {
      client = opened.client, directory = opened.directory, scene = pair[1], task_id = pair[2],
    })
    if problem then return problem end
  end
end

-- Opens the receiver of --listen, which the client closes, and adopts. Returns an error value, or nil.
local function prepare(opened)
  local problem = opened.given.listen and select(2, common.open_receiver(opened.given, opened.client)) or adopt(opened)
  if not problem then opened:announce_prices() end
  return problem
end

-- Shows the plan: on stderr if a question follows, else on stdout.
local function show_plan(opened, plan)
  local given, consent, view = opened.given, require "omni.cli.consent", require "omni.cli.view.plan"
  if given.json then
    require("omni.cli.view.run_progress").write_json(io.stdout,
      view.event(plan, { directory = opened.directory, sandbox = given.sandbox, budget = given.budget }))
  end
  local asks = consent.is_needed(plan, given) and consent.can_ask()
  if given.json and not asks then return end
  local fd = asks and 2 or 1
  view.write(asks and io.stderr or io.stdout, plan, {
    given = given, ledger = opened.client.ledger_path, sandbox = given.sandbox, budget = given.budget, fold = true,
    colour = common.wants_colour(fd), columns = common.drawing_columns(fd),
  })
end

local function warn_of_needless_resubmits(opened, plan)
  for _, name in ipairs(opened.given.resubmit) do
    if not plan.by_name[name].instead_of then
      common.say(('--resubmit: the outcome of scene "%s" isn\'t unknown; it is planned like the others')
        :format(require("omni.core").clean(name)))
    end
  end
end

-- Shows the plan and asks for consent where that is needed. Returns what `on_plan` returns.
local function review(opened, plan, problem)
  opened:clear()
  warn_of_needless_resubmits(opened, plan)
  show_plan(opened, plan)
  local refused = problem or require("omni.cli.consent").decide(plan, opened.given)
  return not refused and not require("omni.cli.signals").interrupted(), refused
end

-- --- the run

-- Returns how long such scenes take, in seconds, by scene: the median of at least three. Asks the ledger once for each kind of scene.
local function typical_times(plan)
  local kinds, times = {}, {}
  for index, entry in ipairs(plan.scenes) do
    local input = plan.board.scenes[index].input
    local duration, resolution = input.duration, input.resolution
    if entry.selected and entry.action ~= "reuse" and type(duration) ~= "table" and type(resolution) ~= "table" then
      local kind = ("%s %s %s"):format(entry.model, duration, resolution)
      if kinds[kind] == nil then
        local rows = plan.ledger:ask("durations", { model = entry.model, duration = duration, resolution = resolution }) or {}
        kinds[kind] = #rows >= 3 and rows[(#rows + 1) // 2].took
      end
      times[entry.scene] = kinds[kind] or nil
    end
  end
  return times
end

-- Opens the view of the run, and a fiber that redraws it where it is drawn.
local function open_progress(opened, plan)
  local given, loop = opened.given, require "omni.loop"
  local progress = require("omni.cli.view.run_progress").open {
    json = given.json, plan = plan, sandbox = given.sandbox, out = io.stdout, typical = typical_times(plan),
    colour = common.wants_colour(), columns = common.drawing_columns, rows = require("omni.host").rows, now = require("omni.core").now,
  }
  local clock = progress.draws and loop.background(function()
    while true do
      progress:tick()
      loop.sleep(0.1)
    end
  end)
  return progress, clock
end

-- Returns what the board has cost, this run included: the credits that were reported, and the estimates of the rest.
local function spent_on(plan)
  local sum, promised = 0, 0
  for _, row in ipairs(plan.ledger:ask("spent", { board = plan.board_key }) or {}) do
    sum, promised = sum + row.credits, promised + row.promised
  end
  return sum, promised
end

-- Shows the summary, or why nothing was submitted. Returns the exit code.
local function finish(opened, plan, summary, problem)
  local given, view = opened.given, require "omni.cli.view.run_summary"
  local code = summary and view.exit_code(summary) or view.exit_codes.refused
  local spent, promised
  if summary then spent, promised = spent_on(plan) end
  if given.json then
    require("omni.cli.view.run_progress").write_json(io.stdout, view.event(opened.board, plan, summary, {
      sandbox = given.sandbox, spent = spent, exit = code, error = problem,
    }))
  elseif summary then
    view.write(io.stdout, plan, summary, {
      given = given, ledger = opened.client.ledger_path, sandbox = given.sandbox, spent = spent, promised = promised,
      colour = common.wants_colour(), columns = common.drawing_columns(),
    })
  end
  if problem then common.tell(problem) end
  return code
end

-- Runs the board. Returns the exit code; nil after an interruption before the first submit.
local function run(opened, on_interrupt)
  local given, signals = opened.given, require "omni.cli.signals"
  local plan, progress, clock
  local summary, problem = require("omni").run_storyboard(opened.board, opened:plan_options {
    jobs = given.jobs, budget = given.budget, fail_fast = given.fail_fast,
    on_wait = function()
      common.say(("another omni run uses %s; waiting for it"):format(require("omni.core").clean(opened.directory)))
    end,
    before_plan = function() return prepare(opened) end,
    on_plan = function(made, refusal)
      plan = made
      local yes, reason = review(opened, plan, refusal)
      if yes then progress, clock = open_progress(opened, plan) end
      return yes, reason
    end,
    on_start = function(started) on_interrupt(function() started:interrupt() end) end,
    on_event = function(event) progress:event(event) end,
    interrupted = function() return signals.interrupted() ~= nil end,
  })
  opened:clear()
  if clock then clock:cancel() end
  if progress then progress:close() end
  if plan and not summary and signals.interrupted() then return nil end
  opened:print_warnings() -- after the drawing
  if not plan and problem.code == "invalid_input" then return boards.refuse(problem) end
  return finish(opened, plan, summary, problem)
end

---@param given table  what argparse found
---@return integer exit code
function command.run(given)
  local misuse = common.receiver_misuse(given)
  if misuse then return common.say(misuse) or 2 end
  local opened <close>, exit = boards.open(given, false)
  if not opened then return exit end
  local code, failure = common.in_loop(function(on_interrupt) return run(opened, on_interrupt) end)
  if failure then error(failure, 0) end
  if code then return code end
  common.say("interrupted: nothing was submitted")
  return 130
end

return command
