-- SPDX-License-Identifier: MIT
-- Carries out a plan by running its scenes concurrently, with at most `jobs` scenes in flight and within the budget. After the scenes have
-- ended, makes the film and the report. Prints nothing.

local arguments = require "omni.storyboard.arguments"
local callbacks = require "omni.callbacks.receiver"
local core = require "omni.core"
local err = require "omni.error"
local film_and_report = require "omni.storyboard.run.film_and_report"
local loop = require "omni.loop"
local names = require "omni.storyboard.run.file_names"
local output_lock = require "omni.storyboard.run.output_lock"
local paths = require "omni.file.path"
local plan_changes = require("omni.storyboard.plan.plan_changes").changes
local plans = require "omni.storyboard.plan"
local refusal = require "omni.storyboard.plan.refusal"
local costs = require "omni.storyboard.plan.spent"
local scenes = require "omni.storyboard.run.scene"
local thumbnails = require "omni.storyboard.run.thumbnails"
local wait_queue = require "omni.loop.wait_queue"

local set_status = scenes.set_status

---The state of a scene in a run.
---@class omni.RunRecord
---@field scene string
---@field index integer
---@field status string
---@field planned omni.PlanScene
---@field stem string         the beginning of its files' names
---@field reserved? boolean   whether its price counts against the budget
---@field estimate? number    credits
---@field credits? number     what it cost in this run
---@field task_id? string
---@field task? omni.Task
---@field file? string        the first of `files`
---@field files? string[]
---@field warnings? string[]  differences between the clip and what the scene asked for
---@field error? omni.Error
---@field stop omni.Stop      stops its submit
---@field fiber? omni.Fiber

---@class omni.Run
local Run_methods = {}
local Run_mt = { __name = "omni.run", __index = Run_methods }

-- --- slots: how many scenes may be in flight

local Slot_methods = {}
local Slot_mt = { __index = Slot_methods }

---Releases the slot. Calling `close` again does nothing.
function Slot_methods:close()
  local run = self.run
  self.run = nil
  if not run then return end
  run.free_slots = run.free_slots + 1
  run.waiting:wake_first(1)
end

Slot_mt.__close = Slot_methods.close

---Waits until one of the run's slots is free, and reserves it.
---@param at_once boolean  don't wait, since the scene is in flight already
---@return table slot  the caller must close it
function Run_methods:reserve_slot(at_once)
  if not at_once and (self.free_slots <= 0 or not self.waiting:is_empty()) then
    local place <close> = self.waiting:join()
    while self.free_slots <= 0 or not self.waiting:is_first(place) do loop.park() end
  end
  self.free_slots = self.free_slots - 1
  return setmetatable({ run = self }, Slot_mt)
end

-- --- the run

-- Stops a fiber by calling `stop`. A fiber can't cancel itself. If a fiber would stop itself, because its `on_event` hook called
-- `interrupt`, another fiber calls `stop`.
local function stop_from_outside(fiber, stop, ...)
  if not fiber or fiber:done() then return end
  if fiber == loop.current() then loop.background(stop, ...) else stop(...) end
end

-- Cancels a scene's fiber, unless the fiber is sending a submit.
local function stop_scene(run, record)
  local fiber = record.fiber
  if fiber:done() or record.stop.sending then return end
  fiber:cancel()
  if record.task_id then
    set_status(run, record, "interrupted")
  elseif record.status ~= "waiting" and record.status ~= "unknown" then
    record.reserved = false
    set_status(run, record, "waiting")
  end
end

---Stops the run: it submits nothing more and stops waiting. Doesn't cancel a submit that is being sent, since the service's response will
---contain the task id.
function Run_methods:interrupt()
  if self.stopped then return end
  self.stopped = true
  for _, record in ipairs(self.records) do
    record.stop.requested = true
    stop_from_outside(record.fiber, stop_scene, self, record)
  end
  for _, fibers in ipairs { self.making, self.storing, { self.finishing } } do
    for _, fiber in pairs(fibers) do stop_from_outside(fiber, fiber.cancel, fiber) end
  end
  self.thumbnails:close()
end

---Fetches a scene's clip again, because the clip can't be decoded. If several callers request the same clip, fetches the clip only once.
---Submits nothing.
---@param record omni.RunRecord
---@return true|nil
---@return omni.Error|nil err
function Run_methods:fetch_again(record)
  local key = "again " .. record.scene
  self.making[key] = self.making[key] or loop.spawn(scenes.fetch_again, self, record)
  return self.making[key]:join()
end

