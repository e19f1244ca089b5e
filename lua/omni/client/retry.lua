-- SPDX-License-Identifier: MIT
-- Retries failed calls: decides whether omni may retry a call, and for how long.

local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"
local rate_limiter = require "omni.http.rate_limiter"

---@class omni.Tries
---@field since number    monotonic seconds of the first attempt
---@field failed integer  how many attempts have failed

---A `stop` object lets a call's owner end the call early, but only between attempts, so that no task is lost. For omni's own modules.
---@class omni.Stop
---@field requested? boolean  set by the owner: no further attempt begins
---@field sending? boolean    set by `submit`: a request may be on its way, so the fiber must not be cancelled
---@field prevented? boolean  set by `submit`: omni made no further attempt, because of `requested`
---@field row? integer        set by `submit`: the number of its row in the ledger
---@field unknown? boolean    set by `submit`: the outcome of the last attempt is unknown
---@field task_id? string     set by `submit`: the id of the task, if the service accepted the last attempt

---@return omni.Tries
local function begin()
  return { since = core.now(), failed = 0 }
end

---Waits after a failed attempt and returns true, or returns false if the call must not be tried again. Allows further attempts for the
---client's `retry_for` seconds. If the service asked for a pause (429, 455), allows further attempts for `pause_for` seconds; the rate
---limiter then delays the next attempt.
---@param client omni.Client
---@param tries omni.Tries
---@param failure table
---@param stop? omni.Stop
---@return boolean
local function may_retry(client, tries, failure, stop)
  tries.failed = tries.failed + 1
  if stop and stop.requested then
    stop.prevented = failure.retry
    return false
  end
  local wait, left = client:wait_before_retry(failure, tries.failed), client.retry_for
  if not wait then return false end
  local is_pause = rate_limiter.is_pause(failure)
  if is_pause then wait, left = client.all_keys:paused(), client.pause_for end
  if core.now() + wait > tries.since + left then return false end
  client:report_retry(failure, tries.failed, wait)
  if is_pause then return true end -- the rate limiter delays the next attempt
  loop.sleep(wait)
  if stop and stop.requested then
    stop.prevented = true
    return false
  end
  return true
end

---Retries until success, a permanent failure, or the client's time limit.
---@generic T
---@param client omni.Client
---@param try fun(...): T|nil, table|nil  returns a value, or nil and a failure
---@param ... any  the arguments of `try`
---@return T|nil
---@return omni.Error|nil
local function persist(client, try, ...)
  local since, tries = core.now(), nil
  while true do
    local value, failure = try(...)
    if not failure then return value end
    tries = tries or { since = since, failed = 0 }
    if not may_retry(client, tries, failure) then return nil, err.public(failure) end
  end
end

---Calls the API with any working key. Runs in a fiber.
---@param client omni.Client
---@param method string
---@param path string
---@param body? string        JSON
---@param repeatable boolean  whether omni may retry the call although it may have been sent
---@param into? table        gets the response's text as `answer`
---@return any data
---@return omni.Error|nil
local function call(client, method, path, body, repeatable, into)
  return persist(client, function()
    while true do
      local key, none = client.all_keys:any()
      if not key then return nil, none end
      local value, failure = key.transport:perform(into, nil, "call", method, path, body)
      if not failure then return value end
      if not err.rejects_key(failure) or #client.all_keys == 1 then
        if not repeatable then failure.retry = false end
        return nil, failure
      end
      key:disable(failure)
    end
  end)
end

return { begin = begin, call = call, may_retry = may_retry, persist = persist }
