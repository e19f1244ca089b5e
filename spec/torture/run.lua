-- SPDX-License-Identifier: MIT
-- Runs scenarios with faults, each in a child process: in run N, the Nth call fails. Stops when a run meets no fault. Needs the preloaded
-- library (`make torture`). Environment: TORTURE_SCENARIOS (names), TORTURE_MODES (names), TORTURE_FROM, TORTURE_TO, TORTURE_STRIDE,
-- TORTURE_JOBS.

local cjson = require "cjson"
local core = require "omni.core"
local env = require "helper.env"
local faults = require "faults"
local invariants = require "torture.invariants"
local lfs = require "lfs"
local omni = require "omni"
local postgresql = require "helper.postgresql"
local program = require "helper.program"
local tls = require "helper.tls"

-- Modules that scenarios load when they first need them: the children share them.
for _, name in ipairs { "callbacks.receiver", "http.server", "listener", "ledger_sqlite", "sandbox", "storyboard.language",
  "storyboard.language.load", "storyboard.plan", "storyboard.run", "storyboard.run.adopt", "storyboard.run.output_lock", "report" } do
  require("omni." .. name)
end
if postgresql.is_there then require "omni.ledger_postgresql" end
local scenarios = require "torture.scenarios"

local LUA <const>, OMNI <const>, CURL <const>, SQLITE <const>, MHD <const> = 1, 2, 4, 8, 16
local C <const> = OMNI | CURL | SQLITE | MHD

