-- SPDX-License-Identifier: MIT
-- Formats jobs: as an event, as a line, and as a table.

local text = require "omni.cli.view.text"

local view = {}

---Returns the fields that describe a job in an event or in an event's list of jobs (json_events.lua).
---@param job omni.Job
---@return table
function view.event(job)
  return setmetatable({ spent = job.spent.credits, spent_estimated = job.spent.estimated }, { __index = job })
end

-- Returns a job's progress, such as "2 of 3 scenes", or "" if the job has no progress to show.
local function progress(job)
  if not job.scenes or job.state == "waiting" and not job.finished then return "" end
  return ("%d of %s"):format(job.finished or 0, text.count(job.scenes, "scene"))
end

---Describes a job in a line such as "job:17  running  2 of 3 scenes".
---@param job { job: string, state: string, scenes?: integer, finished?: integer }
---@return string
function view.line(job)
  local done = progress(job)
  return ("%s  %s%s"):format(job.job, job.state, done ~= "" and "  " .. done or "")
end

-- Returns a remark on a job: its worker, the film's name, or the job's error.
local function remark(job)
  local parts = {}
  if job.state == "running" then parts[1] = "on " .. (job.worker or "?") end
  if job.state == "done" then parts[1] = job.film or "no film" end
  if job.error then parts[#parts + 1] = text.problem(job.error) end
  return table.concat(parts, "; ")
end

---Formats jobs as a table, and returns the table's lines.
---@param jobs omni.Job[]
---@param options { columns?: integer, paint?: function }
---@return string[]
function view.table(jobs, options)
  local columns <const> = {
    { title = "JOB" }, { title = "STATE" }, { title = "BOARD" }, { title = "DONE" }, { title = "BUDGET" }, { title = "SPENT" },
    { title = "FILM", wrap = true },
  }
  local rows = {}
  for i, job in ipairs(jobs) do
    local spent = text.spent(job.spent):gsub(" credits?", "")
    rows[i] = { job.job, job.state, job.board, progress(job), job.budget, spent, remark(job) }
  end
  return require("omni.cli.view.table").lines(columns, rows, options)
end

return view
