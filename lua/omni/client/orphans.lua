-- SPDX-License-Identifier: MIT
-- Takes over orphaned tasks: unfinished tasks whose program has ended or stalled. omni awaits orphaned tasks, so that their ends are
-- recorded in the ledger, and puts their files into the client's store, if there is one. Never submits anything.

local err = require "omni.error"
local ledger_search = require "omni.client.ledger_search"
local loop = require "omni.loop"
local tasks = require "omni.client.task"

local LOOK_EVERY <const> = 15    -- seconds between two searches for orphaned tasks
local AWAIT_TIMEOUT <const> = 3600 -- timeout in seconds for awaiting a task; after a timeout, omni awaits the task again

local orphans = {}

-- Returns the rows of all orphaned tasks. Returns an empty list if the ledger fails, since the next search finds the same tasks.
local function search(client, ledger)
  local found, after = {}, 0
  repeat
    local rows = ledger:ask("orphaned", { service = client.service, after = after }) or {}
    table.move(rows, 1, #rows, #found + 1, found)
    after = #rows > 0 and rows[#rows].id or after
  until #rows == 0
  return found
end

local function take_over(client, ledger, row, on_event)
  on_event { event = "taken_over", task_id = row.task_id, scene = row.scene }
  local task = ledger_search.task_of(client, ledger, row)
  local ended, problem
  repeat
    ended, problem = task:await { timeout = AWAIT_TIMEOUT }
  until ended or problem.code ~= "timeout"
  local now = ledger:row("row", { id = row.id }) -- the ledger runs this verb after the verb that records the task's end
  if ended and now and now.state ~= "accepted" then
    on_event { event = "recorded", task_id = row.task_id, scene = row.scene, state = now.state }
    if not client.store or task.error then return end
    local stored, why = tasks.store_files(task)
    return on_event {
      event = stored and "stored" or "not_stored", task_id = row.task_id, scene = row.scene, error = why and err.public(why),
    }
  end
  on_event { event = "not_recorded", task_id = row.task_id, scene = row.scene, error = problem and err.public(problem) }
end

---@class omni.OrphanEvent
---@field event "taken_over"|"recorded"|"not_recorded"|"stored"|"not_stored"
---@field task_id string
---@field scene? string
---@field state? string
---@field error? omni.Error

---Takes over all orphaned tasks at the client's service, and continues to look for more until the fiber is cancelled.
---@param client omni.Client
---@param ledger omni.Ledger
---@param on_event fun(event: omni.OrphanEvent)  must not wait
function orphans.watch(client, ledger, on_event)
  local taken = {} -- by row id: the tasks already taken over, so that a task that can't be queried isn't taken over twice
  while true do
    for _, row in ipairs(search(client, ledger)) do
      if not taken[row.id] then
        taken[row.id] = true
        loop.background(take_over, client, ledger, row, on_event)
      end
    end
    loop.sleep(LOOK_EVERY)
  end
end

return orphans
