-- SPDX-License-Identifier: MIT
-- Finds the files of a board: its output folder and its ledger. All commands find a board's files by the rules in this module.

local board_files = {}

---Returns the output folder of a board: `--out`, else BOARD.omni beside the board. A rehearsal with `--sandbox` uses a folder inside that
---folder, so that it never touches paid results.
---@param given { board: string, out?: string, sandbox?: boolean }  the options, from argparse
---@return string
function board_files.folder(given)
  if given.out then return given.out end
  local folder = given.board:gsub("%.lua$", "") .. ".omni"
  return given.sandbox and folder .. "/sandbox" or folder
end

---Returns whether the credits are a sandbox's: `--sandbox` was given, or the keys of the environment are sandbox keys.
---@param given { sandbox?: boolean }
---@return boolean
function board_files.is_rehearsal(given)
  if given.sandbox then return true end
  local credentials = require "omni.client.credentials"
  local keys = credentials.find_all()
  return keys ~= nil and #keys > 0 and credentials.is_sandbox_key(keys[1].key)
end

---Returns the path of the ledger: the one of `--ledger`, else for a rehearsal of a board ledger.db in its output folder, else the user's
---ledger.
---@param given { ledger?: string, board?: string, out?: string, sandbox?: boolean }
---@return string|nil path
---@return omni.Error|nil err  code "ledger_failed": there is no place for it
function board_files.ledger(given)
  if given.ledger then return given.ledger end
  if given.board and board_files.is_rehearsal(given) then return board_files.folder(given) .. "/ledger.db" end
  return require("omni.ledger").default_path()
end

return board_files
