-- SPDX-License-Identifier: MIT
-- A worker takes jobs from the ledger, one after another, and runs each job in a separate folder. The ledger, not the worker, limits what a
-- job costs, and prevents a scene from being paid for twice. All runs of a job use the same board key and the same budget in the ledger.

local core = require "omni.core"
local err = require "omni.error"
local file_list = require "omni.storyboard.job.file_list"
local jobs = require "omni.storyboard.job"
local json = require "omni.json"
local load_contained = require("omni.storyboard.language.load").load_contained
local loop = require "omni.loop"
local manifests = require "omni.storyboard.job.manifest"
local options = require "omni.options"
local paths = require "omni.file.path"
local runs = require "omni.storyboard.run"
local timeout = require "omni.loop.timeout"

local KEEP_SECONDS <const> = 1 -- seconds between two checks of whether the job still belongs to this worker
local IDLE_SECONDS <const> = 2 -- seconds between two checks for a new job
local PAUSE_SECONDS <const> = 60 -- seconds to pause after a failure that isn't the job's fault

-- The codes of errors that aren't the board's fault. After one of these errors, another worker may succeed with the same job, or the same
-- worker may succeed with it later.
local is_trouble <const> = {
  io = true, ledger_failed = true, store_failed = true, network = true, rate_limited = true, maintenance = true, server_error = true,
  timeout = true, unauthorized = true, key_disabled = true, insufficient_credits = true, no_key = true, closed = true,
  process_failed = true,
}

---@class omni.Worker
---@field package run? omni.Run
---@field package idle? omni.Fiber
local Worker_methods = {}
local Worker_mt = { __name = "omni.worker", __index = Worker_methods }

---Stops the worker. A stopped worker submits nothing more, doesn't wait for tasks in flight, and returns its job to the queue for other
---workers. Then `omni.work` returns.
function Worker_methods:stop()
  self.stopped = true
  if self.run then self.run:interrupt() end
  if self.idle and not self.idle:done() then self.idle:cancel() end
end

-- Waits for a number of seconds, or until the worker is stopped.
local function wait(self, seconds)
  if self.stopped then return end
  local idle <close> = loop.spawn(loop.sleep, seconds)
  self.idle = idle
  pcall(idle.join, idle)
end

local function report(self, job, state, problem)
  if self.on_event then self.on_event { event = "job", job = job.name, board = job.board, state = state, error = problem } end
end

-- --- one job

-- Returns a job to the queue if the job's fiber is cancelled.
local Job_mt = {
  __close = function(job)
    if not job.is_over then job.ledger:note("end_job", { id = job.id, taken_at = job.taken_at, state = "waiting" }) end
  end,
}

-- Ends a job, or returns it to the queue. Does nothing if the job no longer belongs to this worker.
local function finish(self, job, state, problem, result)
  job.is_over = true
  local message = problem and core.clean(problem.message:gsub(job.folder:gsub("%p", "%%%0") .. "/board/", ""), 1000)
  local rows, failure = self.ledger:ask("end_job", {
    id = job.id, taken_at = job.taken_at, state = state, error = problem and problem.code, message = message, finished = job.finished,
    film = result and result.film, result = result and json.canonical(result.files),
  })
  if not rows then return nil, failure end
  report(self, job, rows[1] and state or "lost", problem and err.new { code = problem.code, message = message })
  return true
end

-- Records the job's progress every second, which also renews the worker's lease. Stops the run once the job no longer belongs to this
-- worker, for example after this worker has stalled and another worker has taken over the job.
local function keep(self, job)
  while not job.is_over do
    loop.sleep(KEEP_SECONDS)
    local rows = self.ledger:ask("keep_job", { id = job.id, taken_at = job.taken_at, scenes = job.scenes, finished = job.finished })
    if rows and not rows[1] then
      job.is_lost = true
      if self.run then self.run:interrupt() end
      return
    end
  end
end

-- Counts the scenes that have their files, and passes an event to the `on_event` hook.
local function take_event(self, job, event)
  if event.event == "fetched" or event.event == "reused" then job.finished = job.finished + 1 end
  event.job = job.name
  if self.on_event then self.on_event(event) end
end

