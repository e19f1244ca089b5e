-- SPDX-License-Identifier: MIT
-- Draws one line on a terminal, redraws it in place, and erases it before other output. Draws nothing if the output isn't a terminal.

local core = require "omni.core"
local loop = require "omni.loop"
local text = require "omni.cli.view.text"

local interval <const> = 0.2 -- seconds between two drawings

---@class omni.cli.Line
local Line_methods = {}
local Line_mt = { __name = "omni.cli.line", __index = Line_methods }

---Returns whether the output is a terminal on which the line can be drawn.
---@return boolean
function Line_methods:draws()
  return self.columns() ~= nil
end

-- Returns the escape sequences that erase the last drawing. A terminal that has become narrower has wrapped the drawn line.
local function erasure(line, columns)
  local up = math.max(0, core.columns(line.drawn) - 1) // columns
  return (up > 0 and ("\27[%dA"):format(up) or "") .. "\r\27[J"
end

---Erases the line.
function Line_methods:clear()
  if not self.drawn then return end
  self.out:write(erasure(self, self.columns() or 80))
  self.out:flush()
  self.drawn = nil
end

Line_mt.__close = Line_methods.clear

---Draws a text in place of the last one.
---@param words string  cleaned
function Line_methods:draw(words)
  local columns = self.columns()
  if not columns then return end
  local cut = text.cut(words, math.max(1, columns - 1)) -- a line that fills the width would leave the cursor between two rows
  if cut == self.drawn then return end
  self.out:write(self.drawn and erasure(self, columns) or "", cut)
  self.out:flush()
  self.drawn = cut
end

local Live_mt = {
  __close = function(live)
    live.fiber:cancel()
    live.line:clear()
  end,
}

---Draws the result of `words` several times a second, until the returned object is closed. Call `live` in the loop.
---@param words fun(columns: integer): string
---@return table|nil live  to be closed; nil: there is no terminal
function Line_methods:live(words)
  if not self:draws() then return nil end
  return setmetatable({ line = self, fiber = loop.background(function()
    while true do
      self:draw(words(self.columns() or 80))
      loop.sleep(interval)
    end
  end) }, Live_mt)
end

---@param out file*
---@param columns fun(): integer|nil  nil: `out` isn't a terminal that can be drawn on
---@return omni.cli.Line
local function open(out, columns)
  return setmetatable({ out = out, columns = columns }, Line_mt)
end

return { open = open }
