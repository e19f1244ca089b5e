-- SPDX-License-Identifier: MIT
-- `omni forget N...`: gives up submits, so that their scenes count as new. Only a person can do this. No key, no network.
--
-- Besides what omni offers to everybody it takes the ledger by name: no client is opened.

local common = require "omni.cli.common"

local command = { summary = "Give up submits, so that their scenes count as new." }

function command.define(parser)
  parser:argument("submits", "Its number, or its task's id, as `omni status` shows them."):argname("N"):args("+")
  common.add_ledger_option(parser)
  parser:flag("--yes", "Don't ask.")
end

local over <const> = {
  refused = "was refused and cost nothing", failed = "has failed already", forgotten = "was given up before",
}

-- The submit that a name stands for; nil and why there is none to give up. A number is a row's number first.
local function find(records, name)
  local rows, problem = records:ask("find", { id = name:find "^%d+$" and math.tointeger(tonumber(name)) or nil, task_id = name })
  if problem then error(problem, 0) end
  local found = rows[1]
  for _, row in ipairs(rows) do
    if ("%d"):format(row.id) == name then found = row end
  end
  if not found then return nil, "is no submit of this ledger" end
  if over[found.state] then return nil, over[found.state] end
  return found
end

-- The submits that are meant, each once; nil, the name and what is wrong with it.
local function choose(records, wanted)
  local chosen, seen = {}, {}
  for _, name in ipairs(wanted) do
    local row, why = find(records, name)
    if not row then return nil, name, why end
    if not seen[row.id] then chosen[#chosen + 1] = row end
    seen[row.id] = true
  end
  return chosen
end

-- What is given up, a line each.
local function describe(row)
  local text, paths = require "omni.cli.view.text", require "omni.file.path"
  local name = row.scene and ('scene "%s" of %s'):format(text.clean(row.scene), text.clean(row.board and paths.name(row.board) or "?"))
    or "a submit of a script"
  local cost = row.estimate and "about " .. text.credits(row.estimate) or "an unknown price"
  if row.state == "unknown" then
    return ("%d: %s, submitted %s: it may have been charged (%s)"):format(row.id, name, text.moment(row.intended_at), cost)
  end
  if row.state == "success" or row.state == "gone" then
    cost = row.credits and text.credits(row.credits) or cost
    return ("%d: %s, task %s: it is made and paid for (%s); its files stay where they are, but the scene counts as new and would be paid"
      .. " for again"):format(row.id, name, text.clean(row.task_id or "?"), cost)
  end
  return ("%d: %s, task %s: it goes on at the service and is charged (%s); its clip won't be fetched")
    :format(row.id, name, text.clean(row.task_id or "?"), cost)
end

local function forget(records, given)
  local text = require "omni.cli.view.text"
  local fine, chosen, name, why = pcall(choose, records, given.submits)
  if not fine then return common.tell(chosen) or 1 end
  if not chosen then
    return common.say(("'%s' %s; nothing was changed"):format(text.clean(name), why), "see: omni status") or 2
  end
  for _, row in ipairs(chosen) do
    if row.state == "intended" then
      return common.say(("%d is being submitted right now by another omni; nothing was changed"):format(row.id)) or 3
    end
  end
  for _, row in ipairs(chosen) do io.stderr:write(describe(row), "\n") end
  if not given.yes then
    local yes = common.ask(("Forget %s?"):format(#chosen == 1 and "it" or "these " .. #chosen))
    if yes == nil then return common.say("nothing was changed: there is no terminal to ask on", "give --yes") or 3 end
    if not yes then return common.say("nothing was changed: you didn't say yes") or 3 end
  end
  for _, row in ipairs(chosen) do
    local moved, problem = records:row("forget", { id = row.id })
    if problem then return common.tell(problem) or 1 end
    if not moved then return common.say(("%d was decided elsewhere meanwhile"):format(row.id)) or 3 end
    print(("forgot %d"):format(row.id))
  end
  return 0
end

---@param given table  what argparse found
---@return integer exit code
function command.run(given)
  local core, records = require "omni.core", require "omni.ledger"
  local path, problem = given.ledger, nil
  if not path then path, problem = records.default_path() end
  if not path then return common.tell(problem) or 2 end
  if not core.stat(path) then
    return common.say(("there is no ledger at %s: nothing was submitted, there is nothing to forget"):format(core.clean(path))) or 2
  end
  local ledger <close>, trouble = records.open(path)
  if not ledger then return common.tell(trouble) or 1 end
  local code, failure = common.in_loop(function() return forget(ledger, given) end)
  if failure then error(failure, 0) end
  return code or 130
end

return command