---@class spec.torture.Mode
---@field kind "memory"|"system"
---@field calls integer    how many calls in a row fail
---@field targets integer  the modules whose calls fail
---@field variant? integer which error a system call fails with; negative: that error only
local modes = {
  ["c-once"] = { kind = "memory", calls = 1, targets = C },
  ["omni-once"] = { kind = "memory", calls = 1, targets = OMNI },
  ["c-more"] = { kind = "memory", calls = 10, targets = C },
  -- Lua collects garbage after a refusal, and tries once more.
  ["lua-once"] = { kind = "memory", calls = 2, targets = LUA },
  ["lua-more"] = { kind = "memory", calls = 10, targets = LUA },
  ["disk-full"] = { kind = "system", calls = math.maxinteger // 2, targets = C | LUA, variant = -28 }, -- ENOSPC
}
-- A system call fails with the first of its errors, the second, ...
for i = 1, 4 do modes["system-" .. i] = { kind = "system", calls = 1, targets = C | LUA, variant = i - 1 } end
local usual <const> = "c-once c-more lua-once lua-more system-1 system-2 system-3 system-4 disk-full"

local function setting(name, otherwise) return tonumber(os.getenv("TORTURE_" .. name) or "") or otherwise end

local jobs <const> = setting("JOBS", 4)
local DEADLINE <const> = setting("DEADLINE", 60) * env.slowness -- seconds for a child

-- --- the child

---@class spec.torture.Scenario
---@field errors any[]  errors that reached nobody
local Scenario_methods = {}
local Scenario_mt = { __index = Scenario_methods }

function Scenario_methods:file(name) return self.folder .. "/" .. name end

---A prompt that no other child uses; `part`: several of one child.
function Scenario_methods:prompt(part) return part and self.name .. " " .. part or self.name end

function Scenario_methods:new_client(more)
  local given = {
    base_url = self.url, api_key = self.key, ledger = self:file "ledger.db", retry_for = 0.2, retry_min = 0.005, retry_max = 0.02,
    pause_for = 0.2, poll_min = 0.005, poll_max = 0.01, timeout = 5, connect_timeout = 5, media_wait = 0.5,
  }
  for name, value in pairs(more or {}) do given[name] = value or nil end
  if more and more.ledger == false then given.ledger = false end
  return omni.client(given)
end

---Opens a ledger in PostgreSQL: that of all children, or a new one.
function Scenario_methods:open_database(name)
  local address = name and self.database:gsub("/[^/?]*%?", "/" .. name .. "?") or self.database
  return require("omni.ledger_postgresql").open(address .. "&connect_timeout=2")
end

function Scenario_methods:open_ledger(name) return require("omni.ledger_sqlite").open(self:file(name or "ledger.db")) end

function Scenario_methods.callback_body(id)
  return ('{"task_id":"%s","status":"success","create_at":1,"complete_at":2,"param":{"model":"m","input":{"prompt":"x"}},'
    .. '"result":{"code":200,"media_urls":["http://127.0.0.1:1/a.mp4"]}}'):format(id)
end

-- Runs one part of a scenario: its results, or false and an error.
local function run_part(scenario, part, s)
  if scenario.no_loop then return pcall(part, s) end
  return pcall(omni.run, part, s)
end

local function ask_service(s)
  if not s.client or s.client.closed then s.client = s:new_client() end
  assert(s.client:balance())
end

local function close(s)
  for _, name in ipairs { "receiver", "server", "client", "ledger" } do
    if s[name] then s[name]:close() end
  end
end

-- In the child: runs the scenario with the faults, and ends the process with a report.
local function play(scenario, mode, number, s)
  local report = { errors = {}, broken = {} }
  omni.on_error(function(problem) s.errors[#s.errors + 1] = problem end)
  if scenario.before then
    local fine, problem = run_part(scenario, scenario.before, s)
    if not fine then
      faults.exit(cjson.encode { errors = { "before: " .. tostring(problem) }, fine = false, hit = false })
    end
  end
  local targets = mode.targets & ~(scenario.no_targets or 0)
  faults.arm(mode.kind, number, mode.calls, targets, mode.variant)
  local fine, value, problem = run_part(scenario, scenario.act, s)
  local count, failed = faults.disarm()
  local name = faults.names()[number]
  report.count, report.hit, report.fine = count, failed > 0, fine and value and true or false
  if not report.fine then
    if fine then value = problem == nil and "no error: " .. tostring(value) or problem end
    report.errors[1] = tostring(type(value) == "table" and value.message or value)
    -- a board is loaded in a process of its own, which inherits the fault and counts on
    if mode.kind == "memory" and scenario.name == "board_load" and invariants.says_memory(report.errors[1]) then report.hit = true end
  end
  for _, one in ipairs(s.errors) do
    if type(one) ~= "table" or not one.event then report.errors[#report.errors + 1] = tostring(one) end
  end
  s.errors = {}
  report.name = name
  if os.getenv "TORTURE_VERBOSE" then io.stderr:write(cjson.encode(report), faults.stack(), "\n") end
  fine, problem = run_part(scenario, scenario.after or ask_service, s)
  report.broken[1] = select(3, faults.disarm())
  if not fine then report.after = tostring(problem) end
  for _, one in ipairs(s.errors) do -- the loop may report a fiber's failure only now
    if not invariants.says_memory(one) then report.after = (report.after or "") .. "; " .. tostring(one) end
  end
  fine, problem = run_part(scenario, close, s)
  if not fine then report.after = "close: " .. tostring(problem) end
  if report.hit then report.stack = faults.stack() end
  faults.exit(cjson.encode(report))
end

-- --- the parent

local function say(...) io.write(string.format(...)):flush() end

-- Prints what was wrong in a run, and the command that repeats it.
local function complain(scenario, mode_name, number, what, stack)
  say("\nBROKEN %s %s %d: %s%s\n", scenario.name, mode_name, number, what, stack or "")
  say("  make torture TORTURE_SCENARIOS=%s TORTURE_MODES=%s TORTURE_FROM=%d TORTURE_TO=%d\n", scenario.name, mode_name, number, number)
end

local torture = { modes = modes, scenarios = scenarios }

---@class spec.torture.Place
---@field folder table   env.directory
---@field service table  program.service

---Runs a scenario in a mode for each number: how many runs met a fault, and how many were broken.
---@param place spec.torture.Place
---@param range { first: integer, last: integer, stride: integer }
---@return { runs: integer, broken: integer, calls: integer, complete: boolean }
function torture.run(place, scenario, mode_name, range)
  local mode = modes[mode_name]
  local running, number, total = {}, range.first, { runs = 0, broken = 0, known = 0, calls = 0, complete = false }
  local children = {} -- those that have ended, whose charges aren't checked yet

  local function start()
    local name = ("%s.%s.%d"):format(scenario.name, mode_name, number)
    local s = setmetatable({
      folder = place.folder:file(name), name = name, url = place.service.url, key = place.service.key, errors = {}, events = {},
      certificate = place.certificate, tls_key = place.tls_key, database = place.database,
    }, Scenario_mt)
    assert(lfs.mkdir(s.folder))
    env.write(s:file "ledger.db", place.ledger)
    assert(os.execute("chmod 600 " .. env.quote(s:file "ledger.db")))
    local pid, fd = faults.fork()
    if pid == 0 then play(scenario, mode, number, s) end
    running[#running + 1] = { pid, fd, deadline = core.now() + DEADLINE, number = number, s = s }
    number = number + range.stride
  end

  local function broken(child, what, stack)
    total.broken = total.broken + 1
    if total.broken <= 5 then complain(scenario, mode_name, child.number, what, stack) end
  end

  local function finish(index, text, how, code)
    local child = table.remove(running, index)
    children[#children + 1] = child
    total.runs = total.runs + 1
    local fine, report = pcall(cjson.decode, text)
    if how == "signal" and code == 8 and text:find "^crashed at\n[^\n]*\n[^\n]*\n[^\n]*libcurl" then
      total.known = total.known + 1 -- libcurl 7.88.1 divides by 0 after it couldn't allocate a table
      return
    end
    if how ~= "exit" or code ~= 0 or not fine then return broken(child, ("%s %d\n%s"):format(how, code, text)) end
    if not report.hit then total.complete = true end
    total.calls = math.max(total.calls, report.count or 0)
    for _, violation in ipairs(invariants.of_report(report, mode.kind)) do
      broken(child, violation, (" [%s]%s"):format(report.name, report.stack))
    end
  end

  local function check_charges()
    local charges = {}
    for _, task in ipairs(place.service.ledger().tasks) do
      local name = task.input.prompt:match "^[^ ]+"
      charges[name] = charges[name] or {}
      table.insert(charges[name], { task_id = task.task_id, prompt = task.input.prompt })
    end
    for _, child in ipairs(children) do
      local path = child.s:file "ledger.db"
      if scenario.name == "submit_first" then path = child.s:file "new/folder/ledger.db" end
      if not scenario.no_ledger then
        local found = invariants.of_charges(charges[child.s.name] or {}, path, place.service.url)
        for _, violation in ipairs(found) do broken(child, violation) end
      end
      env.remove(child.s.folder)
    end
    children = {}
  end

  while number <= range.last and not total.complete or #running > 0 do
    while #running < jobs and number <= range.last and not total.complete do start() end
    finish(faults.wait(running, core.now()))
  end
  check_charges()
  return total
end

---Opens the place: a sandbox in a process of its own, a folder, a ledger to start with, a certificate.
function torture.open()
  local folder = env.directory()
  local place = { folder = folder }
  require("helper.ledger").once(folder:file "template.db")
  place.ledger = env.read(folder:file "template.db")
  place.certificate, place.tls_key = tls.certificate(folder, "one", "IP:127.0.0.1")
  place.service = program.service { "--credits", "1000000000", "--seconds", "0", "--clips", "builtin" }
  return place
end

function torture.close(place)
  place.service.stop()
  place.folder:close()
end

-- The whole, in the order of the scenarios.
local function main()
  local wanted, words = os.getenv "TORTURE_SCENARIOS" or "", os.getenv "TORTURE_MODES" or ""
  local range = { first = setting("FROM", 1), last = setting("TO", math.maxinteger), stride = setting("STRIDE", 1) }
  local runs, broken, began = 0, 0, core.now()
  for _, scenario in ipairs(scenarios) do
    local can_run = not scenario.postgresql or postgresql.is_there
    if can_run and not wanted:find "%S" or can_run and (" " .. wanted .. " "):find(" " .. scenario.name .. " ", 1, true) then
      local place = torture.open()
      if scenario.postgresql then
        place.database = postgresql.database()
        require("helper.ledger").once(place.database)
      end
      for mode_name in (words:find "%S" and words or usual):gmatch "%S+" do
        local from = core.now()
        local total = torture.run(place, scenario, mode_name, range)
        runs, broken = runs + total.runs, broken + total.broken
        say("%-24s %-9s %6d runs of %6d calls%s, %d broken%s, %.1f s\n", scenario.name, mode_name, total.runs, total.calls,
          total.complete and "" or " (not to the end)", total.broken,
          total.known > 0 and (", %d ended by libcurl's division by 0"):format(total.known) or "", core.now() - from)
      end
      torture.close(place)
    end
  end
  say("%d runs, %d broken, %.0f s\n", runs, broken, core.now() - began)
  os.exit(broken == 0 and runs > 0)
end

if arg and arg[0] and arg[0]:find "torture/run%.lua$" then main() end
return torture
