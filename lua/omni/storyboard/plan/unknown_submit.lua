-- SPDX-License-Identifier: MIT
-- Describes a submit with an unknown outcome: what the submit may have cost, and the balance before and after the submit. Plans, summaries
-- and the command line all use this module, so they show the same description.

local core = require "omni.core"

local AROUND <const> = 10 -- maximum number of seconds between a balance reading and the beginning or end of the submit

---Counts the account's other submits between the two balance readings, and stores their number in the row's `others` field. Waits for the
---ledger.
---@param ledger omni.Ledger
---@param row table  the submit's ledger row
---@return table row
local function count_others(ledger, row)
  if not (row.balance_before and row.balance_after) then return row end
  local function submits_since(time)
    local count = 0
    for _, sum in ipairs(ledger:ask("spent", { since = time }) or {}) do
      if sum.account == row.account or sum.account == "sandbox" then count = count + sum.submits end
    end
    return count
  end
  local last = (row.answered_at or row.intended_at) + AROUND
  row.others = math.tointeger(math.max(0, submits_since(row.intended_at - AROUND) - submits_since(last) - 1)) -- the submit itself counts
  return row
end

---Returns sentences such as "it may have cost about 40 credits" and "balance 100 before, 60 after".
---@param row { estimate?: number, balance_before?: number, balance_after?: number, others?: integer }
---@param sandbox? boolean
---@return string[]
local function costs(row, sandbox)
  local parts = {}
  if row.estimate then parts[1] = core.format("it may have cost about %.14g %scredits", row.estimate, sandbox and "sandbox " or "") end
  if row.balance_before then
    parts[#parts + 1] = core.format("balance %.14g before%s", row.balance_before,
      row.balance_after and core.format(", %.14g after", row.balance_after) or "")
  end
  local others = row.others or 0
  if others > 0 then
    parts[#parts + 1] = ("%d other submit%s sent between, so the difference isn't its cost alone"):format(others,
      others == 1 and " was" or "s were")
  end
  return parts
end

return { costs = costs, count_others = count_others }
