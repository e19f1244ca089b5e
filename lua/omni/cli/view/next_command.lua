-- SPDX-License-Identifier: MIT
-- What a person can type next, spelt so that a shell takes it as it stands.

local records = require "omni.ledger"
local text = require "omni.cli.view.text"

local advice = {}

-- An option with its value; a value that looks like an option itself stands behind "=".
local function with_value(option, value)
  return option .. (value:find("^%-") and "=" or " ") .. text.quote(value)
end

-- The options that say where the ledger is, when it isn't where it is by default.
local function ledger_words(path, words)
  if path and path ~= records.default_path() then words[#words + 1] = with_value("--ledger", path) end
  return words
end

---The command that shoots this board into this folder; without what says something once (--redo, --resubmit, --adopt).
---@param given table    what argparse found for `omni run` or `omni plan`
---@param ... string     further words
---@return string
function advice.run(given, ...)
  local words = { "omni run " .. text.quote(given.board) }
  if given.sandbox then words[#words + 1] = "--sandbox" end
  for _, name in ipairs { "out", "ledger" } do
    if given[name] then words[#words + 1] = with_value("--" .. name, given[name]) end
  end
  if given.base_url then words[#words + 1] = with_value("--base-url", given.base_url) end
  for _, scene in ipairs(given.only or {}) do words[#words + 1] = with_value("--only", scene) end
  for _, word in ipairs { ... } do words[#words + 1] = word end
  return table.concat(words, " ")
end

---The command that takes tasks up again, at the same service and with the same ledger.
---@param command "wait"|"fetch"
---@param ids string[]
---@param options { out?: string, ledger?: string, base_url?: string }  as they were given
---@return string
function advice.tasks(command, ids, options)
  local quoted, odd, words = {}, false, {}
  for index, id in ipairs(ids) do
    quoted[index] = text.quote(id)
    odd = odd or id:find("^%-") ~= nil -- looks like an option
  end
  for _, name in ipairs { "out", "ledger", "base_url" } do
    if options[name] then words[#words + 1] = with_value("--" .. name:gsub("_", "-"), options[name]) end
  end
  local named = table.concat(quoted, " ")
  table.insert(words, odd and #words + 1 or 1, odd and "-- " .. named or named)
  return ("omni %s %s"):format(command, table.concat(words, " "))
end

---@param number integer  of the submit, in the ledger
---@param ledger string   its path
---@return string
function advice.forget(number, ledger)
  return table.concat(ledger_words(ledger, { ("omni forget %d"):format(number) }), " ")
end

---What moves a submit of unknown outcome, a line each.
---@param given table     as for `run`; at least the board
---@param scene string
---@param number? integer of the submit, in the ledger
---@param ledger? string  its path
---@return string[]
function advice.ways_out(given, scene, number, ledger)
  local ways = {
    "it came through, and you know its task:  " .. advice.run(given, with_value("--adopt", scene), "TASK_ID"),
    "submit it once more:  " .. advice.run(given, with_value("--resubmit", scene)),
  }
  if number then ways[3] = "give it up:  " .. advice.forget(number, ledger) end
  return ways
end

---What a person can do about a scene that is paid for and lost, a line each.
---@param given table     as for `run`; at least the board
---@param scene string
---@param number integer  of the submit, in the ledger
---@param ledger string   its path
---@return string[]
function advice.after_loss(given, scene, number, ledger)
  return {
    "pay for another take:  " .. advice.run(given, with_value("--redo", scene)),
    "give it up, so that the scene counts as new:  " .. advice.forget(number, ledger),
  }
end

return advice
