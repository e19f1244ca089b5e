-- SPDX-License-Identifier: MIT
-- One scene of a run: from what the plan says of it to its files.

local err = require "omni.error"
local files = require "omni.storyboard.run.scene_files"
local loop = require "omni.loop"
local materials = require "omni.storyboard.run.input_media"
local money = require "omni.storyboard.run.budget"
local thumbnails = require "omni.storyboard.run.thumbnails"

local look_every <const> = 0.5 -- seconds between two looks at a submit that another run makes

-- Sets a scene's status and tells of it.
local function set(run, record, status, problem)
  record.status, record.error = status, problem
  if status == "failed" and problem then money.heed(run, record, problem) end
  if not run.on_event then return end
  run.on_event {
    event = status, scene = record.scene, index = record.index, task_id = record.task_id, estimate = record.estimate,
    credits = record.credits, file = record.file, files = record.files, error = problem,
  }
end

local function is_stopped(run)
  if not run.stopped and run.interrupted and run.interrupted() then run:interrupt() end
  return run.stopped
end

-- The scene's files are there: its poster can be drawn.
local function have(run, record, brought)
  record.file, record.files = brought[1], brought
  thumbnails.add(run, record)
end

-- --- a task that is at the service

-- What a person can do about a task that can't be asked for. What a sandbox no longer knows ended with it, and cost nothing.
local function explain_lost(run, row, problem)
  if problem.code ~= "not_found" then return problem end
  if run.client.is_sandbox then
    run.ledger:note("expire", { id = row.id })
    problem.hint = "its sandbox is gone; the next rehearsal makes the scene again"
  elseif not run.client.all_keys:of(row.account) then
    problem.hint = "it was made with another key, and this key's account doesn't know it: run it with that key"
  else
    problem.hint = ("the service accepted this task and doesn't know it now: the next run asks again; `omni forget %d` gives it up")
      :format(row.id)
  end
  return problem
end

local gone <const> = { media_gone = true, broken_result = true, not_found = true }

-- A clip that is paid for can't be fetched. It stays to be fetched, and is never submitted again by itself; once its media has expired
-- it isn't asked for any more either.
local function stays_paid(run, record, problem)
  local until_ = record.entry.media_until or os.time() + 1
  if gone[problem.code] and record.entry.action == "fetch" and os.time() > until_ then
    run.ledger:note("expire", { id = record.entry.row.id })
    problem.hint = "its media has expired at the service, after about 14 days; only a person's word (--redo) pays for another take"
  else
    local paid = "it is paid for: the next run fetches it again, and doesn't pay for it again"
    problem.hint = problem.hint and problem.hint .. "; " .. paid or paid -- what a person can do about the failure stays
  end
  return problem
end

local function follow(run, record, task)
  record.task, record.task_id = task, task.id
  set(run, record, "pending")
  local ended, problem = task:await {
    on_status = function(seen)
      local status = seen.status == "pending" and "pending" or "running"
      if not seen:done() and status ~= record.status then set(run, record, status) end
    end,
  }
  local row = record.entry.row
  if not ended and row and row.state == "success" and not run.client.is_sandbox then
    return set(run, record, "failed", stays_paid(run, record, problem))
  end
  if not ended then return set(run, record, "failed", row and explain_lost(run, row, problem) or problem) end
  record.slot:close() -- it is over: the next one may be submitted while this one is fetched
  record.credits = task.credits
  if task.status == "failed" and not (row and row.state == "success") then return set(run, record, "failed", task.error) end
  if task.error then return set(run, record, "failed", stays_paid(run, record, task.error)) end

  set(run, record, "fetching")
  local brought
  brought, problem = files.fetch(run, record, task)
  if not brought then return set(run, record, "failed", stays_paid(run, record, problem)) end
  have(run, record, brought)
  set(run, record, "fetched")
end

-- A submit whose outcome is unknown: where callbacks are received, one may name the task yet.
local function doubt(run, record, row, problem)
  set(run, record, "unknown", problem)
  local receiver = run.client.receiver
  local task = receiver and row and row.token and receiver:await_settled(run.ledger, row)
  if task then follow(run, record, task) end
end

-- Waits until the run that submits it has an answer. Answers the row then.
local function other_run(run, row)
  while row.state == "intended" do
    loop.sleep(look_every)
    local problem
    row, problem = run.ledger:row("row", { id = row.id })
    if problem then return nil, problem end
  end
  return row
end

-- Takes up what stands in the ledger.
local function resume(run, record, row)
  local problem
  record.entry.row = row
  if row.state == "intended" then set(run, record, "pending") end
  row, problem = other_run(run, row)
  if not row then return set(run, record, "failed", problem) end
  record.entry.row = row
  if row.state == "unknown" then
    return doubt(run, record, row, err.new {
      code = "submit_unknown", message = row.message or "the outcome of this submit is unknown",
    })
  elseif not row.task_id then
    return set(run, record, "failed",
      err.new { code = row.error or "already_submitted", message = row.message or "another run was refused it" })
  end
  local task
  task, problem = run.client:task(row.task_id)
  if not task then return set(run, record, "failed", problem) end
  task.ledger, task.row = run.ledger, row.id
  follow(run, record, task)
end

-- --- a submit

