-- SPDX-License-Identifier: MIT
-- `omni completion SHELL`: prints a script that lets a shell complete omni's commands and options. The generated script gets its
-- completions from `omni __complete` (cli/completion_words.lua).

local command = { summary = "Print the completion script for a shell: bash, zsh or fish." }

local scripts <const> = {
  bash = [==[
# SPDX-License-Identifier: MIT
# Completion of omni for bash (4.4 or newer), printed by `omni completion bash`.
_omni() {
  local IFS=$' \t\n' word joins= words=()
  for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do # bash splits words at "=" and ":"
    if [[ $joins || $word == [=:]* && ${#words[@]} -gt 0 ]]; then words[-1]+=$word; else words+=("$word"); fi
    [[ $word == *[=:] ]] && joins=1 || joins=
  done
  word=${words[-1]}
  mapfile -t COMPREPLY < <(command "${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
  case ${COMPREPLY-} in
    :files) COMPREPLY=() ;; # readline completes them, and knows about quotes
    :directories) COMPREPLY=() && compopt +o default -o dirnames ;;
    *)
      compopt +o default
      COMPREPLY=("${COMPREPLY[@]%%$'\t'*}")
      COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*[=:]}"}"}") # bash replaces what follows the last "=" or ":" only
      [[ ${COMPREPLY-} ]] && mapfile -t COMPREPLY < <(printf '%q\n' "${COMPREPLY[@]}") # scenes have spaces in their names
      ;;
  esac
}
complete -o default -F _omni omni
]==],
  zsh = [==[
#compdef omni
# SPDX-License-Identifier: MIT
# Completion of omni for zsh, printed by `omni completion zsh`.
_omni() {
  local -a lines
  lines=("${(@f)$(command ${(Q)words[1]} __complete "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
  case $lines[1] in
    :*)
      [[ $PREFIX == --*=* ]] && compset -P '*='
      if [[ $lines[1] == :files ]]; then _files; else _files -/; fi
      ;;
    ?*)
      lines=("${(@)lines//:/\\:}")
      lines=("${(@)lines/$'\t'/:}")
      _describe -V omni lines
      ;;
  esac
}
if [[ $funcstack[1] == _omni ]]; then _omni "$@"; else compdef _omni omni; fi
]==],
  fish = [==[
# SPDX-License-Identifier: MIT
# Completion of omni for fish (3.0 or newer), printed by `omni completion fish`.
function __omni_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    set -l lines (command $words[1] __complete $words[2..-1] "$word" 2>/dev/null)
    switch "$lines[1]"
        case :files
            __fish_complete_path (string replace -r -- '^--[^=]*=' '' "$word")
        case :directories
            __fish_complete_directories (string replace -r -- '^--[^=]*=' '' "$word")
        case '*'
            printf '%s\n' $lines
    end
end
complete -c omni -f -a '(__omni_complete)'
]==],
}

function command.define(parser)
  parser:argument("shell", "The shell: bash, zsh or fish."):argname("SHELL"):choices { "bash", "zsh", "fish" }
  parser:epilog [[
`make install` installs these scripts. To load one yourself:
  bash:  eval "$(omni completion bash)"
  zsh:   source <(omni completion zsh)
  fish:  omni completion fish | source]]
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  io.stdout:write(scripts[given.shell])
  return 0
end

return command
