-- SPDX-License-Identifier: MIT
-- `omni jobs`: lists the ledger's jobs, or cancels some of them. `omni jobs` opens no client, so it needs no API key and no network.

local message = require "omni.cli.view.message"
local options = require "omni.cli.options"

local command = { summary = "List the jobs of `omni submit-board`, or cancel some." }

function command.define(parser)
  parser:option("--cancel", "Cancel this job. Its tasks in flight continue at the service and are charged. Repeatable."):argname("JOB")
    :count("*")
  options.add_ledger(parser, "with a sandbox key: none")
  parser:flag("--json", "Print one line of JSON on stdout.")
end

local function cancel(ledger, names)
  local code = 0
  for _, name in ipairs(names) do
    local fine, problem = require("omni.storyboard.job").cancel(ledger, name)
    if fine then print(name .. ": cancelled") else code = message.exit(1, problem) end
  end
  return code
end

local function list(ledger, given)
  local jobs, view, terminal = {}, require "omni.cli.view.job", require "omni.cli.view.terminal"
  if ledger then
    local found, problem = require("omni.storyboard.job").list(ledger)
    if not found then return message.exit(1, problem) end
    jobs = found
  end
  if given.json then
    local events = {}
    for i, job in ipairs(jobs) do events[i] = view.event(job) end
    require("omni.cli.view.json_events").write("jobs", "jobs", { ledger = given.path, exists = ledger ~= nil, jobs = events })
  elseif #jobs == 0 then
    print(("there are no jobs in the ledger %s"):format(require("omni.core").clean(given.path)))
  else
    local paint = require("omni.cli.view.text").painter(terminal.colour())
    print(table.concat(view.table(jobs, { columns = terminal.columns(), paint = paint }), "\n"))
  end
  return 0
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  local ledgers = require "omni.ledger"
  local path, problem = require("omni.cli.output_and_ledger").ledger(given)
  if not path then return message.exit(2, problem) end
  given.path = path
  if not ledgers.exists(path) then
    if given.cancel[1] then return message.exit(1, ("there is no ledger at %s"):format(path)) end
    return list(nil, given)
  end
  local ledger <close>, trouble = ledgers.open(path)
  if not ledger then return message.exit(1, trouble) end
  return require("omni.cli.signals").run(function()
    return given.cancel[1] and cancel(ledger, given.cancel) or not given.cancel[1] and list(ledger, given)
  end) or 130
end

return command
