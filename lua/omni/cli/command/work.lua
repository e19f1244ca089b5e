-- SPDX-License-Identifier: MIT
-- `omni work`: runs jobs (`omni submit-board`) from the ledger, one after another, until the user presses Ctrl-C or the process receives
-- SIGTERM.

local message = require "omni.cli.view.message"
local options = require "omni.cli.options"
local service_command = require "omni.cli.service_command"

local command = { summary = "Run the jobs of `omni submit-board`, on any number of machines, until Ctrl-C." }

function command.define(parser)
  parser:flag("--once", "End once no job is waiting, instead of waiting for further jobs.")
  options.path(parser:option("--out", "The folder in which each job gets a folder (default: omni/jobs in ~/.cache)."):argname("DIR"))
  options.count(parser:option("--jobs", "Have at most N scenes in flight (default: the sum of the keys' limits, else 4)."):argname("N"))
  options.add_store(parser)
  service_command.define(parser)
end

local function default_folder()
  local cache, home = os.getenv "XDG_CACHE_HOME", os.getenv "HOME"
  if cache and cache:find "^/" then return cache .. "/omni/jobs" end
  return home and home ~= "" and home .. "/.cache/omni/jobs" or nil
end

local state_texts <const> = { waiting = "put back", lost = "cancelled, or taken over by another worker" }

-- Returns the line to print for an event, or nil if the event isn't printed.
local function line_of(event, sandbox)
  local text = require "omni.cli.view.text"
  if event.event == "job" then
    local reason = event.error and ": " .. text.problem(event.error) or ""
    return ("%s  %s  %s%s"):format(event.job, text.clean(event.board), state_texts[event.state] or event.state, reason)
  elseif event.event == "pause" then
    return ("pausing for %d s: %s"):format(event.seconds, text.problem(event.error))
  elseif event.event == "film" or event.event == "report" then
    return ("%s  %s: %s"):format(event.job, event.event, text.path(event.file))
  elseif not event.scene or not event.index or event.event == "wait" or event.event == "wait_over" then
    return nil
  end
  local more = event.error and ": " .. text.problem(event.error) or event.message and ": " .. text.clean(event.message)
    or event.event == "fetched" and event.credits and ": " .. text.credits(event.credits, sandbox) or ""
  return ("%s  %s: %s%s"):format(event.job, text.clean(event.scene), event.event, more)
end

local function write(called, event)
  if called.given.json then
    local group = (event.event == "job" or event.event == "pause") and "work" or "run"
    if event.event == "wait" or event.event == "wait_over" then return end -- `called` already prints each wait as an event
    return require("omni.cli.view.json_events").write(group, event.event, event)
  end
  local line = line_of(event, called.client.is_sandbox)
  if line then called:print { os.date "%H:%M:%S  " .. line } end
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  local folder = given.out or default_folder()
  if not folder then return message.exit(2, "there is no folder for the jobs: HOME is not set", "give --out DIR") end
  return service_command.run(given, function(called, on_interrupt)
    local stopped, failed = false, false
    local fine, problem = require("omni").work {
      client = called.client, directory = folder, once = given.once, jobs = given.jobs,
      on_event = function(event)
        failed = failed or event.event == "job" and event.state == "failed"
        write(called, event)
      end,
      on_start = function(worker)
        on_interrupt(function()
          stopped = true
          worker:stop()
        end)
        called:note "waiting for jobs"
      end,
    }
    if not fine then return called:fail(problem) end
    if given.once then return stopped and 130 or failed and 1 or 0 end
    return 0 -- exit code 0, since a signal is the normal way to end `omni work`
  end)
end

return command
