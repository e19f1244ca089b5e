-- SPDX-License-Identifier: MIT
-- `omni run BOARD`: shoots a storyboard.
--
-- Besides what omni offers to everybody it takes the storyboard's rooms by name, for an interruption that hears submits out.

local common = require "omni.cli.common"

local command = { summary = "Shoot a storyboard: submit its scenes, wait, fetch the films." }

function command.define(parser)
  parser:argument("board", "A Lua file that returns a storyboard (README.md)."):argname("BOARD")
  parser:flag("--sandbox", "Against a sandbox of its own: no key, no network, no cost.")
  parser:option("--out", "Where the files go (default: BOARD.omni beside the board; its folder sandbox with --sandbox)."):argname("DIR")
  common.count(parser:option("--jobs", "Scenes in flight at most (default: 4)."):argname("N"))
  common.amount(parser:option("--budget", "Spend at most N credits; a plan that costs less isn't asked about."):argname("N"))
  parser:flag("--yes", "Submit without asking.")
  parser:flag("--json", "One JSON event a line on stdout.")
  parser:option("--base-url", "The service's base URL (default: CRUN_BASE_URL, else the service's own)."):argname("URL")
  common.add_sandbox_options(parser)
end

-- "films/lighthouse.lua" → "films/lighthouse.omni"
local function default_directory(given)
  local directory = given.board:gsub("%.lua$", "") .. ".omni"
  return given.sandbox and directory .. "/sandbox" or directory -- so that a rehearsal never touches what was paid for
end

local function plan_event(board, plan, given, directory)
  local event = {
    event = "plan", title = board.title, directory = directory, sandbox = given.sandbox or false, scenes = {},
    credits = plan.credits, complete = plan.complete, balance = plan.balance, budget = given.budget,
  }
  for index, scene in ipairs(board.scenes) do
    event.scenes[index] = { scene = scene.name, model = scene.model, credits = plan.scenes[index].credits }
  end
  return event
end

-- Whether stdout is a terminal on which lines can be redrawn.
local function drawing_columns()
  if os.getenv("TERM") == "dumb" then return nil end
  return require("omni.core").terminal(1)
end

local function wants_colour()
  local no_color = os.getenv("NO_COLOR")
  return drawing_columns() ~= nil and not (no_color and no_color ~= "")
end

-- From the plan to the end of the shooting; in the loop. Answers the summary, or nil and why nothing was submitted; or nothing
-- when it was interrupted before.
local function shoot(board, client, given, directory, on_interrupt)
  local host, loop = require "omni.host", require "omni.loop"
  local consent, progress = require "omni.cli.consent", require "omni.cli.progress"
  local signals = require "omni.cli.signals"

  local asked = consent.announce("asking what it costs ...")
  local told = {}
  local plan = require("omni.storyboard.price").price(board, client, given.jobs, function(failure)
    if told[failure.message] then return end
    told[failure.message] = true
    asked()
    common.say(require("omni.cli.text").problem(failure) .. "; trying again")
  end)
  asked()
  if given.json then progress.write_json(io.stdout, plan_event(board, plan, given, directory)) end
  local refused = consent.refusal(board, plan, given)
  if signals.interrupted() then return nil, nil end -- while it was asked
  if refused then return nil, refused end

  local shown = progress.open {
    json = given.json, board = board, prices = plan.by_scene, sandbox = given.sandbox, out = io.stdout,
    colour = wants_colour(), columns = drawing_columns, rows = host.rows, now = require("omni.core").now,
  }
  local run, problem = require("omni.storyboard.run").start(board, {
    client = client, directory = directory, jobs = given.jobs, budget = given.budget, prices = plan.by_scene,
    keep_older = not given.sandbox, interrupted = function() return signals.interrupted() ~= nil end,
    on_event = function(event) shown:event(event) end,
  })
  if not run then return nil, problem end
  on_interrupt(function() run:interrupt() end)
  local clock <close> = loop.background(function() -- luacheck: ignore 211
    while true do
      shown:tick()
      loop.sleep(1)
    end
  end)
  local summary = run:join()
  shown:finish()
  return summary
end

local function finish(summary, refused, board, given)
  local result = require "omni.cli.summary"
  local code = summary and result.exit_code(summary) or result.exit_codes.refused
  if given.json then
    require("omni.cli.progress").write_json(io.stdout, {
      event = "done", title = board.title, sandbox = given.sandbox or false, credits = summary and summary.credits or 0,
      exit = code, error = refused, scenes = summary and summary.scenes,
    })
  elseif summary then
    result.write(io.stdout, summary, { sandbox = given.sandbox, colour = wants_colour(), columns = drawing_columns() })
  end
  if refused then common.tell(refused) end
  return code
end

---@param given table  what argparse found
---@return integer exit code
function command.run(given)
  local misuse = common.sandbox_misuse(given)
  if misuse then return common.say(misuse) or 2 end
  local omni = require "omni"
  local board, bad = omni.load_storyboard(given.board)
  if not board then return common.tell(bad) or 2 end

  local sandbox <close>, problem = common.rehearsal(given)
  if problem then return common.tell(problem) or 2 end
  local warnings = {}
  local client <close>, trouble = omni.client {
    base_url = sandbox and sandbox.url or given.base_url, api_key = sandbox and sandbox.key,
    poll_min = sandbox and 0.2, -- nobody else is waiting for its answers
    on_warning = function(text) warnings[#warnings + 1] = text end,
  }
  if not client then return common.tell(trouble) or 2 end
  local directory = given.out or default_directory(given)

  local code, failure = common.in_loop(function(on_interrupt)
    local summary, refused = shoot(board, client, given, directory, on_interrupt)
    if not summary and not refused then return nil end
    for _, warning in ipairs(warnings) do common.say(require("omni.core").clean(warning)) end -- not into the drawing
    return finish(summary, refused, board, given)
  end)
  if failure then error(failure, 0) end
  if code then return code end
  common.say("interrupted: nothing was submitted")
  return 130
end

return command
