-- SPDX-License-Identifier: MIT
-- Carries out a plan: scenes that build on nothing side by side, at most `jobs` in flight, within a budget; then the film and the
-- report. Prints nothing.

local callbacks = require "omni.callbacks.receiver"
local core = require "omni.core"
local directories = require "omni.storyboard.run.output_lock"
local err = require "omni.error"
local finish = require "omni.storyboard.run.film_and_report"
local loop = require "omni.loop"
local names = require "omni.storyboard.run.file_names"
local options = require "omni.options"
local plans = require "omni.storyboard.plan"
local shooting = require "omni.storyboard.run.scene"
local thumbnails = require "omni.storyboard.run.thumbnails"

local set = shooting.set

---@class omni.RunRecord
---@field scene string
---@field index integer
---@field status string
---@field entry omni.PlanScene
---@field stem string         of its files' names
---@field reserved? boolean   its price counts against the budget
---@field estimate? number    credits
---@field credits? number     what it cost in this run
---@field task_id? string
---@field task? omni.Task
---@field file? string        the first of `files`
---@field files? string[]
---@field warnings? string[]  in what the clip isn't what was asked for
---@field error? omni.Error
---@field stop omni.Stop      of its submit
---@field fiber? omni.Fiber

---@class omni.Run
local Run_methods = {}
local Run_mt = { __name = "omni.run", __index = Run_methods }

-- --- places among those in flight

local Slot_methods = {}
local Slot_mt = { __index = Slot_methods }

-- Gives the next one in the queue what is free.
local function release(run)
  run.free = run.free + 1
  local place = run.free > 0 and table.remove(run.line, 1)
  if not place then return end
  run.free, place.taken = run.free - 1, true
  loop.wake(place.fiber)
end

function Slot_methods:close()
  local run = self.run
  self.run = nil
  if run then release(run) end
end

Slot_mt.__close = Slot_methods.close

-- A place in the queue. A fiber may be cancelled after it was given a slot and before it runs: then the next one gets it.
local Place_mt = {
  __close = function(place)
    if place.taken then return release(place.run) end
    for i, other in ipairs(place.run.line) do
      if other == place then return table.remove(place.run.line, i) end
    end
  end,
}

---Waits for a place among those in flight; what is in flight already takes one without waiting.
---@param at_once boolean
function Run_methods:take_slot(at_once)
  if at_once or self.free > 0 then
    self.free = self.free - 1
  else
    local place <close> = setmetatable({ run = self, fiber = loop.current() }, Place_mt)
    table.insert(self.line, place)
    repeat loop.park() until place.taken -- whoever else wakes this fiber
    place.taken = false
  end
  return setmetatable({ run = self }, Slot_mt)
end

-- --- its course

---Submits nothing more and stops waiting; submits on their way are heard out, as their answers hold the task ids.
function Run_methods:interrupt()
  if self.stopped then return end
  self.stopped, self.line = true, {}
  for _, record in ipairs(self.records) do
    local fiber = record.fiber
    record.stop.requested = true
    if fiber and fiber ~= loop.current() and not fiber:done() and not record.stop.sending then
      fiber:cancel()
      if record.task_id then
        set(self, record, "interrupted")
      elseif record.status ~= "waiting" and record.status ~= "unknown" then
        record.reserved = false
        set(self, record, "waiting")
      end
    end
  end
  for _, fiber in pairs(self.making) do
    if not fiber:done() then fiber:cancel() end
  end
  self.thumbnails:close()
  if self.finishing and not self.finishing:done() then self.finishing:cancel() end
end

---Fetches a scene's clip once more, because it can't be decoded; who asks second waits for the first. Submits nothing.
---@param record omni.RunRecord
---@return true|nil
---@return omni.Error|nil err
function Run_methods:fetch_again(record)
  local key = "again " .. record.scene
  self.making[key] = self.making[key] or loop.spawn(shooting.fetch_again, self, record)
  return self.making[key]:join()
end

---@class omni.RunSummary
---@field title? string
---@field credits number       the sum of what the tasks of this run reported
---@field interrupted boolean  and so some scene wasn't shot to its end
---@field film? { path: string, seconds: number, made: boolean }  made: false when it was there already
---@field film_error? omni.Error
---@field report? string       its path
---@field scenes { scene: string, index: integer, action: string, status: string, task_id?: string, estimate?: number,
---  credits?: number, file?: string, files?: string[], warnings?: string[], error?: omni.Error }[]  warnings: in what its clip isn't
---  what was asked for

