-- SPDX-License-Identifier: MIT
-- Draws a status on a terminal, followed by a line for each current wait, and redraws these lines in place. Before a caller prints other
-- output, it must call `erase`. Draws nothing if the output isn't a terminal.

local core = require "omni.core"
local loop = require "omni.loop"
local text = require "omni.cli.view.text"

local interval <const> = 0.2 -- seconds between two drawings
local MOST_WAITS <const> = 3 -- lines for waits

---@class omni.cli.Line
---@field status? string|fun(columns: integer): string|nil  what to draw; nil: only the waits
---@field waits? table  from omni.cli.view.waits
---@field shown? string what is drawn now; nil: nothing
local Line_methods = {}
local Line_mt = { __name = "omni.cli.line", __index = Line_methods }

---Returns whether the output is a terminal on which lines can be redrawn.
---@return boolean
function Line_methods:draws()
  return self.columns() ~= nil
end

-- Returns the escape sequences that erase the last drawing. If the terminal has become narrower, it has wrapped the drawn lines.
local function erasure(line, columns)
  local rows = 0
  for drawn in line.shown:gmatch "[^\n]+" do rows = rows + math.max(1, (core.columns(drawn) + columns - 1) // columns) end
  return (rows > 1 and ("\27[%dA"):format(rows - 1) or "") .. "\r\27[J"
end

---Erases the drawing, which reappears at the next redraw.
function Line_methods:erase()
  if not self.shown then return end
  self.out:write(erasure(self, self.columns() or 80))
  self.out:flush()
  self.shown = nil
end

---Erases the drawing and forgets the status.
function Line_methods:clear()
  self.status = nil
  self:erase()
end

Line_mt.__close = Line_methods.clear

---Replaces the last drawing with the current status and waits.
function Line_methods:refresh()
  local columns = self.columns()
  if not columns then return end
  local width = math.max(1, columns - 1) -- a line as wide as the terminal would leave the cursor between two rows
  local status = self.status
  if type(status) == "function" then status = status(columns) end
  local lines = self.waits and self.waits:lines(width, math.max(0, math.min(MOST_WAITS, self.rows() - 2))) or {}
  if status then table.insert(lines, 1, text.cut(status, width)) end
  local shown = lines[1] and table.concat(lines, "\n") or nil
  if shown == self.shown then return end
  self.out:write(self.shown and erasure(self, columns) or "", shown or "")
  self.out:flush()
  self.shown = shown
end

---Replaces the status with a new one.
---@param words string  cleaned
function Line_methods:draw(words)
  self.status = words
  self:refresh()
end

-- When closed, cancels a fiber and erases the line that the fiber draws.
local Fiber_mt = {
  __close = function(self)
    self.fiber:cancel()
    self.line:erase()
  end,
}

---Until the returned object is closed, redraws the status, and calls `waits:tick()`, several times a second. Call `start` only while the
---event loop is running.
---@return table  to be closed
function Line_methods:start()
  return setmetatable({ line = self, fiber = loop.background(function()
    while true do
      if self.waits then self.waits:tick() end
      self:refresh()
      loop.sleep(interval)
    end
  end) }, Fiber_mt)
end

local Live_methods = {}
local Live_mt = { __index = Live_methods }

---Erases the line.
function Live_methods:close() self.line:clear() end

Live_mt.__close = Live_methods.close

---Until the returned object is closed, each redraw shows the text that `words` returns.
---@param words fun(columns: integer): string|nil
---@return table|nil live  to be closed; nil: there is no terminal
function Line_methods:live(words)
  if not self:draws() then return nil end
  self.status = words
  self:refresh()
  return setmetatable({ line = self }, Live_mt)
end

---@param out file*
---@param columns fun(): integer|nil  nil: `out` isn't a terminal that can be drawn on
---@param waits? table                from omni.cli.view.waits
---@param rows? fun(): integer|nil    of the terminal
---@return omni.cli.Line
local function open(out, columns, waits, rows)
  return setmetatable({ out = out, columns = columns, waits = waits, rows = function() return rows and rows() or 24 end }, Line_mt)
end

return { open = open }
