-- SPDX-License-Identifier: MIT
-- Copies a whole ledger into an empty one, from a file into a database or vice versa.

local err = require "omni.error"

local PAGE <const> = 200 -- number of verbs that the copy starts before it waits for their results

local copy = {}

-- The tables other than `submit` and `file`, and the verbs that read and write them.
local small_tables <const> = {
  { name = "upload", read = "all_uploads", write = "copy_upload" },
  { name = "film", read = "all_films", write = "copy_film" },
  { name = "redo", read = "all_redos", write = "copy_redo" },
  { name = "job", read = "all_jobs", write = "copy_job" },
}

-- Runs a verb and returns its rows, or raises the verb's error.
local function ask(ledger, verb, params)
  local rows, problem = ledger:ask(verb, params)
  return rows or error(problem, 0)
end

---Calls a function for each row of a ledger, except for digests of local files, which each machine computes on its own. Reads the submits
---page by page, and after each page the files of that page's submits. Raises the ledger's error if a verb fails.
---@param ledger omni.Ledger
---@param each fun(table_name: string, row: table)
function copy.read(ledger, each)
  local after = 0
  while true do
    local submits = ask(ledger, "all_submits", { after = after })
    if #submits == 0 then break end
    for _, row in ipairs(submits) do each("submit", row) end
    local last = submits[#submits].id
    for _, row in ipairs(ask(ledger, "all_files", { after = after, last = last })) do each("file", row) end
    after = last
  end
  for _, one in ipairs(small_tables) do
    for _, row in ipairs(ask(ledger, one.read)) do each(one.name, row) end
  end
end

-- Returns whether two rows have the same values.
local function is_equal(a, b)
  for name, value in pairs(a) do
    if b[name] ~= value then return false end
  end
  for name in pairs(b) do
    if a[name] == nil then return false end
  end
  return true
end

local function are_equal(rows, others)
  if #rows ~= #others then return false end
  for i, row in ipairs(rows) do
    if not is_equal(row, others[i]) then return false end
  end
  return true
end

-- Returns whether the ledger `to` has the same submits and jobs as the ledger `from`, or nil if `to` has neither submits nor jobs.
local function has_same(from, to)
  local their_jobs, after = ask(to, "all_jobs"), 0
  while true do
    local theirs = ask(to, "all_submits", { after = after })
    if after == 0 and #theirs == 0 and #their_jobs == 0 then return nil end
    if not are_equal(theirs, ask(from, "all_submits", { after = after })) then return false end
    if #theirs == 0 then return are_equal(their_jobs, ask(from, "all_jobs")) end
    after = theirs[#theirs].id
  end
end

-- Copies all rows from one ledger to the other in a single transaction.
local function write_all(from, to)
  local writes <const> = { submit = "copy_submit", file = "copy_file" }
  for _, one in ipairs(small_tables) do writes[one.name] = one.write end
  local counts, failure, noted = { submit = 0, file = 0 }, nil, 0
  to.on_failure = function(problem) failure = failure or problem end
  local function ask_target(verb)
    local _, problem = to:ask(verb)
    if failure or problem then error(failure or problem, 0) end -- one failed verb makes every later verb of the copy fail
  end
  ask_target "begin_copy"
  copy.read(from, function(name, row)
    counts[name] = (counts[name] or 0) + 1
    to:note(writes[name], row)
    noted = noted + 1
    if noted % PAGE == 0 then ask_target "version" end -- waits for the target ledger, so that at most one page of rows is in memory
  end)
  ask_target "number_copies"
  ask_target "end_copy"
  return counts
end

-- Returns the number of a running job in the ledger, or nil if no job is running.
local function running_job(ledger)
  local after = 0
  while true do
    local jobs = ask(ledger, "jobs", { after = after })
    if #jobs == 0 then return nil end
    for _, job in ipairs(jobs) do
      if job.state == "running" then return job.id end
    end
    after = jobs[#jobs].id
  end
end

---Copies all rows of a ledger into another ledger, completely or not at all. The target ledger must either contain no submits and no jobs,
---or contain exactly the submits and jobs of the source ledger.
---@param from omni.Ledger
---@param to omni.Ledger  only for the copy; close it afterwards
---@return { submit: integer, file: integer }|nil counts  how many rows were copied; 0 if the target already contained all rows
---@return omni.Error|nil err  code "ledger_failed"
function copy.run(from, to)
  local function refuse(text) error(err.new { code = "ledger_failed", message = text }, 0) end
  local fine, result = pcall(function()
    for _, row in ipairs(ask(from, "open")) do
      if row.state == "intended" then refuse(("nothing was copied: a program is submitting with the ledger %s"):format(from.path)) end
    end
    local job = running_job(from)
    if job then refuse(("nothing was copied: a worker is running job:%d with the ledger %s"):format(job, from.path)) end
    local same = has_same(from, to)
    if same then return { submit = 0, file = 0 } end
    if same == false then refuse(("nothing was copied: the ledger %s has other submits or jobs already"):format(to.path)) end
    return write_all(from, to)
  end)
  if fine then return result end
  if err.is(result) then return nil, result end
  error(result, 0)
end

return copy
