-- SPDX-License-Identifier: MIT
-- The command line: finds the command, reads its options, answers the exit code (docs/cli.md).

local options = require "omni.options"
local version = require "omni.version"

local order = { "plan", "run", "status", "forget", "listen", "lua", "sandbox", "trigger" }
local known = { help = true }
for _, name in ipairs(order) do known[name] = true end

local function say(message)
  io.stderr:write("omni: ", message, "\n")
end

local function load_argparse()
  local found, argparse = pcall(require, "argparse")
  if found then return argparse end
  say("the command line needs the Lua module argparse; install lua-argparse (Debian) or the rock argparse")
end

-- The library behind libcurl and lua-cjson: what is missing there is the machine's fault and not a bug.
local function can_start()
  local found, why = pcall(require, "omni.core")
  if found then return true end
  say("can't start: " .. tostring(why):match("^[^\n]*"))
  io.stderr:write("  omni needs libcurl and the Lua module cjson; install libcurl4 and lua-cjson (Debian)\n")
end

local function new_parser(argparse, commands)
  local parser = argparse("omni", "Makes films from scripts.")
    :epilog("Exit codes: 0 all done, 1 some scene failed, 2 misuse, 3 refused before spending, 4 a submit's outcome is unknown, "
      .. "130 interrupted.\nThe key comes from CRUN_API_KEY or ~/.crun/.env. More: docs/cli.md")
    :help_max_width(100):add_help_command { summary = "Show help for a command." }
  parser:flag("--version", "Show the version and exit."):action(function()
    print("omni " .. version)
    os.exit(0)
  end)
  for _, name in ipairs(order) do
    local command = require("omni.cli." .. name)
    commands[name] = command
    command.define(parser:command(name, command.summary))
  end
  return parser
end

-- The arguments of `omni lua`: ours up to the script's name, and the script's own after it, which may look like options.
local function split_script(arguments, with_value)
  local index = 2
  while arguments[index] do
    local argument = arguments[index]
    if argument == "-" or argument:sub(1, 1) ~= "-" then break end
    index = index + (with_value[argument] and 2 or 1)
    if argument == "--" then break end
  end
  return table.move(arguments, 1, index, 1, {}), table.move(arguments, index + 1, #arguments, 1, {})
end

local valued = { ["--base-url"] = true, ["--seconds"] = true, ["--seed"] = true, ["--credits"] = true, ["--fault"] = true }

---@param arguments string[]
---@return integer exit code
return function(arguments)
  local first = arguments[1]
  if first and first:sub(1, 1) ~= "-" and not known[first] then
    say(("unknown command '%s'; %s"):format(first, options.unknown(first, known)))
    return 2
  end
  local topic = first == "help" and arguments[2]
  if topic and not known[topic] then
    say(("no help for '%s'; %s"):format(topic, options.unknown(topic, known)))
    return 2
  end
  local argparse = load_argparse()
  if not argparse then return 1 end
  local commands = {}
  local parser = new_parser(argparse, commands)
  if not first then
    io.stderr:write(parser:get_help(), "\n")
    return 2
  end

  local own, rest = arguments, {}
  if first == "lua" then own, rest = split_script(arguments, valued) end
  local fine, given = parser:pparse(own)
  if not fine then
    say((given:gsub("\n", ". ")) .. ("\n  try: omni help%s"):format(known[first] and " " .. first or ""))
    return 2
  end
  return can_start() and commands[first].run(given, rest) or 1
end
