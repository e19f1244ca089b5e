-- SPDX-License-Identifier: MIT
-- Text for people at a terminal: safe, cut to a width, coloured where that is wanted.

local core = require "omni.core"

local ELLIPSIS = "…"

-- The longest beginning of `text` that takes at most `columns` columns; with an ellipsis where something is missing.
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

-- Cut or filled with spaces to exactly `columns` columns.
local function fit(text, columns)
  text = cut(text, columns)
  return text .. (" "):rep(columns - core.columns(text))
end

-- "6 credits", "1 sandbox credit", "2.5 credits"
local function credits(amount, sandbox)
  local number = ("%.14g"):format(amount)
  return ("%s %scredit%s"):format(number, sandbox and "sandbox " or "", number == "1" and "" or "s")
end

-- "0:07", "12:30", "1:02:03"
local function elapsed(seconds)
  seconds = math.floor(seconds)
  local hours, minutes = seconds // 3600, seconds // 60 % 60
  if hours > 0 then return ("%d:%02d:%02d"):format(hours, minutes, seconds % 60) end
  return ("%d:%02d"):format(minutes, seconds % 60)
end

local codes = {
  fetched = "32", failed = "31", unknown = "1;33", refused = "33", interrupted = "33", running = "36", fetching = "36",
  pending = "34", submitting = "34", waiting = "2", title = "1",
}

---A function that colours a text by the name of a state, or leaves it as it is.
---@param wanted boolean
---@return fun(name: string, text: string): string
local function painter(wanted)
  return function(name, text)
    local code = wanted and codes[name]
    return code and ("\27[%sm%s\27[0m"):format(code, text) or text
  end
end

-- One line that says what an error value says: message, status, task.
local function problem(bad)
  local about = {}
  if bad.status then about[#about + 1] = "status " .. bad.status end
  if bad.task_id then about[#about + 1] = "task " .. bad.task_id end
  local line = bad.message or bad.code or "?"
  if #about > 0 then line = ("%s (%s)"):format(line, table.concat(about, ", ")) end
  return core.clean(line)
end

return {
  clean = core.clean, columns = core.columns, credits = credits, cut = cut, elapsed = elapsed, fit = fit, painter = painter,
  problem = problem,
}
