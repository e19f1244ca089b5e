-- SPDX-License-Identifier: MIT
-- Runs the command line: finds the command, parses its options, runs the command and returns the exit code (docs/cli.md).

local message = require "omni.cli.view.message"
local options = require "omni.options"
local parser = require "omni.cli.parser"

local known = { help = true }
for _, name in ipairs(parser.commands) do known[name] = true end

-- Returns whether omni's core and the libraries that it needs can be loaded. If omni's core or a library can't be loaded, prints what to
-- install.
local function can_start()
  local found, why = pcall(require, "omni.core")
  if found then return true end
  local too_large = tostring(why):find("File too large", 1, true)
  message.print("can't start: " .. tostring(why):match("^[^\n]*"), too_large and "raise the limit on the size of files (ulimit -f)"
    or "omni needs libcurl and the Lua module cjson; install libcurl4 and lua-cjson (Debian)")
end

local function complete(words)
  if can_start() then print(table.concat(require "omni.cli.completion_words"(words), "\n")) end
  return 0
end

-- Prints why argparse refuses the command line, and returns the exit code.
local function refuse(words, values, problem)
  local hint = require("omni.cli.dash_values").hint(words, values, problem)
  local try = "try: omni help" .. (known[words[1]] and " " .. words[1] or "")
  return message.exit(2, problem:gsub("\n", ". "), hint or try, hint and try)
end

---@param words string[]
---@return integer exit code
return function(words)
  local first = words[1]
  if first and first:sub(1, 1) ~= "-" and not known[first] and first ~= "__complete" then
    return message.exit(2, ("unknown command '%s'; %s"):format(first, options.unknown(first, known)))
  end
  local topic = first == "help" and words[2]
  if topic and not known[topic] then
    return message.exit(2, ("no help for '%s'; %s"):format(topic, options.unknown(topic, known)))
  end
  if not pcall(require, "argparse") then
    return message.exit(1, "the command line needs the Lua module argparse; install lua-argparse (Debian) or the rock argparse")
  end
  if first == "__complete" then return complete(table.move(words, 2, #words, 1, {})) end
  -- Loading all commands takes time, so the parser is usually created with only the command that was called.
  local made = parser.new(first and first ~= "help" and known[first] and { first } or nil)
  if not first then
    io.stderr:write(made:get_help(), "\n")
    return 2
  end

  local own, rest = words, {}
  local values, dash_values = parser.values(made, first), require "omni.cli.dash_values"
  if parser.passes_on[first] then own, rest = dash_values.split(words, values) end
  local fine, given = made:pparse(dash_values.tie_values(own, values))
  if not fine then return refuse(own, values, given) end
  if not known[first] then return message.exit(2, "the command comes first: omni COMMAND ...") end
  if not can_start() then return 1 end
  return parser.load(first).run(given, rest)
end
