-- SPDX-License-Identifier: MIT
-- `omni status [BOARD]`: what the ledger knows: tasks in flight, submits of unknown outcome, what was spent. No key, no network.
--
-- JSON: one line, event "status": ledger (its path), exists (boolean), board, in_flight and unknown: [{submit (its number), board, scene,
-- account, model, state (intended, accepted, unknown), task_id, status, since (Unix seconds), estimate, balance_before, balance_after,
-- error}], to_fetch: the same of what is paid for and was not fetched, with media_until (Unix seconds); today and spent: {credits
-- (reported), promised (estimates of what isn't reported), given_up (the part of both that was forgotten), submits}, of the board or of
-- all,
-- accounts: [{account, today, spent}].
--
-- It takes the ledger by name, besides what omni offers to everybody: no client is opened.

local common = require "omni.cli.common"

local media_days <const> = 14 -- after about as many days media URLs expire (docs/service.md)

local command = { summary = "Show tasks in flight, submits of unknown outcome, and what was spent." }

function command.define(parser)
  parser:argument("board", "Only what belongs to this board."):argname("BOARD"):args("?")
  common.add_ledger_option(parser)
  parser:flag("--json", "One line of JSON on stdout.")
end

-- --- what there is

local function midnight()
  local now = os.date("*t")
  return os.time { year = now.year, month = now.month, day = now.day, hour = 0 }
end

-- Sums of what the verb `spent` gives, for all accounts and by account.
local function sums(rows)
  local function empty() return { credits = 0, promised = 0, given_up = 0, submits = 0 } end
  local all, by_account = empty(), {}
  for _, row in ipairs(rows) do
    local one = empty()
    for name in pairs(one) do
      one[name] = row[name]
      all[name] = all[name] + row[name]
    end
    by_account[row.account] = one
  end
  return all, by_account, empty
end

local function as_submit(row)
  return {
    submit = row.id, board = row.board, scene = row.scene, account = row.account, model = row.model, state = row.state,
    task_id = row.task_id, status = row.status, since = math.floor(row.intended_at), estimate = row.estimate,
    balance_before = row.balance_before, balance_after = row.balance_after,
    error = row.state == "unknown" and { code = "submit_unknown", message = row.message or "omni ended before the answer came" } or nil,
  }
end

---Reads the ledger; waits.
---@param records omni.Records
---@param board? string  what the ledger calls it
---@return table|nil event
---@return omni.Error|nil
local function read(records, board)
  local open, problem = records:ask("open")
  if not open then return nil, problem end
  local event = {
    event = "status", ledger = records.path, exists = true, board = board, in_flight = {}, unknown = {}, to_fetch = {}, accounts = {},
  }
  for _, row in ipairs(open) do
    if not board or row.board == board then
      local list = row.state == "unknown" and event.unknown or event.in_flight
      list[#list + 1] = as_submit(row)
    end
  end
  local paid, today, spent
  paid, problem = records:ask("to_fetch", { board = board })
  if not paid then return nil, problem end
  for index, row in ipairs(paid) do
    event.to_fetch[index] = as_submit(row)
    event.to_fetch[index].media_until = math.floor(row.completed_at or row.ended_at or row.intended_at) + media_days * 86400
  end
  today, problem = records:ask("spent", { board = board, since = midnight() })
  if today then spent, problem = records:ask("spent", { board = board }) end
  if problem then return nil, problem end
  local today_by, spent_by, empty
  event.today, today_by, empty = sums(today)
  event.spent, spent_by = sums(spent)
  for _, row in ipairs(spent) do
    table.insert(event.accounts, { account = row.account, today = today_by[row.account] or empty(), spent = spent_by[row.account] })
  end
  return event
end

-- --- what is said of it

local function name_of(submit, board)
  local text, paths = require "omni.cli.view.text", require "omni.file.path"
  local scene = submit.scene and text.clean(submit.scene) or "a submit"
  return submit.board and not board and text.clean(paths.name(submit.board)) .. ": " .. scene or scene
end

local function write_in_flight(out, event)
  local text = require "omni.cli.view.text"
  out:write(("in flight: %d\n"):format(#event.in_flight))
  for _, submit in ipairs(event.in_flight) do
    local state = submit.state == "intended" and "is being submitted" or text.clean(submit.status or "pending")
    local parts = { name_of(submit, event.board), state, "for " .. text.elapsed(math.max(0, os.time() - submit.since)) }
    if submit.estimate then parts[#parts + 1] = "about " .. text.credits(submit.estimate) end
    if submit.task_id then parts[#parts + 1] = "task " .. text.clean(submit.task_id) end
    out:write(("  %d  %s\n"):format(submit.submit, table.concat(parts, "  ")))
  end
end

local function write_unknown(out, event, given)
  local core = require "omni.core"
  local advice, text = require "omni.cli.view.next_command", require "omni.cli.view.text"
  out:write(("unknown: %d\n"):format(#event.unknown))
  for _, submit in ipairs(event.unknown) do
    out:write(("  %d  %s  submitted %s  %s\n"):format(submit.submit, name_of(submit, event.board), text.moment(submit.since),
      text.clean(submit.error.message)))
    local cost = {}
    if submit.estimate then cost[1] = ("it may have cost about %s"):format(text.credits(submit.estimate)) end
    if submit.balance_before then cost[#cost + 1] = core.format("balance %.14g before", submit.balance_before) end
    if submit.balance_after then cost[#cost + 1] = core.format("%.14g after", submit.balance_after) end
    if #cost > 0 then out:write("      ", table.concat(cost, ", "), "\n") end
    local ways = { "give it up:  " .. advice.forget(submit.submit, event.ledger) }
    if submit.scene and submit.board then
      ways = advice.ways_out({ board = submit.board, ledger = given.ledger }, submit.scene, submit.submit, event.ledger)
    end
    for _, way in ipairs(ways) do out:write("      ", way, "\n") end
  end
end

local function write_to_fetch(out, event)
  if #event.to_fetch == 0 then return end
  local text = require "omni.cli.view.text"
  out:write(("to fetch: %d\n"):format(#event.to_fetch))
  for _, submit in ipairs(event.to_fetch) do
    local left = submit.media_until - os.time()
    out:write(("  %d  %s  paid for, task %s; %s\n"):format(submit.submit, name_of(submit, event.board), text.clean(submit.task_id or "?"),
      left > 0 and ("the service keeps it for about %s more"):format(text.count(math.ceil(left / 86400), "day"))
        or "its media has probably expired at the service"))
  end
end

local function said_sum(sum)
  local text = require "omni.cli.view.text"
  local core = require "omni.core"
  local more = sum.promised > 0 and core.format(", and about %.14g not yet reported", sum.promised) or ""
  if sum.given_up > 0 then more = core.format("%s; about %.14g of it given up", more, sum.given_up) end
  return ("%s (%s)%s"):format(text.credits(sum.credits), text.count(sum.submits, "submit"), more)
end

-- "https://api.crun.ai, key 3fa1c2d4e5f6"
local function said_account(account)
  local base_url, fingerprint = account:match("^(.*) (%x+)$")
  return require("omni.cli.view.text").clean(base_url and ("%s, key %s"):format(base_url, fingerprint) or account)
end

local function write(out, event, given)
  local text = require "omni.cli.view.text"
  out:write("ledger ", text.clean(event.ledger), "\n")
  if event.board then out:write("board ", text.clean(event.board), "\n") end
  write_in_flight(out, event)
  write_unknown(out, event, given)
  write_to_fetch(out, event)
  local where = event.board and "on this board" or "in all"
  out:write(("spent today: %s\nspent %s: %s\n"):format(said_sum(event.today), where, said_sum(event.spent)))
  if #event.accounts > 1 then
    for _, one in ipairs(event.accounts) do
      out:write(("  %s\n    today: %s\n    %s: %s\n"):format(said_account(one.account), said_sum(one.today), where, said_sum(one.spent)))
    end
  end
end

-- --- the command

---@param given table  what argparse found
---@return integer exit code
function command.run(given)
  local core, records = require "omni.core", require "omni.ledger"
  local path, problem = given.ledger, nil
  if not path then path, problem = records.default_path() end
  if not path then return common.tell(problem) or 2 end
  local board
  if given.board then
    local board_file = require "omni.storyboard.language.board_file"
    local trouble = core.stat(given.board) and board_file.trouble(given.board)
    if trouble then return common.say(core.clean(trouble)) or 2 end
    board = core.stat(given.board) and board_file.key(given.board)
    if not board then return common.say("there is no board " .. core.clean(given.board)) or 2 end
  end

  local event
  if core.stat(path) then
    local ledger <close>, trouble = records.open(path)
    if not ledger then return common.tell(trouble) or 1 end
    local code, failure = common.in_loop(function()
      event, problem = read(ledger, board)
      return 0
    end)
    if failure then error(failure, 0) end
    if not code then return 130 end
    if not event then return common.tell(problem) or 1 end
  else
    local none = sums {}
    event = {
      event = "status", ledger = path, exists = false, board = board, in_flight = {}, unknown = {}, to_fetch = {}, accounts = {},
      today = none, spent = none,
    }
  end

  if given.json then
    require("omni.cli.view.run_progress").write_json(io.stdout, event)
  elseif not event.exists then
    print(("there is no ledger at %s: nothing was submitted"):format(core.clean(path)))
  else
    write(io.stdout, event, given)
  end
  return 0
end

return command
