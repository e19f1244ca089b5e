-- SPDX-License-Identifier: MIT
-- Runs one scene of a plan until its files have been fetched.

local budget = require "omni.storyboard.run.budget"
local err = require "omni.error"
local fail_fast = require "omni.storyboard.run.fail_fast"
local files = require "omni.storyboard.run.scene_files"
local input_media = require "omni.storyboard.run.input_media"
local loop = require "omni.loop"
local thumbnails = require "omni.storyboard.run.thumbnails"
local unknown_submit = require "omni.storyboard.plan.unknown_submit"
local waits = require "omni.storyboard.run.wait"

local poll_seconds <const> = 0.5 -- seconds between two checks of a submit that another run is sending

-- Calls `on_event` with a scene's status.
local function send_status(run, record, status, problem)
  if not run.on_event then return end
  run.on_event {
    event = status, scene = record.scene, index = record.index, task_id = record.task_id, estimate = record.estimate,
    credits = record.credits, file = record.file, files = record.files, error = problem,
  }
end

-- Sets a scene's status and calls `on_event`.
local function set_status(run, record, status, problem)
  record.status, record.error = status, problem
  if status == "failed" and problem then fail_fast.stop_after(run, record, problem) end
  send_status(run, record, status, problem)
end

local function is_stopped(run)
  if not run.stopped and run.interrupted and run.interrupted() then run:interrupt() end
  return run.stopped
end

-- Stores the paths of a scene's files, puts the files into the store, and draws the clip's picture for the report.
local function add_files(run, record, brought)
  record.file, record.files = brought[1], brought
  if run.client.store then table.insert(run.storing, loop.spawn(files.put_into_store, run, brought)) end
  thumbnails.add(run, record)
end

-- --- a task that is at the service

-- Adds a hint to the error of a task that the service doesn't know. If the client uses a sandbox, marks the task as lost in the ledger,
-- since a closed sandbox's tasks cost nothing.
local function explain_lost(run, row, problem)
  if problem.code ~= "not_found" then return problem end
  if run.client.is_sandbox then
    run.ledger:note("expire", { id = row.id })
    problem.hint = "its sandbox is closed; the next sandbox run makes the scene again"
  elseif not run.client.all_keys:of(row.account) then
    problem.hint = "this task belongs to another key: run with that key"
  else
    problem.hint = ("the service accepted this task and doesn't know it now. The next run queries it again; `omni forget %d` abandons it")
      :format(row.id)
  end
  return problem
end

local gone <const> = { media_gone = true, broken_result = true, not_found = true }

-- Adds a hint to the error for a paid clip that can't be fetched now. Later runs try to fetch the clip again, and never submit the scene on
-- their own. Once the clip has expired at the service, later runs no longer query the clip's task.
local function keep_paid(run, record, problem)
  local until_ = record.planned.media_until or os.time() + 1
  if gone[problem.code] and record.planned.action == "fetch" and os.time() > until_ then
    run.ledger:note("expire", { id = record.planned.row.id })
    problem.hint = "its media has expired at the service, after about 14 days; use --redo to pay for another take"
  else
    local paid = "it is paid for: the next run fetches it again, at no cost"
    problem.hint = problem.hint and problem.hint .. "; " .. paid or paid
  end
  return problem
end

-- Waits for a task and fetches its files.
local function await_task(run, record, task)
  record.task, record.task_id = task, task.id
  set_status(run, record, "pending")
  local ended, problem = task:await {
    on_status = function(seen)
      local status = seen.status == "pending" and "pending" or "running"
      if not seen:done() and status ~= record.status then set_status(run, record, status) end
    end,
  }
  local row = record.planned.row
  if not ended and row and row.state == "success" and not run.client.is_sandbox then
    return set_status(run, record, "failed", keep_paid(run, record, problem))
  end
  if not ended then return set_status(run, record, "failed", row and explain_lost(run, row, problem) or problem) end
  record.slot:close() -- lets the next scene be submitted while this scene's files are being fetched
  if record.planned.action ~= "fetch" then record.credits = task.credits end -- a run that only fetches files pays nothing for them
  if task.status == "failed" and not (row and row.state == "success") then return set_status(run, record, "failed", task.error) end
  if task.error then return set_status(run, record, "failed", keep_paid(run, record, task.error)) end

  set_status(run, record, "fetching")
  local brought
  brought, problem = files.fetch(run, record, task)
  if not brought then return set_status(run, record, "failed", keep_paid(run, record, problem)) end
  add_files(run, record, brought)
  set_status(run, record, "fetched")
