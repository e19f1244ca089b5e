-- SPDX-License-Identifier: MIT
-- `omni doctor`: looks at all that omni needs, a line each, and says what to do. Spends nothing.
--
-- JSON: one line, event "doctor": version, exit, checks: [{check (as in cli/doctor/local_checks.lua), state (ok, warning, problem),
-- text, hint}].

local common = require "omni.cli.common"

local command = { summary = "Check the program, the key, the service, the clock, the ledger and ffmpeg; say what to do." }

function command.define(parser)
  parser:option("--base-url", "The service's base URL (default: CRUN_BASE_URL, else the service's own)."):argname("URL")
  common.add_ledger_option(parser)
  parser:flag("--json", "One line of JSON on stdout.")
end

local colours <const> = { ok = "fetched", warning = "refused", problem = "failed" } -- as those states of a scene

-- Each line is there as soon as it is known: the service can take its time.
local function writer()
  local text = require "omni.cli.view.text"
  local paint, columns = text.painter(common.wants_colour()), common.drawing_columns()
  local function write(lead, about)
    for i, line in ipairs(text.wrap(about, columns and columns - 9)) do
      io.stdout:write(i == 1 and lead or (" "):rep(9), line, "\n")
    end
    io.stdout:flush()
  end
  return function(finding)
    write(paint(colours[finding.state], finding.state) .. (" "):rep(9 - #finding.state), finding.text)
    if finding.hint then write((" "):rep(9), "> " .. finding.hint) end
  end
end

local function write_json(findings, code)
  local json = require "omni.json"
  local shape, list = json.shape { "check", "state", "text", "hint?" }, {}
  for i, finding in ipairs(findings) do list[i] = shape(finding) end
  io.stdout:write(json.printed(json.shape { "event", "time", "version", "exit", "checks" } {
    event = "doctor", time = os.time(), version = require "omni.version", exit = code, checks = list,
  }), "\n")
end

-- Carries out the checks; returns what they found, and how many problems there are.
local function examine(given, tell)
  local checks = require "omni.cli.doctor.local_checks"
  local core = require "omni.core"
  local findings, problems, found = {}, 0, { given = given }
  for _, row in ipairs(checks.all) do
    local name, check = row[1], row[2]
    check(found, function(state, about, hint)
      local finding = { check = name, state = state, text = core.clean(about, 500), hint = hint and core.clean(hint, 500) }
      findings[#findings + 1] = finding
      if state == "problem" then problems = problems + 1 end
      if tell then tell(finding) end
    end)
  end
  return findings, problems
end

---@param given table  what argparse found
---@return integer exit code
function command.run(given)
  local code, failure = common.in_loop(function()
    local findings, problems = examine(given, not given.json and writer() or nil)
    if given.json then
      write_json(findings, problems > 0 and 1 or 0)
    else
      print(problems == 0 and "all that omni needs is there" or require("omni.cli.view.text").count(problems, "problem"))
    end
    return problems > 0 and 1 or 0
  end)
  if failure then error(failure, 0) end
  return code or 130
end

return command
