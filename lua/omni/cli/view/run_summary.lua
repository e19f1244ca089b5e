-- SPDX-License-Identifier: MIT
-- Formats a run's summary: each scene's cost and file, or what to do about a scene that has no file; then the film, the report, and the
-- board's cost. This module also creates the `done` event.

local hint = require "omni.cli.view.hint"
local next_command = require "omni.storyboard.next_command"
local core = require "omni.core"
local text = require "omni.cli.view.text"
local unknown_submit = require "omni.storyboard.plan.unknown_submit"

local FEW <const> = 3 -- more reused scenes than this share a line; so do at least this many scenes with the same reason

-- The exit codes (docs/cli.md).
local exit_codes = { done = 0, failed = 1, misuse = 2, refused = 3, unknown = 4, interrupted = 130 }

local function count(summary, status)
  local n = 0
  for _, scene in ipairs(summary.scenes) do
    if scene.status == status then n = n + 1 end
  end
  return n
end

---Returns a run's exit code. If scenes have ended differently, the result that most needs a person's attention determines the exit code. If
---the only problem is a blocked scene, the run counts as failed.
---@param summary omni.RunSummary
---@return integer
local function exit_code(summary)
  if summary.interrupted then return exit_codes.interrupted end
  for _, status in ipairs { "unknown", "failed", "refused" } do
    if count(summary, status) > 0 then return exit_codes[status] end
  end
  if count(summary, "blocked") > 0 then return exit_codes.failed end
  -- If --only prevented the film from being cut, the run still counts as a success.
  local film = summary.film_error
  if film and film.code ~= "film_incomplete" or summary.report_error then return exit_codes.failed end
  return exit_codes.done
end

-- --- a scene

