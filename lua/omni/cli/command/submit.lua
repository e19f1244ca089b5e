-- SPDX-License-Identifier: MIT
-- `omni submit`: creates a task after you have agreed to its price. With --wait or --out, `omni submit` waits until the task has ended.

local input_options = require "omni.cli.input_options"
local message = require "omni.cli.view.message"
local options = require "omni.cli.options"
local service_command = require "omni.cli.service_command"
local signals = require "omni.cli.signals"

local command = { summary = "Submit a task, after you have agreed to its price." }

function command.define(parser)
  input_options.define(parser)
  parser:option("--callback-url", "The service sends a callback to this URL when the task has ended (docs/callbacks.md)."):argname("URL")
  options.label(parser:option("--tag", "Your name for the submit, stored in the ledger."):argname("TEXT"))
  options.label(parser:option("--idempotency-key",
    "Your name for this purchase. If the ledger already contains it, submit nothing and print its task."):argname("KEY"))
  options.amount(parser:option("--budget", "Spend at most N credits; don't ask for consent to a price within that."):argname("N"))
  parser:flag("--yes", "Submit without asking.")
  parser:flag("--wait", "Wait until the task has ended.")
  options.path(parser:option("--out", "Wait, and download the task's files into this folder."):argname("DIR"))
  options.add_store(parser)
  parser:flag("--any", "With --out: accept files of any kind, including text and archives.")
  options.amount(parser:option("--timeout", "Wait at most S seconds (default: 1800)."):argname("S"))
  service_command.define(parser)
end

-- --- before the submit

-- Prints the price to stderr, since stdout is reserved for the result.
local function show_price(called, model, price, problem)
  local text, sandbox = require "omni.cli.view.text", called.client.is_sandbox
  local cost = price and "about " .. text.credits(price.credits, sandbox) or "an unknown price: " .. text.problem(problem)
  local balance = price and price.balance and "; the account has " .. text.credits(price.balance, sandbox) or ""
  called:note(("%s: %s%s"):format(text.clean(model), cost, balance))
end

-- Uploads the input's files before the submit, so that the user sees the progress and can press Ctrl-C. The submit then uses these uploads.
-- If the service no longer has one of these files, the submit uploads it again.
local function upload_files(called, input)
  local seen = {}
  for file in require("omni.client.placeholder").each(input) do
    if not seen[file.path] then
      local _, problem = called:upload(file.path)
      if problem then return problem end
      seen[file.path] = true
    end
  end
end

-- --- the submit

-- Reports why no task was created, and whether anything was charged. Returns the exit code.
local function fail(called, problem)
  if problem.code == "submit_unknown" then
    problem.hint = called.client.ledger_path
      and "it may have been accepted and charged. Compare the balance (omni credits) and see: omni status"
      or "it may have been accepted and charged. Compare the balance: omni credits"
    called:fail(problem)
    return 4
  elseif problem.task_id and problem.sent == "answered" then -- the submit was accepted, but the ledger couldn't record the task id
    called:print { problem.task_id }
    called:fail(problem)
    return 1
  end
  called:fail(problem)
  return problem.code == "invalid_input" and 2 or 3
end

-- Submits the input, and prints the task id before anything else. If the user presses Ctrl-C after the request was sent, still waits for
-- the response.
local function submit(called, model, input, estimate, on_interrupt)
  local stop = {}
  on_interrupt(function(leave)
    stop.requested = true
    if not stop.sending then leave() end
  end)
  called.line:draw("submitting ...")
  local task, problem = called.client:submit(input,
    { model = model, callback_url = called.given.callback_url, tag = called.given.tag, idempotency_key = called.given.idempotency_key,
      about = { estimate = estimate }, stop = stop })
  called.line:clear()
  on_interrupt(function(leave) leave() end)
  if task then
    called:event("submitted", { task_id = task.id, model = model, estimate = estimate })
    called:print { task.id }
    if require("omni.host").output_failed() then called:message("submitted, and charged: task " .. task.id) end
  end
  return task, problem, stop.requested
end

-- Performs all steps until the service accepts the submit. Returns the task, or nil and the exit code. Returns a single nil if the command
-- was interrupted before it sent the submit.
local function make_task(called, model, input, on_interrupt)
  local given = called.given
  if (given.tag or given.idempotency_key) and not called.client.ledger_path then
    return nil, fail(called, require("omni.error").new { code = "invalid_input", hint = "give --ledger PATH",
      message = "--tag and --idempotency-key need a ledger, and with a sandbox key there is none by default" })
  end
  local price, problem = called:price(model, input)
  called:event("estimate", {
    model = model, credits = price and price.credits, balance = price and price.balance, affordable = price and price.affordable,
    error = problem,
  })
  local refused = require("omni.cli.consent").decide_one(price, problem, {
    budget = given.budget, yes = given.yes, sandbox = called.client.is_sandbox,
    show = function() show_price(called, model, price, problem) end,
  })
  if signals.interrupted() then return nil end -- the user pressed Ctrl-C instead of answering the question
  if refused then return nil, fail(called, refused) end
  problem = upload_files(called, input)
  if problem then return nil, fail(called, problem) end
  local task, stopped
  task, problem, stopped = submit(called, model, input, price and price.credits, on_interrupt)
  if task then return task, stopped and 130 or nil end
  if stopped and problem.code ~= "submit_unknown" and not problem.task_id then return nil end
  local code = fail(called, problem)
  return nil, stopped and 130 or code
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  local misuse
  if given.timeout and not (given.wait or given.out) then misuse = "--timeout limits the waiting; add --wait" end
  misuse = misuse or options.normalize_url(given, "callback_url")
  if misuse then return message.exit(2, misuse) end
  local input, model = input_options.read(given)
  if not input then return 2 end
  local task
  local function interrupted(called)
    if task then return require("omni.cli.view.task_progress").interrupted(called, { task }) end
    called:event("interrupted", {})
    called:message "interrupted: nothing was submitted"
    return 130
  end
  return service_command.run(given, function(called, on_interrupt)
    local code
    task, code = make_task(called, model, input, on_interrupt)
    if task and code then return interrupted(called) end
    if not task then return code end
    return (given.wait or given.out) and require("omni.cli.command.fetch").wait_and_fetch(called, task) or 0
  end, interrupted)
end

return command
