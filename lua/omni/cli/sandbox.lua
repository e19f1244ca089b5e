-- SPDX-License-Identifier: MIT
-- `omni sandbox`: the sandbox as a program of its own, for any client.

local common = require "omni.cli.common"

local command = { summary = "Serve the sandbox, a local stand-in for the service, until Ctrl-C." }

function command.define(parser)
  parser:option("--host", "The address to listen on (default: 127.0.0.1)."):argname("H")
  common.port(parser:option("--port", "The port (default: any free one)."):argname("N"))
  parser:option("--out", "Where its clips are kept (default: a temporary folder, removed at the end)."):argname("DIR")
  parser:flag("--json", "Say URL and key as one line of JSON.")
  common.add_sandbox_options(parser)
end

---@param given table
---@return integer exit code
function command.run(given)
  local sandbox <close>, problem = common.open_sandbox(given, given.out)
  if not sandbox then return common.tell(problem) or (problem.code == "invalid_fault" and 2 or 1) end
  if given.json then
    require("omni.cli.progress").write_json(io.stdout, { event = "sandbox", url = sandbox.url, key = sandbox.key })
  else
    print(("# the sandbox listens; Ctrl-C ends it\nexport CRUN_BASE_URL=%s\nexport CRUN_API_KEY=%s"):format(sandbox.url, sandbox.key))
    io.stdout:flush()
  end
  local _, failure = common.in_loop(function() require("omni.loop").park() end)
  if failure then error(failure, 0) end
  return 0 -- Ctrl-C is how it is meant to end
end

return command
