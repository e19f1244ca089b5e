-- SPDX-License-Identifier: MIT
-- A submit's way to the service: to a key with room, at most once; tried again only when it was certainly not sent, or refused.

local core = require "omni.core"
local loop = require "omni.loop"

-- Whether another key may take what this one refused.
local function try_another(client, key, failure)
  if #client.keyring == 1 or not key:is_refused(failure) then return false end
  key:set_aside(failure)
  return true
end

-- Seconds until some key may be used: another one than that which was refused, perhaps.
local function shortest_pause(client)
  local least = math.huge
  for _, key in ipairs(client.keyring) do
    if not key:is_aside() then least = math.min(least, key.governor:paused()) end
  end
  return least
end

-- Of a failure that may be tried again: whether it is worth another try, after waiting where nobody else makes us wait.
local function wait(client, tries, key, failure)
  local pause = client:pause_after(failure, tries.count)
  if not pause then return false end
  if key.governor:is_paced(failure) then return core.now() + shortest_pause(client) < tries.paced_until end -- the governor makes us wait
  if core.now() + pause > tries.until_ then return false end
  loop.sleep(pause)
  return true
end

---Sends a submit.
---@param client omni.Client  or a view of it, whose `idle` is told when nothing is on its way, and whose `given_up` ends it between tries
---@param entry omni.Entry
---@return string|nil task_id
---@return table|nil failure   with `sent`
---@return table|nil room      of the task: `keep` or close it
local function send(client, entry)
  local now = core.now()
  local tries = { count = 0, until_ = now + client.retry_for, paced_until = now + client.pause_for }
  local last
  while true do
    client:idle(true)
    local room, none = client.keyring:room()
    if not room then return nil, last or none end
    local id, failure
    do
      local reserved <close> = room
      id, failure = entry:try(reserved.key, tries.paced_until - core.now())
      if id then
        reserved.kept = true -- until the caller has a task
        return id, nil, reserved
      end
      if failure.code == "submit_unknown" then reserved:doubt() end
    end
    if failure.given_up then return nil, last or failure end
    last, tries.count = failure, tries.count + 1
    if failure.no_room then -- another program has filled the key
      client:idle(true)
      client.keyring:look_again(room.key)
      loop.sleep(1)
    elseif not try_another(client, room.key, failure) then
      client:idle(true)
      if not wait(client, tries, room.key, failure) then return nil, failure end
    end
  end
end

return { send = send }
