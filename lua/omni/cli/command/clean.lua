-- SPDX-License-Identifier: MIT
-- `omni clean BOARD`: removes files from earlier runs that the board no longer uses. The ledger lists the files that runs have written.
-- `omni clean` removes only files that haven't changed since a run wrote them.

local board_options = require "omni.cli.board_options"
local message = require "omni.cli.view.message"
local options = require "omni.cli.options"

local command = { summary = "Remove files that a board no longer uses: old films and posters, and old clips with --all." }

function command.define(parser)
  parser:argument("board", "The board."):argname("BOARD")
  parser:flag("--all", "Also remove old clips, which were paid for and may exist nowhere else.")
  parser:flag("--yes", "Don't ask.")
  parser:flag("--sandbox", "Remove the files of rehearsals, including clips (`omni run BOARD --sandbox`).")
  options.path(parser:option("--out", "The output folder (default: as for `omni run`)."):argname("DIR"))
  options.add_ledger(parser)
  parser:flag("--trust", "Let the board do all that a Lua program can (docs/storyboards.md).")
  parser:option("--set", "What os.getenv \"NAME\" returns in the board. Repeatable."):argname("NAME=VALUE"):count("*")
  options.add_base_url(parser)
end

-- Returns the stem of a path: "media/dusk-1a2b3c4d.mp4" → "media/dusk-1a2b3c4d".
local function stem(path) return (path:gsub("%.%w+$", "")) end

-- Returns the paths of the files that the board uses, and the paths, without extensions, of the posters of its film and clips.
local function in_use(plan)
  local folder = plan.directory
  local used = { paths = { [folder .. "/report.html"] = true }, stems = {} }
  if plan.board.cut then
    local film = folder .. "/" .. plan.board.cut.output
    used.paths[film], used.stems[("%s/media/%s"):format(folder, stem(film):match "[^/]*$")] = true, true
  end
  for _, entry in ipairs(plan.scenes) do
    for _, path in ipairs(entry.files or {}) do
      used.paths[path], used.stems[stem(path)] = true, true
    end
  end
  return used
end

-- Returns a list of the files that the board doesn't use, each as a table { path, size, why, paid }.
local function find(opened, plan)
  local core, used, found, seen = require "omni.core", in_use(plan), {}, {}
  local function ask(verb, params)
    local rows, problem = plan.ledger:ask(verb, params)
    return rows or error(problem, 0)
  end
  local function add(row, why, paid)
    local info = not used.paths[row.path] and not seen[row.path] and core.stat(row.path)
    -- ignores a file that has changed since a run wrote it
    if not info or info.kind ~= "file" or plan.ledger:digest(row.path) ~= row.sha256 then return end
    seen[row.path] = true
    found[#found + 1] = { path = row.path, size = info.size, why = why, paid = paid }
  end
  for _, row in ipairs(ask("files_of_board", { board = plan.board_key })) do
    if row.path:sub(1, #plan.directory + 1) == plan.directory .. "/" then
      add(row, ('a clip of scene "%s"'):format(row.scene), not opened.given.sandbox)
    end
  end
  for _, row in ipairs(ask("films_in", { folder = plan.directory })) do
    local is_poster = row.path:find("%.jpg$") ~= nil
    if not (is_poster and used.stems[stem(row.path)]) then add(row, is_poster and "a poster" or "a film") end
  end
  return found
end

-- Prints the unused files with their sizes. Returns the files to remove.
local function show(found, all)
  local text, chosen, kept = require "omni.cli.view.text", {}, 0
  local size, size_kept = 0, 0
  for _, file in ipairs(found) do
    if file.paid and not all then
      kept, size_kept = kept + 1, size_kept + file.size
    else
      chosen[#chosen + 1], size = file, size + file.size
      print(("  %8s  %s  %s"):format(text.bytes(file.size), text.path(file.path), text.clean(file.why)))
    end
  end
  print(#chosen > 0 and ("%s to remove, %s"):format(text.count(#chosen, "file"), text.bytes(size)) or "nothing to remove")
  if kept > 0 then
    print(("kept: %s of earlier versions, %s, which were paid for; to remove them, too: --all"):format(
      text.count(kept, "clip"), text.bytes(size_kept)))
  end
  io.stdout:flush()
  return chosen
end

local function remove(chosen)
  local core = require "omni.core"
  for _, file in ipairs(chosen) do
    local removed, why = core.remove(file.path)
    if not removed then return message.exit(1, "can't remove " .. why) end
  end
  return 0
end

local function clean(opened)
  local given = opened.given
  local plan, problem = require("omni").plan_storyboard(opened.board, opened:plan_options { prices = false })
  if not plan then return board_options.refuse(problem) end
  for _, entry in ipairs(plan.scenes) do
    if entry.error then return message.exit(2, ('scene "%s": %s'):format(entry.scene, entry.why), "nothing was removed") end
  end
  local fine, found = pcall(find, opened, plan)
  if not fine then return message.exit(1, found) end
  local chosen = show(found, given.all)
  if #chosen == 0 then return 0 end
  if not given.yes then
    local yes = require("omni.cli.view.terminal").ask(("Remove %s?"):format(#chosen == 1 and "it" or "these " .. #chosen))
    if yes == nil then return message.exit(3, "nothing was removed: there is no terminal to ask on", "give --yes") end
    if not yes then return message.exit(3, "nothing was removed: you didn't say yes") end
  end
  return remove(chosen)
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  for _, name in ipairs { "only", "redo", "resubmit", "fault" } do given[name] = {} end
  local opened <close>, exit = board_options.open(given, false)
  if not opened then return exit end
  return require("omni.cli.signals").run(function() return clean(opened) end) or message.exit(130, "interrupted")
end

return command
