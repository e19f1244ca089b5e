-- SPDX-License-Identifier: MIT
-- Prints the man page, omni(1), as roff; the Makefile writes it to build/share/omni.1. Commands and options come from
-- lua/omni/cli/parser.lua, everything else from lua/omni/cli/help_topics.lua.

local parser = require "omni.cli.parser"
local topics = require "omni.cli.help_topics"

-- --- roff

local special <const> = { ["\\"] = "\\e", ["-"] = "\\-", ["~"] = "\\(ti", ["^"] = "\\(ha", ["'"] = "\\(aq", ["`"] = "\\(ga" }

-- Escapes a text so that roff shows it unchanged, and takes none of its lines for a macro.
local function literal(text)
  return (text:gsub("[\\~^'`-]", special):gsub("^%.", "\\&."):gsub("\n%.", "\n\\&."))
end

-- Escapes a text, and makes the parts between backticks bold.
local function rich(text)
  local parts = {}
  for plain, typed in (text .. "``"):gmatch("([^`]*)`([^`]*)`") do
    parts[#parts + 1] = literal(plain)
    if typed ~= "" then parts[#parts + 1] = "\\fB" .. literal(typed) .. "\\fR" end
  end
  return table.concat(parts)
end

local function bold(text) return "\\fB" .. literal(text) .. "\\fR" end
local function italic(text) return "\\fI" .. literal(text) .. "\\fR" end

local Page_methods = {}
local Page_mt = { __index = Page_methods }

function Page_methods:add(...)
  for _, line in ipairs { ... } do self[#self + 1] = line end
end

-- Adds an entry of a list.
function Page_methods:entry(tag, text) self:add(".TP", tag, text) end

-- --- contents

local function argument_label(argument)
  local label = italic(argument.name) .. (argument.many and " ..." or "")
  return argument.optional and "[" .. label .. "]" or label
end

local function usage(one)
  local parts = { bold("omni " .. one.name) }
  if #one.options > 1 then parts[#parts + 1] = "[" .. italic "OPTIONS" .. "]" end -- each has --help
  for _, argument in ipairs(one.arguments) do parts[#parts + 1] = argument_label(argument) end
  if one.passes_on then parts[#parts + 1] = "[" .. italic "ARGS" .. " ...]" end
  return table.concat(parts, " ")
end

-- Adds the choices of a value to its text, unless the text names them.
local function with_choices(text, value)
  local choices = value and value.choices
  if not choices or text:find(choices[1], 1, true) then return text end
  return ("%s One of: %s."):format(text, table.concat(choices, ", "))
end

local function option_tag(option)
  local names, values = {}, {}
  for i, name in ipairs(option.names) do names[i] = bold(name) end
  for i, value in ipairs(option.values) do values[i] = " " .. italic(value.name) end
  return table.concat(names, ", ") .. table.concat(values)
end

local function is_help(option) return option.names[#option.names] == "--help" end

local function add_command(page, one)
  page:add(".SS " .. usage(one), rich(one.summary))
  for _, argument in ipairs(one.arguments) do
    page:entry(argument_label(argument), rich(with_choices(argument.text, argument)))
  end
  for _, option in ipairs(one.options) do
    if not is_help(option) then page:entry(option_tag(option), rich(with_choices(option.text, option.values[1]))) end
  end
end

---Returns the man page.
---@param options omni.cli.Option[]    of the program itself
---@param commands omni.cli.Command[]
---@return string
local function page_of(options, commands)
  local version = require "omni.version"
  local page = setmetatable({}, Page_mt)
  page:add('.\\" SPDX-License-Identifier: MIT', ('.TH OMNI 1 "" "omni %s" "User Commands"'):format(literal(version)))
  page:add(".SH NAME", "omni \\- " .. literal(topics.summary))
  page:add(".SH SYNOPSIS", bold "omni" .. " " .. italic "COMMAND" .. " [" .. italic "ARGUMENTS" .. "]")
  page:add(".SH DESCRIPTION")
  for i, text in ipairs(topics.description) do
    if i > 1 then page:add ".PP" end
    page:add(rich(text))
  end
  page:add ".SH OPTIONS"
  for _, option in ipairs(options) do
    page:entry(option_tag(option), rich(option.text) .. (is_help(option) and " Every command has this option." or ""))
  end
  page:add ".SH COMMANDS"
  for _, one in ipairs(commands) do add_command(page, one) end
  page:add ".SH EXIT STATUS"
  for _, row in ipairs(topics.exit_codes) do page:entry(bold(("%d"):format(row.code)), rich(row.text)) end
  page:add ".SH ENVIRONMENT"
  for _, row in ipairs(topics.environment) do page:entry(bold(row.name), rich(row.text)) end
  page:add ".SH FILES"
  for _, row in ipairs(topics.files) do page:entry(italic(row.name), rich(row.text)) end
  page:add ".SH EXAMPLES"
  for i, row in ipairs(topics.examples) do
    if i > 1 then page:add ".PP" end
    page:add(rich(row.text), ".PP", ".EX")
    for _, line in ipairs(row.lines) do page:add("  " .. literal(line)) end
    page:add ".EE"
  end
  page:add(".SH SEE ALSO", bold "ffmpeg" .. "(1), " .. bold "curl" .. "(1)", ".PP", rich(topics.documents))
  return table.concat(page, "\n") .. "\n"
end

-- As a module, for its spec, this file returns the function.
if ... == "man_page" then return page_of end
io.stdout:write(page_of(parser.read(parser.new())))
