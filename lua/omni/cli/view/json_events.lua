-- SPDX-License-Identifier: MIT
-- Writes the events that --json prints, each as a JSON object on its own line on stdout. `fields` lists every event with its fields.
-- docs/cli.md explains the fields; spec/cli/view/json_events_spec.lua compares docs/cli.md with `fields`.

local json = require "omni.json"
local text = require "omni.cli.view.text"

-- A field is specified as NAME, as NAME:TYPE for an object, or as NAME:TYPE[] for a list of objects. If NAME ends in "?", the field is
-- omitted when it is nil.
local types <const> = {
  account = { "account", "today:sum", "spent:sum" },
  check = { "check", "state", "text", "hint?" },
  error = { "code", "message", "status?", "task_id?", "task_status?", "field?", "balance?", "hint?", "problems?:problem[]" },
  film = { "file", "seconds", "made" },
  job = {
    "job", "state", "board", "title?", "budget", "spent", "spent_estimated", "scenes?", "finished?", "worker?", "film?", "files?",
    "error?:error", "submitted_at", "taken_at?", "ended_at?",
  },
  key = { "key", "in_flight?", "balance?", "error?:error" },
  problem = { "code?", "message", "file?", "line?", "scene?", "field?", "hint?" },
  planned_scene = {
    "scene", "index", "model", "action", "why?", "selected", "pays", "waits_for?", "blocked_by?", "duplicate_of?", "take?", "task_id?",
    "usual_seconds?", "usual_tasks?", "submit?", "credits?", "files?", "error?:error",
  },
  scene = {
    "scene", "index", "action", "selected", "status", "task_id?", "submit?", "estimate?", "credits?", "file?", "files?", "warnings?",
    "error?:error",
  },
  submit = {
    "submit", "board?", "scene?", "account", "model", "state", "task_id?", "status?", "since", "estimate?", "balance_before?",
    "balance_after?", "others?", "error?:error", "media_until?",
  },
  sum = { "credits", "estimated", "given_up", "submits" },
}

local state <const> = { "scene", "index", "task_id?", "estimate?", "credits?" }
local files <const> = { "scene", "index", "task_id?", "estimate?", "credits?", "file", "files" }
local failure <const> = { "scene", "index", "task_id?", "estimate?", "credits?", "error?:error" }
local waiting <const> = { "wait", "kind", "message", "seconds?", "key?", "scene?", "file?", "error?:error" }
local orphan <const> = { "task_id", "scene?", "state?", "error?:error" }
local callback <const> = { "url?", "task_id?", "scene?", "state?", "status?", "error?:error" }