-- Waits for every scene. Answers the first bug, if any: what isn't an error value of a cancelled fiber.
local function join_scenes(run)
  local bug
  for _, record in ipairs(run.records) do
    local fine, problem = true, nil
    if record.fiber then fine, problem = pcall(record.fiber.join, record.fiber) end
    if not fine and not (err.is(problem) and problem.code == "cancelled") then
      bug = bug or problem
      run:interrupt()
    end
  end
  return bug
end

local function summarize(run)
  local summary = { title = run.plan.board.title, scenes = {}, credits = 0, interrupted = run.stopped == true }
  for index, record in ipairs(run.records) do
    if record.entry.action ~= "fetch" then summary.credits = summary.credits + (record.credits or 0) end -- else an earlier run paid
    summary.scenes[index] = {
      scene = record.scene, index = index, action = record.entry.action, status = record.status, task_id = record.task_id,
      estimate = record.estimate, credits = record.credits, file = record.file, files = record.files, error = record.error,
    }
  end
  return summary
end

-- The film and the report; a fiber of its own, so that it can be interrupted.
local function complete(run, summary)
  run.finishing = loop.spawn(finish.finish, run, summary)
  local fine, problem = pcall(run.finishing.join, run.finishing)
  if fine then return end
  if not (err.is(problem) and problem.code == "cancelled") then error(problem, 0) end
  summary.interrupted = true
end

---Waits until all is done (or interrupted).
---@return omni.RunSummary
function Run_methods:join()
  local bug = join_scenes(self)
  if bug then error(bug, 0) end
  local summary = summarize(self)
  if not self.stopped then complete(self, summary) end
  if not summary.interrupted then self.ledger:note("end_redo", { board = self.plan.board_key }) end
  return summary
end

Run_mt.__close = function(run) run:interrupt() end

local usual_jobs <const> = 4

