-- SPDX-License-Identifier: MIT
-- Finds submits in the ledger: by tag, by idempotency key, or all submits that haven't ended yet and don't belong to a board.

local core = require "omni.core"
local err = require "omni.error"
local json = require "omni.json"
local tasks = require "omni.client.task"

local function whole(number)
  return number and math.tointeger(number) or number
end

---Returns a handle for a ledger row's task. The handle gets its state and cost from the row. Sends nothing.
---@param client omni.Client
---@param ledger omni.Ledger
---@param row table  a row with a task_id
---@return omni.Task
local function task_of(client, ledger, row)
  local all_keys = client.all_keys
  local key = all_keys:of(row.account) or #all_keys == 1 and all_keys[1] or nil
  local task = tasks.new(client, row.task_id, key, nil, ledger, row.id)
  task.status, task.model, task.credits = row.status, row.model, whole(row.credits)
  task.created_at, task.completed_at, task.duration = row.created_at, row.completed_at, whole(row.seconds)
  if row.state == "failed" then
    task.error = err.new {
      code = row.error or "generation_failed", message = row.message or "the generation failed", task_id = row.task_id,
    }
  end
  return task
end

---Returns the error for a submit whose outcome is unknown.
---@param row table
---@return omni.Error
local function unknown_error(row)
  return err.new {
    code = "submit_unknown", sent = "maybe", row = row.id,
    message = "the outcome of this submit is unknown: " .. core.clean(row.message or "the program ended before the response arrived", 500),
    hint = ("it may have been accepted and charged; it is number %d in the ledger (omni status, omni forget)"):format(row.id),
  }
end

---Describes a submit request in the ledger.
---@class omni.LedgerEntry
---@field row integer            the number of its row
---@field state "intended"|"accepted"|"refused"|"unknown"|"success"|"failed"|"gone"|"forgotten"  see docs/internals/ledger.md
---@field task? omni.Task        a handle for the task, if the service accepted the submit; the handle hasn't been queried yet
---@field error? omni.Error      why there is no task, or why it failed; "submit_unknown" for an unknown outcome
---@field tag? string
---@field idempotency_key? string
---@field model string
---@field input table            the input that was sent; you can submit it again
---@field at number              the time of the submit, in Unix seconds
---@field credits? number        what the task cost, once it is over

local function entry_of(client, ledger, row)
  local task = row.task_id and task_of(client, ledger, row)
  local problem = task and task.error
  if row.state == "unknown" then problem = unknown_error(row) end
  if row.state == "refused" then problem = err.new { code = row.error, message = row.message, row = row.id } end
  return {
    row = row.id, state = row.state, task = task or nil, error = problem or nil, tag = row.tag, idempotency_key = row.idempotency_key,
    model = row.model, input = json.decode(row.input), at = row.intended_at, credits = whole(row.credits),
  }
end

-- Returns an iterator function. Each call of the iterator returns the next entry, nil after the last entry, or nil and an error.
local function pages(client, verb, params)
  local page, index, ledger, ended = {}, 0, nil, false
  params.after = 0
  return function()
    index = index + 1
    if not page[index] and not ended then
      local problem
      ledger, problem = client:ledger()
      if not ledger then return nil, problem end
      page, problem = ledger:ask(verb, params)
      if not page then return nil, problem end
      index, ended = 1, #page == 0
    end
    local row = page[index]
    if not row then return nil end
    params.after = row.id
    return entry_of(client, ledger, row)
  end
end

---Returns the submits that have a given tag or idempotency key, oldest first.
---@param client omni.Client
---@param wanted { tag?: string, idempotency_key?: string }  exactly one of these fields
---@return omni.LedgerEntry[]|nil
---@return omni.Error|nil
local function find(client, wanted)
  local following = pages(client, wanted.tag and "by_tag" or "by_idempotency_key",
    { tag = wanted.tag, idempotency_key = wanted.idempotency_key })
  local found = {}
  while true do
    local entry, problem = following()
    if problem then return nil, problem end
    if not entry then return found end
    found[#found + 1] = entry
  end
end

---Iterates over all unfinished submits except storyboard submits.
---@param client omni.Client
---@return fun(): omni.LedgerEntry|nil  raises an omni.Error
local function unfinished(client)
  local following = pages(client, "unfinished", { service = client.service })
  return function()
    local entry, problem = following()
    if problem then error(problem, 0) end
    return entry
  end
end

return { find = find, task_of = task_of, unfinished = unfinished, unknown_error = unknown_error }
