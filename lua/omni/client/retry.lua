-- SPDX-License-Identifier: MIT
-- How often something is tried, and calls that are about no task: with a key that may be used, repeated as far as they may be.

local core = require "omni.core"
local err = require "omni.error"
local exchange = require "omni.http.exchange"
local governor = require "omni.http.rate_limiter"
local loop = require "omni.loop"

---@class omni.Tries
---@field since number    monotonic seconds
---@field count integer   that failed

---@return omni.Tries
local function begin()
  return { since = core.now(), count = 0 }
end

---After a failed try: whether there may be another one, after waiting where nobody else makes us wait. For `retry_for` seconds in all;
---where the service asks to wait the governor does so, for `pause_for` seconds.
---@param client omni.Client  or a view of it
---@param tries omni.Tries
---@param failure table
---@return boolean
local function may_retry(client, tries, failure)
  tries.count = tries.count + 1
  local wait = client:pause_after(failure, tries.count)
  if not wait then return false end
  if governor.is_paced(failure) then return core.now() + client.keyring:paused() < tries.since + client.pause_for end
  if core.now() + wait > tries.since + client.retry_for then return false end
  loop.sleep(wait)
  return true
end

---A failure as an error: without what only its tries were told.
---@param failure table
---@return omni.Error
local function final(failure)
  failure.retry, failure.given_up, failure.no_room = nil, nil, nil
  return err.new(failure)
end

---Tries until it works, or until it is of no use.
---@generic T
---@param client omni.Client
---@param try fun(): T|nil, table|nil  a value, or nil and a failure
---@return T|nil
---@return omni.Error|nil
local function persist(client, try)
  local tries = begin()
  while true do
    local value, failure = try()
    if not failure then return value end
    if not may_retry(client, tries, failure) or client.given_up() then return nil, final(failure) end
  end
end

-- One try; a key that is refused is set aside, if there are others.
local function try(client, method, path, body, repeatable)
  while true do
    local key, none = client.keyring:any()
    if not key then return nil, none end
    local value, failure = exchange.perform(key, nil, nil, "call", method, path, body)
    if not failure then return value end
    if not err.refuses_key(failure) or #client.keyring == 1 then
      if not repeatable then failure.retry = false end
      return nil, failure
    end
    key:set_aside(failure)
  end
end

---A call of the API. In a fiber.
---@param client omni.Client
---@param method string
---@param path string
---@param body? string        JSON
---@param repeatable boolean  it may be tried again though it may have been sent
---@return any data
---@return omni.Error|nil
local function call(client, method, path, body, repeatable)
  return persist(client, function() return try(client, method, path, body, repeatable) end)
end

return { begin = begin, call = call, final = final, may_retry = may_retry, persist = persist }
