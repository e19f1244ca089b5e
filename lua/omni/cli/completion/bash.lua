-- SPDX-License-Identifier: MIT
-- The completions of bash (4.4 or newer), as one shell function.

local script <const> = [==[
# SPDX-License-Identifier: MIT
# Completions of omni for bash; made by `omni completion bash`.

_omni() {
  local IFS=$' \t\n'
  local -a words=() values=()
  local word glue= command= option= cur position=0 takes=0 passed=

  # bash takes words apart at "=" and ":", too.
  for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
    if [[ ( $glue || $word == [=:]* ) && ${#words[@]} -gt 0 ]]; then words[-1]+=$word; else words+=("$word"); fi
    [[ $word == *[=:] ]] && glue=1 || glue=
  done
  ((${#words[@]} > 1)) || return
  cur=${words[-1]}

  # What stands before: the command, how many arguments, and an option that still wants a value.
  for word in "${words[@]:1:${#words[@]}-2}"; do
    if ((takes > 0)); then
      ((takes--))
      values=("${values[@]:1}")
    elif [[ ! $command ]]; then
      [[ $word == -* ]] || command=$word
    elif [[ $passed ]]; then
      ((position++))
    elif [[ $word == -- ]]; then
      passed=1
    elif [[ $word == -?* ]]; then
      _omni_values "$command $word"
      takes=${#values[@]}
    else
      ((position++))
      [[ " @PASSING@ " == *" $command "* ]] && passed=1
    fi
  done

  COMPREPLY=()
  if ((takes > 0)); then
    _omni_offer "${values[0]}"
  elif [[ ! $command ]]; then
    if [[ $cur == -* ]]; then _omni_offer "@OPTIONS@"; else _omni_offer "@COMMANDS@"; fi
  elif [[ $cur == --*=* && ! $passed ]]; then
    option=${cur%%=*}
    cur=${cur#*=}
    _omni_values "$command $option"
    _omni_offer "${values[0]}"
  elif [[ $cur == -* && ! $passed ]]; then
    case $command in
@COMMAND_OPTIONS@
    esac
  elif [[ $passed && " @PASSING@ " == *" $command "* ]]; then
    _omni_offer @files
  else
    case "$command $position" in
@ARGUMENTS@
      *) _omni_offer "" ;;
    esac
  fi
}

# The values that an option takes: nothing known (an empty text), files, directories, or words.
_omni_values() {
  values=()
  case $1 in
@VALUES@
  esac
}

# Completes $cur. Files are left to readline, which knows about quotes.
_omni_offer() {
  case $1 in
    @files) ;;
    @directories) compopt +o default -o dirnames ;;
    *)
      compopt +o default
      COMPREPLY=($(compgen -W "$1" -- "$cur"))
      # What stands before a ":" is no part of the word that bash replaces.
      [[ $COMP_WORDBREAKS == *:* ]] && COMPREPLY=("${COMPREPLY[@]#"${cur%"${cur##*:}"}"}")
      ;;
  esac
}

complete -o default -F _omni omni
]==]

-- What `_omni_offer` understands, as a word of the shell's.
local function offered(value)
  if value.words then return '"' .. table.concat(value.words, " ") .. '"' end
  return value.kind == "file" and "@files" or value.kind == "directory" and "@directories" or '""'
end

local function names_of(options)
  local names = {}
  for _, option in ipairs(options) do table.move(option.names, 1, #option.names, #names + 1, names) end
  return table.concat(names, " ")
end

-- Lines of a `case`, in which patterns with the same answer share one.
local function cases(rows)
  local order, patterns = {}, {}
  for _, row in ipairs(rows) do
    local pattern, answer = row[1], row[2]
    if not patterns[answer] then
      order[#order + 1] = answer
      patterns[answer] = {}
    end
    table.insert(patterns[answer], pattern)
  end
  local lines = {}
  for i, answer in ipairs(order) do lines[i] = ("      %s) %s ;;"):format(table.concat(patterns[answer], " | "), answer) end
  return table.concat(lines, "\n")
end

---@param options omni.cli.Option[]    of the program itself
---@param commands omni.cli.Command[]
---@return string
return function(options, commands)
  local names, passing, values, command_options, arguments, further = {}, {}, {}, {}, {}, {}
  for i, command in ipairs(commands) do
    names[i] = command.name
    if command.passes_on then passing[#passing + 1] = command.name end
    command_options[i] = { command.name, ('_omni_offer "%s"'):format(names_of(command.options)) }
    for _, option in ipairs(command.options) do
      local list = {}
      for at, value in ipairs(option.values) do list[at] = offered(value) end
      for _, name in ipairs(#list > 0 and option.names or {}) do
        values[#values + 1] = { ('"%s %s"'):format(command.name, name), ("values=(%s)"):format(table.concat(list, " ")) }
      end
    end
    for at, argument in ipairs(command.arguments) do
      local answer = "_omni_offer " .. offered(argument)
      arguments[#arguments + 1] = { ('"%s %d"'):format(command.name, at - 1), answer }
      if argument.many then further[#further + 1] = { ('"%s "*'):format(command.name), answer } end
    end
  end
  return (script:gsub("@([%u_]+)@", {
    PASSING = table.concat(passing, " "), OPTIONS = names_of(options), COMMANDS = table.concat(names, " "),
    COMMAND_OPTIONS = cases(command_options), VALUES = cases(values), ARGUMENTS = cases(arguments) .. "\n" .. cases(further),
  }))
end
