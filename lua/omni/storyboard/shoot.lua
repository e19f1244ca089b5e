-- SPDX-License-Identifier: MIT
-- Shoots one scene of a run: its price, the budget, one submit, the wait, the files. Part of run.lua, which keeps the records.
--
-- A scene's status: waiting → submitting → pending → running → fetching → fetched; or it ends as
-- failed · refused (not submitted, by our own decision) · unknown (maybe submitted) · interrupted (goes on at the service).

local core = require "omni.core"
local err = require "omni.error"
local names = require "omni.storyboard.names"
local submit = require("omni.storyboard.submit").submit

-- A refusal of this kind would meet every other scene, too.
local ends_the_run = { unauthorized = true, insufficient_credits = true, feature_disabled = true }

-- Sets a scene's status and tells of it.
local function set(run, record, status, problem)
  record.status, record.error = status, problem
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

-- --- money

-- What the run has cost so far and may still cost through what it has submitted.
local function committed(run)
  local sum = 0
  for _, record in ipairs(run.records) do
    if record.reserved then sum = sum + (record.credits or record.estimate or 0) end
  end
  return sum
end

-- The reason why this scene is not to be submitted, or nil. Asks for its price when it isn't known yet.
local function refusal(run, record, scene)
  local problem
  if not record.estimate then
    local price
    price, problem = run.client:estimate(scene.input, { model = scene.model })
    record.estimate = price and price.credits
  end
  if run.halted then
    return err.new { code = run.halted.error.code, cause = run.halted.error,
      message = ('not submitted, because of what the service said to scene "%s"'):format(run.halted.scene) }
  end
  if not run.budget then return nil end
  if not record.estimate then
    return err.new { code = "price_unknown", cause = problem,
      message = "not submitted: there is a budget, and the price is not known"
        .. (problem and " (" .. problem.message .. ")" or "") }
  end
  local before = committed(run)
  if before + record.estimate > run.budget + 1e-9 then
    return err.new { code = "over_budget", hint = "raise the budget, or make the film cheaper",
      message = ("not submitted: it costs about %.14g credits, and %.14g of the budget of %.14g are spent or promised")
        :format(record.estimate, before, run.budget) }
  end
end

-- --- one scene

-- A file that an earlier run left is somebody's money: it steps aside instead of being replaced.
local function set_aside(path)
  if not core.stat(path) then return true end
  local stem, extension = path:match("^(.*)(%.%w+)$")
  local n = 1
  local function older() return ("%s (older %d)%s"):format(stem, n, extension) end
  while core.stat(older()) do n = n + 1 end
  return os.rename(path, older())
end

local function fetch(run, record, task)
  local files = {}
  for index, url in ipairs(task.media) do
    local stem = names.numbered(run.stems, record.stem, index)
    local path = ("%s/%s.%s"):format(run.media, stem, names.extension(url))
    if run.keep_older then
      local fine, why = set_aside(path)
      if not fine then return nil, err.new { code = "io", message = why, task_id = task.id } end
    end
    local saved, problem = task:save(path, { index = index })
    if not saved then return nil, problem end
    files[index] = saved
    record.file, record.files = files[1], files
  end
  return files
end

-- After a refusal for want of credits: what the account has.
local function with_balance(run, record, problem)
  local balance = run.client:balance()
  if balance and record.estimate then
    problem.hint = ("the scene costs about %.14g credits; the account has %.14g"):format(record.estimate, balance)
  end
  return problem
end

---From a waiting record to one that has ended. Runs in a fiber; sends at most one submit.
---@param run omni.Run
---@param worker omni.Sending  whose fiber this is
---@param record table
local function shoot(run, worker, record)
  local scene = run.board.scenes[record.index]
  local refused = refusal(run, record, scene)
  if is_stopped(run) then return end
  if refused then return set(run, record, "refused", refused) end

  record.reserved = true -- between the check of the budget and this, nothing may wait
  set(run, record, "submitting")
  local task, problem = submit(worker, run.client.submit, run.client, scene.input, { model = scene.model })
  if not task then
    if problem.code == "submit_unknown" then return set(run, record, "unknown", problem) end
    record.reserved = false
    if ends_the_run[problem.code] then
      run.halted = run.halted or { scene = record.scene, error = problem }
      if problem.code == "insufficient_credits" then problem = with_balance(run, record, problem) end
    end
    if worker.dropped then return set(run, record, "waiting") end
    return set(run, record, "failed", problem)
  end

  record.task_id = task.id
  if is_stopped(run) then return set(run, record, "interrupted") end
  set(run, record, "pending")
  local ended
  ended, problem = task:await {
    on_status = function(seen)
      local status = seen.status == "pending" and "pending" or "running"
      if seen.status ~= "success" and seen.status ~= "failed" and status ~= record.status then set(run, record, status) end
    end,
  }
  if not ended then return set(run, record, "failed", problem) end
  record.credits = task.credits
  if task.error then return set(run, record, "failed", task.error) end -- failed, or a success without media

  set(run, record, "fetching")
  local files
  files, problem = fetch(run, record, task)
  if not files then return set(run, record, "failed", problem) end
  set(run, record, "fetched")
end

return { is_stopped = is_stopped, set = set, shoot = shoot }
