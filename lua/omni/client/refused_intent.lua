-- SPDX-License-Identifier: MIT
-- Finds out why the ledger refused to record a submit's intent. A single SQL statement decides whether to record an intent
-- (csrc/ledger/verbs.h, `intend`). This module only looks for the reason for a refusal, so that the error can contain this reason.

local core = require "omni.core"

---Finds out why the ledger wrote no row for a submit, and returns the reason as a failure.
---@param submit omni.Submit
---@return table failure  `no_slot`: omni tries again as soon as the key has a free slot
local function reason(submit)
  local ledger, params = submit.ledger, submit.params
  local mixed, problem = ledger:row("other_kind", { sandbox = params.sandbox })
  if problem then return problem end
  if mixed then
    return { code = "ledger_failed", hint = "choose another ledger",
      message = ("the ledger %s holds %s submits, and this is a %s one; the two are never mixed"):format(
        ledger.path, params.sandbox and "real" or "sandbox", params.sandbox and "sandbox" or "real") }
  end
  submit.key.row:read(ledger)
  if submit.key.transport.limiter:paused() > 0 then
    return { code = "rate_limited", retry = true, message = "the service has asked another program with this key for a pause" }
  end
  if params.in_flight and #(ledger:ask("in_flight", { account = params.account }) or {}) >= params.in_flight then
    return { code = "rate_limited", no_slot = true, message = "another program has used the key's slots" }
  end
  if params.idempotency_key and ledger:row("live_with_key", { idempotency_key = params.idempotency_key }) then
    return { code = "already_submitted", message = "not submitted: another submit has the same idempotency key" }
  end
  local row = params.identity and ledger:row("by_identity", { identity = params.identity, service = params.service })
  if row and row.id ~= submit.row and row.state ~= "failed" and row.state ~= "forgotten" and row.state ~= "refused"
    and not (row.state == "unknown" and params.instead_of and row.id <= params.instead_of) then
    return { code = "already_submitted", task_id = row.task_id,
      message = "not submitted: another run has submitted the same scene in the meantime" }
  end
  if params.budget then
    local cost = params.estimate or 0
    local rows, failure = ledger:ask("spent_of_board", { board = params.board })
    if not rows then return failure end
    for _, of_account in ipairs(rows) do cost = cost + of_account.credits + of_account.estimated end
    if cost > params.budget + 1e-9 then
      return { code = "over_budget", hint = "raise the board's budget, or make the film cheaper",
        message = core.format("not submitted: it would exceed the board's budget of %.14g credits", params.budget) }
    end
  end
  -- The reason no longer exists (for example, another program's task has ended in the meantime), so omni retries the submit.
  return { code = "rate_limited", no_slot = true, message = "the reason for not submitting no longer exists" }
end

return { reason = reason }
