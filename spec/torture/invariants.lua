-- SPDX-License-Identifier: MIT
-- What must hold after a scenario, whatever failed in it.

local asked = require "helper.ledger"
local cjson = require "cjson"
local core = require "omni.core"

local invariants = {}

-- What an error says when memory ran out: omni's own words, Lua's, libcurl's, libc's.
local MEMORY <const> = { "not enough memory", "[Oo]ut of memory", "Cannot allocate memory", "memory shortage", "MiB of memory",
  "error in error handling" }

---Returns whether an error value says that memory ran out.
function invariants.says_memory(problem)
  local text = tostring(problem)
  for _, words in ipairs(MEMORY) do
    if text:find(words) then return true end
  end
  return false
end

---Checks the report of a child that ended by itself: the violations, an array of texts.
---@param report { hit: boolean, fine: boolean, errors: string[], memory: boolean, after: string|nil }
function invariants.of_report(report, kind)
  local found = {}
  if not report.hit and not report.fine then found[1] = "failed without a fault: " .. table.concat(report.errors, "; ") end
  if report.hit and not report.fine and #report.errors == 0 then found[#found + 1] = "failed without an error" end
  if report.hit and kind == "memory" then
    for _, text in ipairs(report.errors) do
      if not invariants.says_memory(text) then found[#found + 1] = "an error that doesn't mention memory: " .. text end
    end
  end
  if report.after then found[#found + 1] = "not usable afterwards: " .. report.after end
  for _, text in ipairs(report.broken or {}) do found[#found + 1] = text end
  return found
end

---Checks a child's charges at the service against its ledger: each charged task has a row that names it, or a row with an unknown outcome;
---and nothing is charged twice.
---@param charges { task_id: string, prompt: string }[]  of this child
---@param path string     of its ledger
---@param service string  the service's name in the ledger
---@return string[] violations
function invariants.of_charges(charges, path, service)
  local found, by_prompt = {}, {}
  if #charges == 0 then return found end
  local handle <close> = require("omni.ledger_sqlite").open(path)
  local function rows(verb, params)
    local got, failure = asked.ask(handle, verb, params)
    if not got then found[#found + 1] = "the ledger can't be read: " .. failure.message end
    return got or {}
  end
  local unknown = {}
  for _, row in ipairs(rows "open") do
    if row.state == "unknown" then
      local prompt = cjson.decode(row.input).prompt
      unknown[prompt] = (unknown[prompt] or 0) + 1
    end
  end
  for _, charge in ipairs(charges) do
    by_prompt[charge.prompt] = (by_prompt[charge.prompt] or 0) + 1
    if by_prompt[charge.prompt] == 2 then found[#found + 1] = "paid twice: " .. charge.prompt end
    local row = rows("by_task", { service = service, task_id = charge.task_id })[1]
    if row then
      if row.state == "refused" then found[#found + 1] = "charged, but refused in the ledger: " .. charge.task_id end
    elseif not unknown[charge.prompt] then
      found[#found + 1] = ("charged, but not in the ledger: %s (%s)"):format(charge.task_id, charge.prompt)
    end
  end
  return found
end

---The time for a deadline.
invariants.now = core.now

return invariants
