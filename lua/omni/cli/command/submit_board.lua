-- SPDX-License-Identifier: MIT
-- `omni submit-board BOARD --budget N`: turns a board into a job, which `omni work` can run on any machine. With --out, `omni submit-board`
-- waits for the job and downloads its files.

local options = require "omni.cli.options"
local message = require "omni.cli.view.message"
local service_command = require "omni.cli.service_command"

local command = { summary = "Make a job of a board, for workers (`omni work`) on any machine." }

function command.define(parser)
  parser:argument("board", "A Lua file that returns a storyboard. It may use only files in its folder."):argname("BOARD")
  options.amount(parser:option("--budget", "The job may cost N credits at most, over all workers."):argname("N"):count(1))
  options.add_set(parser)
  options.path(parser:option("--out", "Wait for the job, and get its film, report and clips into this folder."):argname("DIR"))
  options.amount(parser:option("--timeout", "With --out: wait at most S seconds."):argname("S"))
  options.add_store(parser)
  service_command.define(parser)
end

-- Prints the plan to stderr, since stdout is reserved for the job's name.
local function show(called, plan, given)
  local view, terminal = require "omni.cli.view.plan", require "omni.cli.view.terminal"
  local shown = {
    given = given, ledger = called.client.ledger_path, sandbox = called.client.is_sandbox, directory = plan.directory,
    colour = terminal.colour(2), columns = terminal.columns(2),
  }
  called.line:clear()
  if given.json then return require("omni.cli.view.json_events").write("run", "plan", view.event(plan, shown)) end
  view.write(io.stderr, plan, shown)
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  if given.timeout and not given.out then return message.exit(2, "--timeout limits the waiting; add --out") end
  return service_command.run(given, function(called)
    called.line:draw("asking what it costs ...")
    local job, problem = require("omni").submit_storyboard(given.board, {
      client = called.client, budget = given.budget, set = options.set_values(given),
      on_plan = function(plan) show(called, plan, given) end,
    })
    called.line:clear()
    if not job then
      local code = called:fail(problem)
      return (problem.code == "invalid_board" or code == 2) and 2 or 3
    end
    called:event("job", require("omni.cli.view.job").event(job))
    called:print { job.job }
    return given.out and require("omni.cli.command.fetch").wait_for_job(called, job.job) or 0
  end)
end

return command
