-- SPDX-License-Identifier: MIT
-- The completions of zsh: a function to be found as _omni in $fpath, or to be sourced.

local short = require("omni.cli.completion.command_line").short

local script <const> = [==[
#compdef omni
# SPDX-License-Identifier: MIT
# Completions of omni for zsh; made by `omni completion zsh`.

_omni() {
  local curcontext=$curcontext state line ret=1
  local -a commands
  typeset -A opt_args
  commands=(
@COMMANDS@
  )
  _arguments -C -S \
@OPTIONS@
    '1: :->command' \
    '*:: :->rest' && ret=0
  case $state in
    command) _describe -t commands 'omni command' commands && ret=0 ;;
    rest)
      curcontext=${curcontext%:*:*}:omni-$words[1]:
      case $words[1] in
@CASES@
      esac
      ;;
  esac
  return ret
}

if [[ $funcstack[1] == _omni ]]; then _omni "$@"; else compdef _omni omni; fi
]==]

local function quote(text) return "'" .. text:gsub("'", [['\'']]) .. "'" end

local function escape(text, special) return (text:gsub("[" .. special .. "\\]", "\\%0")) end

-- What `_arguments` is told of a value, behind a colon.
local function offered(value)
  local name = escape(value.name, ":")
  if value.words then return ("%s:(%s)"):format(name, escape(table.concat(value.words, " "), ":")) end
  return name .. ":" .. (value.kind == "file" and "_files" or value.kind == "directory" and "_files -/" or " ")
end

local function option_specs(option, specs)
  local values = ""
  for _, value in ipairs(option.values) do values = values .. ":" .. offered(value) end
  local about = ("[%s]%s"):format(escape(short(option.text), ":%[%]"), values)
  local others = option.repeats and "*" or #option.names > 1 and ("(%s)"):format(table.concat(option.names, " ")) or ""
  for _, name in ipairs(option.names) do
    local assigned = #option.values > 0 and name:find("^%-%-") and "=" or ""
    specs[#specs + 1] = quote(others .. name .. assigned .. about)
  end
end

local function argument_spec(argument, position)
  if argument.many then return quote("*:" .. offered(argument)) end
  return quote(("%d:%s%s"):format(position, argument.optional and ":" or "", offered(argument)))
end

local function lines(specs, indent)
  return indent .. table.concat(specs, " \\\n" .. indent)
end

local function case_of(command)
  local specs = {}
  for _, option in ipairs(command.options) do option_specs(option, specs) end
  for position, argument in ipairs(command.arguments) do specs[#specs + 1] = argument_spec(argument, position) end
  if command.passes_on then specs[#specs + 1] = quote "*:argument:_files" end
  return ("        %s)\n          _arguments -S%s \\\n%s && ret=0\n          ;;"):format(
    command.name, command.passes_on and " -A '-*'" or "", lines(specs, "            "))
end

---@param options omni.cli.Option[]    of the program itself
---@param commands omni.cli.Command[]
---@return string
return function(options, commands)
  local described, specs, cases = {}, {}, {}
  for _, option in ipairs(options) do option_specs(option, specs) end
  for i, command in ipairs(commands) do
    described[i] = "    " .. quote(command.name .. ":" .. escape(short(command.summary), ":"))
    cases[i] = case_of(command)
  end
  return (script:gsub("@([%u_]+)@", {
    COMMANDS = table.concat(described, "\n"), OPTIONS = lines(specs, "    ") .. " \\", CASES = table.concat(cases, "\n"),
  }))
end
