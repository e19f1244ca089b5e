-- SPDX-License-Identifier: MIT
-- Shows how a run goes: in place on a terminal, as plain lines elsewhere, or as JSON, one event a line.
--
-- JSON. Every line is an object with `event` (string) and `time` (Unix seconds). Fields that say nothing are left out;
-- fields may be added later, those here stay. Events:
--   plan         title, directory, sandbox (boolean), credits (the sum of the known prices of what is to be paid), complete (boolean:
--                every price is known), balance, affordable (boolean: when both are known), budget (the run's), board_budget, spent
--                (what the board has cost so far, estimates of what isn't reported included),
--                scenes: [{scene, index (from 1), model, action, why, selected, pays (booleans), waits_for, blocked_by (scenes), twin
--                (an equal scene), take, credits, task_id, submit, files, error}]; once, before anything is submitted.
--                action: reuse, fetch, resume, submit, wait, unknown, expired, invalid. submit: the number of its row in the ledger.
--                Of `omni plan` also exit (its exit code) and error (why a run would be refused)
--   submitting   scene, index, estimate
--   pending, running, fetching    scene, index, task_id, estimate
--   fetched      scene, index, task_id, estimate, credits, file, files: [path]
--   reused       scene, index, task_id, file, files
--   warning      scene, index, task_id, file, message: its clip isn't what was asked for
--   failed       scene, index, error, and task_id, credits when it was submitted
--   refused      scene, index, error: not submitted, and nothing spent
--   blocked      scene, index, error: not submitted, as what it builds on isn't there
--   unknown      scene, index, error: maybe submitted, maybe charged
--   interrupted  scene, index, task_id: goes on at the service
--   waiting      scene, index: was refused for the moment, and not tried again because of an interruption
--   cutting      file, fraction (0 to 1)
--   film         file, seconds, made (boolean: false when it was there already)
--   report       file
--   done         title, sandbox, credits (sum of what was reported in this run), spent (on the board), exit (the exit code), error (why
--                nothing was submitted), interrupted (boolean), film: {file, seconds, made}, film_error, report, report_error,
--                scenes: [{scene, index, action, status, selected, task_id, submit, estimate, credits, file, files, warnings,
--                error}]; the last
--   status       of `omni status`: see cli/command/status.lua
-- `error` is {code, message, status, task_id, task_status, field, balance, hint}; the codes stand in docs/errors.md.

local json = require "omni.json"
local live = require "omni.cli.view.live_progress"
local text = require "omni.cli.view.text"

-- --- JSON

local problem_shape = json.shape { "code", "message", "status?", "task_id?", "task_status?", "field?", "balance?", "hint?" }
local film_shape = json.shape { "file", "seconds", "made" }
local spent_shape = json.shape { "credits", "promised", "given_up", "submits" }
local account_shape = json.shape { "account", "today", "spent" }
local submit_shape = json.shape {
  "submit", "board?", "scene?", "account", "model", "state", "task_id?", "status?", "since", "estimate?", "balance_before?",
  "balance_after?", "error?", "media_until?",
}
local scene_shape = json.shape {
  "scene", "index?", "model?", "action?", "why?", "selected?", "pays?", "waits_for?", "blocked_by?", "twin?", "take?", "status?",
  "task_id?", "submit?", "estimate?", "credits?", "file?", "files?", "warnings?", "error?",
}
local event_shape = json.shape {
  "event", "time", "title?", "scene?", "index?", "task_id?", "estimate?", "credits?", "file?", "files?", "fraction?", "seconds?", "made?",
  "directory?", "sandbox?", "complete?", "balance?", "affordable?", "budget?", "board_budget?", "ledger?", "exists?", "board?", "spent?",
  "today?", "accounts?", "in_flight?", "unknown?", "to_fetch?", "interrupted?", "film?", "film_error?", "report?", "report_error?",
  "exit?", "error?", "scenes?", "url?", "key?", "keys?", "message?",
}

local function problem_of(bad)
  return problem_shape {
    code = bad.code or "failed", message = text.clean(bad.message or bad.code or "?"), status = bad.status, task_id = bad.task_id,
    task_status = bad.task_status, field = bad.field, balance = bad.balance, hint = bad.hint,
  }
end

local function copy(source, shape)
  local copied = {}
  for name, value in pairs(source) do copied[name] = value end
  for _, name in ipairs { "error", "film_error", "report_error" } do
    if copied[name] then copied[name] = problem_of(copied[name]) end
  end
  return shape(copied)
end

-- Lists within an event, and the shapes of what is in them.
local lists = { scenes = scene_shape, in_flight = submit_shape, unknown = submit_shape, to_fetch = submit_shape, accounts = account_shape }

---Writes one event as one line of JSON.
---@param out file*
---@param event table
local function write_json(out, event)
  local object = copy(event, event_shape)
  object.time = os.time()
  for name, shape in pairs(lists) do
    local list = type(event[name]) == "table" and event[name]
    object[name] = list and {} or nil
    for index, item in ipairs(list or {}) do object[name][index] = copy(item, shape) end
  end
  if event.film then object.film = copy(event.film, film_shape) end
  for _, holder in ipairs { object, table.unpack(object.accounts or {}) } do
    for _, name in ipairs { "today", "spent" } do
      if type(holder[name]) == "table" then holder[name] = copy(holder[name], spent_shape) end
    end
  end
  out:write(json.printed(object), "\n")
  out:flush()
end

local Json_methods = {}
local Json_mt = { __name = "omni.cli.json", __index = Json_methods }

function Json_methods:event(event) write_json(self.out, event) end
function Json_methods:close() end -- luacheck: ignore self

-- --- plain lines

local Plain_methods = {}
local Plain_mt = { __name = "omni.cli.plain", __index = Plain_methods }

-- Events of which something else is said than a scene's state, or nothing: the plan and the summary tell of what is reused. The cut is
-- told of once, when it begins.
local special = {
  reused = function() return nil end,
  cutting = function(event) return event.fraction == 0 and "film: cutting" or nil end,
  film = function(event) return ("film: %s%s"):format(text.path(event.file), event.made and "" or " (as it was)") end,
  warning = function(event) return ("%s: warning: %s"):format(text.clean(event.scene), text.clean(event.message)) end,
  report = function(event) return "report: " .. text.path(event.file) end,
}

local function scene_line(event, sandbox)
  local line = ("%s: %s"):format(text.clean(event.scene), event.event)
  if event.event == "fetched" then
    local cost = event.credits and text.credits(event.credits, sandbox) .. ", " or ""
    return ("%s: %s%s"):format(line, cost, text.path(event.file))
  elseif event.error then
    return ("%s: %s"):format(line, text.problem(event.error))
  elseif event.task_id then
    return ("%s (task %s)"):format(line, text.clean(event.task_id))
  end
  return line
end

function Plain_methods:event(event)
  local line = (special[event.event] or scene_line)(event, self.sandbox)
  if not line then return end
  self.out:write(line, "\n")
  self.out:flush()
end

function Plain_methods:close() end -- luacheck: ignore self

---@class omni.cli.ProgressOptions
---@field plan omni.Plan
---@field out file*
---@field columns fun(): integer|nil      nil: `out` isn't a terminal that can be drawn on
---@field rows fun(): integer|nil
---@field now fun(): number               seconds
---@field json? boolean
---@field sandbox? boolean
---@field colour? boolean
---@field typical? table<string, number>  seconds that such scenes take, by scene

---Opens what fits: JSON if asked for, a drawing on a terminal, plain lines elsewhere.
---@param options omni.cli.ProgressOptions
---@return { event: fun(self, event: table), close: fun(self), draws?: boolean, tick?: fun(self) }  draws: `tick` is to be called
---  several times a second
local function open(options)
  if options.json then return setmetatable({ out = options.out }, Json_mt) end
  if options.columns() then return live.open(options) end
  return setmetatable({ out = options.out, sandbox = options.sandbox }, Plain_mt)
end

return { open = open, problem_of = problem_of, write_json = write_json }
