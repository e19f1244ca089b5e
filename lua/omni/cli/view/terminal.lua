-- SPDX-License-Identifier: MIT
-- Finds out what the terminal supports, and asks the user questions.

local terminal = {}

---Returns the terminal's width in columns. Returns nil if lines can't be redrawn, because the output isn't a terminal or TERM is "dumb".
---@param fd? 1|2  1: stdout (the default), 2: stderr
---@return integer|nil
function terminal.columns(fd)
  if os.getenv("TERM") == "dumb" then return nil end
  return require("omni.core").terminal(fd or 1)
end

---Returns how long a command waits before it shows why it is waiting. On a terminal, a command shows the reason sooner, since omni can
---erase it later.
---@param json? boolean
---@param fd? 1|2
---@return number seconds
function terminal.patience(json, fd)
  return not json and terminal.columns(fd) and 3 or 10
end

---Returns whether omni can colour its output. The environment variable NO_COLOR disables colours.
---@param fd? 1|2
---@return boolean
function terminal.colour(fd)
  local no_color = os.getenv("NO_COLOR")
  return terminal.columns(fd) ~= nil and not (no_color and no_color ~= "")
end

---Returns whether omni can ask a person on a terminal.
---@return boolean
function terminal.can_ask()
  local core = require "omni.core"
  return core.terminal(0) ~= nil and core.terminal(2) ~= nil
end

---Asks a question on stderr and reads the answer.
---@param question string
---@return boolean|nil yes  nil: there is no terminal, and nothing was asked
function terminal.ask(question)
  if not terminal.can_ask() then return nil end
  io.stderr:write(question, " [y/N] ")
  io.stderr:flush()
  local answer = io.read()
  if not answer then io.stderr:write("\n") end
  local word = answer and answer:lower():match("^%s*(%a+)%s*$")
  return word == "y" or word == "yes"
end

return terminal
