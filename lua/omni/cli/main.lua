-- SPDX-License-Identifier: MIT
-- The command line: finds the command, reads its options, answers the exit code (docs/cli.md).

local options = require "omni.options"
local say = require("omni.cli.common").say
local version = require "omni.version"

local order = { "init", "plan", "run", "status", "forget", "listen", "submit", "query", "wait", "fetch", "estimate", "credits",
  "models", "templates", "upload", "lua", "sandbox", "trigger", "doctor", "completion", "man" }
local known = { help = true }
for _, name in ipairs(order) do known[name] = true end

-- Each command is a file of its name, except that init.lua would be the module of the whole folder.
local function load_command(name)
  return require("omni.cli.command." .. (name == "init" and "init_board" or name))
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
  local too_large = tostring(why):find("File too large", 1, true)
  say("can't start: " .. tostring(why):match("^[^\n]*"), too_large and "raise the limit on the size of files (ulimit -f)"
    or "omni needs libcurl and the Lua module cjson; install libcurl4 and lua-cjson (Debian)")
end

-- A parser that knows these commands. Each is a file to load and options to make, so that mostly it is only the one that was asked for.
local function new_parser(argparse, names)
  local facts = require "omni.cli.completion.help_topics"
  local parser = argparse("omni", (facts.summary:gsub("^%l", string.upper)) .. ".")
    :epilog(("%s\n%s More: docs/cli.md"):format(facts.exit_line(), facts.key))
    :help_max_width(100):add_help_command { summary = "Show help for a command." }
  parser:flag("--version", "Show the version and exit."):action(function()
    print("omni " .. version)
    os.exit(0)
  end)
  for _, name in ipairs(names) do
    local command = load_command(name)
    command.define(parser:command(name, command.summary))
  end
  return parser
end

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
  local parser = new_parser(argparse, first and first ~= "help" and known[first] and { first } or order)
  if not first then
    io.stderr:write(parser:get_help(), "\n")
    return 2
  end

  local own, rest = arguments, {}
  local grammar, words = require "omni.cli.completion.command_line", require "omni.cli.arguments"
  local values = grammar.values(parser, first)
  if grammar.passes_on[first] then own, rest = words.split(arguments, values) end
  local fine, given = parser:pparse(words.tie_values(own, values))
  if not fine then
    local hint = words.hint(own, values, given)
    local try = "try: omni help" .. (known[first] and " " .. first or "")
    say(given:gsub("\n", ". "), hint or try, hint and try)
    return 2
  end
  if not known[first] then
    say("the command comes first: omni COMMAND ...")
    return 2
  end
  if not can_start() then return 1 end
  return load_command(first).run(given, rest, function() return new_parser(argparse, order) end)
end
