-- SPDX-License-Identifier: MIT
-- Shows a scene's name where there is little space. A long name is shortened in the middle, so that its end stays visible, since names
-- often differ only at the end.

local core = require "omni.core"
local html = require "omni.report.html"

local h = html.tag

local short <const> = 20 -- maximum number of columns for a name that is always shown in full
local tail <const> = 12  -- number of columns at a name's end that are always shown

-- Returns the position of the part at a name's end that always stays visible. Never separates a letter from its accents or joiners.
local function end_of(text)
  local total, used, at = core.columns(text), 0, 1
  local joined = false
  for position, code in utf8.codes(text, true) do
    local width = core.columns(utf8.char(code))
    if width > 0 and not joined then
      at = position
      if total - used <= tail then break end
    end
    used, joined = used + width, code == 0x200D
  end
  return at
end

---Returns an element that contains the whole name. The CSS class "name" (style.lua) shortens the visible text to the available width.
---@param name string
---@return table
local function shortened(name)
  name = html.clean(name):gsub("%s+", " ")
  local at = core.columns(name) > short and end_of(name) or 1
  if at == 1 then return h.span { class = "name", dir = "auto", name } end
  return h.span { class = "name", dir = "auto", h.span { name:sub(1, at - 1) }, h.span { name:sub(at) } }
end

return { shortened = shortened }
