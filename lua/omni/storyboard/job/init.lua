-- SPDX-License-Identifier: MIT
-- Submits, lists, cancels and fetches jobs. A job is a board that is in the ledger, with its files in the store, so that a worker on any
-- machine can run it (worker.lua).

local core = require "omni.core"
local err = require "omni.error"
local file_list = require "omni.storyboard.job.file_list"
local json = require "omni.json"
local load_contained = require("omni.storyboard.language.load").load_contained
local loop = require "omni.loop"
local manifests = require "omni.storyboard.job.manifest"
local options = require "omni.options"
local paths = require "omni.file.path"
local plans = require "omni.storyboard.plan"
local refusal = require "omni.storyboard.plan.refusal"
local spent = require "omni.storyboard.plan.spent"
local timeout = require "omni.loop.timeout"

local POLL_SECONDS <const> = 1 -- seconds between two checks of whether a job has ended

---@alias omni.JobState
---| "waiting"    no worker has the job, or its worker is gone
---| "running"    a worker has the job
---| "done"       the film is in the store
---| "failed"     `error` contains the reason; omni doesn't run the job again: submit the board again to continue
---| "cancelled"  a person has cancelled the job

---@class omni.Job
---@field job string            the job's name, such as "job:17", which also identifies its board in the ledger
---@field state omni.JobState
---@field board string          the name of the board's file
---@field title? string
---@field budget number         maximum cost of the job in credits, whichever workers run it
---@field spent omni.Spent      what the job has cost so far
---@field scenes? integer       number of scenes on the board
---@field finished? integer     number of scenes that have their files
---@field worker? string        the machine and the process that run the job, or ran it last
---@field error? omni.Error     why the job failed, or why its last worker returned it to the queue
---@field film? string          the film's file name
---@field submitted_at number   Unix seconds, like the other times
---@field taken_at? number
---@field ended_at? number
---@field files? string[]       from `omni.fetch_job`: the paths of the result's files

-- Returns the number in a job's name, or nil.
local function number_of(name)
  local digits = type(name) == "string" and name:match "^job:(%d+)$"
  return digits and #digits < 16 and math.tointeger(tonumber(digits)) or nil
end

local function not_found(name)
  return nil, err.new { code = "not_found", message = ("the ledger has no %s"):format(core.clean(name, 100)), hint = "see: omni jobs" }
end

---Converts a job's ledger row to an `omni.Job`.
---@param ledger omni.Ledger
---@param row table
---@param client? omni.Client
---@return omni.Job|nil
---@return omni.Error|nil
local function from_row(ledger, row, client)
  local name = ("job:%d"):format(row.id)
  local cost, problem = spent.of_board(ledger, name, client or {})
  if not cost then return nil, problem end
  return {
    job = name, state = row.state, board = row.board, title = row.title, budget = row.budget, spent = cost, scenes = row.scenes,
    finished = row.finished, worker = row.worker, film = row.film, submitted_at = row.submitted_at, taken_at = row.taken_at,
    ended_at = row.ended_at, error = row.error and err.new { code = row.error, message = row.message or row.error } or nil,
  }
end

