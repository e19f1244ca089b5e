-- SPDX-License-Identifier: MIT
-- `omni open BOARD`: opens a board's film or report with the desktop's default program.

local output_and_ledger = require "omni.cli.output_and_ledger"
local message = require "omni.cli.view.message"
local options = require "omni.cli.options"

local command = { summary = "Open a board's film or report." }

function command.define(parser)
  parser:argument("board", "The board."):argname("BOARD")
  parser:mutex(
    parser:flag("--film", "Open the film (the default, if there is one)."),
    parser:flag("--report", "Open the report (the default without a film)."))
  parser:flag("--sandbox", "Open the film or report of the rehearsals (`omni run BOARD --sandbox`).")
  options.path(parser:option("--out", "The output folder (default: as for `omni run`)."):argname("DIR"))
  parser:flag("--trust", "Let the board do all that a Lua program can (docs/storyboards.md).")
end

-- Returns the path of the film or the report to open. If the board can't be loaded, returns nil and an error. If the film or the report
-- doesn't exist, returns nil, nil and the path of the missing file.
local function choose(given)
  local core, folder = require "omni.core", output_and_ledger.folder(given)
  local board, problem = require("omni").load_storyboard(given.board, { trusted = given.trust or false })
  if not board then return nil, problem end
  local film, report = board.cut and folder .. "/" .. board.cut.output, folder .. "/report.html"
  if film and not given.report and core.stat(film) then return film end
  if not given.film and core.stat(report) then return report end
  return nil, nil, given.film and (film or "film: the board has cut = false") or report
end

-- Opens a file with the desktop's default program. Returns whether that succeeded.
local function open_with_desktop(path)
  local paths = require "omni.file.path"
  local result = require("omni").process({ "xdg-open", paths.absolute(path) }, { stderr = "pipe" })
  return result ~= nil and result.exit == 0
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  local text = require "omni.cli.view.text"
  local path, problem, missing = choose(given)
  if problem then return message.exit(2, problem) end
  if not path then
    local rehearsed = not (given.sandbox or given.out) and choose { board = given.board, trust = given.trust, film = given.film,
      report = given.report, sandbox = true }
    return message.exit(1, ("there is no %s"):format(text.clean(missing)),
      ("to make it:  omni run %s%s"):format(text.quote(given.board), given.sandbox and " --sandbox" or ""),
      rehearsed and ("there is a rehearsal:  omni open %s --sandbox"):format(text.quote(given.board)) or nil)
  end
  print(text.path(path))
  return require("omni.cli.signals").run(function()
    if open_with_desktop(path) then return 0 end
    return message.exit(1, "can't open it: xdg-open isn't installed, or knows no program for it", "open the path above yourself")
  end) or 130
end

return command
