-- SPDX-License-Identifier: MIT
-- `omni forget N...`: abandons submits, so that omni treats their scenes as new. Only a person can abandon a submit. `omni forget` opens no
-- client, so it needs no API key and no network.

local message = require "omni.cli.view.message"
local options = require "omni.cli.options"

local command = { summary = "Give up submits, so that their scenes count as new." }

function command.define(parser)
  parser:argument("submits", "The number of the submit or the id of its task, as `omni status` shows them."):argname("N"):args("+")
  options.add_ledger(parser)
  parser:flag("--yes", "Don't ask.")
end

local ended <const> = {
  refused = "was refused and cost nothing", failed = "has failed already", forgotten = "was given up before",
}

-- Returns the ledger row with this number, or else the row with this task id. If there is no such row, or if its submit can't be abandoned,
-- returns nil and the reason.
local function find(ledger, name)
  local rows, problem = ledger:ask("find", { id = name:find "^%d+$" and math.tointeger(tonumber(name)) or nil, task_id = name })
  if problem then error(problem, 0) end
  local found = rows[1]
  for _, row in ipairs(rows) do
    if ("%d"):format(row.id) == name then found = row end
  end
  if not found then return nil, "isn't a submit in this ledger" end
  if ended[found.state] then return nil, ended[found.state] end
  return found
end

-- Returns the ledger rows that the arguments name, without duplicates. If the submit that an argument names can't be abandoned, returns
-- nil, the argument and the reason.
local function choose(ledger, wanted)
  local chosen, seen = {}, {}
  for _, name in ipairs(wanted) do
    local row, why = find(ledger, name)
    if not row then return nil, name, why end
    if not seen[row.id] then chosen[#chosen + 1] = row end
    seen[row.id] = true
  end
  return chosen
end

-- Returns a line that describes the consequences of abandoning a submit.
local function describe(row)
  local text, paths = require "omni.cli.view.text", require "omni.file.path"
  local name = row.scene and ('scene "%s" of %s'):format(text.clean(row.scene), text.clean(row.board and paths.name(row.board) or "?"))
    or "a submit of a script"
  local sandbox = row.sandbox == 1
  local cost = row.estimate and "about " .. text.credits(row.estimate, sandbox) or "an unknown price"
  if row.state == "unknown" then
    return ("%d: %s, submitted %s: it may have been charged (%s)"):format(row.id, name, text.moment(row.intended_at), cost)
  end
  if row.state == "success" or row.state == "gone" then
    cost = row.credits and text.credits(row.credits, sandbox) or cost
    return ("%d: %s, task %s: it is complete and paid for (%s); its files stay where they are, but the scene counts as new and the next"
      .. " run would pay for it again"):format(row.id, name, text.clean(row.task_id or "?"), cost)
  end
  return ("%d: %s, task %s: it goes on at the service and is charged (%s); omni won't download its clip")
    :format(row.id, name, text.clean(row.task_id or "?"), cost)
end

local function forget(ledger, given)
  local fine, chosen, name, why = pcall(choose, ledger, given.submits)
  if not fine then return message.exit(1, chosen) end
  if not chosen then return message.exit(2, ("'%s' %s; nothing was changed"):format(name, why), "see: omni status") end
  for _, row in ipairs(chosen) do
    if row.state == "intended" then
      return message.exit(3, ("another omni is submitting %d right now; nothing was changed"):format(row.id))
    end
  end
  for _, row in ipairs(chosen) do io.stderr:write(describe(row), "\n") end
  if not given.yes then
    local yes = require("omni.cli.view.terminal").ask(("Forget %s?"):format(#chosen == 1 and "it" or "these " .. #chosen))
    if yes == nil then return message.exit(3, "nothing was changed: there is no terminal to ask on", "give --yes") end
    if not yes then return message.exit(3, "nothing was changed: you didn't say yes") end
  end
  for _, row in ipairs(chosen) do
    local changed, problem = ledger:row("forget", { id = row.id })
    if problem then return message.exit(1, problem) end
    if not changed then return message.exit(3, ("the state of %d has changed in the meantime"):format(row.id)) end
    print(("forgot %d"):format(row.id))
  end
  return 0
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  local ledgers = require "omni.ledger"
  local path, problem = require("omni.cli.output_and_ledger").ledger(given)
  if not path then return message.exit(2, problem) end
  if not ledgers.exists(path) then
    return message.exit(2, ("there is no ledger at %s: nothing was submitted, there is nothing to forget"):format(path))
  end
  local ledger <close>, trouble = ledgers.open(path)
  if not ledger then return message.exit(1, trouble) end
  return require("omni.cli.signals").run(function() return forget(ledger, given) end) or 130
end

return command
