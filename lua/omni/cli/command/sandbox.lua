-- SPDX-License-Identifier: MIT
-- `omni sandbox`: the sandbox as a program of its own, for any client.

local common = require "omni.cli.common"

-- "1,2,5": limits of tasks in flight, a key each.
local function limits(given)
  local all = {}
  for text in (given .. ","):gmatch "([^,]*)," do
    local limit = text:find "^%d+$" and #text <= 9 and math.tointeger(tonumber(text)) or 0
    if limit < 1 then return nil, ("--keys: '%s' should be whole numbers, 1 or more, with commas between them"):format(given) end
    all[#all + 1] = limit
  end
  return all
end

-- What a client's environment must hold.
local function credentials_of(sandbox, given)
  if not given.keys then return "CRUN_API_KEY=" .. sandbox.key end
  local words = {}
  for i, one in ipairs(sandbox.keys) do words[i] = ("%s=%d"):format(one.key, one.in_flight) end
  return "CRUN_API_KEYS=" .. table.concat(words, ",")
end

local command = { summary = "Serve the sandbox, a local stand-in for the service, until Ctrl-C." }

function command.define(parser)
  parser:option("--host", "The address to listen on (default: 127.0.0.1)."):argname("H")
  common.port(parser:option("--port", "The port (default: any free one)."):argname("N"))
  parser:option("--out", "Where its clips are kept (default: a temporary folder, removed at the end)."):argname("DIR")
  parser:flag("--json", "Say URL and keys as one line of JSON.")
  parser:option("--keys", "Several accounts, each with so many tasks in flight at most: 1,2,5."):argname("LIMITS"):convert(limits)
  common.count(parser:option("--in-flight", "N tasks in flight at most (default: any number)."):argname("N"))
  parser:option("--rate", "N requests a second at most for each key (default: any number)."):argname("N"):convert(function(text)
    local value = tonumber(text)
    if value and value > 0 and value < math.huge then return value end
    return nil, ("--rate: '%s' should be a number, more than 0"):format(text)
  end)
  common.add_sandbox_options(parser)
end

---@param given table
---@return integer exit code
function command.run(given)
  if given.keys and given.in_flight then
    return common.say "--keys and --in-flight exclude each other: --keys names each account's limit" or 2
  end
  local sandbox <close>, problem = common.open_sandbox(given, given.out)
  if not sandbox then return common.tell(problem) or (problem.code == "invalid_fault" and 2 or 1) end
  if given.json then
    require("omni.cli.view.run_progress").write_json(io.stdout,
      { event = "sandbox", url = sandbox.url, key = sandbox.key, keys = sandbox.keys })
  else
    local key = credentials_of(sandbox, given)
    print(("# the sandbox listens; Ctrl-C ends it\nexport CRUN_BASE_URL=%s\nexport %s"):format(sandbox.url, key))
    if key:find "^CRUN_API_KEY=" then print "unset CRUN_API_KEYS" end -- it would count before that
    io.stdout:flush()
  end
  local _, failure = common.in_loop(function() require("omni.loop").park() end)
  if failure then error(failure, 0) end
  return 0 -- Ctrl-C is how it is meant to end
end

return command
