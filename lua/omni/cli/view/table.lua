-- SPDX-License-Identifier: MIT
-- Formats tables and lists of fields as aligned lines. On a terminal, a table's lines fit the terminal's width. Control characters are
-- removed from all cells of a table.

local core = require "omni.core"
local text = require "omni.cli.view.text"

local GAP <const> = 2       -- columns between two columns
local INDENT <const> = 4
local NARROWEST <const> = 6 -- minimum width of a column that is shrunk
local READABLE <const> = 24 -- if at least this many columns are left, a row's last cell is beside the other cells; otherwise, below

---@class omni.cli.Column
---@field title string
---@field wrap? boolean   for the last column: cells are wrapped instead of truncated

local function words_of(value)
  if type(value) == "number" then value = core.format("%.14g", value) end
  if type(value) == "boolean" then value = value and "yes" or "no" end
  return text.clean(value or "")
end

-- Wraps strings into lines of at most `width` columns.
local function wrap_all(texts, width)
  local all = {}
  for _, one in ipairs(texts) do
    local parts = text.wrap(one, width)
    table.move(parts, 1, #parts, #all + 1, all)
  end
  return all
end

-- Returns the column widths, whose sum is at most `width` if possible. Shrinks the widest columns first.
local function widths_of(columns, cells, width)
  local widths, sum = {}, GAP * (#columns - 1)
  for i = 1, #columns do
    widths[i] = 0
    for _, row in ipairs(cells) do widths[i] = math.max(widths[i], text.columns(row[i])) end
    sum = sum + widths[i]
  end
  while width and sum > width do
    local widest = 1
    for i = 2, #columns do
      if widths[i] > widths[widest] then widest = i end
    end
    if widths[widest] <= NARROWEST then break end
    widths[widest], sum = widths[widest] - 1, sum - 1
  end
  return widths
end

-- Joins a row's first cells, without trailing spaces.
local function joined(widths, cells, last)
  local parts = {}
  for i = 1, last do parts[i] = text.fit(cells[i], widths[i]) end
  return (table.concat(parts, (" "):rep(GAP)):gsub(" +$", ""))
end

-- Returns the lines of a row whose last cell is wrapped, either beside the other cells or below them.
local function wrapped(columns, widths, cells, width, before)
  local line, texts = joined(widths, cells, #columns - 1), cells.texts
  if #texts == 0 then return { line } end
  local room = width - before - GAP
  if room >= READABLE then
    local lines = wrap_all(texts, room)
    for i, one in ipairs(lines) do lines[i] = text.fit(i == 1 and line or "", before + GAP) .. one end
    return lines
  end
  local lines = wrap_all(texts, math.max(width - INDENT, NARROWEST))
  for i, one in ipairs(lines) do lines[i] = (" "):rep(INDENT) .. one end
  table.insert(lines, 1, line)
  return lines
end

-- Returns a row's strings without control characters: one for each column, and a list of the strings in the last cell.
local function cells_of(columns, row)
  local cells, last = { texts = {} }, row[#columns]
  for i = 1, #columns - 1 do cells[i] = words_of(row[i]) end
  for _, one in ipairs(type(last) == "table" and last or { last }) do
    local words = words_of(one)
    if words ~= "" then table.insert(cells.texts, words) end
  end
  cells[#columns] = table.concat(cells.texts, "; ")
  return cells
end

---Returns the lines of a table: a header, and at least one line for each row.
---@param columns omni.cli.Column[]
---@param rows (string|number|boolean|string[]|nil)[][]
---@param options? { columns?: integer, paint?: fun(name: string, text: string): string }  columns: of the terminal
---@return string[]
local function lines(columns, rows, options)
  local width, paint = options and options.columns, options and options.paint
  local head, cells = {}, {}
  for i, column in ipairs(columns) do head[i] = column.title end
  for i = 0, #rows do cells[i + 1] = cells_of(columns, rows[i] or head) end
  local wraps = width and columns[#columns].wrap
  local fixed = wraps and table.move(columns, 1, #columns - 1, 1, {}) or columns
  local widths, before = widths_of(fixed, cells, width), GAP * (#fixed - 1)
  for _, one in ipairs(widths) do before = before + one end
  local result = {}
  for i, row in ipairs(cells) do
    local made = wraps and wrapped(columns, widths, row, width, before) or { joined(widths, row, #columns) }
    if i == 1 and wraps and width - before - GAP < READABLE then made = { made[1] } end -- text below the other cells needs no column header
    for _, line in ipairs(made) do
      if width then line = text.cut(line, width) end
      result[#result + 1] = i == 1 and paint and paint("title", line) or line
    end
  end
  return result
end

---Formats a list of fields as lines, each with a field's name and value. A field's further values follow on their own lines. A value
---without spaces (a URL, a path) is never broken, so that it can be copied.
---@param fields { [1]: string, [2]: string|number|boolean|string[]|nil, [3]: string|nil }[]  the third item: a state
---@param options? { columns?: integer, paint?: fun(name: string, text: string): string }  as for `lines`
---@return string[]
local function list(fields, options)
  local width, paint = options and options.columns, options and options.paint
  local names, result = 0, {}
  for _, field in ipairs(fields) do
    if field[2] ~= nil then names = math.max(names, text.columns(words_of(field[1]))) end
  end
  local room = width and math.max(width - names - GAP, READABLE)
  for _, field in ipairs(fields) do
    local name = words_of(field[1])
    for _, value in ipairs(type(field[2]) == "table" and field[2] or { field[2] }) do
      local words = words_of(value)
      for _, line in ipairs(words:find(" ", 1, true) and text.wrap(words, room) or { words }) do
        result[#result + 1] = text.fit(name, names + GAP) .. (paint and field[3] and paint(field[3], line) or line)
        name = ""
      end
    end
  end
  return result
end

return { lines = lines, list = list }
