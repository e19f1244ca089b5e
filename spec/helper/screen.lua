-- SPDX-License-Identifier: MIT
-- A terminal, as far as omni's progress uses one: text, line ends, "up", "erase below", colours, and lines that wrap again on resize.

local core = require "omni.core"

local Screen_methods = {}
local Screen_mt = { __index = Screen_methods }

local function put(screen, char)
  local width = core.columns(char)
  if screen.column + width - 1 > screen.columns then screen.row, screen.column = screen.row + 1, 1 end
  local cells = screen.rows[screen.row] or {}
  screen.rows[screen.row] = cells
  cells[screen.column] = char
  for more = 1, width - 1 do cells[screen.column + more] = "" end
  screen.column = screen.column + width
end

local commands = {
  A = function(screen, n) screen.row = math.max(1, screen.row - (tonumber(n) or 1)) end,
  J = function(screen, n)
    assert(n == "" and screen.column == 1, "only erasing below, from the left, is known")
    for row in pairs(screen.rows) do
      if row >= screen.row then screen.rows[row] = nil end
    end
  end,
  m = function() end,
}

function Screen_methods:feed(text)
  local at = 1
  while at <= #text do
    local arguments, command, after = text:match("^\27%[([%d;]*)(%a)()", at)
    if command then
      assert(commands[command], "unknown sequence " .. command)(self, arguments)
      at = after
    else
      local char = text:match("^" .. utf8.charpattern, at)
      if char == "\n" then self.row, self.column = self.row + 1, 1
      elseif char == "\r" then self.column = 1
      else put(self, char) end
      at = at + #char
    end
  end
end

---The text of a row, without spaces at its end.
function Screen_methods:line(row)
  local cells, parts, last = self.rows[row] or {}, {}, 0
  for column in pairs(cells) do last = math.max(last, column) end
  for column = 1, last do parts[column] = cells[column] or " " end
  return (table.concat(parts):gsub("%s+$", ""))
end

---Another width; rows that are too wide wrap, and what is below them moves down.
function Screen_methods:resize(columns)
  local texts, cursor = {}, self.row
  for row = 1, cursor - 1 do texts[row] = self:line(row) end
  self.rows, self.row, self.column, self.columns = {}, 1, 1, columns
  self:feed(table.concat(texts, "\n") .. "\n")
end

local function new(columns)
  return setmetatable({ columns = columns, rows = {}, row = 1, column = 1 }, Screen_mt)
end

---Something to write to, which keeps it; `take()` gives what came since the last time.
local function sink()
  local parts = {}
  return {
    write = function(_, ...)
      for _, part in ipairs { ... } do parts[#parts + 1] = part end
    end,
    flush = function() end,
    take = function()
      local text = table.concat(parts)
      parts = {}
      return text
    end,
  }
end

return { new = new, sink = sink }
