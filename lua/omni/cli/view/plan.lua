-- SPDX-License-Identifier: MIT
-- Formats a plan as text and as a `plan` event. A plan's text has a line for each scene with its action, price and reason, followed by the
-- total.

local next_command = require "omni.storyboard.next_command"
local paths = require "omni.file.path"
local text = require "omni.cli.view.text"
local typical_duration = require "omni.cli.typical_duration"

local ACTION <const> = 7  -- width of the longest word for an action, in columns
local FEW <const> = 3     -- if there are at most this many reused scenes, each has its own line in a run's plan

local symbols = {
  reuse = "=", resume = "~", fetch = "~", expired = "!", submit = "+", wait = ">", unknown = "?", invalid = "!", left = "-",
}

local needs_a_person = { unknown = true, expired = true, invalid = true }

local order = { "submit", "wait", "duplicate", "resume", "fetch", "reuse", "unknown", "expired", "blocked", "invalid", "left" }
local count_texts = {
  submit = "to submit", wait = "to submit after others", duplicate = "equal to another", resume = "in flight",
  fetch = "to fetch", reuse = "to reuse", unknown = "unknown", expired = "expired", blocked = "blocked", invalid = "invalid",
}

local function quoted(names)
  local list = {}
  for index, name in ipairs(names) do list[index] = '"' .. text.clean(name) .. '"' end
  return table.concat(list, ", ")
end