end

-- Handles a submit with an unknown outcome. If the client has a callback receiver, waits for a callback that names the task.
local function outcome_unknown(run, record, row, problem)
  set_status(run, record, "unknown", problem)
  local receiver, task = run.client.receiver, nil
  if receiver and row and row.token then
    local wait <close> = waits.begin(run.on_event, "callback", record) -- luacheck: ignore 211
    task = receiver:await_settled(run.ledger, row)
  end
  if task then await_task(run, record, task) end
end

-- Waits until another run's submit has an outcome. Returns the submit's ledger row.
local function await_other_run(run, record, row)
  local problem
  row, problem = run.ledger:settle_abandoned(row)
  if not row or row.state ~= "intended" then return row, problem end
  local wait <close> = waits.begin(run.on_event, "submit", record) -- luacheck: ignore 211
  repeat
    loop.sleep(poll_seconds)
    row, problem = run.ledger:row("row", { id = row.id })
    if row then row, problem = run.ledger:settle_abandoned(row) end
  until not row or row.state ~= "intended"
  return row, problem
end

-- Continues a submit that is already in the ledger.
local function resume(run, record, row)
  local problem
  record.planned.row = row
  if row.state == "intended" then set_status(run, record, "pending") end
  row, problem = await_other_run(run, record, row)
  if not row then return set_status(run, record, "failed", problem) end
  record.planned.row = row
  if row.state == "unknown" then
    return outcome_unknown(run, record, row, err.new {
      code = "submit_unknown", message = row.message or "the outcome of this submit is unknown",
    })
  elseif not row.task_id then
    return set_status(run, record, "failed",
      err.new { code = row.error or "already_submitted", message = row.message or "the service refused the submit of another run" })
  end
  local task
  task, problem = run.client:task(row.task_id)
  if not task then return set_status(run, record, "failed", problem) end
  task.ledger, task.row = run.ledger, row.id
  await_task(run, record, task)
end

-- --- a submit

local function about(run, record)
  local planned = record.planned
  return {
    board = run.plan.board_key, scene = planned.scene, identity = planned.identity, base = planned.base, take = planned.take,
    form = planned.form, estimate = record.estimate, budget = run.plan.board.budget, instead_of = planned.instead_of, ledger = run.ledger,
  }
end

local function submit_scene(run, record, input)
  local planned = record.planned
  if planned.retire then -- its sandbox is closed
    local _, problem = run.ledger:ask("expire", { id = planned.retire })
    if problem then return nil, problem end
  end
  set_status(run, record, "submitting")
  return run.client:submit(input, { model = planned.model, about = about(run, record), stop = record.stop })
end

-- Prepares a scene's input, checks the budget, submits the scene and returns the task. Returns nothing if the run was stopped. After a
-- failure, returns nil, an error, and whether the budget forbids the submit.
local function make_task(run, record, again)
  local input, problem, cached = input_media.prepare(run, run.plan.board.scenes[record.index])
  if not input then return nil, problem end
  local refused = not again and budget.reserve(run, record, input)
  if is_stopped(run) then return nil end
  if refused then return nil, refused, true end
  local task
  task, problem = submit_scene(run, record, input)
  if task or problem.code ~= "invalid_request" or not cached or again then return task, problem end
  input_media.ignore_cache(run, problem) -- the service refused the submit, at no cost; an upload from an earlier run may have expired
  return make_task(run, record, true)
end

local function latest_row(run, record)
  local row, problem = run.ledger:row("by_identity", { identity = record.planned.identity, service = run.client.service })
  return row and unknown_submit.count_others(run.ledger, row), problem
end

local function submit_and_await(run, record)
  local task, problem, refused = make_task(run, record)
  if task then
    record.task, record.task_id = task, task.id
    if is_stopped(run) then return set_status(run, record, "interrupted") end
    return await_task(run, record, task)
  end
  if not problem then return end -- stopped
  if refused then return set_status(run, record, "refused", problem) end
  if problem.code == "submit_unknown" then
    record.planned.row = latest_row(run, record)
    return outcome_unknown(run, record, record.planned.row, problem)
  end
  record.reserved = problem.task_id ~= nil -- if there is a task id, the service accepted the submit, but the ledger couldn't record it
  record.task_id = problem.task_id
  if problem.code == "already_submitted" then
    local row = latest_row(run, record)
    if row then return resume(run, record, row) end
  end
  budget.explain(run, record, problem)
  if record.stop.prevented then return set_status(run, record, "waiting") end
  set_status(run, record, problem.code == "over_budget" and "refused" or "failed", problem)
