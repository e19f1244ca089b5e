-- SPDX-License-Identifier: MIT
-- `omni doctor`: checks everything that omni needs, prints a line for each finding, and suggests a remedy for each problem. Spends nothing.

local options = require "omni.cli.options"

local command = { summary = "Check the program, the key, the service, the clock, the ledger, the store and ffmpeg; say what to do." }

function command.define(parser)
  options.add_base_url(parser)
  options.add_ledger(parser)
  options.add_store(parser)
  parser:flag("--json", "Print one line of JSON on stdout.")
end

-- Maps each kind of finding to the scene status that omni shows in the same colour.
local colours <const> = { ok = "fetched", warning = "refused", problem = "failed" }

-- Returns a function that prints a finding immediately, because the next check may have to wait for the network.
local function printer(status_line)
  local terminal, text = require "omni.cli.view.terminal", require "omni.cli.view.text"
  local paint, columns = text.painter(terminal.colour()), terminal.columns()
  local function write(lead, words)
    for i, line in ipairs(text.wrap(words, columns and columns - 9)) do
      io.stdout:write(i == 1 and lead or (" "):rep(9), line, "\n")
    end
    io.stdout:flush()
  end
  return function(finding)
    status_line:erase()
    write(paint(colours[finding.state], finding.state) .. (" "):rep(9 - #finding.state), finding.text)
    if finding.hint then write((" "):rep(9), "> " .. finding.hint) end
  end
end

-- Runs the checks. Returns the findings and the number of problems.
local function examine(given, line, on_finding)
  local core = require "omni.core"
  local findings, problems, shared = {}, 0, { given = given, line = line }
  for _, row in ipairs(require("omni.cli.doctor.local_checks").all) do
    local name, check = row[1], row[2]
    check(shared, function(state, text, hint)
      local finding = { check = name, state = state, text = core.clean(text, 500), hint = hint and core.clean(hint, 500) }
      findings[#findings + 1] = finding
      if state == "problem" then problems = problems + 1 end
      if on_finding then on_finding(finding) end
    end)
  end
  return findings, problems
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  return require("omni.cli.signals").run(function()
    local line <close> = require("omni.cli.view.status_line").open(io.stderr, function()
      return not given.json and require("omni.cli.view.terminal").columns(2) or nil
    end)
    local drawing <close> = line:start() -- luacheck: ignore 211
    local findings, problems = examine(given, line, not given.json and printer(line) or nil)
    line:clear()
    local code = problems > 0 and 1 or 0
    if given.json then
      require("omni.cli.view.json_events").write("doctor", "doctor",
        { version = require "omni.version", exit = code, checks = findings })
    else
      print(problems == 0 and "omni has everything that it needs" or require("omni.cli.view.text").count(problems, "problem"))
    end
    return code
  end) or 130
end

return command
