-- SPDX-License-Identifier: MIT
-- Stops a run early after a failure that would also affect every other scene, or, with `fail_fast`, after any failure.

local err = require "omni.error"

-- The codes of failures that would also affect every other scene.
local ends_the_run = {
  unauthorized = true, key_disabled = true, insufficient_credits = true, feature_disabled = true, ledger_failed = true,
}

-- Returns whether a failure affects only one API key: the service rejects the key of the scene's task, but the client has other keys.
local function is_of_its_key(run, record, problem)
  return err.rejects_key(problem) and record.task_id ~= nil and #run.client.all_keys > 1
end

---Stops the run after a failure that would also affect every other scene, or, with `fail_fast`, after any failure.
---@param run omni.Run
---@param record omni.RunRecord
---@param problem omni.Error
local function stop_after(run, record, problem)
  if run.fail_fast or ends_the_run[problem.code] and not is_of_its_key(run, record, problem) then
    run.halted = run.halted or { scene = record.scene, error = problem }
  end
end

---Returns the error for a scene that isn't submitted because an earlier failure has stopped the run. Returns nil if the run continues.
---@param run omni.Run
---@return omni.Error|nil
local function check(run)
  if not run.halted then return nil end
  local cause = run.halted.error -- the failed scene already shows this error's message and hint
  return err.new { code = cause.code, cause = cause,
    message = ('not submitted, because scene "%s" failed'):format(run.halted.scene) }
end

return { check = check, stop_after = stop_after }