local function about(run, record)
  local entry = record.entry
  return {
    board = run.plan.board_key, scene = entry.scene, identity = entry.identity, base = entry.base, take = entry.take, form = entry.form,
    estimate = record.estimate, budget = run.plan.board.budget, instead_of = entry.instead_of, ledger = run.ledger,
  }
end

local function submit_scene(run, record, input)
  local entry = record.entry
  if entry.retire then -- it ended with its sandbox
    local _, problem = run.ledger:ask("expire", { id = entry.retire })
    if problem then return nil, problem end
  end
  set(run, record, "submitting")
  return run.client:submit(input, { model = entry.model, about = about(run, record), stop = record.stop })
end

-- From the input's materials to a task; nil, and nothing where the scene has ended otherwise.
local function make_task(run, record, again)
  local input, problem, remembered = materials.prepare(run, run.plan.board.scenes[record.index])
  if not input then return nil, problem end
  local refused = not again and money.reserve(run, record, input)
  if is_stopped(run) then return nil end
  if refused then return nil, refused, true end
  local task
  task, problem = submit_scene(run, record, input)
  if task or problem.code ~= "invalid_request" or not remembered or again then return task, problem end
  materials.distrust(run, problem) -- refused, and so not charged: what was uploaded long ago may be gone
  return make_task(run, record, true)
end

local function latest_row(run, record)
  return run.ledger:row("by_identity", { identity = record.entry.identity, service = run.client.service })
end

local function shoot_new(run, record)
  local task, problem, refused = make_task(run, record)
  if task then
    record.task, record.task_id = task, task.id
    if is_stopped(run) then return set(run, record, "interrupted") end
    return follow(run, record, task)
  end
  if not problem then return end -- stopped
  if refused then return set(run, record, "refused", problem) end
  if problem.code == "submit_unknown" then
    record.entry.row = latest_row(run, record)
    return doubt(run, record, record.entry.row, problem)
  end
  record.reserved = problem.task_id ~= nil -- accepted, but not written down
  record.task_id = problem.task_id
  if problem.code == "already_submitted" then
    local row = latest_row(run, record)
    if row then return resume(run, record, row) end
  end
  money.explain(run, record, problem)
  if record.stop.prevented then return set(run, record, "waiting") end
  set(run, record, problem.code == "over_budget" and "refused" or "failed", problem)
end

-- --- the whole of it

local function is_there(record) return record.files ~= nil end

---Whether a scene is at the service already, so that the run waits for it or fetches it and pays nothing.
---@param entry omni.PlanScene
---@return boolean
local function is_paid(entry)
  return entry.action == "resume" or entry.action == "fetch"
end

-- The clip of an equal scene is this one's, too.
local function share(run, record)
  local twin = run.by_name[record.entry.twin]
  if twin.fiber and not twin.fiber:done() then twin.fiber:join() end
  record.task_id, record.file, record.files, record.task = twin.task_id, twin.file, twin.files, twin.task
  if record.files then return set(run, record, "reused") end
  set(run, record, "blocked", err.new { code = "builds_on_missing",
    message = ('it is equal to scene "%s", which is %s'):format(twin.scene, twin.status == "waiting" and "not there" or twin.status) })
end

-- Waits for what the scene builds on. False when something of it will not be there.
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

---Fetches a scene's clip once more, because it can't be decoded; once a run. Submits nothing.
---@param run omni.Run
---@param record omni.RunRecord
---@return true|nil
---@return omni.Error|nil err
local function fetch_again(run, record)
  local before = record.status
  set(run, record, "fetching")
  local fine, problem = files.fetch_again(run, record)
  set(run, record, fine and "fetched" or before)
  return fine, problem
end

---From what is planned to a record that has ended. Runs in a fiber; sends at most one submit.
---@param run omni.Run
---@param record omni.RunRecord
local function shoot(run, record)
  local entry = record.entry
  if entry.action == "unknown" then
    local slot <close> = run:take_slot(true)
    record.slot = slot
    return doubt(run, record, entry.row, err.new { code = "submit_unknown", message = entry.why })
  elseif entry.action == "invalid" then
    return set(run, record, "refused", entry.error)
  elseif entry.action == "reuse" then
    local brought, problem = files.bring(run, record)
    if not brought then return set(run, record, "failed", problem) end
    have(run, record, brought)
    return set(run, record, "reused")
  end
  if entry.action == "expired" then
    return set(run, record, "failed", err.new { code = "media_gone", task_id = entry.task_id, message = entry.why,
      hint = "it is paid for and lost; only a person's word (--redo) pays for another take" })
  end
  if entry.twin then return share(run, record) end
  if entry.blocked then
    return set(run, record, "blocked", err.new { code = "builds_on_missing",
      message = "not submitted: what it builds on isn't there: " .. table.concat(entry.waits_for, ", ") })
  end
  local resumed = is_paid(entry)
  if not resumed then
    local fine, problem = wait_for_others(run, record)
    if not fine then return set(run, record, "blocked", problem) end
  end
  local slot <close> = run:take_slot(resumed)
  record.slot = slot
  if is_stopped(run) then return end
  if resumed then return resume(run, record, entry.row) end
  shoot_new(run, record)
end

return { fetch_again = fetch_again, is_paid = is_paid, is_stopped = is_stopped, set = set, shoot = shoot }
