-- SPDX-License-Identifier: MIT
-- `omni completion SHELL`: prints what makes a shell complete omni's command line. The parser is where all of it comes from
-- (cli/completion/command_line.lua); what each shell makes of that stands in a file a shell. (argparse's own completions take every
-- value for a file
-- and no positional argument for a choice.)

local command = { summary = "Print the completions for a shell: bash, zsh or fish." }

local shells <const> = { "bash", "zsh", "fish" }

function command.define(parser)
  parser:argument("shell", "The shell: bash, zsh or fish."):argname("SHELL"):choices(shells)
  parser:epilog [[
Once installed they are found by themselves. To try them, or after an installation by LuaRocks:
  bash:  eval "$(omni completion bash)"
  zsh:   source <(omni completion zsh)
  fish:  omni completion fish | source]]
end

---@param given table  what argparse found
---@param _ string[]
---@param whole fun(): table  the parser with all commands
---@return integer exit code
function command.run(given, _, whole)
  local options, commands = require("omni.cli.completion.command_line").read(whole())
  io.stdout:write(require("omni.cli.completion." .. given.shell)(options, commands))
  return 0
end

return command
