-- SPDX-License-Identifier: MIT
-- A submit that can be stopped safely: the one on its way is heard out, a further try after a refusal is not made.
--
-- `client:submit` tries again what was refused for the moment (429, 455) or certainly not sent. Between two tries nothing is
-- on its way, so that the fiber may be cancelled then; while one is, cancelling it would lose the task id of something paid.

local core = require "omni.core"

---@class omni.Sending
---@field is_stopped fun(): boolean   asked before each further try
---@field busy? boolean               in `submit` now
---@field pauses_until? number        monotonic seconds: until then nothing is on its way
---@field dropped? boolean            a further try was due, and not made

local Busy_mt = { __close = function(busy) busy.sending.busy = false end }

---As `client:submit`, keeping `sending` up to date.
---@param sending omni.Sending
---@param method function    the client's own submit
---@param client omni.Client
---@param input table
---@param options? table
---@return omni.Task|nil, omni.Error|nil
local function submit(sending, method, client, input, options)
  local view = setmetatable({
    pause_after = function(_, failure, attempt)
      local wait = not sending.is_stopped() and client:pause_after(failure, attempt) or nil
      sending.pauses_until = wait and core.now() + wait
      sending.dropped = sending.is_stopped() and failure.retry
      return wait
    end,
  }, { __index = client })
  sending.busy, sending.pauses_until, sending.dropped = true, nil, nil
  local busy <close> = setmetatable({ sending = sending }, Busy_mt) -- luacheck: ignore 211
  local task, problem = method(view, input, options)
  if task then task.client = client end
  return task, problem
end

---Whether a submit may be on its way.
---@param sending omni.Sending
---@return boolean
local function on_its_way(sending)
  return sending.busy and not (sending.pauses_until and core.now() < sending.pauses_until) or false
end

return { on_its_way = on_its_way, submit = submit }
