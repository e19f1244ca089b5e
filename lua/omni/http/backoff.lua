-- SPDX-License-Identifier: MIT
-- Exponential backoff with jitter.

---Returns the number of seconds to wait before the next attempt.
---@param attempt integer           how many attempts have failed, at least 1
---@param retry_after number|nil    the seconds that the server asked for; used if they are longer than the backoff
---@param least number              seconds: the first wait
---@param most number               seconds: the longest wait that the server didn't ask for
---@param random number             from 0 to 1, so that clients that failed at the same time don't retry at the same time
---@return number
local function wait_before_retry(attempt, retry_after, least, most, random)
  local wait = math.min(least * 2 ^ math.min(attempt - 1, 30), most)
  wait = wait * (0.5 + 0.5 * random)
  return math.max(wait, retry_after and retry_after + wait * 0.1 or 0)
end

return { wait_before_retry = wait_before_retry }
