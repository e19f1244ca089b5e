-- SPDX-License-Identifier: MIT
-- `omni sandbox`: runs a sandbox that any client can use, until the user presses Ctrl-C.

local message = require "omni.cli.view.message"
local options = require "omni.cli.options"
local sandbox_options = require "omni.cli.sandbox_options"

local command = { summary = "Run the sandbox, a local stand-in for the service, until Ctrl-C." }

-- Parses a list such as "1,2,5", which contains each key's limit on tasks in flight.
local function limits(given)
  local all = {}
  for text in (given .. ","):gmatch "([^,]*)," do
    local limit = text:find "^%d+$" and #text <= 9 and math.tointeger(tonumber(text)) or 0
    if limit < 1 then return nil, ("--keys: expected whole numbers, 1 or more, separated by commas, got '%s'"):format(given) end
    all[#all + 1] = limit
  end
  return all
end

function command.define(parser)
  parser:option("--host", "The address to listen on (default: 127.0.0.1)."):argname("H")
  options.port(parser:option("--port", "The port (default: any free one)."):argname("N"))
  parser:option("--out", "The folder for the clips (default: a temporary folder, removed at the end)."):argname("DIR")
  parser:flag("--json", "Print the URL and the keys as one line of JSON.")
  parser:option("--keys", "Several accounts, with these limits on tasks in flight: 1,2,5."):argname("LIMITS"):convert(limits)
  options.count(parser:option("--in-flight", "Allow at most N tasks in flight (default: no limit)."):argname("N"))
  options.rate(parser:option("--rate", "Allow at most N requests per second for each key (default: no limit)."):argname("N"))
  sandbox_options.define(parser)
end

-- Returns shell commands that set environment variables, so that a client uses this sandbox.
local function exports_of(sandbox, given)
  local lines = { "export CRUN_BASE_URL=" .. sandbox.url }
  if given.keys then
    local words = {}
    for i, one in ipairs(sandbox.keys) do words[i] = ("%s=%d"):format(one.key, one.in_flight) end
    lines[2] = "export CRUN_API_KEYS=" .. table.concat(words, ",")
  else
    lines[2] = "export CRUN_API_KEY=" .. sandbox.key
    lines[3] = "unset CRUN_API_KEYS" -- it would take precedence
  end
  return table.concat(lines, "\n")
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  if given.keys and given.in_flight then
    return message.exit(2, "--keys and --in-flight exclude each other: --keys sets the limit of each account")
  end
  local sandbox <close>, problem = sandbox_options.open(given, given.out)
  if not sandbox then return message.exit(problem.code == "invalid_fault" and 2 or 1, problem) end
  if given.json then
    require("omni.cli.view.json_events").write("sandbox", "sandbox", sandbox)
  else
    print("# the sandbox listens; Ctrl-C ends it\n" .. exports_of(sandbox, given))
    io.stdout:flush()
  end
  require("omni.cli.signals").run(function() require("omni.loop").park() end)
  return 0 -- exit code 0, since Ctrl-C is the normal way to end `omni sandbox`
end

return command