---Returns the scenes that prevent a scene from being submitted.
---@param plan omni.Plan
---@param entry omni.PlanScene
---@return string[] names
local function blockers(plan, entry)
  local names = {}
  for _, name in ipairs(entry.blocked and entry.waits_for or {}) do
    local other = plan.by_name[name]
    if other.blocked or needs_a_person[other.action] then names[#names + 1] = name end
  end
  return names
end

local function reason_of(plan, entry)
  local parts = {}
  if entry.action ~= "reuse" and entry.why then parts[1] = text.clean(entry.why) end
  if entry.blocked then
    parts[#parts + 1] = "blocked by " .. quoted(blockers(plan, entry))
  elseif entry.waits_for and not entry.duplicate_of then
    parts[#parts + 1] = "after " .. quoted(entry.waits_for)
  end
  return table.concat(parts, "; ")
end

local function price(entry, sandbox)
  if not entry.pays then return "" end
  return entry.credits and text.credits(entry.credits, sandbox) or "price unknown"
end

---Returns a plan's cost as text, such as "about 36 credits" or "more than 4 credits (not every price is known: ...)".
---@param plan omni.Plan
---@param sandbox? boolean
---@return string
local function cost(plan, sandbox)
  if plan.complete then return "about " .. text.credits(plan.credits, sandbox) end
  local reason = plan.error and ": " .. text.problem(plan.error) or ""
  if plan.credits == 0 then return "an unknown price" .. reason end
  return ("more than %s (not every price is known%s)"):format(text.credits(plan.credits, sandbox), reason)
end

-- Returns whether a scene isn't part of this run.
local function is_left(entry) return not entry.selected and entry.action ~= "reuse" end

---Returns why a run doesn't include some scenes.
---@param given table  the options of the command
---@return string
local function why_left(given) return given.fetches and "not submitted" or "not among --only" end

-- Returns the rows of a plan's table: { action, name, price, why, ways }. With `fold`, reused scenes share a row if there are many.
local function rows_of(plan, options)
  local rows, reused, left = {}, 0, 0
  local fold = options.fold and (plan.counts.reuse or 0) > FEW
  for _, entry in ipairs(plan.scenes) do
    if fold and entry.action == "reuse" then
      reused = reused + 1
    elseif is_left(entry) then
      left = left + 1
    else
      local row = { action = entry.action, name = text.clean(entry.scene), price = price(entry, options.sandbox) }
      row.why = reason_of(plan, entry)
      if entry.action == "expired" then row.ways = next_command.after_loss(options.given, entry.scene, entry.row.id, options.ledger) end
      if entry.action == "unknown" and not options.fold then -- with `fold`, the run's summary lists the next steps
        row.ways = next_command.ways_out(options.given, entry.scene, entry.row.id, options.ledger)
      end
      rows[#rows + 1] = row
    end
  end
  if reused > 0 then rows[#rows + 1] = { action = "reuse", name = text.count(reused, "scene"), price = "", why = "" } end
  if left > 0 then rows[#rows + 1] = { action = "left", name = text.count(left, "scene"), price = "", why = why_left(options.given) } end
  return rows
end

local function widest(rows, field, most)
  local width = 0
  for _, row in ipairs(rows) do width = math.max(width, text.columns(row[field])) end
  return math.min(width, most)
end

-- Returns the lines for a row. A reason that doesn't fit into the row's line is written below it.
local function lines_of(row, layout, paint, columns)
  local head = ("  %s %s"):format(symbols[row.action], text.fit(row.action, ACTION))
  local middle = ("  %s  %s"):format(text.fit(row.name, layout.name), (" "):rep(layout.price - text.columns(row.price)) .. row.price)
  local left = text.columns(head .. middle)
  local lines, below = {}, {}
  if row.why ~= "" then
    if not columns or left + 2 + text.columns(row.why) < columns then
      middle = middle .. "  " .. row.why
    else
      below = text.wrap(row.why, math.max(20, columns - 14))
    end
  end
  middle = middle:gsub("%s+$", "")
  if columns and columns <= #head then head, middle = text.cut(head, columns - 1), "" end
  lines[1] = paint(row.action, head) .. text.cut(middle, columns and columns - 1 - #head or #middle)
  for _, line in ipairs(below) do lines[#lines + 1] = (" "):rep(12) .. line end
  for _, way in ipairs(next_command.lines(row.ways or {})) do lines[#lines + 1] = (" "):rep(12) .. way end
  return lines
end

-- Returns a plan's last lines: a line such as "2 to submit, 1 to reuse: about 80 credits", a line with the balance and the budgets, and a
-- line with the usual durations.
local function sum_lines(plan, options)
  local counts, parts = {}, {}
  for _, entry in ipairs(plan.scenes) do
    local kind = is_left(entry) and "left" or entry.blocked and "blocked" or entry.duplicate_of and "duplicate" or entry.action
    counts[kind] = (counts[kind] or 0) + 1
  end
  for _, action in ipairs(order) do
    if counts[action] then parts[#parts + 1] = ("%d %s"):format(counts[action], count_texts[action] or why_left(options.given)) end
  end
  local first = ("%s: %s"):format(table.concat(parts, ", "), plan.submits > 0 and cost(plan, options.sandbox) or "nothing to pay")
  local second = {}
  if plan.balance then
    local enough = plan.complete and (plan.credits <= plan.balance and ", enough" or ", not enough") or ""
    second[1] = ("the account has %s%s"):format(text.credits(plan.balance, options.sandbox), enough)
  end
  second[#second + 1] = text.board_cost(plan.spent, options.sandbox)
  if options.budget then second[#second + 1] = ("the run's budget is %s"):format(text.credits(options.budget, options.sandbox)) end
  if plan.board.budget then second[#second + 1] = ("the board's budget is %s"):format(text.credits(plan.board.budget, options.sandbox)) end
  return { first, table.concat(second, "; "), options.usual and typical_duration.describe(options.usual) }
end

-- Writes the plan's notices, which aren't errors, but which a person should read before the run.
local function write_notices(out, plan, columns)
  for _, notice in ipairs(plan.notices or {}) do
    local place = notice.where and notice.where .. ": " or ""
    local lines = text.wrap(("warning: %s%s"):format(place, text.clean(notice.message)), columns and columns - 1)
    if notice.hint then lines[#lines + 1] = "  " .. text.clean(notice.hint) end
    for _, line in ipairs(lines) do out:write(line, "\n") end
  end
end

---Writes a plan as text.
---@param out file*
---@param plan omni.Plan
---@param options { given: table, ledger: string, sandbox?: boolean, budget?: number, colour?: boolean, columns?: integer, fold?: boolean,
---  usual?: table<string, omni.cli.TypicalTime|false> }
local function write(out, plan, options)
  local paint, columns = text.painter(options.colour), options.columns
  local rows = rows_of(plan, options)
  local layout = { price = widest(rows, "price", 40) }
  local most = columns and math.max(6, columns - 16 - layout.price) or math.maxinteger
  layout.name = widest(rows, "name", math.min(most, text.name_columns(columns)))
  if plan.board.title then out:write(paint("title", text.clean(plan.board.title)), "\n") end
  for _, row in ipairs(rows) do
    for _, line in ipairs(lines_of(row, layout, paint, columns)) do out:write(line, "\n") end
  end
  write_notices(out, plan, columns)
  for _, line in ipairs(sum_lines(plan, options)) do
    for _, part in ipairs(text.wrap(line, columns and columns - 1)) do out:write(part, "\n") end
  end
  out:flush()
end

---Returns the fields of a `plan` event (json_events.lua).
---@param plan omni.Plan
---@param options { directory: string, sandbox?: boolean, budget?: number }
---@return table event
local function event(plan, options)
  local fields = {
    title = plan.board.title, directory = paths.absolute(options.directory), sandbox = options.sandbox or false,
    scenes = {}, credits = plan.credits, complete = plan.complete, balance = plan.balance, budget = options.budget,
    board_budget = plan.board.budget, spent = plan.spent.credits,
    spent_estimated = plan.spent.estimated, affordable = nil, notices = plan.notices,
  }
  if plan.balance and plan.complete then fields.affordable = plan.credits <= plan.balance end
  for index, entry in ipairs(plan.scenes) do
    local blocked_by, usual = blockers(plan, entry), options.usual and options.usual[entry.scene] or {}
    fields.scenes[index] = {
      scene = entry.scene, index = index, model = entry.model, action = entry.action, why = entry.why, selected = entry.selected,
      pays = entry.pays or false, waits_for = entry.waits_for, blocked_by = #blocked_by > 0 and blocked_by or nil,
      duplicate_of = entry.duplicate_of, take = entry.take, credits = entry.credits, task_id = entry.task_id,
      usual_seconds = usual.seconds, usual_tasks = usual.tasks, submit = entry.row and entry.row.id, files = entry.files,
      error = entry.error or entry.price_error,
    }
  end
  return fields
end

return { cost = cost, event = event, why_left = why_left, write = write }