---Lists all jobs in a ledger, oldest first.
---@param ledger omni.Ledger
---@param client? omni.Client
---@return omni.Job[]|nil
---@return omni.Error|nil
local function list(ledger, client)
  local found, after = {}, 0
  while true do
    local rows, problem = ledger:ask("jobs", { after = after })
    if not rows then return nil, problem end
    if not rows[1] then return found end
    for _, row in ipairs(rows) do
      found[#found + 1], problem = from_row(ledger, row, client)
      if problem then return nil, problem end
    end
    after = rows[#rows].id
  end
end

---Cancels a job that hasn't ended.
---@param ledger omni.Ledger
---@param name string
---@return true|nil
---@return omni.Error|nil  codes: not_found, ledger_failed, invalid_input (the job has already ended)
local function cancel(ledger, name)
  local id = number_of(name)
  if not id then return not_found(name) end
  local rows, problem = ledger:ask("cancel_job", { id = id })
  if not rows then return nil, problem end
  if rows[1] then return true end
  local row
  row, problem = ledger:row("job", { id = id })
  if not row then
    if problem then return nil, problem end
    return not_found(name)
  end
  return nil, err.new { code = "invalid_input", field = "job", message = ("%s is over already: it is %s"):format(name, row.state) }
end

---Returns a client's ledger. Returns nil and an error if the client has no ledger, or has no store although one is needed.
---@param client omni.Client
---@param needs_store boolean
---@return omni.Ledger|nil
---@return omni.Error|nil
local function ledger_of(client, needs_store)
  local ledger, problem = client:ledger()
  if problem then return nil, problem end
  local missing = not ledger and "ledger" or needs_store and not client.store and "store"
  if not missing then return ledger end
  return nil, err.new { code = "invalid_input", field = missing, hint = ("give --%s, or in a program the client's option '%s'%s")
    :format(missing, missing, client.is_sandbox and "; a sandbox key has no default for it" or ""),
    message = ("a job needs a %s that its workers can reach, too"):format(missing) }
end

-- --- submitting

-- Plans a board that is to become a job. Returns the board's plan and, if the board can't become a job, an error.
local function check(board, given)
  board.key, board.budget = "job:0", math.min(board.budget or math.huge, given.budget) -- no real job has the name "job:0"
  local plan, problem = plans.plan(board, { client = given.client, directory = board.path:gsub("%.lua$", "") .. ".omni" })
  problem = problem or refusal(plan, given.budget) or select(2, given.client.store:check())
  if plan and given.on_plan and given.on_plan(plan, problem) == false and not problem then
    problem = err.new { code = "no_consent", message = "nothing was submitted: the plan was refused" }
  end
  return plan, problem
end

local function submit(path, given)
  local ledger, missing = ledger_of(given.client, true)
  if not ledger then return nil, missing end
  local set = given.set or {}
  local board, problem = load_contained(path, { client = given.client, set = set })
  if not board then return nil, problem end
  local plan, manifest, rows
  plan, problem = check(board, given)
  if problem then return nil, problem end
  manifest, problem = manifests.put(board, set, ledger, given.client.store)
  if not manifest then return nil, problem end
  rows, problem = ledger:ask("add_job", {
    service = given.client.service, board = paths.name(board.path), title = board.title and core.clean(board.title, 200),
    manifest = manifest, budget = given.budget, scenes = #plan.scenes,
  })
  if not rows then return nil, problem end
  local row
  row, problem = ledger:row("job", { id = rows[1].id })
  if not row then return nil, problem end
  return from_row(ledger, row, given.client)
end

local submit_options <const> = { client = "client", budget = "number", set = "table", on_plan = "function" }

-- Checks the options of a public function that needs a client.
local function checked(given, known, what)
  given = options.check(given, known, what, 3)
  if given.client == nil then error(what .. ": option 'client' is missing", 3) end
  return given
end

---Turns a board into a job: puts the board's files into the client's store, and adds a row to the client's ledger. A worker (`omni.work`,
---or the command `omni work`) on any machine can then run the board. `submit_storyboard` plans the board first, and fails if the plan costs
---more than the budget. The board can use only files in its own folder. `submit_storyboard` submits nothing to the service.
---@param path string  the path of the board's file
---@param given omni.SubmitStoryboardOptions
---@return omni.Job|nil
---@return omni.Error|nil  codes: invalid_board, over_budget, price_unknown, insufficient_credits, store_failed, ledger_failed, ...
local function submit_storyboard(path, given)
  options.path(path, "omni.submit_storyboard")
  given = checked(given, submit_options, "omni.submit_storyboard")
  local budget = given.budget
  if not budget or budget ~= budget or budget < 0 or budget == math.huge then
    error("omni.submit_storyboard: option 'budget' must be a number of credits, 0 or more", 2)
  end
  for name, value in pairs(given.set or {}) do
    if type(name) ~= "string" or type(value) ~= "string" or not utf8.len(name .. value) then
      error("omni.submit_storyboard: option 'set' must be a table of strings by name", 2)
    end
  end
  return timeout.call(nil, "omni.submit_storyboard", submit, path, given)
end

-- --- the other public functions

local function list_jobs(given)
  local ledger, missing = ledger_of(given.client, false)
  if not ledger then return nil, missing end
  return list(ledger, given.client)
end

---Lists the jobs in the client's ledger, oldest first. Sends nothing.
---@param given omni.JobOptions
---@return omni.Job[]|nil
---@return omni.Error|nil  code "ledger_failed"
local function jobs(given)
  given = checked(given, { client = "client" }, "omni.jobs")
  return timeout.call(nil, "omni.jobs", list_jobs, given)
end

local function cancel_in_fiber(name, given)
  local ledger, missing = ledger_of(given.client, false)
  if not ledger then return nil, missing end
  return cancel(ledger, name)
end

---Cancels a job. Within seconds of the cancellation, the job's worker stops the job and submits nothing more for it. The job's tasks in
---flight continue at the service and are charged. A later job with the same scenes uses the cancelled job's tasks.
---@param name string  the name of the job, such as "job:17"
---@param given omni.JobOptions
---@return true|nil
---@return omni.Error|nil  codes: not_found, ledger_failed, invalid_input (the job has already ended)
local function cancel_job(name, given)
  options.argument(name, "string", "omni.cancel_job")
  given = checked(given, { client = "client" }, "omni.cancel_job")
  return timeout.call(nil, "omni.cancel_job", cancel_in_fiber, name, given)
end

-- Waits until a job has ended. Returns the job's ledger row.
local function await(ledger, name, given)
  local id = number_of(name)
  if not id then return not_found(name) end
  local deadline = given.timeout and core.now() + given.timeout
  while true do
    local row, problem = ledger:row("job", { id = id })
    if not row then
      if problem then return nil, problem end
      return not_found(name)
    end
    if given.on_state then given.on_state(row) end
    if row.state ~= "waiting" and row.state ~= "running" then return row end
    local left = deadline and deadline - core.now() or POLL_SECONDS
    if left <= 0 then
      return nil, err.new { code = "timeout", message = ("%s isn't over: it is %s"):format(name, row.state), hint = "see: omni jobs" }
    end
    loop.sleep(math.min(left, POLL_SECONDS))
  end
end

local function fetch(name, given)
  local ledger, missing = ledger_of(given.client, true)
  if not ledger then return nil, missing end
  local row, problem = await(ledger, name, given)
  if not row then return nil, problem end
  local job
  job, problem = from_row(ledger, row, given.client)
  if not job then return nil, problem end
  local files = row.result and file_list.check(json.decode(row.result)) or {}
  local folder = paths.absolute(given.directory)
  local fine
  fine, problem = file_list.get(ledger, given.client.store, folder, files)
  if not fine then return nil, problem end
  job.files = {}
  for i, file in ipairs(files) do job.files[i] = folder .. "/" .. file.path end
  return job
end

---Waits until a job has ended, and gets its files from the store: the film, the report, and all clips. A failed job can have files, too.
---@param name string  the name of the job, such as "job:17"
---@param given omni.FetchJobOptions
---@return omni.Job|nil  the job; check its `state`
---@return omni.Error|nil  codes: not_found, timeout, store_failed, ledger_failed, io
local function fetch_job(name, given)
  options.argument(name, "string", "omni.fetch_job")
  given = checked(given, { client = "client", directory = "path", timeout = "seconds", on_state = "function" }, "omni.fetch_job")
  if given.directory == nil then error("omni.fetch_job: option 'directory' is missing", 2) end
  return timeout.call(nil, "omni.fetch_job", fetch, name, given)
end

return { cancel = cancel, cancel_job = cancel_job, fetch_job = fetch_job, jobs = jobs, ledger_of = ledger_of, list = list,
  submit_storyboard = submit_storyboard }
