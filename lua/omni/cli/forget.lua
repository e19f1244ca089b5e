-- SPDX-License-Identifier: MIT
-- `omni forget N...`: gives up submits that are unknown or in flight. A person's word: nothing else moves them. No key, no network.
--
-- Besides what omni offers to everybody it takes the ledger by name: no client is opened.

local common = require "omni.cli.common"

local command = { summary = "Give up submits that are unknown or in flight." }

function command.define(parser)
  parser:argument("submits", "Its number, or its task's id, as `omni status` shows them."):argname("N"):args("+")
  common.add_ledger_option(parser)
  parser:flag("--yes", "Don't ask.")
end

-- The open submits that are meant, each once; or nil and what isn't one.
local function choose(open, wanted)
  local by_name, chosen, seen = {}, {}, {}
  for _, row in ipairs(open) do
    if row.task_id then by_name[row.task_id] = row end
  end
  for _, row in ipairs(open) do by_name[("%d"):format(row.id)] = row end -- a number is a number first
  for _, name in ipairs(wanted) do
    local row = by_name[name]
    if not row then return nil, name end
    if not seen[row.id] then chosen[#chosen + 1] = row end
    seen[row.id] = true
  end
  return chosen
end

-- What is given up, a line each.
local function describe(row)
  local text, paths = require "omni.cli.text", require "omni.paths"
  local name = row.scene and ('scene "%s" of %s'):format(text.clean(row.scene), text.clean(row.board and paths.name(row.board) or "?"))
    or "a submit of a script"
  local cost = row.estimate and "about " .. text.credits(row.estimate) or "an unknown price"
  if row.state == "unknown" then
    return ("%d: %s, submitted %s: it may have been charged (%s)"):format(row.id, name, text.moment(row.intended_at), cost)
  end
  return ("%d: %s, task %s: it goes on at the service and is charged (%s); its clip won't be fetched")
    :format(row.id, name, text.clean(row.task_id or "?"), cost)
end

local function forget(records, given)
  local text = require "omni.cli.text"
  local open, problem = records:ask("open")
  if not open then return common.tell(problem) or 1 end
  local chosen, missing = choose(open, given.submits)
  if not chosen then
    return common.say(("'%s' is neither unknown nor in flight; nothing was changed"):format(text.clean(missing)), "see: omni status") or 2
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
    local moved
    moved, problem = records:row("forget", { id = row.id })
    if problem then return common.tell(problem) or 1 end
    if not moved then return common.say(("%d was decided elsewhere meanwhile"):format(row.id)) or 3 end
    print(("forgot %d"):format(row.id))
  end
  return 0
end

---@param given table  what argparse found
---@return integer exit code
function command.run(given)
  local core, records = require "omni.core", require "omni.records"
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
