-- SPDX-License-Identifier: MIT
-- The command line as plain data, read out of argparse's parser: what completions and the man page are made from.

local grammar = {}

---Commands whose first argument is followed by words that aren't omni's.
grammar.passes_on = { lua = true }

---@class omni.cli.Value
---@field name string            as the help shows it: "DIR"
---@field words? string[]        what it can be, or begin with
---@field choice boolean          it is one of these words
---@field kind? "file"|"directory"

---@class omni.cli.Option
---@field names string[]         { "-h", "--help" }
---@field text string            one or more sentences
---@field values omni.cli.Value[]  {}: a flag
---@field repeats boolean

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

-- What a value is called says what it is.
local kinds <const> = { { "DIR", "directory" }, { "FILE", "file" }, { "PATH", "file" }, { "BOARD", "file" }, { "SCRIPT", "file" } }

-- What options usually get, or what it begins with, where it is no choice: other models take other values.
local usual <const> = {
  ["--model"] = { "google/gemini-omni" },
  ["--duration"] = { "4", "6", "8", "10" },
  ["--aspect-ratio"] = { "16:9", "9:16" },
  ["--resolution"] = { "720p", "1080p", "4k" },
  ["--fault"] = function()
    local names = {}
    for i, row in ipairs(require("omni.sandbox.faults").rows) do names[i] = row.name end
    return names
  end,
}

local function value_of(name, choices, words)
  if type(words) == "function" then words = words() end
  local value = { name = name, words = choices or words, choice = choices ~= nil }
  for _, row in ipairs(kinds) do
    if not value.words and not value.kind and name:find(row[1], 1, true) then value.kind = row[2] end
  end
  return value
end

-- argparse keeps what it was told in fields of these names; there is no other way to ask.
local function argname(element, index)
  local given = element._argname
  if type(given) == "table" then return given[index] end
  return given or element:_get_default_argname():gsub("^<(.*)>$", "%1"):upper()
end

local function read_option(option)
  local values = {}
  for index = 1, math.min(option._maxargs, 9) do values[index] = value_of(argname(option, index), option._choices, usual[option._name]) end
  return { names = option._aliases, text = option._description or "", values = values, repeats = option._maxcount > 1 }
end

local function read_argument(argument)
  local read = value_of(argname(argument, 1), argument._choices)
  read.text, read.optional, read.many = argument._description or "", argument._minargs == 0, argument._maxargs > 1
  return read
end

local function visible(elements, read)
  local list = {}
  for _, element in ipairs(elements) do
    if not element._hidden then list[#list + 1] = read(element) end
  end
  return list
end

---A text's first sentence, without its full stop.
---@param text string
---@return string
function grammar.short(text)
  local first = (text:match("^(.-)%.%s") or text):gsub("[.,]+$", "")
  return first
end

---@param parser table  argparse's
---@return omni.cli.Option[] options    of the program itself
---@return omni.cli.Command[] commands  in their order
function grammar.read(parser)
  local commands = visible(parser._commands, function(command)
    return {
      name = command._name, summary = command._summary or command._description or "", options = visible(command._options, read_option),
      arguments = visible(command._arguments, read_argument), passes_on = grammar.passes_on[command._name] or false,
    }
  end)
  local names = {}
  for _, command in ipairs(commands) do
    if command.name == "help" then command.arguments[1].words = names else names[#names + 1] = command.name end
  end
  return visible(parser._options, read_option), commands
end

---How many values each option of a command needs.
---@param parser table  argparse's
---@param name string
---@return table<string, integer>
function grammar.values(parser, name)
  local values = {}
  for _, command in ipairs(parser._commands) do
    for _, option in ipairs(command._name == name and command._options or {}) do
      for _, alias in ipairs(option._aliases) do values[alias] = option._minargs end
    end
  end
  return values
end

return grammar
