-- SPDX-License-Identifier: MIT
-- A submit's way to the service: to a key with room, at most once; tried again only when it was certainly not sent, or refused.

local calling = require "omni.client.retry"
local core = require "omni.core"
local loop = require "omni.loop"

-- Whether another key may take what this one refused.
local function try_another(client, key, failure)
  if #client.keyring == 1 or not key.is_refused(failure) then return false end
  key:set_aside(failure)
  return true
end

---Sends a submit.
---@param client omni.Client  or a view of it, whose `idle` is told when nothing is on its way, and whose `given_up` ends it between tries
---@param entry omni.Entry
---@return string|nil task_id
---@return table|nil failure   with `sent`
---@return table|nil room      of the task: to be kept
local function send(client, entry)
  local tries, last = calling.begin(), nil
  while true do
    client:idle(true)
    local room, none = client.keyring:room(entry.records)
    if not room then return nil, last or none end
    local id, failure
    do
      local reserved <close> = room
      id, failure = entry:try(reserved.key, tries.since + client.pause_for - core.now())
      if id then
        reserved.kept = true -- until the caller has a task
        return id, nil, reserved
      end
      if failure.code == "submit_unknown" then reserved:doubt(entry.records, entry.id) end
    end
    if failure.given_up then return nil, last or failure end
    last = failure
    client:idle(true)
    if failure.no_room then -- another program has filled the key
      room.key:take_up(entry.records)
      loop.sleep(1)
    elseif not try_another(client, room.key, failure) and not calling.may_retry(client, tries, failure) then
      return nil, failure
    end
  end
end

return { send = send }
