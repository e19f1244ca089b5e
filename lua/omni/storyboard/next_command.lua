-- SPDX-License-Identifier: MIT
-- Composes the commands that a person can run next, quoted for a shell. The command line and the report show the same commands.

local core = require "omni.core"

local next_command = {}

---Quotes a word for a shell, so that a person can copy it from the screen into a command line.
---@param word string
---@return string
function next_command.quote(word)
  word = core.clean(word)
  if word:find("^[%w_./@%%+:,-]+$") then return word end
  return "'" .. word:gsub("'", [['\'']]) .. "'"
end

-- Returns an option and its value, separated by "=" if the value itself looks like an option.
local function with_value(option, value)
  return option .. (value:find("^%-") and "=" or " ") .. next_command.quote(value)
end

-- Adds the --ledger option, unless the ledger is the default one.
local function ledger_words(path, words)
  if path and path ~= require("omni.ledger").default_path() then words[#words + 1] = with_value("--ledger", path) end
  return words
end

local function board_words(command, given)
  local words = { ("omni %s %s"):format(command, next_command.quote(given.board)) }
  if given.sandbox then words[#words + 1] = "--sandbox" end
  for _, name in ipairs { "out", "ledger", "store", "base_url" } do
    if given[name] then words[#words + 1] = with_value("--" .. name:gsub("_", "-"), given[name]) end
  end
  return words
end

---Returns the command that runs this board in this output folder, without options that apply to only one run (--redo, --resubmit, --adopt).
---@param given omni.CommandLine  the options of `omni run`, `omni plan` or `omni fetch`
---@param ... string              further words
---@return string
function next_command.run(given, ...)
  local words = board_words("run", given)
  for _, scene in ipairs(not given.fetches and given.only or {}) do words[#words + 1] = with_value("--only", scene) end
  for _, word in ipairs { ... } do words[#words + 1] = word end
  return table.concat(words, " ")
end

---Returns the command that shows what the next run would do.
---@param given omni.CommandLine
---@return string
function next_command.plan(given) return table.concat(board_words("plan", given), " ") end

---Returns the command that continues an interrupted `omni run BOARD` or `omni fetch BOARD`.
---@param given omni.CommandLine  its options
---@return string
function next_command.continue(given)
  return given.fetches and table.concat(board_words("fetch", given), " ") or next_command.run(given)
end

---Returns the command that waits for tasks or fetches their files, using the same service and ledger.
---@param command "wait"|"fetch"
---@param ids string[]
---@param options { out?: string, ledger?: string, store?: string, base_url?: string }  from the command line
---@return string
function next_command.tasks(command, ids, options)
  local quoted, odd, words = {}, false, {}
  for index, id in ipairs(ids) do
    quoted[index] = next_command.quote(id)
    odd = odd or id:find("^%-") ~= nil -- looks like an option
  end
  for _, name in ipairs { "out", "ledger", "store", "base_url" } do
    if options[name] then words[#words + 1] = with_value("--" .. name:gsub("_", "-"), options[name]) end
  end
  local named = table.concat(quoted, " ")
  table.insert(words, odd and #words + 1 or 1, odd and "-- " .. named or named)
  return ("omni %s %s"):format(command, table.concat(words, " "))
end

---Returns the `omni forget` command for a submit.
---@param number integer  the number of the submit's ledger row
---@param ledger string   the ledger's path
---@return string
function next_command.forget(number, ledger)
  return table.concat(ledger_words(ledger, { ("omni forget %d"):format(number) }), " ")
end

---@class omni.NextCommand
---@field what string     what the command does
---@field command string

---Returns the possible next steps after a submit with an unknown outcome. In a rehearsal, the sandbox ends with the command, so tasks can't
---be adopted.
---@param given omni.CommandLine  at least the board
---@param scene string
---@param number? integer         the number of the submit's ledger row
---@param ledger? string          the ledger's path
---@return omni.NextCommand[]
function next_command.ways_out(given, scene, number, ledger)
  if given.sandbox then
    return { { what = "the sandbox ends with the run; submit it once more", command = next_command.run(given) } }
  end
  local ways = {
    { what = "the service accepted it, and you know its task", command = next_command.run(given, with_value("--adopt", scene), "TASK_ID") },
    { what = "submit it once more", command = next_command.run(given, with_value("--resubmit", scene)) },
  }
  if number then ways[3] = { what = "give it up", command = next_command.forget(number, ledger) } end
  return ways
end

---Returns the possible next steps after the loss of a clip that was paid for.
---@param given omni.CommandLine  at least the board
---@param scene string
---@param number integer          the number of the submit's ledger row
---@param ledger string           the ledger's path
---@return omni.NextCommand[]
function next_command.after_loss(given, scene, number, ledger)
  return {
    { what = "pay for another take", command = next_command.run(given, with_value("--redo", scene)) },
    { what = "give it up, so that the scene counts as new", command = next_command.forget(number, ledger) },
  }
end

---Returns one line of text for each possible next step. Each line ends with the command to run.
---@param ways omni.NextCommand[]
---@return string[]
function next_command.lines(ways)
  local lines = {}
  for index, way in ipairs(ways) do lines[index] = ("%s:  %s"):format(way.what, way.command) end
  return lines
end

return next_command
