-- SPDX-License-Identifier: MIT
-- Keeps a task's row in the ledger up to date: the task's state, its cost, and its downloaded files.

local core = require "omni.core"
local digest = require "omni.file.digest"

-- Returns the ledger that contains a task's row, if any, and the parameters that identify the row. For a handle that was made from a task
-- id, returns the client's own ledger, if the ledger's file exists.
local function row_of(client, task)
  if task.ledger then return task.ledger, { id = task.row } end
  return client:existing_ledger(), { service = client.service, task_id = task.id }
end

---Records a task's state without waiting for the disk, because omni queries the state again if the record is lost. If the state isn't
---final, records it only for tasks that this program submitted or took from the ledger.
---@param client omni.Client
---@param task omni.Task
local function record_state(client, task)
  local final = task.status == "success" or task.status == "failed"
  if not final and not task.submitted and not task.row then return end
  local ledger, params = row_of(client, task)
  if not ledger then return end
  params.account, params.status = task.key.account, task.status
  if not final then return ledger:note("status", params) end
  local problem = task.status == "failed" and task.error or nil
  params.state, params.media = task.status, task.media and #task.media or 0
  params.credits, params.created_at, params.completed_at, params.seconds =
    task.credits, task.created_at, task.completed_at, task.duration
  params.error, params.message = problem and problem.code, problem and core.clean(problem.message or "", 500)
  ledger:note("finish", params)
end

---Records a downloaded file with its SHA-256 digest, and waits until the record is on disk.
---@param client omni.Client
---@param task omni.Task
---@param number integer  the index of the file among the task's media, counting from 1
---@param path string
---@return true|nil
---@return omni.Error|nil
local function record_file(client, task, number, path)
  local ledger, params = row_of(client, task)
  if not ledger then return true end
  local found, problem = digest.file(path)
  if not found then return nil, problem end
  params.number, params.path, params.sha256, params.size = number, core.real_path(path) or path, found.sha256, found.size
  local rows
  rows, problem = ledger:ask("remember_file", params)
  if rows then return true end
  problem.task_id, problem.message = task.id, ("%s was fetched, but could not be recorded in the ledger: %s"):format(path, problem.message)
  return nil, problem
end

---Returns the ledger's record of one of a task's files, if the file was fetched before.
---@param client omni.Client
---@param task omni.Task
---@param number integer
---@return { sha256: string, size: integer, path: string }|nil
local function known_file(client, task, number)
  local ledger, params = row_of(client, task)
  local id = params.id
  if ledger and not id then id = (ledger:row("by_task", params) or {}).id end
  for _, file in ipairs(id and ledger:ask("files", { submit = id }) or {}) do
    if file.number == number then return file end
  end
end

return { known_file = known_file, record_file = record_file, record_state = record_state }