-- As many scenes as the keys may have in flight together, when each has a limit.
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
---@field directory omni.Directory        from omni.storyboard.directory
---@field jobs? integer                   scenes in flight at most (the sum of the keys' limits when each has one, else 4)
---@field budget? number                  credits that this run may spend at most
---@field fail_fast? boolean              submit nothing more once a scene has failed
---@field on_event? fun(event: table)     told of each change of a scene's status, and of the film
---@field interrupted? fun(): boolean     asked before each submit; true stops the run

---Starts carrying out a plan. Whoever calls this has consent to spend what the plan says.
---@param plan omni.Plan
---@param given omni.RunSettings
---@return omni.Run  `run:join()`, `run:interrupt()`
local function start(plan, given)
  local jobs = given.jobs or jobs_of(given.client)
  local run = setmetatable({
    plan = plan, client = given.client, records = {}, by_name = {}, directory = given.directory, budget = given.budget,
    fail_fast = given.fail_fast, on_event = given.on_event, interrupted = given.interrupted, free = jobs, line = {}, making = {},
    remembered = {}, thumbnails = thumbnails.new(),
  }, Run_mt)
  run.ledger = plan.ledger
  if given.client.is_sandbox then run.ledger:note("expire_other_sandboxes", { account_prefix = given.client.service .. " " }) end
  local stems = names.stems(plan.board.scenes, plan.scenes)
  for index, entry in ipairs(plan.scenes) do
    if entry.redo and entry.pays then run.ledger:note("begin_redo", { board = plan.board_key, base = entry.base }) end
    local record = {
      scene = entry.scene, index = index, status = "waiting", entry = entry, stem = stems[index], estimate = entry.credits,
      stop = {},
    }
    run.records[index], run.by_name[entry.scene] = record, record
    record.selected = entry.selected or entry.action == "reuse"
  end
  for _, order in ipairs { "paid", "any" } do -- what is paid for already comes first
    for _, index in ipairs(plan.board.order) do
      local record = run.records[index]
      if record.selected and not record.fiber and (order == "any" or shooting.is_paid(record.entry)) then
        record.fiber = loop.spawn(shooting.shoot, run, record)
      end
    end
  end
  return run
end

local known = {
  client = "any", directory = "path", jobs = "count", budget = "number", yes = "boolean", only = "table", redo = "table",
  resubmit = "table", fail_fast = "boolean", on_event = "function", interrupted = "function", on_wait = "function",
  before_plan = "function", on_retry = "function", on_plan = "function", on_start = "function",
}

---Why a plan may not be carried out, or nil.
---@param plan omni.Plan
---@param budget? number  credits
---@return omni.Error|nil
local function refusal(plan, budget)
  local function refuse(code, message, hint)
    return err.new { code = code, message = "nothing was submitted: " .. message, hint = hint }
  end
  for _, entry in ipairs(plan.scenes) do
    if entry.selected and entry.action == "invalid" then
      return refuse(entry.error.code, ('scene "%s": %s'):format(entry.scene, entry.error.message), entry.error.hint)
    end
  end
  if plan.unavailable then return refuse(plan.unavailable.code, plan.unavailable.message, plan.unavailable.hint) end
  local of_board = plan.board.budget
  if (budget or of_board) and not plan.complete then
    return refuse("price_unknown", ("there is a budget, but not every price is known%s")
      :format(plan.error and " (" .. plan.error.message .. ")" or ""), "run it without a budget to go on all the same")
  elseif budget and plan.credits > budget + 1e-9 then
    return refuse("over_budget", core.format("the plan costs about %.14g credits, the budget is %.14g", plan.credits, budget),
      "raise the budget, or make the film cheaper (shorter scenes, a lower resolution)")
  elseif of_board and plan.credits > 0 and plan.spent + plan.credits > of_board + 1e-9 then
    return refuse("over_budget", core.format("the plan costs about %.14g credits, %.14g are spent, and the board's budget is %.14g",
      plan.credits, plan.spent, of_board), "raise the board's budget, or make the film cheaper")
  elseif plan.balance and plan.credits > plan.balance then
    return refuse("insufficient_credits", core.format("the plan costs about %.14g credits; the account has %.14g",
      plan.credits, plan.balance), core.codes[402].hint)
  end
end

-- Nobody has agreed to what the plan costs.
local function no_consent(plan)
  local cost = plan.complete and core.format("about %.14g credits", plan.credits) or "an unknown price"
  return err.new { code = "no_consent", hint = "give a budget, or yes = true",
    message = ("nothing was submitted: the plan costs %s, and nobody said yes"):format(cost) }
end

-- Shows the plan to the caller. Returns why it may not be carried out, or nil.
local function consent(plan, given)
  local problem = refusal(plan, given.budget)
  local yes, reason
  if given.on_plan then yes, reason = given.on_plan(plan, problem) end
  if problem then return problem end
  if yes == false then return reason or no_consent(plan) end
  local agreed = yes or given.yes or given.budget or plan.board.budget or given.client.is_sandbox
  if plan.submits > 0 and not agreed then return no_consent(plan) end
end

---Makes a board's film: plans, and carries the plan out. Spends credits only with consent: a `budget` (or the board's own), `yes`, or
---an `on_plan` that returns true. A scene that fails stops only those that build on it, unless `fail_fast` is set.
---@param board omni.Storyboard
---@param given omni.RunOptions
---@return omni.RunSummary|nil summary
---@return omni.Error|nil err  codes: no_consent, over_budget, price_unknown, insufficient_credits, io, ledger_failed, ...
local function run_board(board, given)
  options.check(given, known, "omni.run_storyboard")
  local budget = given and given.budget or 0
  if budget ~= budget or budget < 0 then error("omni.run_storyboard: option 'budget' must be a number, 0 or more", 2) end
  if not given or not given.client then error("omni.run_storyboard: option 'client' is missing", 2) end
  if not given.directory or given.directory == "" then error("omni.run_storyboard: option 'directory' is missing", 2) end
  loop.in_fiber "omni.run_storyboard"
  return loop.drive(function()
    local directory <close>, problem = directories.open(given.directory, given.on_wait)
    if not directory then return nil, problem end
    local ledger
    ledger, problem = given.client:board_ledger(given.directory)
    if not ledger then return nil, problem end
    callbacks.settle_heard(given.client, ledger)
    problem = given.before_plan and given.before_plan()
    if problem then return nil, problem end
    local plan
    plan, problem = plans.make(board, {
      client = given.client, directory = given.directory, only = given.only, redo = given.redo, resubmit = given.resubmit,
      on_retry = given.on_retry,
    })
    problem = problem or consent(plan, given)
    if problem then return nil, problem end
    local run <close> = start(plan, {
      client = given.client, directory = directory, jobs = given.jobs, budget = given.budget, fail_fast = given.fail_fast,
      on_event = given.on_event, interrupted = given.interrupted,
    })
    if given.on_start then given.on_start(run) end
    return run:join()
  end)
end

return { refusal = refusal, run = run_board, start = start }
