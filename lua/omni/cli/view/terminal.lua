-- SPDX-License-Identifier: MIT
-- What the terminal can do, and questions asked on it.

local terminal = {}

---Returns the columns of the terminal, if lines on it may be redrawn and coloured; nil if there is none, or TERM is "dumb".
---@param fd? 1|2  1: stdout (the default), 2: stderr
---@return integer|nil
function terminal.columns(fd)
  if os.getenv("TERM") == "dumb" then return nil end
  return require("omni.core").terminal(fd or 1)
end

---Returns whether output may be coloured (NO_COLOR).
---@param fd? 1|2
---@return boolean
function terminal.colour(fd)
  local no_color = os.getenv("NO_COLOR")
  return terminal.columns(fd) ~= nil and not (no_color and no_color ~= "")
end

---Returns whether there is a terminal to ask on.
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
