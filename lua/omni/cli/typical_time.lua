-- SPDX-License-Identifier: MIT
-- Reads from the ledger how long tasks typically take; views show this beside the elapsed time.

local function simple(value)
  return (type(value) == "number" or type(value) == "string") and value or nil
end

---Returns the median duration of the successful tasks with this model, duration and resolution; nil if there are fewer than three such
---tasks. Waits.
---@param ledger omni.Ledger
---@param model string
---@param input table
---@return number|nil seconds
return function(ledger, model, input)
  local rows = ledger:ask("durations", { model = model, duration = simple(input.duration), resolution = simple(input.resolution) }) or {}
  return #rows >= 3 and rows[(#rows + 1) // 2].took or nil
end
