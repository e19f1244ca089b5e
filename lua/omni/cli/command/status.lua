-- SPDX-License-Identifier: MIT
-- `omni status [BOARD]`: prints the ledger's contents: tasks in flight, submits with an unknown outcome, and the cost so far. `omni status`
-- opens no client, so it needs no API key and no network.

local message = require "omni.cli.view.message"
local options = require "omni.cli.options"

local media_days <const> = 14 -- approximate number of days until media URLs expire (docs/service.md)

local command = { summary = "Show tasks in flight, submits with an unknown outcome, and the cost so far." }

function command.define(parser)
  parser:argument("board", "Show only what belongs to this board."):argname("BOARD"):args("?")
  parser:flag("--sandbox", "Show BOARD's rehearsals (`omni run BOARD --sandbox`).")
  options.path(parser:option("--out", "The output folder of BOARD, where a rehearsal has its ledger (default: as for `omni run`).")
    :argname("DIR"))
  options.add_ledger(parser)
  parser:flag("--json", "Print one line of JSON on stdout.")
end

local function midnight()
  local now = os.date("*t")
  return os.time { year = now.year, month = now.month, day = now.day, hour = 0 }
end

local function no_sum() return { credits = 0, estimated = 0, given_up = 0, submits = 0 } end

-- Adds up the rows that the ledger's `spent` verb returns. Returns the total over all accounts, and a table with each account's sum.
local function sums(rows)
  local all, by_account = no_sum(), {}
  for _, row in ipairs(rows) do
    by_account[row.account] = row
    for name in pairs(all) do all[name] = all[name] + row[name] end
  end
  return all, by_account
end

local function as_submit(row)
  return {
    submit = row.id, board = row.board, scene = row.scene, account = row.account, model = row.model, state = row.state,
    tag = row.tag, idempotency_key = row.idempotency_key,
    task_id = row.task_id, status = row.status, since = math.floor(row.intended_at), estimate = row.estimate,
    balance_before = row.balance_before, balance_after = row.balance_after, others = row.others,
    error = row.state == "unknown" and { code = "submit_unknown", message = row.message or "omni ended before the response arrived" }
      or nil,
  }
end

local function empty_event(path, board)
  return {
    ledger = path, exists = false, board = board, in_flight = {}, unknown = {}, to_fetch = {}, accounts = {}, today = no_sum(),
    spent = no_sum(),
  }
end

-- Reads the ledger, and fills in the fields of a `status` event. On failure, raises an error value. If `rehearsals` is true, the ledger
-- contains only rehearsals (`omni run --sandbox`); the tasks of a rehearsal end when its process ends.
local function read(ledger, event, rehearsals)
  local function ask(verb, params)
    local rows, problem = ledger:ask(verb, params)
    return rows or error(problem, 0)
  end
  local board, lost = event.board, {}
  event.exists = true
  for _, row in ipairs(rehearsals and ask "lost_rehearsals" or {}) do lost[row.id] = true end
  for _, row in ipairs(ask "open") do
    if not lost[row.id] and (not board or row.board == board) then
      local is_unknown = row.state == "unknown"
      if is_unknown then require("omni.storyboard.plan.unknown_submit").count_others(ledger, row) end
      local list = is_unknown and event.unknown or event.in_flight
      list[#list + 1] = as_submit(row)
    end
  end
  for index, row in ipairs(ask(board and "to_fetch_of_board" or "to_fetch", { board = board })) do
    event.to_fetch[index] = as_submit(row)
    event.to_fetch[index].media_until = math.floor(row.completed_at or row.ended_at or row.intended_at) + media_days * 86400
  end
  local spent = board and "spent_of_board" or "spent"
  local all = ask(spent, { board = board, rehearsals = rehearsals })
  local today, today_of = sums(ask(spent, { board = board, since = midnight(), rehearsals = rehearsals }))
  event.spent, event.today = sums(all), today
  for i, row in ipairs(all) do
    event.accounts[i] = { account = row.account, today = today_of[row.account] or no_sum(), spent = row }
  end
end

-- Returns a board's key in the ledger, or nil and the reason why the board has none.
local function board_key(path)
  local core, board_file = require "omni.core", require "omni.storyboard.language.board_file"
  if not core.stat(path) then return nil, "there is no board " .. path end
  local problem = board_file.trouble(path)
  if problem then return nil, problem end
  return board_file.key(path)
end

-- If another ledger contains rehearsals of the board, prints the command that lists them.
local function mention_rehearsals(given, path)
  if not given.board or given.ledger then return end
  local rehearsals = require("omni.cli.output_and_ledger").ledger { board = given.board, sandbox = true }
  if rehearsals == path or not require("omni.core").stat(rehearsals) then return end
  print(("its rehearsals: omni status %s --sandbox"):format(require("omni.cli.view.text").quote(given.board)))
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  local core, ledgers, err = require "omni.core", require "omni.ledger", require "omni.error"
  for _, name in ipairs { "sandbox", "out" } do
    if given[name] and not given.board then return message.exit(2, ("--%s: also name the board"):format(name)) end
  end
  local path, problem = require("omni.cli.output_and_ledger").ledger(given)
  if not path then return message.exit(2, problem) end
  local board
  if given.board then
    board, problem = board_key(given.board)
    if not board then return message.exit(2, problem) end
  end

  local event = empty_event(path, board)
  if ledgers.exists(path) then
    local ledger <close>, trouble = ledgers.open(path)
    if not ledger then return message.exit(1, trouble) end
    local fine, code = pcall(require("omni.cli.signals").run, function()
      read(ledger, event, given.sandbox)
      return 0
    end)
    if not fine and err.is(code) then return message.exit(1, code) end
    if not fine then error(code, 0) end
    if not code then return 130 end
  end

  if given.json then
    require("omni.cli.view.json_events").write("status", "status", event)
  elseif event.exists then
    require("omni.cli.view.ledger_status").write(io.stdout, event, given)
  else
    print(("there is no ledger at %s: nothing was submitted"):format(core.clean(path)))
  end
  if not given.json then mention_rehearsals(given, path) end
  return 0
end

return command
