-- SPDX-License-Identifier: MIT
-- `omni run BOARD`: makes a storyboard's film with `omni.run_storyboard`. `omni run` shows the plan, asks for consent, shows the progress
-- and prints the summary. A second run of a board continues where the first run ended.

local board_options = require "omni.cli.board_options"
local message = require "omni.cli.view.message"
local options = require "omni.cli.options"
local receiver_options = require "omni.cli.receiver_options"
local signals = require "omni.cli.signals"

local command = { summary = "Make a storyboard's film: plan, ask, submit, wait, download, cut." }

function command.define(parser)
  board_options.define(parser)
  options.count(parser:option("--jobs", "Have at most N scenes in flight (default: the sum of the keys' limits, else 4).")
    :argname("N"))
  parser:flag("--yes", "Submit without asking.")
  parser:option("--adopt", "Use TASK_ID as the task of SCENE, whose outcome is unknown or whose submit isn't in the ledger. Repeatable.")
    :argname { "SCENE", "TASK_ID" }:args(2):count("*")
  parser:mutex(
    parser:flag("--keep-going", "When a scene fails, continue with the scenes that don't build on it (the default)."),
    parser:flag("--fail-fast", "When a scene fails, submit nothing more."))
  receiver_options.define(parser, "none; omni polls")
  parser:flag("--json", "Print JSON events to stdout, one per line.")
end

local function write_event(...) require("omni.cli.view.json_events").write("run", ...) end

-- --- before the first submit

-- Assigns each task given with --adopt to its scene. On failure, returns an error value.
local function adopt(opened)
  for _, pair in ipairs(opened.given.adopt) do
    local _, problem = require("omni").adopt_task(opened.board, {
      client = opened.client, directory = opened.directory, scene = pair[1], task_id = pair[2],
    })
    if problem then return problem end
  end
end

-- Opens the callback receiver for --listen, and assigns each task given with --adopt to its scene. On failure, returns an error value.
local function prepare(opened)
  local problem = opened.given.listen and select(2, receiver_options.open(opened.given, opened.client)) or adopt(opened)
  if not problem then opened:announce_prices() end
  return problem
end

local function warn_of_needless_resubmits(opened, plan)
  for _, name in ipairs(opened.given.resubmit) do
    if not plan.by_name[name].instead_of then
      message.print(("--resubmit: the outcome of scene \"%s\" isn't unknown; omni plans the scene as usual"):format(name))
    end
  end
end

-- Prints the plan: to stderr if a question follows, otherwise to stdout.
local function show_plan(opened, plan)
  local given, view = opened.given, require "omni.cli.view.plan"
  local asks = require("omni.cli.consent").is_needed(plan, given) and require("omni.cli.view.terminal").can_ask()
  if given.json then write_event("plan", view.event(plan, opened:view_options())) end
  if given.json and not asks then return end
  local view_options = opened:view_options(asks and 2 or 1)
  view_options.fold = true
  view.write(asks and io.stderr or io.stdout, plan, view_options)
end

-- Prints the plan, and asks for consent if necessary. Returns the values that the `on_plan` hook must return.
local function review(opened, plan, problem)
  opened.line:clear()
  warn_of_needless_resubmits(opened, plan)
  show_plan(opened, plan)
  local refused = problem or require("omni.cli.consent").decide(plan, opened.given)
  return not refused and not signals.interrupted(), refused
end

-- --- the run

-- Opens the view that shows the progress. With --json, the view needs no plan. On a terminal, also starts a fiber that redraws the view.
local function open_progress(opened, plan)
  local loop, terminal = require "omni.loop", require "omni.cli.view.terminal"
  opened.runs = plan ~= nil
  local progress = require("omni.cli.view.run_progress").open {
    json = opened.given.json, plan = plan, sandbox = opened.client.is_sandbox, out = io.stdout, typical = opened.usual,
    colour = terminal.colour(), columns = terminal.columns, rows = require("omni.host").rows, now = require("omni.core").now,
    waits = opened.waits,
  }
  local clock = progress.draws and loop.background(function()
    while true do
      progress:tick()
      loop.sleep(0.1)
    end
  end)
  return progress, clock
end