---For each command, its events and their fields, without the fields `event` and `time` that every event has.
---@type table<string, table<string, string[]>>
local fields <const> = {
  run = { -- and plan
    plan = {
      "title?", "directory?", "sandbox?", "credits?", "complete?", "balance?", "affordable?", "budget?", "board_budget?", "spent?",
      "spent_estimated?",
      "exit?", "error?:error", "notices?:problem[]", "scenes?:planned_scene[]",
    },
    submitting = state, pending = state, running = state, fetching = state, interrupted = state, waiting = state,
    fetched = files, reused = files, failed = failure, refused = failure, blocked = failure, unknown = failure,
    warning = { "scene", "index", "task_id?", "file", "message" }, wait = waiting, wait_over = { "wait", "kind", "seconds" },
    cutting = { "file", "fraction" },
    film = types.film,
    report = { "file" },
    done = {
      "title?", "sandbox", "credits", "estimated?", "spent?", "spent_estimated?",
      "interrupted?", "film?:film", "film_error?:error", "report?", "report_error?:error",
      "exit", "error?:error", "scenes?:scene[]",
    },
  },
  status = {
    status = {
      "ledger", "exists", "board?", "in_flight:submit[]", "unknown:submit[]", "to_fetch:submit[]", "today:sum", "spent:sum",
      "accounts:account[]",
    },
  },
  listen = {
    listening = callback, accepted = callback, confirmed = callback, settled = callback, forwarded = callback, wrong_token = callback,
    wrong_method = callback, too_large = callback, wrong_encoding = callback,
    not_a_task = callback, wrong_task = callback, unavailable = callback,
    taken_over = orphan, recorded = orphan, not_recorded = orphan, stored = orphan, not_stored = orphan,
  },
  task = {
    estimate = { "model", "credits?", "balance?", "affordable?", "error?:error" },
    uploaded = { "file", "url", "bytes", "content_type", "sha256", "reused" },
    submitted = { "task_id", "model", "estimate?" },
    task = {
      "task_id", "status?", "model?", "created_at?", "completed_at?", "duration?", "credits?", "reserved_credits?", "media?",
      "error?:error", "raw?",
    },
    fetched = { "task_id", "index", "file", "bytes", "made" },
    balance = { "balance?", "keys:key[]" },
    models = { "models" },
    model = { "model" },
    template = { "platform", "template" },
    error = { "task_id?", "file?", "error:error" }, wait = waiting, wait_over = { "wait", "kind", "seconds" },
    interrupted = { "task_id?" },
    job = types.job,
  },
  jobs = { jobs = { "ledger", "exists", "jobs:job[]" } },
  work = { job = { "job", "board", "state", "error?:error" }, pause = { "seconds", "error?:error" } },
  sandbox = { sandbox = { "url", "key", "keys?:key[]" } },
  trigger = { trigger = { "kind", "task_id?", "status?", "seconds", "response?", "error?:error" } },
  doctor = { doctor = { "version", "exit", "checks:check[]" } },
}

-- --- writing

local parsed = {} -- list of fields → { shape, { name, kind, many }... }

-- Parses a field specification.
local function parse(list)
  if parsed[list] then return parsed[list] end
  local names, result = {}, {}
  for i, field in ipairs(list) do
    local name, optional, kind, many = field:match "^([%w_]+)(%??):?([%w_]*)(%[?)"
    names[i] = name .. optional
    result[i] = { name = name, kind = types[kind], many = many ~= "" }
  end
  result.shape, parsed[list] = json.shape(names), result
  return result
end

-- Returns a copy of an object that contains only the listed fields and can be written as JSON.
local function copy(object, list)
  local kinds, copied = parse(list), {}
  for _, field in ipairs(kinds) do
    local value = object[field.name]
    if field.kind and value ~= nil and field.many then
      local items = {}
      for i, item in ipairs(value) do items[i] = copy(item, field.kind) end
      value = items
    elseif field.kind and value ~= nil then
      value = copy(value, field.kind)
    end
    copied[field.name] = value
  end
  if list == types.error then
    copied.code, copied.message = object.code or "failed", text.clean(object.message or object.code or "?")
  end
  if object.hint and (list == types.error or list == types.problem) then copied.hint = require("omni.cli.view.hint").of(object) end
  if list == types.problem then
    copied.message = text.clean(object.message)
    if object.where then copied.file, copied.line = object.where:match "^(.*):(%d+)$" end
    copied.file, copied.line = copied.file or object.where, math.tointeger(tonumber(copied.line))
  end
  return kinds.shape(copied)
end

local with_head = {}
for _, events in pairs(fields) do
  for _, list in pairs(events) do
    with_head[list] = with_head[list] or table.move(list, 1, #list, 3, { "event", "time" })
  end
end

---Writes an event as one line of JSON.
---@param command string  a key of `fields`
---@param name string     the event
---@param values table    its fields; others are ignored
---@param out? file*      stdout by default
local function write(command, name, values, out)
  local object = setmetatable({ event = name, time = os.time() }, { __index = values })
  out = out or io.stdout
  out:write(json.printed(copy(object, with_head[fields[command][name]])), "\n")
  out:flush()
end

return { fields = fields, types = types, write = write }