-- Describes a submit whose outcome has become unknown in this run. The plan describes older submits with an unknown outcome.
local function known_of(entry, sandbox)
  local row = entry.row
  if not row or entry.action == "unknown" then return nil end
  local parts = { "submitted " .. text.moment(row.intended_at) }
  local costs = unknown_submit.costs(row, sandbox)
  return table.concat(table.move(costs, 1, #costs, #parts + 1, parts), "; ")
end

local writers = {}

function writers.fetched(scene, entry, options)
  local lines = {}
  for index, file in ipairs(scene.files) do lines[index] = text.path(file) end
  local cost = entry.action == "fetch" and "paid for before" or scene.credits and text.credits(scene.credits, options.sandbox)
  lines[1] = ("%s  %s"):format(cost or "cost unknown", lines[1])
  return lines
end

function writers.reused(scene)
  local lines = {}
  for index, file in ipairs(scene.files) do lines[index] = text.path(file) end
  lines[1] = "reused  " .. lines[1]
  return lines
end

function writers.interrupted(scene)
  return { "interrupted  task " .. text.clean(scene.task_id) }
end

function writers.waiting()
  return { "not submitted" }
end

function writers.unknown(scene, entry, options)
  local lines = { "unknown  " .. text.problem(scene.error) }
  lines[#lines + 1] = known_of(entry, options.sandbox)
  lines[#lines + 1] = "it may have been accepted and charged; omni never submits it again on its own"
  if options.given then
    local ways = next_command.ways_out(options.given, scene.scene, entry.row and entry.row.id, options.ledger)
    for _, line in ipairs(next_command.lines(ways)) do lines[#lines + 1] = line end
  end
  return lines
end

-- Returns a scene's status and the reason for it, such as "refused  not submitted, because scene "dusk" failed (--fail-fast)".
local function reason(scene, options)
  local option = scene.status == "refused" and scene.error.cause and options.given.fail_fast and " (--fail-fast)" or ""
  return ("%s  %s%s"):format(scene.status, text.problem(scene.error), option)
end

-- failed, refused, blocked
local function with_reason(scene, _, options)
  local lines = { reason(scene, options) }
  if scene.credits then lines[1] = ("%s, %s"):format(lines[1], text.credits(scene.credits, options.sandbox)) end
  if scene.error.hint then lines[2] = text.clean(hint.of(scene.error)) end
  return lines
end

-- Returns the lines for several scenes that share one reason for not being submitted.
local function with_same_reason(scenes, options)
  local names = {}
  for index, scene in ipairs(scenes) do names[index] = '"' .. text.clean(scene.scene) .. '"' end
  return { reason(scenes[1], options), table.concat(names, ", ") }
end

-- Writes the lines for a scene, or for several scenes with the same reason, of which `scene` is the first.
local function write_scene(out, scene, same, entry, options, name_width, paint)
  local lines = same and with_same_reason(same, options) or (writers[scene.status] or with_reason)(scene, entry, options)
  for _, warning in ipairs(scene.warnings or {}) do lines[#lines + 1] = "warning: " .. text.clean(warning) end
  local name = text.fit(same and text.count(#same, "scene") or text.clean(scene.scene), name_width)
  local indent = (" "):rep(name_width + 4)
  if options.columns and text.columns(lines[1]) + #indent > options.columns then
    local first, rest = lines[1]:match("^(.-)  (.*)$") -- moves the path or the reason to its own line
    if first then
      lines[1] = first
      table.insert(lines, 2, rest)
      indent = "    "
    end
  end
  local shown = {}
  for _, line in ipairs(lines) do
    local is_whole = line:find(":  omni ", 1, true) or not line:find " " -- never wraps a command or a path, so that it can be copied
    local parts = is_whole and { line } or text.wrap(line, options.columns and math.max(20, options.columns - 1 - #indent))
    table.move(parts, 1, #parts, #shown + 1, shown)
  end
  out:write(("  %s  %s\n"):format(paint(scene.status, name), shown[1]))
  for index = 2, #shown do out:write(indent, shown[index], "\n") end
end

-- --- the whole

-- Writes a message that is wrapped between words. Further lines are aligned with the text after `label` in the first line.
local function write_words(out, label, words, columns)
  for index, line in ipairs(text.wrap(words, columns and math.max(20, columns - 1 - #label))) do
    out:write(index == 1 and label or (" "):rep(#label), line, "\n")
  end
end

local function write_film(out, summary, columns)
  local film, problem = summary.film, summary.film_error
  if film then
    local seconds = math.floor(film.seconds * 100 + 0.5) / 100
    out:write(core.format("film    %s (%.14g s%s)\n", text.path(film.path), seconds, film.made and "" or ", as it was"))
  elseif problem then
    write_words(out, "film    ", text.problem(problem), columns)
    if problem.hint then write_words(out, "        ", text.clean(hint.of(problem)), columns) end
  end
  if summary.report then out:write("report  ", text.path(summary.report), "\n") end
  if summary.report_error then write_words(out, "report  ", text.problem(summary.report_error), columns) end
end

local function write_interrupted(out, summary, options)
  if not summary.interrupted then return end
  if options.given.sandbox then
    return write_words(out, "", "interrupted; the tasks of the sandbox have ended with it", options.columns)
  end
  local goes_on = count(summary, "interrupted") > 0
  write_words(out, "", goes_on and "interrupted: tasks in flight go on at the service, and are charged" or "interrupted", options.columns)
  write_words(out, "", "to continue, run it again; nothing is paid for twice:", options.columns)
  out:write("  ", next_command.continue(options.given), "\n")
end

-- Groups the scenes that share one reason for not being submitted, if at least three scenes share it. Returns a table that maps a group's
-- first scene to all scenes in the group, and each of the group's other scenes to false.
local function group(summary)
  local by_reason, groups = {}, {}
  for _, scene in ipairs(summary.scenes) do
    if (scene.status == "refused" or scene.status == "blocked") and not scene.credits and not scene.error.hint then
      local key = scene.status .. text.problem(scene.error)
      by_reason[key] = by_reason[key] or {}
      table.insert(by_reason[key], scene)
    end
  end
  for _, scenes in pairs(by_reason) do
    for index, scene in ipairs(#scenes >= FEW and scenes or {}) do groups[scene] = index == 1 and scenes end
  end
  return groups
end

---Writes the summary as text.
---@param out file*
---@param plan omni.Plan
---@param summary omni.RunSummary
---@param options { given: table, ledger?: string, sandbox?: boolean, colour?: boolean, columns?: integer }
local function write(out, plan, summary, options)
  local paint = text.painter(options.colour)
  local shown, left, name_width, groups = {}, 0, 0, group(summary)
  local fold = count(summary, "reused") > FEW
  for index, scene in ipairs(summary.scenes) do
    local entry = plan.scenes[index]
    if scene.status == "waiting" and not entry.selected then
      left = left + 1
    elseif not (fold and scene.status == "reused") and groups[scene] ~= false then
      shown[#shown + 1] = index
      name_width = math.max(name_width, text.columns(groups[scene] and text.count(#groups[scene], "scene") or text.clean(scene.scene)))
    end
  end
  name_width = math.min(name_width, text.name_columns(options.columns))

  local title = summary.title and text.clean(summary.title) .. ": " or ""
  local headline = text.wrap(("%s%d of %d scenes done, %s"):format(title, count(summary, "fetched") + count(summary, "reused"),
    #summary.scenes - left, text.spent(summary, options.sandbox)), options.columns and math.max(20, options.columns - 1))
  if headline[1]:sub(1, #title) == title then headline[1] = paint("title", title) .. headline[1]:sub(#title + 1) end
  out:write(table.concat(headline, "\n"), "\n")
  if fold then out:write(("  %s\n"):format(paint("reused", count(summary, "reused") .. " reused"))) end
  for _, index in ipairs(shown) do
    local scene = summary.scenes[index]
    write_scene(out, scene, groups[scene], plan.scenes[index], options, name_width, paint)
  end
  if left > 0 then
    out:write(("  %s %s\n"):format(text.count(left, "scene"), require("omni.cli.view.plan").why_left(options.given)))
  end
  write_film(out, summary, options.columns)
  write_words(out, "", text.board_cost(summary.spent, options.sandbox), options.columns)
  write_interrupted(out, summary, options)
  out:flush()
end

---Returns the fields of a `done` event (json_events.lua).
---@param board omni.Storyboard
---@param plan? omni.Plan
---@param summary? omni.RunSummary   nil: refused
---@param options { sandbox?: boolean, exit: integer, error?: omni.Error }
---@return table event
local function event(board, plan, summary, options)
  local fields = {
    title = board.title, sandbox = options.sandbox or false, credits = summary and summary.credits or 0,
    estimated = summary and summary.estimated, spent = summary and summary.spent.credits,
    spent_estimated = summary and summary.spent.estimated, exit = options.exit, error = options.error,
  }
  if not summary then return fields end
  fields.scenes, fields.interrupted, fields.film_error = {}, summary.interrupted, summary.film_error
  fields.report, fields.report_error = summary.report, summary.report_error
  local film = summary.film
  fields.film = film and { file = film.path, seconds = film.seconds, made = film.made }
  for index, scene in ipairs(summary.scenes) do
    local copy, entry = {}, plan.scenes[index]
    for name, value in pairs(scene) do copy[name] = value end
    copy.selected, copy.submit = entry.selected, entry.row and entry.row.id
    fields.scenes[index] = copy
  end
  return fields
end

return { event = event, exit_code = exit_code, exit_codes = exit_codes, write = write }
