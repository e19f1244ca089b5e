-- SPDX-License-Identifier: MIT
-- Formats the output of `omni status`: tasks in flight, submits with an unknown outcome and what to do about them, files to fetch, and the
-- cost so far.

local core = require "omni.core"
local next_command = require "omni.storyboard.next_command"
local paths = require "omni.file.path"
local text = require "omni.cli.view.text"
local unknown_submit = require "omni.storyboard.plan.unknown_submit"

-- Returns a submit's name, such as "film.lua: dusk". Omits the board's name if all submits belong to one board.
local function name_of(submit, board)
  local scene = submit.scene and text.clean(submit.scene) or submit.tag and "a submit, " .. text.clean(submit.tag) or "a submit"
  return submit.board and not board and text.clean(paths.name(submit.board)) .. ": " .. scene or scene
end

local function write_in_flight(out, event, sandbox)
  out:write(("in flight: %d\n"):format(#event.in_flight))
  for _, submit in ipairs(event.in_flight) do
    local state = submit.state == "intended" and "being submitted" or text.clean(submit.status or "pending")
    local parts = { name_of(submit, event.board), state, "for " .. text.elapsed(math.max(0, os.time() - submit.since)) }
    if submit.estimate then parts[#parts + 1] = "about " .. text.credits(submit.estimate, sandbox) end
    if submit.task_id then parts[#parts + 1] = "task " .. text.clean(submit.task_id) end
    out:write(("  %d  %s\n"):format(submit.submit, table.concat(parts, "  ")))
  end
end

local function write_unknown(out, event, given, sandbox)
  out:write(("unknown: %d\n"):format(#event.unknown))
  for _, submit in ipairs(event.unknown) do
    out:write(("  %d  %s  submitted %s  %s\n"):format(submit.submit, name_of(submit, event.board), text.moment(submit.since),
      text.clean(submit.error.message)))
    for _, cost in ipairs(unknown_submit.costs(submit, sandbox)) do out:write("      ", cost, "\n") end
    local ways = { { what = "give it up", command = next_command.forget(submit.submit, event.ledger) } }
    if submit.scene and submit.board then
      local is_job = submit.board:find "^job:%d+$" -- a job's row doesn't contain the board's path
      local options = { board = is_job and "BOARD" or submit.board, ledger = given.ledger, sandbox = given.sandbox }
      ways = next_command.ways_out(options, submit.scene, submit.submit, event.ledger)
    end
    for _, way in ipairs(next_command.lines(ways)) do out:write("      ", way, "\n") end
  end
end

local function write_to_fetch(out, event)
  if #event.to_fetch == 0 then return end
  out:write(("to fetch: %d\n"):format(#event.to_fetch))
  for _, submit in ipairs(event.to_fetch) do
    local left = submit.media_until - os.time()
    out:write(("  %d  %s  paid for, task %s; %s\n"):format(submit.submit, name_of(submit, event.board), text.clean(submit.task_id or "?"),
      left > 0 and ("the service keeps it for about %s more"):format(text.count(math.ceil(left / 86400), "day"))
        or "its media have probably expired at the service"))
  end
end

-- Describes how many credits some submits have cost, such as "80 credits (2 submits), and about 40 not yet reported".
local function describe_sum(sum, sandbox)
  local more = text.not_reported(sum.estimated)
  if sum.given_up > 0 then more = core.format("%s; about %.14g of it given up", more, sum.given_up) end
  return ("%s (%s)%s"):format(text.credits(sum.credits, sandbox), text.count(sum.submits, "submit"), more)
end

-- Describes an account by its service and its key's fingerprint, such as "https://api.crun.ai, key 3fa1c2d4e5f6".
local function describe_account(account)
  local base_url, fingerprint = account:match("^(.*) (%x+)$")
  return text.clean(base_url and ("%s, key %s"):format(base_url, fingerprint) or account)
end

---@param out file*
---@param event table  the fields of the event `status`
---@param given { ledger?: string }  the options
local function write(out, event, given)
  out:write("ledger ", text.clean(event.ledger), "\n")
  if event.board then out:write("board ", text.clean(event.board), "\n") end
  local sandbox = #event.accounts > 0 and event.accounts[1].account == "sandbox" -- a ledger never mixes sandbox and real submits
  write_in_flight(out, event, sandbox)
  write_unknown(out, event, given, sandbox)
  write_to_fetch(out, event)
  local scope = event.board and "on this board" or "in all"
  out:write(("spent today: %s\nspent %s: %s\n"):format(describe_sum(event.today, sandbox), scope,
    describe_sum(event.spent, sandbox)))
  for _, one in ipairs(#event.accounts > 1 and event.accounts or {}) do
    out:write(("  %s\n    today: %s\n    %s: %s\n"):format(describe_account(one.account), describe_sum(one.today), scope,
      describe_sum(one.spent)))
  end
end

return { write = write }
