-- SPDX-License-Identifier: MIT
-- Writes messages and errors to stderr.

local message = {}

-- Replaces control characters, except line breaks. Doesn't use omni.core, which can't be loaded if a library is missing.
local function clean(text)
  local found, core = pcall(require, "omni.core")
  return (text:gsub("[^\n]+", function(line) return found and core.clean(line) or line:gsub("%c", "?") end))
end

-- Writes a line to stderr. On a terminal, wraps the line between words. Never wraps a command, so that a person can copy it.
local function write(label, line)
  local found = pcall(require, "omni.core")
  local columns = found and not line:find "\n" and not line:find ": +omni %l" and require("omni.cli.view.terminal").columns(2)
  local parts = columns and require("omni.cli.view.text").wrap(line, math.max(20, columns - 1 - #label)) or { line }
  for index, part in ipairs(parts) do io.stderr:write(index == 1 and label or "  ", part, "\n") end
end

---Writes lines to stderr, and puts "omni: " in front of the first line.
---@param text string  of any bytes
---@param ... string|nil  further lines
function message.print(text, ...)
  write("omni: ", clean(text))
  for _, line in ipairs { ... } do write("  ", clean(line)) end
end

---Adds a line to the last message.
---@param text string
function message.add(text) write("  ", clean(text)) end

---Writes an error value and its hint, or all of a board's errors.
---@param bad omni.Error
function message.print_error(bad)
  local describe, hint = require("omni.cli.view.text").problem, require("omni.cli.view.hint").of
  for _, problem in ipairs(bad.problems or { bad }) do message.print(describe(problem), hint(problem)) end
end

---Writes lines or an error value to stderr, and returns `code` as the exit code.
---@param code integer
---@param problem string|omni.Error
---@param ... string|nil
---@return integer code
function message.exit(code, problem, ...)
  if type(problem) == "string" then message.print(problem, ...) else message.print_error(problem) end
  return code
end

---Returns a client's `on_event` hook, which passes warnings to `warn` and all events to `waits`.
---@param warn fun(text: string)  called with each warning
---@param waits? table            from omni.cli.view.waits; gets every event
---@return fun(event: omni.ClientEvent)
function message.client_hook(warn, waits)
  return function(event)
    if event.event == "warning" then warn(event.message) end
    if waits then waits:event(event) end
  end
end

return message
