-- SPDX-License-Identifier: MIT
-- Queries a task's state once. A query uses the key that created the task or, if omni doesn't know which key that is, tries each key until
-- one has access to the task. A query writes the service's response into the task and into the ledger. A task's final state never changes,
-- whatever later responses contain.

local core = require "omni.core"
local err = require "omni.error"
local task_rows = require "omni.ledger.task_rows"

local MAY_BE_NEW <const> = 60 -- for this many seconds after a submit, a query of the new task may get a 404 response

-- --- the choice of the key

local function query_with(key, task)
  local state, failure = key.transport:perform(task, nil, "query", task.id)
  if state then
    task.key = key
    return true
  end
  if failure.code == "not_found" and task.submitted and core.now() - task.since < MAY_BE_NEW then failure.retry = true end
  return nil, failure
end

-- Tries each key until one has access to the task: all keys of an account can query its tasks, and a new key can query the tasks of the key
-- that it replaces.
local function query_with_each(task)
  local all_keys = task.client.all_keys
  local key, account = all_keys:owner(task)
  if key then return query_with(key, task) end
  local failure
  for _, candidate in ipairs(all_keys) do
    local found, why = query_with(candidate, task)
    if found then return true end
    local may_be_anothers = why.code == "not_found" or err.rejects_key(why)
    if not failure or failure.code == "not_found" or err.rejects_key(failure) then failure = why end
    if not may_be_anothers then break end
  end
  if account and failure.code == "not_found" then return nil, all_keys.missing(task.id, account) end
  return nil, failure
end

-- --- evaluating the response

local FINAL <const> = { success = true, failed = true }
local LASTING <const> = { "credits", "created_at", "completed_at", "duration", "media" }

-- Restores a finished task's fields from an earlier response. Takes only two values from the new response: the media URLs, whose signatures
-- the service renews, and the credits, if the new number is higher.
local function keep_final(task, known)
  local media, credits, no_media = task.media, task.credits, task.status == "success" and task.error or known.error
  for _, name in ipairs(LASTING) do task[name] = known[name] or task[name] end
  task.status, task.error = known.status, known.error
  if known.status == "success" then
    task.media = media or task.media
    task.error = not task.media and (no_media or { code = "broken_result", message = "the task succeeded, but its media are missing" })
      or nil
  end
  if credits and known.credits then task.credits = math.max(credits, known.credits) end
end

-- Treats a successful task without media as an error only after the client's `media_wait` seconds have passed.
local function wait_for_media(task)
  local patience = task.client.media_wait
  if not task.media_by then
    local is_old = task.completed_at and os.time() - task.completed_at > patience
    task.media_by = core.now() + (is_old and 0 or patience)
  end
  if core.now() < task.media_by then
    task.error = nil
  else
    task.error.hint = "it is paid for: fetch it again later, don't submit it again"
  end
end

---Queries a task once, and updates the task's fields.
---@param task omni.Task
---@return true|nil
---@return table|nil failure
local function query(task)
  local client, before, known = task.client, task.status, nil
  if FINAL[before] then
    known = { status = before, error = task.error }
    for _, name in ipairs(LASTING) do known[name] = task[name] end
  end
  local found, failure
  local key = task.key
  if key then found, failure = query_with(key, task) else found, failure = query_with_each(task) end
  if not found then return nil, failure end
  task.raw = nil -- discards what a program may have decoded from the previous response during the query
  if known then keep_final(task, known) end
  local status = task.status
  if FINAL[status] then
    if status == "success" and not task.media then wait_for_media(task) end
    if task.error then task.error = err.public(task.error, task.id) end
  end
  if status ~= before or known then task_rows.record_state(client, task) end
  if status ~= before then
    client.durations:learn(task)
    if FINAL[status] then task.key:task_over(task) end
    client:report_task(task)
  end
  return true
end

return { query = query }
