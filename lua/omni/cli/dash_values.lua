-- SPDX-License-Identifier: MIT
-- Lets option values begin with a dash. The argparse module treats every word that begins with a dash as an option, even after an option
-- that needs a value. Before argparse parses the command line, this module joins each value that begins with a dash to its option. If a
-- value can't be joined to its option, this module returns a hint for the user.

local dash_values = {}

-- Returns whether a word could be an option. "-x", "--prompt" and "--prompt=..." could be options; "-5 degrees", "- a boat" and "-1"
-- couldn't.
local function may_be_option(word)
  return word:find "^%-%-?%a[%w-]*$" ~= nil or word:find "^%-%-%a[%w-]*=" ~= nil or word == "--"
end

---Splits the arguments to `omni lua` into two lists: omni's own arguments up to the script's path, and the script's arguments, which can
---look like options.
---@param given string[]
---@param values table<string, integer>  how many values each option needs (parser.values)
---@return string[] own
---@return string[] rest
function dash_values.split(given, values)
  local index = 2
  while given[index] do
    local argument = given[index]
    if argument == "-" or argument:sub(1, 1) ~= "-" then break end
    index = index + 1 + (values[argument] or 0)
    if argument == "--" then break end
  end
  return table.move(given, 1, index, 1, {}), table.move(given, index + 1, #given, 1, {})
end

---Joins each value that begins with a dash to its option, unless the value could be an option itself: `--prompt "-5 degrees"` becomes
---`--prompt=-5 degrees`.
---@param given string[]
---@param values table<string, integer>
---@return string[]
function dash_values.tie_values(given, values)
  local tied, index = {}, 1
  while given[index] and given[index] ~= "--" do
    local argument, value = given[index], given[index + 1]
    local ties = (values[argument] or 0) > 0 and argument:sub(1, 2) == "--" and value and value:find "^%-." and not may_be_option(value)
    tied[#tied + 1] = ties and argument .. "=" .. value or argument
    index = index + (ties and 2 or 1)
  end
  return table.move(given, index, #given, #tied + 1, tied)
end

---If argparse's error message is about a value that begins with a dash, returns a hint about how to write that value. Otherwise returns
---nil.
---@param given string[]
---@param values table<string, integer>
---@param message string  argparse's error message
---@return string|nil
function dash_values.hint(given, values, message)
  local quote = require("omni.cli.view.text").quote
  local name = message:match "^option '(%-%-[%w-]+)' requires" or message:match "^unknown option '([^']*)"
  for index = 2, #given do
    local option, value = given[index - 1], given[index]
    if option == "--" then return nil end
    local unknown = name and value:sub(1, #name) == name
    if value:find "^%-." and (values[option] or 0) > 0 and (unknown or option == name) then
      return ("write a value that begins with a dash like this: %s=%s"):format(option, quote(value))
    elseif unknown and value:find "^%-%-?[^%-%a]" then
      return ("write an argument that begins with a dash after --, like this: -- %s"):format(quote(value))
    end
  end
end

return dash_values
