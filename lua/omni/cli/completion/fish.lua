-- SPDX-License-Identifier: MIT
-- The completions of fish (3.0 or newer).

local short = require("omni.cli.completion.command_line").short

local head <const> = [==[
# SPDX-License-Identifier: MIT
# Completions of omni for fish; made by `omni completion fish`.

# The command that stands on the line, if one does.
function __omni_command
    set -l words (commandline -opc)
    for word in $words[2..-1]
        if not string match -q -- '-*' $word
            echo $word
            return
        end
    end
end

function __omni_is
    set -l command (__omni_command)
    test "$argv[1]" = "$command"
end

complete -c omni -f
]==]

local function quote(text) return "'" .. text:gsub("[\\']", "\\%0") .. "'" end

-- What `complete` is told of what a value can be.
local function offered(value)
  if value.words then return "-a " .. quote(table.concat(value.words, " ")) end
  return value.kind == "file" and "-F" or value.kind == "directory" and "-a '(__fish_complete_directories)'" or nil
end

local function line(command, ...)
  local words = { "complete -c omni -n " .. quote("__omni_is " .. quote(command)) }
  for _, word in ipairs { ... } do words[#words + 1] = word end
  return table.concat(words, " ")
end

local function option_line(command, option)
  local words = {}
  for i, name in ipairs(option.names) do words[i] = (name:find("^%-%-") and "-l " or "-s ") .. name:gsub("^%-+", "") end
  local value = option.values[1]
  if value then
    words[#words + 1] = value.kind == "file" and "-r" or "-x"
    words[#words + 1] = offered(value)
  end
  words[#words + 1] = "-d " .. quote(short(option.text))
  return line(command, table.unpack(words))
end

-- A choice is offered until one of its words stands there.
local function argument_line(command, argument)
  local what = offered(argument)
  if not what then return nil end
  if not argument.words then return line(command, what) end
  return ("complete -c omni -n %s %s"):format(
    quote(("__omni_is %s; and not __fish_seen_subcommand_from %s"):format(quote(command), table.concat(argument.words, " "))), what)
end

---@param options omni.cli.Option[]    of the program itself
---@param commands omni.cli.Command[]
---@return string
return function(options, commands)
  local lines = {}
  for _, option in ipairs(options) do lines[#lines + 1] = option_line("", option) end
  for _, command in ipairs(commands) do
    lines[#lines + 1] = ""
    lines[#lines + 1] = line("", "-a " .. command.name, "-d " .. quote(short(command.summary)))
    for _, option in ipairs(command.options) do lines[#lines + 1] = option_line(command.name, option) end
    for _, argument in ipairs(command.arguments) do lines[#lines + 1] = argument_line(command.name, argument) end
    if command.passes_on then lines[#lines + 1] = line(command.name, "-F") end
  end
  return head .. table.concat(lines, "\n") .. "\n"
end
