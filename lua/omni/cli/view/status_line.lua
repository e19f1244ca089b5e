-- SPDX-License-Identifier: MIT
-- One line on a terminal that is drawn again in place, and gone before anything else is said. Where there is no terminal that can be
-- drawn on, nothing is drawn.

local core = require "omni.core"
local loop = require "omni.loop"
local text = require "omni.cli.view.text"

local every <const> = 0.2 -- seconds between two drawings

local Line_methods = {}
local Line_mt = { __name = "omni.cli.line", __index = Line_methods }

---Whether there is anything to draw on.
---@return boolean
function Line_methods:draws()
  return self.columns() ~= nil
end

-- What takes the last drawing away. A terminal that has become narrower has wrapped it.
local function erasure(line, columns)
  local up = math.max(0, core.columns(line.drawn) - 1) // columns
  return (up > 0 and ("\27[%dA"):format(up) or "") .. "\r\27[J"
end

---Takes the line away.
function Line_methods:clear()
  if not self.drawn then return end
  self.out:write(erasure(self, self.columns() or 80))
  self.out:flush()
  self.drawn = nil
end

---Draws it anew.
---@param words string  cleaned
function Line_methods:draw(words)
  local columns = self.columns()
  if not columns then return end
  local cut = text.cut(words, math.max(1, columns - 1)) -- a full line would leave the cursor between two rows
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

---Draws what `say` gives, several times a second, until the result is closed; in the loop.
---@param say fun(columns: integer): string
---@return table|nil live  to be closed; nil: there is no terminal
function Line_methods:live(say)
  if not self:draws() then return nil end
  return setmetatable({ line = self, fiber = loop.background(function()
    while true do
      self:draw(say(self.columns() or 80))
      loop.sleep(every)
    end
  end) }, Live_mt)
end

---@param out file*
---@param columns fun(): integer|nil  nil: `out` isn't a terminal that can be drawn on
local function open(out, columns)
  return setmetatable({ out = out, columns = columns }, Line_mt)
end

return { open = open }