-- Puts the film, the report and the clips into the store.
local function store_result(self, job, summary)
  local out, names, seen = job.folder .. "/out", {}, {}
  local function add(path)
    local name = path and path:sub(1, #out + 1) == out .. "/" and path:sub(#out + 2)
    if name and not seen[name] then names[#names + 1], seen[name] = name, true end
    return name
  end
  local result = { film = summary.film and add(summary.film.path) }
  add(summary.report)
  for _, scene in ipairs(summary.scenes) do
    for _, path in ipairs(scene.files or {}) do add(path) end
  end
  local problem
  result.files, problem = file_list.make(self.ledger, out, names)
  if not result.files then return nil, problem end
  local fine
  fine, problem = file_list.put(self.client.store, out, result.files)
  return fine and result, problem
end

-- Returns the reason why a run's film isn't complete, or nil if the film is complete. A submit with an unknown outcome takes precedence
-- over other reasons, since only a person can settle it.
local function problem_of(summary)
  for _, status in ipairs { "unknown", "failed", "refused", "blocked", "waiting", "interrupted" } do
    for _, scene in ipairs(summary.scenes) do
      if scene.status == status then
        local problem = scene.error or { code = "film_incomplete", message = scene.status }
        return err.new { code = problem.code, message = ('scene "%s": %s'):format(scene.scene, problem.message) }
      end
    end
  end
  return summary.film_error or summary.report_error
end

-- Gets a job's files from the store into the job's folder, and loads its board.
local function prepare(self, job, row)
  local manifest, problem = manifests.read(row.manifest)
  if not manifest then return nil, problem end
  local fine
  fine, problem = file_list.get(self.ledger, self.client.store, job.folder .. "/board", manifest.files)
  if not fine then return nil, problem end
  local board
  board, problem = load_contained(job.folder .. "/board/" .. manifest.board, { client = self.client, set = manifest.set })
  if not board then return nil, problem end
  board.key, board.budget = job.name, math.min(board.budget or math.huge, row.budget)
  return board
end

-- Runs a job. Returns the run's summary, or nil and the reason why nothing was submitted.
local function make_film(self, job, row)
  local board, problem = prepare(self, job, row)
  if not board then return nil, problem end
  return runs.run(board, {
    client = self.client, directory = job.folder .. "/out", budget = row.budget, jobs = self.jobs,
    on_event = function(event) take_event(self, job, event) end,
    on_start = function(run)
      self.run = run
      if self.stopped or job.is_lost then run:interrupt() end
    end,
    interrupted = function() return self.stopped or job.is_lost end,
  })
end

-- Runs a job, and records how it ended. Returns true if the worker can take the next job immediately.
local function work_on(self, row)
  local job <close> = setmetatable({
    id = row.id, taken_at = row.taken_at, name = ("job:%d"):format(row.id), board = row.board, scenes = row.scenes, finished = 0,
    ledger = self.ledger, folder = ("%s/%d-%s"):format(self.directory, row.id, core.sha256(row.manifest):sub(1, 16)),
  }, Job_mt)
  report(self, job, "running")
  local keeper <close> = loop.spawn(keep, self, job) -- luacheck: ignore 211
  local fine, summary, problem = pcall(make_film, self, job, row)
  self.run = nil
  if not fine then
    summary, problem = nil, err.is(summary) and summary or err.new { code = "coroutine_failed", message = tostring(summary) }
  end
  if job.is_lost then
    job.is_over = true
    report(self, job, "lost")
    return true
  end
  if self.stopped and (problem or summary.interrupted) then return finish(self, job, "waiting") end
  local result
  if summary then
    problem = problem_of(summary)
    local unstored
    result, unstored = store_result(self, job, summary)
    problem = unstored or problem
  end
  if not problem then return finish(self, job, "done", nil, result) end
  if not is_trouble[problem.code] then return finish(self, job, "failed", problem, result) end
  local recorded, failure = finish(self, job, "waiting", problem)
  return nil, recorded and problem or failure
end

-- --- all jobs

-- Takes a job from the queue. Returns the job's ledger row, or nil if the queue is empty.
local function take(self)
  local rows, problem = self.ledger:ask("take_job", { service = self.client.service, worker = self.name }, function(late)
    if late and late[1] then self.ledger:note("end_job", { id = late[1].id, state = "waiting" }) end
  end)
  if not rows then return nil, problem end
  if not rows[1] then return nil end
  return self.ledger:row("job", { id = rows[1].id })
end

local function work(self)
  local problem
  self.ledger, problem = jobs.ledger_of(self.client, true)
  if not self.ledger then return nil, problem end
  local fine, why = paths.make_directories(self.directory, 448) -- 0700
  if not fine then return nil, err.new { code = "io", message = core.clean(why, 400) } end
  local checked
  checked, problem = self.client.store:check()
  if not checked then return nil, problem end
  if self.on_start then self.on_start(self) end
  while not self.stopped do
    local row, trouble = take(self)
    local went_on
    if row then went_on, trouble = work_on(self, row) end
    if trouble and self.once then return nil, trouble end
    if not row and not trouble and self.once then break end
    if not went_on then
      if trouble and self.on_event then self.on_event { event = "pause", seconds = PAUSE_SECONDS, error = trouble } end
      wait(self, trouble and PAUSE_SECONDS or IDLE_SECONDS)
    end
  end
  return true
end

-- Returns this worker's human-readable name: the host name and the process ID.
local function worker_name()
  local host <close> = io.open "/proc/sys/kernel/hostname"
  local stat <close> = io.open "/proc/self/stat"
  return ("%s, process %d"):format(core.clean(host and host:read "l" or "?", 100), stat and stat:read "n" or 0)
end

local known <const> = {
  client = "client", directory = "path", once = "boolean", jobs = "count", on_event = "function", on_start = "function",
}

---Runs jobs (`omni.submit_storyboard`) from the client's ledger, one after another, until the worker is stopped. Any number of workers can
---share a ledger and a store. If a worker dies, another worker takes over its job, waits for the tasks in flight, and fetches their clips.
---No scene is paid for twice. A job costs at most its budget, whichever workers run it. If a job fails, the worker records the error and
---takes the next job. If a failure isn't the job's fault (for example, if the network or the store can't be reached), the worker returns
---the job to the queue and pauses for a minute.
---@param given omni.WorkOptions
---@return true|nil
---@return omni.Error|nil  why the worker can't start or, with `once`, why the worker returned its job to the queue
local function run(given)
  given = options.check(given, known, "omni.work")
  for _, name in ipairs { "client", "directory" } do
    if given[name] == nil then error(("omni.work: option '%s' is missing"):format(name), 2) end
  end
  local self = setmetatable({
    client = given.client, directory = paths.absolute(given.directory), once = given.once, jobs = given.jobs, on_event = given.on_event,
    on_start = given.on_start, name = worker_name(),
  }, Worker_mt)
  return timeout.call(nil, "omni.work", work, self)
end

return { work = run }
