-- SPDX-License-Identifier: MIT
-- Lists omni's commands, and creates the argparse parser for them. This module also converts a parser to plain data, for completions and
-- the man page.

local parser = {}

---The commands, in the order in which `omni help` lists them.
parser.commands = { "init", "plan", "run", "open", "clean", "status", "forget", "ledger", "submit-board", "work", "jobs",
  "listen", "submit", "query", "wait", "fetch", "estimate", "credits", "models", "templates", "upload", "lua", "sandbox", "trigger",
  "doctor", "completion" }

---The commands that pass the words after their first argument to another program.
parser.passes_on = { lua = true }

---Loads a command.
---@param name string
---@return { summary: string, define: fun(parser: table), run: fun(given: table, rest: string[]): integer }
function parser.load(name)
  return require("omni.cli.command." .. (name == "init" and "init_board" or name:gsub("-", "_")))
end

---Loads these commands, and returns a parser for them.
---@param names? string[]  all by default
---@return table  argparse's
function parser.new(names)
  local topics = require "omni.cli.help_topics"
  local made = require "argparse"("omni", (topics.summary:gsub("^%l", string.upper)) .. ".")
    :epilog(("%s\n%s More: docs/cli.md"):format(topics.exit_line(), topics.key))
    :help_max_width(100):add_help_command { summary = "Show help for a command." }
  made:flag("--version", "Show the version and exit."):action(function()
    print("omni " .. require "omni.version")
    os.exit(0)
  end)
  for _, name in ipairs(names or parser.commands) do
    local command = parser.load(name)
    command.define(made:command(name, command.summary))
  end
  return made
end

-- --- contents

---@class omni.cli.Value
---@field name string            the name that the help shows: "DIR"
---@field choices? string[]      the words that are allowed

---@class omni.cli.Option
---@field names string[]         { "-h", "--help" }
---@field text string            one or more sentences
---@field values omni.cli.Value[]  {}: a flag

---@class omni.cli.Argument: omni.cli.Value
---@field text string
---@field optional boolean
---@field many boolean

---@class omni.cli.Command
---@field name string
---@field summary string         one sentence
---@field options omni.cli.Option[]
---@field arguments omni.cli.Argument[]
---@field passes_on boolean

-- Reads private fields of argparse objects, since argparse has no functions that return them.
local function value_name(element, index)
  local given = element._argname
  if type(given) == "table" then return given[index] end
  return given or element:_get_default_argname():gsub("^<(.*)>$", "%1"):upper()
end

local function read_option(option)
  local values = {}
  for index = 1, math.min(option._maxargs, 9) do values[index] = { name = value_name(option, index), choices = option._choices } end
  return { names = option._aliases, text = option._description or "", values = values }
end

local function read_argument(argument)
  return {
    name = value_name(argument, 1), choices = argument._choices, text = argument._description or "",
    optional = argument._minargs == 0, many = argument._maxargs > 1,
  }
end

local function visible(elements, read)
  local list = {}
  for _, element in ipairs(elements) do
    if not element._hidden then list[#list + 1] = read(element) end
  end
  return list
end

---Returns a parser's commands, options and arguments as plain data.
---@param made table  argparse's
---@return omni.cli.Option[] options    the options of the program itself
---@return omni.cli.Command[] commands
function parser.read(made)
  local names = {}
  local commands = visible(made._commands, function(command)
    if command._name ~= "help" then names[#names + 1] = command._name end
    return {
      name = command._name, summary = command._summary or command._description or "", options = visible(command._options, read_option),
      arguments = visible(command._arguments, read_argument), passes_on = parser.passes_on[command._name] or false,
    }
  end)
  for _, command in ipairs(commands) do
    if command.name == "help" then command.arguments[1].choices = names end
  end
  return visible(made._options, read_option), commands
end

---Returns how many values each option of a command needs.
---@param made table  argparse's
---@param name string
---@return table<string, integer>
function parser.values(made, name)
  local values = {}
  for _, command in ipairs(made._commands) do
    for _, option in ipairs(command._name == name and command._options or {}) do
      for _, alias in ipairs(option._aliases) do values[alias] = option._minargs end
    end
  end
  return values
end

return parser