-- Handles a run's event. A run also reports the beginning and the end of its own waits as events.
local function take(opened, event)
  local waits, own = opened.waits, opened.own_waits
  if event.event == "wait" then
    own[event.wait] = waits:begin(event.kind, { scene = event.scene, directory = event.directory })
  elseif event.event == "wait_over" then
    waits:over(own[event.wait])
  else
    opened.progress:event(event)
  end
end

-- Prints the summary, or the reason why nothing was submitted. Returns the exit code.
local function finish(opened, plan, summary, problem)
  local view, view_options = require "omni.cli.view.run_summary", opened:view_options()
  local code = summary and view.exit_code(summary) or view.exit_codes.refused
  if opened.given.json then
    view_options.exit, view_options.error = code, problem
    write_event("done", view.event(opened.board, plan, summary, view_options))
  elseif summary then
    view.write(io.stdout, plan, summary, view_options)
  end
  return problem and message.exit(code, problem) or code
end

-- Runs the board. Returns the exit code, or nil after an interruption before the first submit.
local function run(opened, on_interrupt, run_options)
  local given = opened.given
  local plan, clock
  opened.own_waits = {}
  if given.json then opened.progress = open_progress(opened) end
  local drawing <close> = opened.line:start() -- luacheck: ignore 211
  local summary, problem = require("omni").run_storyboard(opened.board, run_options {
    jobs = given.jobs, budget = given.budget, fail_fast = given.fail_fast,
    before_plan = function() return prepare(opened) end,
    on_plan = function(made, refusal)
      plan = made
      opened:look_up_times(plan)
      local yes, reason = review(opened, plan, refusal)
      if yes then opened.progress, clock = open_progress(opened, plan) end
      return yes, reason
    end,
    on_start = function(started) on_interrupt(function() started:interrupt() end) end,
    on_event = function(event) take(opened, event) end,
    interrupted = function() return signals.interrupted() ~= nil end,
    command_line = given,
  })
  opened.line:clear()
  if clock then clock:cancel() end
  opened.waits:close()
  if opened.progress then opened.progress:close() end
  if plan and not summary and signals.interrupted() then return nil end
  opened:print_warnings() -- after the last drawing
  if not plan and problem.code == "invalid_input" then return board_options.refuse(problem) end
  return finish(opened, plan, summary, problem)
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  local misuse = receiver_options.misuse(given)
  if misuse then return message.exit(2, misuse) end
  local opened <close>, exit = board_options.open(given, true)
  if not opened then return exit end
  return signals.run(function(on_interrupt)
    return run(opened, on_interrupt, function(more) return opened:plan_options(more) end)
  end) or message.exit(130, "interrupted: nothing was submitted")
end

-- --- omni fetch BOARD

-- Returns a plan that submits nothing. The plan contains the scenes in flight, and the paid scenes whose files haven't been fetched.
-- Returns nil if the board has no scenes whose files can be fetched.
local function plan_to_fetch(opened)
  local plan, problem = require("omni").plan_storyboard(opened.board, opened:plan_options { prices = false })
  if not plan then return nil, problem end
  local names = {}
  for _, entry in ipairs(plan.scenes) do
    if entry.action == "resume" or entry.action == "fetch" then names[#names + 1] = entry.scene end
  end
  if #names == 0 then return nil end
  opened.given.only = names
  return require("omni").plan_storyboard(opened.board, opened:plan_options { prices = false })
end

-- Fetches the board's files. Returns the exit code, or nil after an interruption.
local function fetch(opened, on_interrupt)
  local plan, problem = plan_to_fetch(opened)
  if problem then return board_options.refuse(problem) end
  if not plan then
    print "nothing to fetch: no scene is in flight, and the files of all that was paid for are here"
    return 0
  end
  return run(opened, on_interrupt, function(more)
    more.client, more.directory, more.plan, more.budget = opened.client, opened.directory, plan, nil
    return more
  end)
end

---Waits for a board's scenes that are in flight, and fetches all files that were paid for. Submits nothing.
---@param given table  the options of `omni fetch`
---@return integer exit code
function command.fetch(given)
  for _, name in ipairs { "only", "redo", "resubmit", "adopt", "set", "fault" } do given[name] = given[name] or {} end
  given.fetches = true
  local opened <close>, exit = board_options.open(given, true)
  if not opened then return exit end
  return signals.run(function(on_interrupt) return fetch(opened, on_interrupt) end) or message.exit(130, "interrupted")
end

return command