-- Waits for all scenes. Returns the first error that isn't a cancellation.
local function join_scenes(run)
  local fibers, bug = {}, nil
  for _, record in ipairs(run.records) do fibers[#fibers + 1] = record.fiber end
  while #fibers > 0 do
    local fine, problem = pcall(loop.join, fibers, { fail_fast = true })
    if not fine and not (err.is(problem) and problem.code == "cancelled") then
      bug = bug or problem
      run:interrupt()
    end
    local left = {}
    for _, fiber in ipairs(fibers) do
      if not fiber:done() then left[#left + 1] = fiber end
    end
    fibers = left
  end
  return bug
end

-- Returns an estimate, in credits, if the service hasn't reported yet what a scene has cost in this run; otherwise, returns 0.
local function unreported(record)
  local action = record.planned.action
  if record.credits or action == "fetch" or action == "reuse" or action == "unknown" or action == "expired" then return 0 end
  if record.planned.duplicate_of or not (record.task_id or record.status == "unknown") then return 0 end
  return record.estimate or record.planned.row and record.planned.row.estimate or 0
end

local function summarize(run)
  local summary = {
    title = run.plan.board.title, scenes = {}, credits = 0, estimated = 0, interrupted = run.stopped == true,
    spent = costs.of_board(run.ledger, run.plan.board_key, run.client) or run.plan.spent,
  }
  for index, record in ipairs(run.records) do
    summary.credits = summary.credits + (record.credits or 0)
    summary.estimated = summary.estimated + unreported(record)
    summary.scenes[index] = {
      scene = record.scene, index = index, action = record.planned.action, status = record.status, task_id = record.task_id,
      estimate = record.estimate, credits = record.credits, file = record.file, files = record.files, error = record.error,
    }
  end
  return summary
end

-- Makes the film and the report in a separate fiber, so that `interrupt` can cancel that fiber.
local function complete(run, summary)
  run.finishing = loop.spawn(film_and_report.finish, run, summary)
  local fine, problem = pcall(run.finishing.join, run.finishing)
  if fine then return end
  if not (err.is(problem) and problem.code == "cancelled") then error(problem, 0) end
  summary.interrupted = true
end

-- Waits until the scenes' files are in the store. `interrupt` cancels the fibers that put the files into the store.
local function finish_storing(run)
  for _, fiber in ipairs(run.storing) do
    local fine, problem = pcall(fiber.join, fiber)
    if not fine and not (err.is(problem) and problem.code == "cancelled") then error(problem, 0) end
  end
end

---Waits until the run has ended or has been interrupted.
---@return omni.RunSummary
function Run_methods:join()
  local bug = join_scenes(self)
  if bug then error(bug, 0) end
  local summary = summarize(self)
  if not self.stopped then complete(self, summary) end
  finish_storing(self)
  if not summary.interrupted then self.ledger:note("end_redo", { board = self.plan.board_key }) end
  return summary
end

Run_mt.__close = function(run) run:interrupt() end

local usual_jobs <const> = 4

-- Returns the default number of scenes in flight: the sum of all API keys' limits, or `usual_jobs` if a key has no limit.
local function jobs_of(client)
  local sum = 0
  for _, key in ipairs(client.all_keys) do
    if not key.limit then return usual_jobs end
    sum = sum + key.limit
  end
  return sum
end

---@class omni.RunSettings
---@field client omni.Client
---@field directory omni.Directory        from output_lock.open
---@field jobs? integer                   maximum number of scenes in flight (default: the sum of the keys' limits, or 4)
---@field budget? number                  credit limit for this run
---@field fail_fast? boolean              submit nothing more once a scene has failed
---@field on_event? fun(event: table)     called after each change of a scene's status, and for the film
---@field interrupted? fun(): boolean     called before each submit; true stops the run
---@field command_line? omni.CommandLine  for the commands that the report shows

---Starts running a plan. The caller must have the user's consent to spend the plan's credits.
---@param plan omni.Plan
---@param given omni.RunSettings
---@return omni.Run  `run:join()`, `run:interrupt()`
local function start(plan, given)
  local jobs = given.jobs or jobs_of(given.client)
  local run = setmetatable({
    plan = plan, client = given.client, records = {}, by_name = {}, directory = given.directory, budget = given.budget,
    fail_fast = given.fail_fast, on_event = given.on_event, interrupted = given.interrupted, free_slots = jobs,
    waiting = wait_queue.new(), making = {}, command_line = given.command_line,
    cached_uploads = {}, storing = {}, thumbnails = thumbnails.new(),
  }, Run_mt)
  run.ledger = plan.ledger
  if given.client.is_sandbox then run.ledger:note("expire_other_sandboxes", { account_prefix = given.client.service .. " " }) end
  local stems = names.stems(plan.board.scenes, plan.scenes)
  for index, planned in ipairs(plan.scenes) do
    if planned.redo and planned.pays then run.ledger:note("begin_redo", { board = plan.board_key, base = planned.base }) end
    local record = {
      scene = planned.scene, index = index, status = "waiting", planned = planned, stem = stems[index], estimate = planned.credits,
      stop = {},
    }
    run.records[index], run.by_name[planned.scene] = record, record
    record.selected = planned.selected or planned.action == "reuse"
  end
  for _, order in ipairs { "paid", "any" } do -- first starts the scenes that have already been paid for, then all other scenes
    for _, index in ipairs(plan.board.order) do
      local record = run.records[index]
      if record.selected and not record.fiber and (order == "any" or scenes.is_paid(record.planned)) then
        record.fiber = loop.spawn(scenes.run, run, record)
      end
    end
  end
  return run
end

local known = {
  client = "any", directory = "path", plan = "table", jobs = "count", budget = "number", yes = "boolean", only = "table", redo = "table",
  resubmit = "table", fail_fast = "boolean", on_event = "function", interrupted = "function",
  before_plan = "function", on_plan = "function", on_start = "function", command_line = "table",
}

-- Returns the error for a plan to which the caller hasn't consented.
local function no_consent(plan)
  local cost = plan.complete and core.format("about %.14g %scredits", plan.credits, plan.sandbox and "sandbox " or "") or "an unknown price"
  return err.new { code = "no_consent", hint = "give a budget, or yes = true",
    message = ("nothing was submitted: the plan costs %s, and there is no consent"):format(cost) }
end

-- Returns the error for a plan that is no longer valid, or nil.
local function outdated(shown, now)
  if now.unavailable then return nil end -- `refusal` reports that the service is unavailable
  local changes = plan_changes(shown, now)
  if #changes == 0 then return nil end
  return err.new { code = "plan_changed", changes = changes, hint = "make a new plan, and ask again",
    message = "nothing was submitted, since the plan is no longer valid: " .. table.concat(changes, "; ") }
end

-- Shows the plan to the caller. Returns the reason why omni refuses to run the plan, or nil if the plan can run. A caller that passes a
-- plan consents to the plan's prices.
local function consent(plan, given)
  local problem = given.plan and outdated(given.plan, plan) or refusal(plan, given.budget)
  local yes, reason
  if given.on_plan then yes, reason = given.on_plan(plan, problem) end
  if problem then return problem end
  if yes == false then return reason or no_consent(plan) end
  local shown = given.plan and given.plan.complete
  local agreed = yes or given.yes or given.budget or shown or plan.board.budget or given.client.is_sandbox
  if plan.submits > 0 and not agreed then return no_consent(plan) end
end

-- Raises an error if the `plan` option doesn't match the other options. The error names the line of `run_board`'s caller.
local function check_plan(given)
  local shown, wrong = given.plan, nil
  if not shown then return end
  if not plans.is_plan(shown) then
    wrong = "option 'plan' must be a plan, from omni.plan_storyboard"
  elseif given.only or given.redo or given.resubmit then
    wrong = ("options 'plan' and '%s' exclude each other: give '%s' to omni.plan_storyboard"):format(
      given.only and "only" or given.redo and "redo" or "resubmit", given.only and "only" or given.redo and "redo" or "resubmit")
  elseif shown.directory ~= paths.absolute(given.directory) then
    wrong = ("option 'plan' is for the directory %s, not for %s"):format(core.clean(shown.directory), core.clean(given.directory))
  elseif shown.service ~= given.client.service then
    wrong = "option 'plan' was made with a client of another service"
  end
  if wrong then error("omni.run_storyboard: " .. wrong, 3) end
end

-- Runs a board. Runs in a fiber.
local function run_in_fiber(board, given)
  local directory <close>, problem = output_lock.open(given.directory, given.on_event)
  if not directory then return nil, problem end
  local ledger
  ledger, problem = given.client:board_ledger(given.directory)
  if not ledger then return nil, problem end
  callbacks.settle_past_callbacks(given.client, ledger)
  problem = given.before_plan and given.before_plan()
  if problem then return nil, problem end
  local choice, plan = given.plan and given.plan.choice or given
  plan, problem = plans.plan(board, {
    client = given.client, directory = given.directory, only = choice.only, redo = choice.redo, resubmit = choice.resubmit,
  })
  if plan and plan.submits > 0 and not plan.unavailable and given.client.store then
    plan.unavailable = select(2, given.client.store:check())
  end
  problem = problem or consent(plan, given)
  if problem then return nil, problem end
  local run <close> = start(plan, {
    client = given.client, directory = directory, jobs = given.jobs, budget = given.budget, fail_fast = given.fail_fast,
    on_event = given.on_event, interrupted = given.interrupted, command_line = given.command_line,
  })
  if given.on_start then given.on_start(run) end
  return run:join()
end

---Creates a board's film: plans a run, and executes the plan. Spends credits only with consent: a `plan` whose prices are known, a `budget`
---(or the board's own budget), `yes`, or an `on_plan` function that returns true. If you pass a `plan`, the run executes exactly that plan.
---If the board's file, another file, the ledger or a price has changed since the plan was made, the run submits nothing and returns the
---error `plan_changed`, whose `changes` field lists the changes. A failed scene stops only the scenes that build on it, unless `fail_fast`
---is set.
---@param board omni.Storyboard|string  a board, or the path of its file, which omni loads in the same way as `omni.load_storyboard`
---@param given omni.RunOptions
---@return omni.RunSummary|nil summary
---@return omni.Error|nil err  codes: plan_changed, no_consent, over_budget, price_unknown, insufficient_credits, io, ledger_failed, ...
local function run_board(board, given)
  given = arguments.check(board, given, known, "omni.run_storyboard")
  local budget = given.budget or 0
  if budget ~= budget or budget < 0 then error("omni.run_storyboard: option 'budget' must be a number, 0 or more", 2) end
  check_plan(given)
  loop.in_fiber "omni.run_storyboard"
  return loop.drive(run_in_fiber, board, given)
end

return { run = run_board, start = start }
