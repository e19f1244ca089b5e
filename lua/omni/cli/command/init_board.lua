-- SPDX-License-Identifier: MIT
-- `omni init [FILE]`: writes a first board, and prints the next commands. Never replaces a file.

local message = require "omni.cli.view.message"

local command = { summary = "Write a first storyboard, and show the next commands." }

function command.define(parser)
  require("omni.cli.options").path(parser:argument("file", "The board to write (default: film.lua)."):argname("FILE"):args("?"))
  parser:flag("--editor", "Also write settings and types for editors that use the Lua language server.")
end

local board <const> = [==[
-- A first film, in three scenes. See docs/storyboards.md for everything that a board can contain.

return storyboard {
  title = "The Paper Boat",

  -- Appended to every prompt, so that the scenes look like one film.
  style = "Shot on 35mm film, soft light after rain, muted colours with one strong yellow, natural sound, no text on screen. "
    .. "The child is about seven and wears a yellow raincoat.",

  -- Default field values for scenes that don't set their own.
  defaults = { duration = 4, aspect_ratio = "16:9", resolution = "720p" },

  scene "launch" {
    prompt = "Close-up of a child's hands that set a folded paper boat onto a stream of rain water beside a kerb. The boat "
      .. "wobbles, finds its balance, and drifts out of the frame. The camera follows it at the height of the water.",
  },

  scene "rapids" {
    prompt = "The paper boat shoots down a steep gutter between cobblestones, seen from just behind its stern as if it were a "
      .. "ship. Drops burst over the bow. In the background a pair of yellow rubber boots runs alongside.",
  },

  scene "open water" {
    duration = 6,
    prompt = "The stream opens into a wide, still puddle that holds the whole evening sky. The paper boat glides out, tiny and "
      .. "unhurried. The camera rises slowly until the child is seen crouching at the edge, chin on knees, watching it go.",
  },
}
]==]

local EEXIST <const> = 17

-- Creates a file atomically: either with its complete content or not at all. On failure, returns nil, the reason, and whether the file
-- already exists.
local function write_new(path, content)
  local core = require "omni.core"
  local part = ("%s.%s.part"):format(path, core.token(4))
  local file, why = core.open(part, "x")
  if not file then return nil, why end
  local written, trouble = file:write(content)
  local closed, more = file:close()
  if not (written and closed) then
    core.remove(part)
    return nil, trouble or more
  end
  local named, reason, number = core.rename_new(part, path)
  if not named then core.remove(part) end
  return named, reason, number == EEXIST
end

local ways_to_give_a_key <const> = {
  "Give omni your API key in one of these ways, never as an argument, which other users can see:",
  "  export CRUN_API_KEY=ak_...",
  "  a line CRUN_API_KEY=ak_... in ~/.crun/.env (chmod 600)",
  "  a line ak_... in ~/.config/omni/keys (chmod 600), or several keys, one per line",
}

-- Returns lines of text that list the API keys, or that explain why there are none and what to do.
local function describe_keys()
  local keys, text = require "omni.cli.view.keys", require "omni.cli.view.text"
  local found, problem = keys.find()
  if not found then
    return { (text.problem(problem):gsub("^there is", "There is")) .. ".", table.unpack(ways_to_give_a_key) }
  end
  local lines = { "omni has an API key:" }
  for _, key in ipairs(found) do lines[#lines + 1] = "  " .. keys.describe(key) end
  return lines
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  local text = require "omni.cli.view.text"
  local path = given.file or "film.lua"
  local written, why, exists = write_new(path, board)
  if exists then return message.exit(2, path .. " exists already; nothing was written", "choose another name:  omni init NAME.lua") end
  if not written then return message.exit(1, ("can't write %s: %s"):format(path, why)) end
  local name = text.quote(path)
  local lines = {
    "wrote " .. text.clean(path) .. ": a film of three scenes, for you to change", "",
    "Rehearse it, without a key, without network, at no cost:",
    "  omni run " .. name .. " --sandbox", "",
  }
  for _, line in ipairs(describe_keys()) do lines[#lines + 1] = line end
  for _, line in ipairs {
    "", "See what it would cost; then make it, for at most 200 credits:",
    "  omni plan " .. name, "  omni run " .. name .. " --budget 200",
    "", "If something doesn't work:  omni doctor",
  } do lines[#lines + 1] = line end
  if given.editor then
    local made, problem = require("omni.cli.editor_files").write(path:match "^.*/" or "")
    if not made then return message.exit(1, ("can't write the files for editors: %s"):format(problem)) end
    table.insert(made, 1, "")
    table.move(made, 1, #made, #lines + 1, lines)
  end
  io.stdout:write(table.concat(lines, "\n"), "\n")
  return 0
end

return command
