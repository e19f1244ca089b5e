-- SPDX-License-Identifier: MIT
-- Collects the report's data: the plan, the results, and the ledger rows for each scene.

local placeholder = require "omni.client.placeholder"
local core = require "omni.core"
local json = require "omni.json"
local next_command = require "omni.storyboard.next_command"
local paths = require "omni.file.path"

-- Returns a path relative to the report's folder.
local function relative(run, path)
  local folder = run.directory.path .. "/"
  return path:sub(1, #folder) == folder and path:sub(#folder + 1) or path
end

-- The report's descriptions of placeholders, by kind. The descriptions don't reveal this machine's folders.
local kinds = { file = "%s", frame = "last frame of %s", clip = "clip of %s" }
local function shown_placeholder(value)
  return kinds[value.kind]:format(value.path and paths.name(value.path) or value.scene)
end

-- Returns the fields of a scene's input, except for the prompt, as text.
local function input_fields(scene)
  local names, fields = {}, {}
  for name in pairs(scene.input) do
    if name ~= "prompt" then names[#names + 1] = name end
  end
  table.sort(names)
  for index, name in ipairs(names) do
    local shown = placeholder.map(scene.input[name], shown_placeholder)
    local text = type(shown) == "table" and json.canonical(shown) or tostring(shown)
    fields[index] = { name, core.clean(text, 2000) }
  end
  return fields
end

-- Returns a scene's references for the report. The report's page embeds a small picture of each file, because the page loads nothing from
-- outside its folder.
local function references(scene)
  local list = {}
  for index, reference in ipairs(scene.references or {}) do
    local label, file = reference.label or reference.role, reference.path and paths.name(reference.path)
    if file and label ~= file then label = ("%s (%s)"):format(label, file) end
    list[index] = { label = label, url = reference.url, scene = reference.scene, poster = reference.path }
  end
  return list
end

-- Returns the options for the commands that the report shows. If a program rather than the command line has started the run, the options
-- don't reveal the board's folder.
local function command_line_of(run)
  local path = run.plan.board.path
  return run.command_line or { board = path and paths.name(path) or "BOARD", sandbox = run.client.is_sandbox }
end

-- Returns the ledger row of each scene's submit, or an empty table for a scene without a row. Sets each row's field `fetched` to the time
-- when the scene's first file was fetched.
local function rows_of(run)
  local rows, asked, of, files = {}, {}, {}, {}
  for i, record in ipairs(run.records) do
    rows[i] = {}
    if record.planned.identity then
      asked[#asked + 1], of[#of + 1] = { identity = record.planned.identity, service = run.client.service }, i
    end
  end
  for i, found in ipairs(run.ledger:ask_each("by_identity", asked) or {}) do
    local row = found[1]
    if row and row.state ~= "refused" and row.state ~= "forgotten" then rows[of[i]], files[#files + 1] = row, row end
  end
  asked = {}
  for i, row in ipairs(files) do asked[i] = { submit = row.id } end
  for i, found in ipairs(run.ledger:ask_each("files", asked) or {}) do
    files[i].fetched = found[1] and found[1].at
  end
  return rows
end

local function scene_data(run, record, row)
  local planned, scene = record.planned, run.plan.board.scenes[record.index]
  local files = {}
  for index, path in ipairs(record.files or {}) do files[index] = relative(run, path) end
  return {
    name = record.scene, action = planned.action, status = record.status, take = planned.take, model = planned.model,
    prompt = scene.input.prompt, input = input_fields(scene), references = references(scene), builds_on = scene.builds_on,
    files = files, poster = record.poster, credits = record.credits or row.credits, estimate = record.estimate or row.estimate,
    task_id = record.task_id or row.task_id, seconds = row.seconds, why = planned.why, error = record.error,
    warnings = record.warnings,
    ways = record.status == "unknown"
      and next_command.ways_out(command_line_of(run), record.scene, planned.row and planned.row.id, run.client.ledger_path) or nil,
    times = {
      intended = row.intended_at, accepted = row.answered_at, completed = row.completed_at or row.ended_at,
      fetched = row.fetched,
    },
  }
end

local BALANCE_TIMEOUT <const> = 10 -- seconds to wait for the balance, which the report can omit

-- Returns the sum of all keys' credit balances, which it requests from the service.
local function balance_of(client)
  local sum
  for _, key in ipairs(client.all_keys) do
    local balance = key:balance(BALANCE_TIMEOUT)
    if balance then sum = (sum or 0) + balance end
  end
  return sum
end

---@param run omni.Run
---@param summary omni.RunSummary
---@return table data  for omni.report
local function data(run, summary)
  local scenes, command_line = {}, command_line_of(run)
  local rows = rows_of(run)
  for index, record in ipairs(run.records) do scenes[index] = scene_data(run, record, rows[index]) end
  local film = summary.film
  return {
    title = run.plan.board.title, board = run.plan.board.path and paths.name(run.plan.board.path), made_at = os.time(),
    sandbox = run.client.is_sandbox, commands = { plan = next_command.plan(command_line), run = next_command.run(command_line) },
    film = film and { path = relative(run, film.path), seconds = film.seconds, poster = run.film_poster },
    film_problem = summary.film_error and summary.film_error.message,
    spent = { run = summary.credits, board = summary.spent.credits, estimated = summary.spent.estimated },
    balance = run.plan.balance and balance_of(run.client), scenes = scenes,
  }
end

return { data = data }
