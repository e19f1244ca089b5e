-- SPDX-License-Identifier: MIT
-- Loses power: runs a scenario while everything that it does to its folder is recorded, then brings the folder into states that a loss of
-- power may leave (disk.lua), and continues from each. Optionally some syncs fail, too. Needs the preloaded library (`make torture`).
-- Environment: POWER_SEED, POWER_RUNS, POWER_STATES (of each run), POWER_SCENARIOS (names), POWER_JOBS.

local cjson = require "cjson"
local core = require "omni.core"
local disks = require "torture.disk"
local env = require "helper.env"
local faults = require "faults"
local lfs = require "lfs"
local omni = require "omni"
local program = require "helper.program"

for _, name in ipairs { "ledger_sqlite", "storyboard.run", "report" } do require("omni." .. name) end
require("omni.film").cut = function(given) -- ffmpeg would take most of the time
  assert(given.place(env.write(given.output .. ".part", env.read(given.clips[1].path)), given.output))
  return { path = given.output, seconds = #given.clips, copied = true, probes = {} }
end
require("omni.film").poster = function(_, path) return env.write(path, "poster"), {} end

local OMNI_CURL_SQLITE <const> = 2 | 4 | 8
local EIO <const> = -5
local DEADLINE <const> = 60 * env.slowness

-- --- the scenarios

---@class spec.PowerLoss
---@field root string    the recorded folder
---@field url string     the sandbox's
---@field key string
---@field name string    of this run, for prompts
local Run_methods = {}
local Run_mt = { __index = Run_methods }

function Run_methods:path(name) return self.root .. "/" .. name end

-- Marks intents and task ids as soon as the ledger has returned: from then on they must never be lost.
local function mark_verbs(ledger)
  local ask = ledger.ask
  function ledger.ask(self, verb, params, ...)
    local rows, problem = ask(self, verb, params, ...)
    local row = rows and rows[1]
    if row and (verb == "intend" or verb == "retry") then faults.mark("intent " .. row.id) end
    if row and verb == "accept" then faults.mark(("task %d %s"):format(row.id, params.task_id)) end
    return rows, problem
  end
  return ledger
end

function Run_methods:client()
  local client = assert(omni.client {
    base_url = self.url, api_key = self.key, ledger = self:path "state/omni/ledger.db", retry_for = 0.2, retry_min = 0.005,
    retry_max = 0.02, poll_min = 0.005, poll_max = 0.01, media_wait = 0.5,
  })
  return client, mark_verbs(assert(client:ledger()))
end

local function save(task, path)
  local saved = task:save(path)
  if saved then faults.mark(("file %s %s"):format(path, core.sha256(env.read(path)))) end
end

local scenarios = {}

-- Submits with a result and a file each.
function scenarios.submits(s)
  local client <close>, ledger = s:client()
  for i = 1, 3 do
    local task = client:submit({ prompt = s.name .. " " .. i, duration = 4 }, { tag = "t" })
    ledger:note("remember_digest", { path = "/x" .. i, stamp = ("s"):rep(3000), sha256 = "x", size = 1 })
    if task and task:await() then save(task, s:path(i .. ".mp4")) end
  end
end

-- The ledger alone: commits that wait for the disk among others that don't, and checkpoints while it is idle.
function scenarios.ledger(s)
  local ledger <close> = mark_verbs(assert(require("omni.ledger").open(s:path "state/omni/ledger.db")))
  for i = 1, s.random(3, 14) do
    for _ = 1, s.random(0, 3) do
      ledger:note("remember_digest", { path = "/x" .. s.random(1, 9), stamp = ("s"):rep(s.random(1, 9000)), sha256 = "x", size = 1 })
    end
    local rows = ledger:ask("intend", { account = "a", model = "m", input = cjson.encode { prompt = "p" .. i }, identity = "i" .. i })
    if rows and rows[1] then ledger:ask("accept", { id = rows[1].id, task_id = "task" .. i }) end
    if s.random(1, 3) == 1 then omni.sleep(0.04) end
  end
end

local function board(s)
  return omni.storyboard { title = "x", defaults = { duration = 4 }, omni.scene "a" { prompt = s.name .. " a" },
    omni.scene "b" { prompt = s.name .. " b" } }
end

-- A board's run. A later run makes what is missing, and pays for no scene again.
function scenarios.board(s)
  local client <close> = s:client()
  omni.run_storyboard(board(s), { client = client, directory = s:path "out", yes = true })
end

-- --- what must hold

local function rows_of(ledger)
  local rows, after = {}, 0
  repeat
    local page = assert(ledger:ask("all_submits", { after = after }))
    for _, row in ipairs(page) do
      rows[row.id] = row
      after = row.id
    end
  until #page == 0
  return rows
end

-- Checks that what was marked is in the ledger. Returns the prompts that were about to be sent.
local function check_rows(rows, marks)
  local prompts = {}
  for _, mark in ipairs(marks) do
    local kind, id, task_id = mark:match "^(%a+) (%d+) ?(.*)$"
    local row = rows[math.tointeger(id)]
    if kind == "intent" or kind == "task" then
      if not row then return nil, "lost: " .. mark end
      if row.state == "refused" then return nil, "refused: " .. mark end
      if kind == "task" and row.task_id ~= task_id then return nil, ("lost: %s: %s"):format(mark, cjson.encode(row)) end
      prompts[cjson.decode(row.input).prompt] = true
    end
  end
  return prompts
end

-- Checks that no prompt that was about to be sent is sent again.
local function check_paid_once(rows, prompts)
  local count = {}
  for _, row in pairs(rows) do
    local prompt = cjson.decode(row.input).prompt
    if row.state ~= "refused" then count[prompt] = (count[prompt] or 0) + 1 end
  end
  for prompt in pairs(prompts) do
    if count[prompt] ~= 1 then return nil, ("%s: %d submits"):format(prompt, count[prompt] or 0) end
  end
  return true
end

local function check_files(s, marks, whole)
  for _, mark in ipairs(marks) do
    local path, sha256 = mark:match "^file (.*) (%x+)$"
    local bytes = path and env.read(path)
    if path and not bytes then return nil, "lost: " .. mark end
    if path and core.sha256(bytes) ~= sha256 then return nil, "broken: " .. mark end
  end
  for name, sha256 in pairs(whole) do
    local bytes = env.read(s:path(name))
    if bytes and core.sha256(bytes) ~= sha256 then return nil, ("a broken file: %s, %d bytes"):format(name, #bytes) end
  end
  return true
end

-- Continues from the folder's state.
local function check(s, marks, whole)
  local fine, problem = check_files(s, marks, whole)
  if not fine then return nil, problem end
  local client <close>, ledger = s:client()
  local prompts
  prompts, problem = check_rows(rows_of(ledger), marks)
  if not prompts then return nil, problem end
  if s.scenario == "ledger" then return true end
  if s.scenario == "board" and s.random(1, 3) == 1 then
    assert(omni.run_storyboard(board(s), { client = client, directory = s:path "out", yes = true }))
  elseif s.scenario == "submits" then
    for _, row in pairs(rows_of(ledger)) do
      local name = cjson.decode(row.input).prompt:match "%d$" .. ".mp4"
      if row.task_id and s.random(1, 3) == 1 then
        local task = assert(client:task(row.task_id))
        assert(task:await())
        local saved, why = task:save(s:path(name))
        if not saved then return nil, "can't be saved afterwards: " .. tostring(why) end
        if whole[name] and core.sha256(env.read(saved)) ~= whole[name] then return nil, "saved, but broken: " .. name end
      end
    end
  end
  return check_paid_once(rows_of(ledger), prompts)
end

-- --- a run, in a child process

-- The digests of the folder's media at the end of the scenario, when they are whole.
local function digests(s, below, found)
  for name in lfs.dir(s.root .. below) do
    local path = below .. "/" .. name
    if name:find "%.mp4$" then found[path:sub(2)] = core.sha256(env.read(s.root .. path)) end
    if name ~= "." and name ~= ".." and lfs.attributes(s.root .. path, "mode") == "directory" then digests(s, path, found) end
  end
  return found
end

local function play(s, states)
  omni.on_error(function() end)
  local inode = faults.record(s.root)
  if s.fault > 0 then faults.arm("system", s.fault, s.faults, OMNI_CURL_SQLITE, EIO, s.only) end
  local fine, problem = pcall(omni.run, scenarios[s.scenario], s)
  local _, failed = faults.disarm()
  local operations = faults.recorded()
  if not fine and failed == 0 then return { problem = tostring(problem) } end
  local whole = digests(s, "", {})
  for i = 1, states do
    local disk = disks.new(s.root, inode, s.random)
    local count = (#operations == 0 or s.random(1, 4) == 1) and #operations or s.random(1, #operations)
    disk:replay(operations, count)
    disk:crash()
    local ended, good, why = pcall(omni.run, check, s, disk.marks, whole)
    if not ended or not good then
      local last = {}
      for k = math.max(1, count - 30), count do
        last[#last + 1] = table.concat(operations[k], " ", 1, 3) .. " " .. operations[k][4]:sub(1, 60):gsub("[^ -~]", ".")
      end
      return { operations = #operations, states = i, problem = ("after %d of %d operations, with %d failed calls: %s"):format(count,
        #operations, failed, tostring(ended and why or good)), last = os.getenv "POWER_VERBOSE" and last }
    end
  end
  return { operations = #operations, states = states, failed = failed }
end

-- --- the parent

local function setting(name, otherwise) return tonumber(os.getenv("POWER_" .. name) or "") or otherwise end

local function generator(seed)
  math.randomseed(seed)
  return math.random
end

-- What run number `seed` does: half of the runs have failing calls as well.
local function plan(seed, names)
  local random = generator(seed)
  local s = { scenario = names[seed % #names + 1], random = random, fault = 0, only = "", faults = 1 }
  if random(1, 2) == 1 then
    s.fault, s.faults = random(1, 20), random(1, 3)
    s.only = random(1, 2) == 1 and "sync" or ""
    if s.only == "" then s.fault = random(1, 300) end
  end
  return setmetatable(s, Run_mt)
end

local function main()
  local first, runs, states, jobs = setting("SEED", 1), setting("RUNS", 100), setting("STATES", 20), setting("JOBS", 2)
  local names, began = {}, core.now()
  for name in (os.getenv "POWER_SCENARIOS" or "ledger submits board"):gmatch "%a+" do names[#names + 1] = name end
  local folder <close> = env.directory()
  local service = program.service { "--credits", "1000000000", "--seconds", "0", "--clips", "builtin" }
  local running, seed, broken, tried, operations = {}, first, 0, 0, 0
  local function start()
    local s = plan(seed, names)
    s.root, s.name, s.url, s.key = folder:file("s" .. seed), "power" .. seed, service.url, service.key
    assert(lfs.mkdir(s.root))
    local pid, fd = faults.fork()
    if pid == 0 then faults.exit(cjson.encode(play(s, states))) end
    running[#running + 1] = { pid, fd, deadline = core.now() + DEADLINE, seed = seed, s = s }
    seed = seed + 1
  end
  local function finish(index, text, how, code)
    local child = table.remove(running, index)
    local fine, report = pcall(cjson.decode, text)
    if how ~= "exit" or code ~= 0 or not fine then report = { problem = ("%s %d\n%s"):format(how, code, text) } end
    tried, operations = tried + (report.states or 0), operations + (report.operations or 0)
    env.remove(child.s.root)
    if not report.problem then return end
    broken = broken + 1
    io.write(("BROKEN %s, seed %d: %s\n"):format(child.s.scenario, child.seed, report.problem))
    for _, line in ipairs(report.last or {}) do io.write("  ", line, "\n") end
  end
  while seed < first + runs or #running > 0 do
    while #running < jobs and seed < first + runs do start() end
    finish(faults.wait(running, core.now()))
  end
  service.stop()
  io.write(("power loss: %d runs with %d operations, %d states, %d broken, %.0f s\n"):format(runs, operations, tried, broken,
    core.now() - began))
  os.exit(broken == 0 and tried > 0)
end

main()
