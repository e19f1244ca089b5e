-- SPDX-License-Identifier: MIT
-- A submit that can be stopped safely: the one on its way is heard out, a further try after a refusal is not made.
--
-- `client:submit` waits until a key has room, and tries again what was refused for the moment (429, 455) or certainly not sent. Until
-- a try begins nothing is on its way, so that the fiber may be cancelled then; while one is, cancelling it would lose
-- the task id of something paid.

---@class omni.Sending
---@field is_stopped fun(): boolean   asked before each further try
---@field busy? boolean               in `submit` now
---@field pausing? boolean            between two tries: nothing is on its way
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
    ledger = function() return client:ledger() end, -- the client's own: what is opened belongs to it, not to this view
    pause_after = function(_, failure, attempt)
      if not sending.is_stopped() then return client:pause_after(failure, attempt) end
      sending.dropped = failure.retry
    end,
    idle = function(_, yes)
      client:idle(yes) -- `client` may be such a view itself
      sending.pausing = yes
    end,
    given_up = function() -- asked right before each try
      sending.dropped = client.given_up() or sending.is_stopped()
      return sending.dropped
    end,
  }, { __index = client })
  sending.busy, sending.pausing, sending.dropped = true, false, nil
  local busy <close> = setmetatable({ sending = sending }, Busy_mt) -- luacheck: ignore 211
  local task, problem = method(view, input, options)
  return task, problem
end

---Whether a submit may be on its way.
---@param sending omni.Sending
---@return boolean
local function on_its_way(sending)
  return sending.busy == true and not sending.pausing
end

return { on_its_way = on_its_way, submit = submit }