end

-- --- the whole scene

local function is_there(record) return record.files ~= nil end

---Returns whether a scene is already paid for, so that the run only waits for its task or fetches its files.
---@param planned omni.PlanScene
---@return boolean
local function is_paid(planned)
  return planned.action == "resume" or planned.action == "fetch"
end

-- Gives a scene the clip of an identical scene.
local function share(run, record)
  local original = run.by_name[record.planned.duplicate_of]
  if original.fiber and not original.fiber:done() then original.fiber:join() end
  record.task_id, record.file, record.files, record.task = original.task_id, original.file, original.files, original.task
  if record.files then return set_status(run, record, "reused") end
  set_status(run, record, "blocked", err.new { code = "builds_on_missing",
    message = ('not submitted: it equals scene "%s", which is %s')
      :format(original.scene, original.status == "waiting" and "not there" or original.status) })
end

-- Waits until the scenes that a scene builds on have their files. Returns false and an error if a scene that this scene builds on fails.
local function wait_for_others(run, record)
  for _, name in ipairs(run.plan.board.scenes[record.index].builds_on) do
    local other = run.by_name[name]
    if other.fiber and not other.fiber:done() then other.fiber:join() end
    if not is_there(other) then
      return false, err.new { code = "builds_on_missing", message = ('not submitted: it builds on scene "%s", which is %s')
        :format(name, other.status == "waiting" and "not there" or other.status) }
    end
  end
  return true
end

---Fetches a scene's clip again, because the clip can't be decoded. Submits nothing. Reports the event "fetching", but doesn't change the
---scene's status, since the run's summary may be made at the same time.
---@param run omni.Run
---@param record omni.RunRecord
---@return true|nil
---@return omni.Error|nil err
local function fetch_again(run, record)
  send_status(run, record, "fetching")
  local fine, problem = files.fetch_again(run, record)
  if fine then record.status = "fetched" end
  send_status(run, record, record.status)
  return fine, problem
end

---Runs a scene until it has its files or has failed. Sends at most one submit. Runs in a fiber.
---@param run omni.Run
---@param record omni.RunRecord
local function run_scene(run, record)
  local planned = record.planned
  if planned.action == "unknown" then
    local slot <close> = run:reserve_slot(true)
    record.slot = slot
    return outcome_unknown(run, record, planned.row, err.new { code = "submit_unknown", message = planned.why })
  elseif planned.action == "invalid" then
    return set_status(run, record, "refused", planned.error)
  elseif planned.action == "reuse" then
    local brought, problem = files.bring(run, record)
    if not brought then return set_status(run, record, "failed", problem) end
    add_files(run, record, brought)
    return set_status(run, record, "reused")
  end
  if planned.action == "expired" then
    return set_status(run, record, "failed", err.new { code = "media_gone", task_id = planned.task_id, message = planned.why,
      hint = "its clip is paid for and lost; use --redo to pay for another take" })
  end
  if planned.duplicate_of then return share(run, record) end
  if planned.blocked then
    return set_status(run, record, "blocked", err.new { code = "builds_on_missing",
      message = "not submitted: it builds on missing scenes: " .. table.concat(planned.waits_for, ", ") })
  end
  if planned.action == "fetch" and run.client.store then
    set_status(run, record, "fetching")
    local brought = files.from_store(run, record)
    if brought then
      add_files(run, record, brought)
      return set_status(run, record, "fetched")
    end
  end
  local resumed = is_paid(planned)
  if not resumed then
    local fine, problem = wait_for_others(run, record)
    if not fine then return set_status(run, record, "blocked", problem) end
  end
  local slot <close> = run:reserve_slot(resumed)
  record.slot = slot
  if is_stopped(run) then return end
  if resumed then return resume(run, record, planned.row) end
  submit_and_await(run, record)
end

return { fetch_again = fetch_again, is_paid = is_paid, is_stopped = is_stopped, run = run_scene, set_status = set_status }
