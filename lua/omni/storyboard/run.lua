-- SPDX-License-Identifier: MIT
-- Shoots a board: each scene is submitted once, waited for and fetched; a few at a time, within a budget. Prints nothing.

local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"
local names = require "omni.storyboard.names"
local options = require "omni.options"
local is_board = require("omni.storyboard").is_board
local on_its_way = require("omni.storyboard.submit").on_its_way
local shooting = require "omni.storyboard.shoot"

local is_stopped, set = shooting.is_stopped, shooting.set

local known = {
  client = "any", directory = "string", jobs = "count", budget = "number", prices = "table", keep_older = "boolean",
  on_event = "function", interrupted = "function",
}

---@class omni.Run
local Run_methods = {}
local Run_mt = { __name = "omni.run", __index = Run_methods }

local function work(run, worker)
  while not is_stopped(run) do
    local record = run.records[run.next]
    if not record then return end
    run.next = run.next + 1
    worker.record = record
    shooting.shoot(run, worker, record)
    worker.record = nil
  end
end

---Submits nothing more and stops waiting; submits on their way are heard out, as their answers hold the task ids.
function Run_methods:interrupt()
  if self.stopped then return end
  self.stopped = true
  for _, worker in ipairs(self.workers) do
    local record, fiber = worker.record, worker.fiber
    if record and fiber ~= loop.current() and not fiber:done() and not on_its_way(worker) then
      fiber:cancel()
      if record.task_id then
        set(self, record, "interrupted")
      elseif record.status == "submitting" then
        record.reserved = false
        set(self, record, "waiting")
      end
    end
  end
end

---@class omni.RunSummary
---@field title? string
---@field credits number       the sum of what the tasks reported
---@field interrupted boolean  and so some scene wasn't shot to its end
---@field scenes { scene: string, index: integer, status: string, task_id?: string, estimate?: number, credits?: number,
---  file?: string, files?: string[], error?: omni.Error }[]

---Waits until all is done (or interrupted).
---@return omni.RunSummary
function Run_methods:join()
  local bug
  for _, worker in ipairs(self.workers) do
    local fine, problem = pcall(worker.fiber.join, worker.fiber)
    if not fine and not (err.is(problem) and problem.code == "cancelled") then
      bug = bug or problem
      self:interrupt()
    end
  end
  self.lock:close()
  if bug then error(bug, 0) end
  local summary = { title = self.board.title, scenes = {}, credits = 0, interrupted = false }
  for index, record in ipairs(self.records) do
    summary.credits = summary.credits + (record.credits or 0)
    if record.status == "interrupted" or record.status == "waiting" then summary.interrupted = true end
    summary.scenes[index] = {
      scene = record.scene, index = index, status = record.status, task_id = record.task_id, estimate = record.estimate,
      credits = record.credits, file = record.file, files = record.files, error = record.error,
    }
  end
  return summary
end

Run_mt.__close = function(run) run:interrupt() end

-- Makes a directory and those above it.
local function make_directories(path)
  local parent = path:match("^(.*[^/])/+[^/]+/*$")
  if parent and not core.stat(parent) then
    local fine, why = make_directories(parent)
    if not fine then return nil, why end
  end
  return core.make_directory(path)
end

-- Whether files can be written there: to be known before anything is spent. Answers a lock that keeps every other run out, as two
-- at once would take each other's unfinished files.
local function prepare(directory)
  local fine, why = make_directories(directory)
  if not fine then return nil, why end
  local probe = directory .. "/.omni-" .. tostring({}):match("%x+$")
  local file
  file, why = io.open(probe, "wb")
  if not file then return nil, why end
  file:close()
  os.remove(probe)
  return core.lock(directory .. "/.lock")
end

---@class omni.RunOptions
---@field client omni.Client
---@field directory string                 files go to DIRECTORY/media
---@field jobs? integer                    scenes in flight at most (4)
---@field budget? number                   credits that may be spent at most
---@field prices? table<string, number>    estimates known already, by scene
---@field keep_older? boolean              rename files of an earlier run instead of replacing them (true)
---@field on_event? fun(event: table)      told of each change of a scene's status
---@field interrupted? fun(): boolean      asked before each submit; true stops the run

-- A price that was given; one that can't be is asked for.
local function usable_price(credits)
  return type(credits) == "number" and credits >= 0 and credits or nil
end

-- Raises at the level of the caller's caller.
local function check(board, given, what)
  if not is_board(board) then error(("%s: a storyboard is due, not a %s"):format(what, type(board)), 3) end
  options.check(given, known, what, 3)
  if not given or not given.directory or given.directory == "" then error(what .. ": option 'directory' is missing", 3) end
  if not given.client then error(what .. ": option 'client' is missing", 3) end
  local budget = given.budget or 0
  if budget ~= budget or budget < 0 then error(what .. ": option 'budget' must be a number, 0 or more", 3) end
end

---Starts shooting a board.
---@param board omni.Storyboard
---@param given omni.RunOptions
---@return omni.Run|nil run  `run:join()`, `run:interrupt()`
---@return omni.Error|nil    when the directory can't be used
local function start(board, given)
  check(board, given, "run.start")
  local media = given.directory .. "/media"
  local lock, why = prepare(media)
  if not lock then return nil, err.new { code = "io", message = "can't write to " .. why } end

  local run = setmetatable({
    board = board, client = given.client, media = media, budget = given.budget, on_event = given.on_event,
    interrupted = given.interrupted, keep_older = given.keep_older ~= false, records = {}, workers = {}, next = 1, lock = lock,
  }, Run_mt)
  local scenes = {}
  for index, scene in ipairs(board.scenes) do scenes[index] = scene.name end
  run.stems = names.stems(scenes)
  for index, name in ipairs(scenes) do
    run.records[index] = { scene = name, index = index, status = "waiting", stem = run.stems[index],
      estimate = given.prices and usable_price(given.prices[name]) }
  end
  for index = 1, math.min(given.jobs or 4, #scenes) do
    local worker = { is_stopped = function() return run.stopped end }
    worker.fiber = loop.spawn(work, run, worker)
    run.workers[index] = worker
  end
  return run
end

---Shoots a board; options as for `start`. A scene that fails doesn't stop the others.
---@return omni.RunSummary|nil summary, omni.Error|nil
local function run_board(board, given)
  check(board, given, "omni.run_storyboard")
  return loop.drive(function()
    local run <close>, problem = start(board, given)
    if not run then return nil, problem end
    return run:join()
  end)
end

return { run = run_board, start = start }
