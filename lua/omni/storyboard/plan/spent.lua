-- SPDX-License-Identifier: MIT
-- Computes what a board has cost so far. Plans, runs, reports and the command line all use this module, so they show the same sum.

---@class omni.Spent
---@field credits number    the cost of the board's tasks, as the service reported it
---@field estimated number  the estimates of the submits whose cost the service hasn't reported; they may have been charged

---Returns the cost of all submits of a board, including abandoned ones.
---@param ledger omni.Records
---@param board_key string
---@param client omni.Client  with a sandbox key, estimates of submits to other sandboxes don't count, since those sandboxes have ended
---@return omni.Spent|nil
---@return omni.Error|nil err
local function of_board(ledger, board_key, client)
  local account_prefix = client.is_sandbox and client.service .. " " or nil
  local rows, problem = ledger:ask("spent_of_board", { board = board_key, account_prefix = account_prefix })
  if not rows then return nil, problem end
  local spent = { credits = 0, estimated = 0 }
  for _, row in ipairs(rows) do
    spent.credits, spent.estimated = spent.credits + row.credits, spent.estimated + row.estimated
  end
  return spent
end

return { of_board = of_board }
