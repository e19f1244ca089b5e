-- SPDX-License-Identifier: MIT
-- Finds a board's output folder and the ledger to use, by rules that all commands share.

local output_and_ledger = {}

---Returns a board's output folder: the value of `--out`, or else BOARD.omni next to the board. A rehearsal with `--sandbox` uses the folder
---`sandbox` inside BOARD.omni, so that it never touches results that were paid for.
---@param given { board: string, out?: string, sandbox?: boolean }  the options, from argparse
---@return string
function output_and_ledger.folder(given)
  if given.out then return given.out end
  local folder = given.board:gsub("%.lua$", "") .. ".omni"
  return given.sandbox and folder .. "/sandbox" or folder
end

---Returns whether a command spends only sandbox credits, because `--sandbox` was given or the user's API keys are sandbox keys.
---@param given { sandbox?: boolean }
---@return boolean
function output_and_ledger.is_rehearsal(given)
  if given.sandbox then return true end
  local credentials = require "omni.client.credentials"
  local keys = credentials.find_all()
  return keys ~= nil and #keys > 0 and credentials.is_sandbox_key(keys[1].key)
end

---Returns the ledger's path or address. `--ledger` takes precedence; without it, a rehearsal uses `ledger.db` in the board's output folder,
---and every other command uses the user's ledger.
---@param given { ledger?: string, board?: string, out?: string, sandbox?: boolean }
---@return string|nil path
---@return omni.Error|nil err  code "ledger_failed": no folder for the ledger is known
function output_and_ledger.ledger(given)
  if given.ledger then return given.ledger end
  if given.board and output_and_ledger.is_rehearsal(given) then return output_and_ledger.folder(given) .. "/ledger.db" end
  return require("omni.ledger").default_path()
end

return output_and_ledger
