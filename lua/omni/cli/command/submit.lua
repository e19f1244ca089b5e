-- SPDX-License-Identifier: MIT
-- `omni submit`: creates a task, after its price was agreed to; with --wait or --out it stays until the task is over.
--
-- Besides what omni offers to everybody it takes the storyboard's submit by name, which can be interrupted without losing what is
-- paid for.

local call = require "omni.cli.service_command"
local common = require "omni.cli.common"
local input = require "omni.cli.input_options"

local command = { summary = "Submit a task, after its price was agreed to." }

function command.define(parser)
  input.define(parser)
  parser:option("--callback-url", "Where the service tells of the task's end (docs/callbacks.md)."):argname("URL")
  common.amount(parser:option("--budget", "Spend at most N credits; what costs less isn't asked about."):argname("N"))
  parser:flag("--yes", "Submit without asking.")
  parser:flag("--wait", "Wait until the task is over.")
  common.path(parser:option("--out", "Wait, and fetch the task's files into this folder."):argname("DIR"))
  parser:flag("--any", "With --out: take files of any kind, also text and archives.")
  common.amount(parser:option("--timeout", "Wait for S seconds at most (default: 1800)."):argname("S"))
  call.define(parser)
end

-- --- before it is submitted

-- Shows what it costs, on stderr: stdout is for what came of it.
local function tell_price(called, model, price, problem)
  local text, play = require "omni.cli.view.text", called.client.is_sandbox
  local cost = price and "about " .. text.credits(price.credits, play) or "an unknown price: " .. text.problem(problem)
  local balance = price and price.balance and "; the account has " .. text.credits(price.balance, play) or ""
  called:note(("%s: %s%s"):format(text.clean(model), cost, balance))
end

-- Uploads the input's files, so that it is seen how that goes and can be interrupted. The submit finds them uploaded then, and knows
-- what to do when one is gone at the service.
local function upload_files(called, wanted)
  local seen = {}
  for file in require("omni.client.placeholder").each(wanted) do
    if not seen[file.path] then
      local _, problem = called:upload(file.path)
      if problem then return problem end
      seen[file.path] = true
    end
  end
end

-- --- the submit

-- Tells why there is no task, and whether anything was paid.
local function tell_failure(called, problem)
  if problem.code == "submit_unknown" then
    problem.hint = called.client.ledger_path
      and "it may have been accepted and charged. Compare the balance (omni credits) and see: omni status"
      or "it may have been accepted and charged. Compare the balance: omni credits"
    called:fail(problem)
    return 4
  elseif problem.task_id then -- accepted, but not written down
    called:print { problem.task_id }
    called:fail(problem)
    return 1
  end
  called:fail(problem)
  return problem.code == "invalid_input" and 2 or 3
end

-- Submits, and hears the submit out when it is interrupted meanwhile. The task's id is the first thing on stdout.
local function submit(called, model, wanted, estimate, on_interrupt)
  local stop = {}
  on_interrupt(function(leave)
    stop.requested = true
    if not stop.sending then leave() end
  end)
  called.line:draw("submitting ...")
  local task, problem = called.client:submit(wanted,
    { model = model, callback_url = called.given.callback_url, about = { estimate = estimate }, stop = stop })
  on_interrupt(function(leave) leave() end)
  if task then
    called:event("submitted", { task_id = task.id, model = model, estimate = estimate })
    called:print { task.id }
    if require("omni.host").output_failed() then called:say("submitted, and charged: task " .. task.id) end -- it must stand somewhere
  end
  return task, problem, stop.requested
end

-- Everything up to the task; or nil and the exit code, which is nil, too, when it was interrupted.
local function make_task(called, model, wanted, on_interrupt)
  local given, signals = called.given, require "omni.cli.signals"
  local price, problem = called:price(model, wanted)
  called:event("estimate", {
    model = model, credits = price and price.credits, balance = price and price.balance, affordable = price and price.affordable,
    error = problem,
  })
  local refused = require("omni.cli.consent").decide_one(price, problem, {
    budget = given.budget, yes = given.yes, sandbox = called.client.is_sandbox,
    show = function() tell_price(called, model, price, problem) end,
  })
  if signals.interrupted() then return nil end -- while it was asked
  if refused then return nil, tell_failure(called, refused) end
  problem = upload_files(called, wanted)
  if problem then return nil, tell_failure(called, problem) end
  local task, stopped
  task, problem, stopped = submit(called, model, wanted, price and price.credits, on_interrupt)
  if task then return task, stopped and 130 or nil end
  if stopped and problem.code ~= "submit_unknown" and not problem.task_id then return nil end
  local code = tell_failure(called, problem)
  return nil, stopped and 130 or code
end

---@param given table  what argparse found
---@return integer exit code
function command.run(given)
  local misuse
  if given.timeout and not (given.wait or given.out) then misuse = "--timeout is for the waiting; add --wait" end
  misuse = misuse or common.normalize_url(given, "callback_url")
  if misuse then return common.say(misuse) or 2 end
  local wanted, model = input.read(given)
  if not wanted then return 2 end
  local task
  local function tell_interrupted(called)
    if task then return require("omni.cli.view.task_progress").tell_interrupted(called, { task }) end
    called:event("interrupted", {})
    called:say "interrupted: nothing was submitted"
    return 130
  end
  return call.run(given, function(called, on_interrupt)
    local code
    task, code = make_task(called, model, wanted, on_interrupt)
    if task and code then return tell_interrupted(called) end
    if not task then return code end
    return (given.wait or given.out) and require("omni.cli.task_files").follow(called, task) or 0
  end, tell_interrupted)
end

return command
