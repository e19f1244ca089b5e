-- SPDX-License-Identifier: MIT
-- What must hold after chaos, whatever happened. Reads the sandbox's charge ledger and omni's ledger, the files and the logs.

local asked = require "helper.ledger"
local cjson = require "cjson"
local core = require "omni.core"
local env = require "helper.env"
local film = require "omni.film"

-- Words that only an error within omni prints.
local BUGS <const> = { "stack traceback", "attempt to ", "AddressSanitizer", "this is a bug", "Segmentation fault" }

---@class spec.chaos.State  what is checked
---@field charges table[]       the sandbox's charge ledger: its tasks, in order
---@field ledger string         path of omni's ledger
---@field truth table<string, string>  the SHA-256 of each task's clip, by task id
---@field folder string         contains everything that omni has written
---@field keys string[]         the API keys
---@field shown string          what `omni status --json` prints
---@field budgets { name: string, credits: number, contains: fun(prompt: string): boolean }[]
---@field films? { path: string, media: string, clips: integer }[]  films that must be complete; media: the folder of their clips

-- Returns the ledger's rows, with these columns, from these tables.
local function rows_of(state, columns, tables)
  local pairs_of = {}
  for column in columns:gmatch "[%w_.]+" do pairs_of[#pairs_of + 1] = ("'%s', %s"):format(column:match "[%w_]+$", column) end
  return cjson.decode(asked.sqlite3(state.ledger, ("SELECT json_group_array(json_object(%s)) FROM %s"):format(
    table.concat(pairs_of, ", "), tables)))
end

local function prompt_of(row) return cjson.decode(row.input).prompt end

-- Each charge has one row with its task id, or a row with an unknown outcome that the user sees.
local function check_charges(state, submits, broken)
  local by_task, unknown = {}, {}
  for _, row in ipairs(submits) do
    if row.task_id ~= cjson.null then
      by_task[row.task_id] = by_task[row.task_id] or {}
      table.insert(by_task[row.task_id], row)
    elseif row.state == "unknown" or row.state == "intended" then -- no program runs now
      local prompt = prompt_of(row)
      unknown[prompt] = unknown[prompt] or {}
      table.insert(unknown[prompt], row)
      local is_shown = state.shown:find(('"submit":%d[,}]'):format(row.id))
      if not is_shown then broken("row %d is unknown, and isn't shown: %s", row.id, prompt) end
    end
  end
  for _, charge in ipairs(state.charges) do
    local rows = by_task[charge.task_id] or {}
    if #rows > 1 then broken("charge %s has %d rows", charge.task_id, #rows) end
    if #rows == 0 and not table.remove(unknown[charge.input.prompt] or {}) then
      broken("charge %s has no row, and none is unknown: %s", charge.task_id, charge.input.prompt)
    end
    local row = rows[1]
    if row and prompt_of(row) ~= charge.input.prompt then broken("charge %s has the row of another submit", charge.task_id) end
    if row and row.state == "refused" then broken("charge %s has a row that says refused", charge.task_id) end
    local is_over = row and (row.state == "success" or row.state == "failed")
    if is_over and row.state ~= charge.status then
      broken("task %s is %s in the ledger, but %s", charge.task_id, row.state, charge.status)
    end
    by_task[charge.task_id] = nil
  end
  for id in pairs(by_task) do broken("the ledger has a task that doesn't exist: %s", id) end
end

-- Only after a failure is the same submit charged again. No budget is passed.
local function check_payments(state, broken)
  local latest, spent = {}, {}
  for _, charge in ipairs(state.charges) do
    local prompt = charge.input.prompt
    local before = latest[prompt]
    if before and before.status ~= "failed" then
      broken("paid twice: %s (%s was %s when %s was submitted)", prompt, before.task_id, before.status, charge.task_id)
    end
    latest[prompt] = charge
    for i, budget in ipairs(state.budgets) do
      if budget.contains(prompt) then spent[i] = (spent[i] or 0) + charge.credits end
    end
  end
  for i, budget in ipairs(state.budgets) do
    if (spent[i] or 0) > budget.credits then broken("the budget of %s was %g, spent are %g", budget.name, budget.credits, spent[i]) end
  end
end

-- Each file of the ledger, and each clip with its final name, is whole.
local function check_files(state, broken)
  local files, is_clip = 0, {}
  for _, digest in pairs(state.truth) do is_clip[digest] = true end
  for _, row in ipairs(rows_of(state, "path, sha256, task_id", "file JOIN submit ON submit.id = file.submit")) do
    local bytes = env.read(row.path)
    files = files + 1
    if not bytes then
      broken("a file is missing: %s", row.path)
    elseif core.sha256(bytes) ~= row.sha256 then
      broken("a file has changed: %s", row.path)
    elseif row.sha256 ~= state.truth[row.task_id] then
      broken("a file isn't the clip of task %s: %s", row.task_id, row.path)
    end
  end
  for _, path in ipairs(env.lines(("find %s -name '*.mp4' ! -name 'film*'"):format(env.quote(state.folder)))) do
    files = files + 1
    if not is_clip[core.sha256(env.read(path))] then broken("a file isn't the clip of any task: %s", path) end
  end
  return files
end

local function check_films(state, broken)
  for _, one in ipairs(state.films or {}) do
    local frames, clips = 0, env.lines(("find %s -name '*.mp4'"):format(env.quote(one.media)))
    for _, path in ipairs(clips) do
      local clip = film.probe(path)
      frames = frames + (clip and clip.video.frames or 0)
    end
    local probed, problem = film.probe(one.path)
    local row = rows_of(state, "sha256", ("film WHERE path = '%s'"):format(one.path))[1]
    if not probed then
      broken("a film can't be read: %s", problem)
    elseif probed.video.frames ~= frames or #clips < one.clips then
      broken("a film of %d clips has %d frames, its clips have %d: %s", #clips, probed.video.frames, frames, one.path)
    elseif not row or row.sha256 ~= core.sha256(env.read(one.path)) then
      broken("a film isn't the one in the ledger: %s", one.path)
    end
  end
end

-- No file contains an API key, and no output an error within omni.
local function check_texts(state, broken)
  local bytes = 0
  for _, path in ipairs(env.lines(("find %s -type f"):format(env.quote(state.folder)))) do
    local text = env.read(path) or ""
    bytes = bytes + #text
    for _, key in ipairs(state.keys) do
      if text:find(key:sub(4), 1, true) then broken("an API key is in %s", path) end
    end
    for _, words in ipairs(path:find "%.log$" and BUGS or {}) do
      if text:find(words, 1, true) then broken("%s: %s", path, text:match("[^\n]*" .. words:gsub("%p", "%%%0") .. "[^\n]*")) end
    end
  end
  return bytes
end

local invariants = {}

---Checks everything. Returns the violations, and a sentence that says what was checked.
---@param state spec.chaos.State
---@return string[] violations
---@return string checked
function invariants.check(state)
  local violations = {}
  local function broken(form, ...) violations[#violations + 1] = form:format(...) end
  local submits = rows_of(state, "id, state, task_id, input", "submit")
  check_charges(state, submits, broken)
  check_payments(state, broken)
  local files = check_files(state, broken)
  check_films(state, broken)
  local bytes = check_texts(state, broken)
  return violations, ("%d charges, %d rows, %d files, %d films, %d KB searched"):format(#state.charges, #submits, files,
    #(state.films or {}), bytes // 1024)
end

return invariants
