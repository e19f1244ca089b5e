-- SPDX-License-Identifier: MIT
-- Prepares text for a terminal: removes control characters, truncates or wraps the text, and colours it on request.

local core = require "omni.core"
local next_command = require "omni.storyboard.next_command"

local ELLIPSIS = "…"

-- Truncates a string to at most `columns` columns. If the string was too long, the result ends with an ellipsis.
local function cut(text, columns)
  if core.columns(text) <= columns then return text end
  if columns < 1 then return "" end
  local used, at = 0, 1
  for position, code in utf8.codes(text, true) do
    local width = core.columns(utf8.char(code))
    if used + width > columns - 1 then break end
    used, at = used + width, position + #utf8.char(code)
  end
  return text:sub(1, at - 1) .. ELLIPSIS
end

---Shortens a name to at most `columns` columns. An ellipsis replaces the middle, since names often differ only at the end.
---@param name string
---@param columns integer
---@return string
local function shorten(name, columns)
  if core.columns(name) <= columns then return name end
  if columns < 5 then return cut(name, columns) end
  local characters, width = {}, 0
  for _, code in utf8.codes(name, true) do characters[#characters + 1] = utf8.char(code) end
  local last = #characters + 1
  while last > 1 and width + core.columns(characters[last - 1]) <= columns // 2 do
    last = last - 1
    width = width + core.columns(characters[last])
  end
  local head = cut(name, columns - width)
  return head .. table.concat(characters, "", last)
end

---Returns how many columns scene names may take up in a table. If the output isn't a terminal, names are never shortened.
---@param columns? integer  of the terminal
---@return integer
local function name_columns(columns)
  return columns and math.max(8, math.min(math.max(32, columns // 3), columns - 26)) or math.maxinteger
end

-- Shortens or pads a name to exactly `columns` columns.
local function fit(name, columns)
  local text = shorten(name, columns)
  return text .. (" "):rep(columns - core.columns(text))
end

---Wraps a string at spaces into lines of at most `columns` columns. Breaks a word only if the word is longer than a line.
---@param text string
---@param columns? integer  nil: one line
---@return string[]
local function wrap(text, columns)
  if not columns or core.columns(text) <= columns then return { text } end
  columns = math.max(columns, 2) -- the widest character
  local lines, line, used = {}, {}, 0
  local function flush()
    lines[#lines + 1] = table.concat(line)
    line, used = {}, 0
  end
  for space, word in text:gmatch("(%s*)(%S+)") do
    local width = core.columns(word)
    if used > 0 and used + #space + width > columns then flush() end
    if used > 0 then
      line[#line + 1] = space
      used = used + #space
    end
    for _, code in utf8.codes(word, true) do
      local char = utf8.char(code)
      local wide = core.columns(char)
      if used + wide > columns then flush() end
      line[#line + 1] = char
      used = used + wide
    end
  end
  if used > 0 then flush() end
  return lines
end

-- Returns an amount as text, such as "6 credits", "1 sandbox credit" or "2.5 credits".
local function credits(amount, sandbox)
  local number = core.format("%.14g", amount)
  return ("%s %scredit%s"):format(number, sandbox and "sandbox " or "", number == "1" and "" or "s")
end

-- Describes an estimate of the credits that the service hasn't reported yet, such as ", and about 40 not yet reported". For an estimate of
-- 0, returns "".
local function not_reported(estimated)
  return estimated > 0 and core.format(", and about %.14g not yet reported", estimated) or ""
end

---Returns a sum of credits as text, such as "80 credits, and about 40 not yet reported".
---@param sum omni.Spent
---@param sandbox? boolean
---@return string
local function spent(sum, sandbox)
  return credits(sum.credits, sandbox) .. not_reported(sum.estimated)
end

---Describes what a board has cost, such as "the board has cost 80 credits so far, and about 40 not yet reported".
---@param sum omni.Spent
---@param sandbox? boolean
---@return string
local function board_cost(sum, sandbox)
  return ("the board has cost %s so far%s"):format(credits(sum.credits, sandbox), not_reported(sum.estimated))
end

-- Returns a duration as text, such as "0:07", "12:30" or "1:02:03".
local function elapsed(seconds)
  seconds = math.floor(seconds)
  local hours, minutes = seconds // 3600, seconds // 60 % 60
  if hours > 0 then return ("%d:%02d:%02d"):format(hours, minutes, seconds % 60) end
  return ("%d:%02d"):format(minutes, seconds % 60)
end

-- Returns a path to show to the user: a relative path if the file is inside the working directory.
local function path(absolute)
  local here = (core.real_path(".") or "") .. "/"
  return core.clean(absolute:sub(1, #here) == here and absolute:sub(#here + 1) or absolute)
end

-- Returns a date and time as text, such as "2026-11-23 07:01:02".
local function moment(seconds)
  return os.date("%Y-%m-%d %H:%M:%S", math.floor(seconds))
end

-- Returns a size as text, such as "512 bytes", "512 kB" or "1.23 MB".
local function bytes(number)
  if number < 1000 then return ("%d byte%s"):format(number, number == 1 and "" or "s") end
  for _, unit in ipairs { "kB", "MB", "GB", "TB" } do
    number = number / 1000
    if number < 999.5 or unit == "TB" then return core.format("%.3g %s", number, unit) end
  end
end

-- Returns a number with a noun in its singular or plural form, such as "1 scene" or "3 scenes".
local function count(number, noun)
  return ("%d %s%s"):format(number, noun, number == 1 and "" or "s")
end

local codes = {
  success = "32", fetched = "32", reused = "32", failed = "31", unknown = "1;33", refused = "33", interrupted = "33", blocked = "33",
  running = "36", fetching = "36", cutting = "36", pending = "34", submitting = "34", waiting = "2", waits = "33", title = "1",
  reuse = "32", resume = "34", submit = "36", wait = "36", invalid = "31", left = "2", -- actions of a plan
}

---Returns a function that colours a string according to a state's name, or returns the string unchanged if colours are off.
---@param wanted boolean
---@return fun(name: string, text: string): string
local function painter(wanted)
  return function(name, text)
    local code = wanted and codes[name]
    return code and ("\27[%sm%s\27[0m"):format(code, text) or text
  end
end

-- Describes an error value in one line, with its message, HTTP status and task.
local function problem(bad)
  local about = {}
  if bad.status then about[#about + 1] = "status " .. bad.status end
  if bad.task_id then about[#about + 1] = "task " .. bad.task_id end
  local line = bad.message or bad.code or "?"
  if #about > 0 then line = ("%s (%s)"):format(line, table.concat(about, ", ")) end
  return core.clean(line)
end

return {
  board_cost = board_cost, bytes = bytes, clean = core.clean, columns = core.columns, count = count, credits = credits, cut = cut,
  elapsed = elapsed, fit = fit, moment = moment, name_columns = name_columns, not_reported = not_reported, painter = painter,
  path = path, problem = problem, quote = next_command.quote, shorten = shorten, spent = spent, wrap = wrap,
}
