-- SPDX-License-Identifier: MIT
-- `omni ledger status`, `copy` and `export`: these commands describe a ledger, copy it into another file or database, and write all its
-- rows as JSON.

local message = require "omni.cli.view.message"
local options = require "omni.cli.options"

local command = { summary = "Describe, copy or export a ledger." }

function command.define(parser)
  parser:argument("action", "status: its kind, its version, and who has it open. copy FROM TO: copies all rows into an empty ledger, "
    .. "completely or not at all; each is a file or an address. export: writes each row as a line of JSON."):argname("ACTION")
    :choices { "status", "copy", "export" }
  parser:argument("names", "FROM and TO, for copy."):argname("LEDGER"):args("*")
  options.add_ledger(parser)
end

-- --- status

-- Asks the operating system how many open ledger handles hold a lock in a ledger's session file, and returns that number.
local function sessions_of_file(path)
  local core = require "omni.core"
  local info = core.stat(path .. "-alive")
  local locks = info and io.open "/proc/locks"
  if not locks then return nil end
  local inode, count = tonumber(info.stamp:match "^%x+:(%x+)", 16), 0
  for line in locks:lines() do
    if line:find("OFDLCK", 1, true) and line:find((":%d "):format(inode), 1, true) then count = count + 1 end
  end
  locks:close()
  return count
end

local function status(ledger)
  local text = require "omni.cli.view.text"
  local function ask(verb)
    local rows, problem = ledger:ask(verb)
    return rows or error(problem, 0)
  end
  local backend, version = ask("backend")[1].backend, ask("version")[1].version
  print(("ledger %s"):format(text.clean(ledger.path)))
  print(("%s, version %d"):format(text.clean(backend), version))
  local locks = ask("locks")[1]
  if not locks then
    local count = sessions_of_file(ledger.path)
    if count then print(("open: %s, besides this command"):format(text.count(math.max(0, count - 1), "program"))) end
    return
  end
  local others = {}
  for _, session in ipairs(ask("sessions")) do
    if session.own ~= 1 then others[#others + 1] = session end
  end
  print(("open: %s, besides this command"):format(text.count(#others, "program")))
  for _, session in ipairs(others) do
    print(("  %s, process %d, since %s%s"):format(text.clean(session.host), session.process, text.moment(session.since),
      session.open == 1 and "" or ": it has ended, or lost its connection"))
  end
  print(("locks: %d held, %d waited for"):format(locks.held, locks.waiting))
end

-- --- export and copy

local function export(ledger)
  local json = require "omni.json"
  require("omni.ledger.copy").read(ledger, function(name, row)
    row.table = name
    assert(io.stdout:write(json.canonical(row), "\n"))
  end)
end

local function copy(names)
  local ledgers, core, text = require "omni.ledger", require "omni.core", require "omni.cli.view.text"
  for _, name in ipairs(names) do
    local wrong = ledgers.address_problem(name)
    if wrong then return message.exit(2, "the ledger's address " .. wrong) end
  end
  local source, target = names[1], names[2]
  if not ledgers.exists(source) then return message.exit(2, ("there is no ledger at %s"):format(source)) end
  if source == target or core.real_path(source) and core.real_path(source) == core.real_path(target) then
    return message.exit(2, "FROM and TO are the same ledger")
  end
  local from <close>, problem = ledgers.open(source)
  if not from then return message.exit(1, problem) end
  local to <close>, trouble = ledgers.open(target)
  if not to then return message.exit(1, trouble) end
  local counts, why = require("omni.ledger.copy").run(from, to)
  if not counts then return message.exit(1, why) end
  print(("copied %s and %s"):format(text.count(counts.submit, "submit"), text.count(counts.file, "file")))
  print(("from now on use only this ledger: %s"):format(text.clean(target)))
  return 0
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  local signals, ledgers, err = require "omni.cli.signals", require "omni.ledger", require "omni.error"
  if given.action == "copy" then
    if #given.names ~= 2 then return message.exit(2, "omni ledger copy FROM TO: name both ledgers") end
    return signals.run(function() return copy(given.names) end) or 130
  end
  if #given.names > 0 then
    return message.exit(2, ("omni ledger %s takes no argument: name the ledger with --ledger"):format(given.action))
  end
  local path, problem = require("omni.cli.output_and_ledger").ledger(given)
  if not path then return message.exit(2, problem) end
  if not ledgers.exists(path) then return message.exit(2, ("there is no ledger at %s"):format(path)) end
  local ledger <close>, trouble = ledgers.open(path)
  if not ledger then return message.exit(1, trouble) end
  local fine, code = pcall(signals.run, function()
    local act = given.action == "status" and status or export
    act(ledger)
    return 0
  end)
  if fine then return code or 130 end
  if err.is(code) then return message.exit(1, code) end
  error(code, 0)
end

return command
