-- SPDX-License-Identifier: MIT
-- Random histories of random boards. Whatever the service says, whoever kills the run, wherever the clock goes: a scene is charged at most
-- once for each time that a person requested it, omni never reports less than the service charged, and a success stays a success.
--
-- SEQUENCES (400; `make prove`: a million) histories, from SEED (1) on. A failure names its seed: SEQUENCES=1 SEED=that repeats it, with
-- TRACE=1 step by step.

local core = require "omni.core"
local env = require "helper.env"
local fickle = require "helper.fickle"
local film = require "omni.film"
local omni = require "omni"
local random = require "omni.sandbox.random"
local records = require "omni.ledger"
local test_ledger = require "helper.ledger"

local sequences = math.tointeger(tonumber(os.getenv "SEQUENCES" or env.is_slow and 50 or 400))
local first_seed = math.tointeger(tonumber(os.getenv "SEED" or 1))
local keys <const> = { "ak_" .. ("5ec2e7"):rep(5) .. "00", "ak_" .. ("abcdef"):rep(5) .. "99" }

---@class spec.History  one random history
local History_methods = {}
local History_mt = { __index = History_methods }

function History_methods:pick(list) return list[self.draw() % #list + 1] end

function History_methods:chance(one_in) return self.draw() % one_in == 0 end

local function trace(...)
  if os.getenv "TRACE" then print(("  %s"):rep(select("#", ...)):format(...)) end
end

-- All rows of the ledger, in order.
function History_methods:rows()
  local rows = {}
  while true do
    local found = assert(self.inspected:ask("find", { id = #rows + 1 }))
    if not found[1] then return rows end
    rows[#rows + 1] = found[#found] -- others have a task of that name
  end
end

-- A person's word allows one more submit of a scene.
function History_methods:allow(scene)
  self.allowed[scene] = self.allowed[scene] + 1
end

-- --- what the service does

-- Sets how the service behaves from now on.
function History_methods:set_weather(fair)
  local service = self.service
  local say = fair and "truth" or self:pick { "truth", "truth", "truth", "no media", "failed", "running", 404, 403, 500, "less" }
  local accept = fair and "accept" or self:pick { "accept", "accept", "accept", "lose", 402, 500, 429 }
  service.media = fair and 200 or self:pick { 200, 200, 200, 403, 404, 500, "<html>log in</html>", "" }
  self.stalls = say == 404 or say == 500 or say == "running" -- a wait would go on for long
  trace("weather", say, accept, service.media)
  service.lose = accept == "lose" and function() return true end or nil
  service.on_submit = math.type(accept) and function() return accept end or nil
  service.on_query = function(data, task)
    if math.type(say) then return nil, say end
    local row = self.inspected:ask("find", { task_id = task.id })[1]
    local known = row ~= nil and row.state == "success" -- only then is what it says now a lie
    if known and say == "failed" then data.status, data.result = "failed", nil end
    if known and say == "running" then data.status, data.result, data.credits = "running", nil, nil end
    if known and say == "less" then data.credits = 1 end
    if say == "no media" and task.status == "success" then data.result = nil end
    if data.status == "failed" and not known and not task.failure_told then
      task.failure_told = true
      self:allow(task.input.prompt) -- a failed scene may be submitted again by the next run
    end
  end
end

-- --- steps

local steps = {}

function History_methods:client()
  return self.service:client {
    api_key = self:pick(keys), base_url = self:pick { self.service.url, self.service.url .. "/" }, ledger = self.ledger, retry_for = 0,
  }
end

function History_methods:given(client, more)
  local given = { client = client, directory = self.directory, budget = 1e6 }
  for name, value in pairs(more or {}) do given[name] = value end
  return given
end

-- Runs the board, for so many turns of the loop at most.
function History_methods:run(more, turns)
  local client <close> = self:client()
  local fiber = omni.spawn(omni.run_storyboard, self.board, self:given(client, more))
  while turns and turns > 0 and not fiber:done() do
    omni.sleep(0)
    turns = turns - 1
  end
  if turns and not fiber:done() then fiber:cancel() end
  local fine, summary, problem = pcall(fiber.join, fiber)
  if not fine then return trace("cut off", summary) end
  if os.getenv "TRACE" then
    trace("run", problem)
    for _, scene in ipairs(summary and summary.scenes or {}) do trace(scene.scene, scene.action, scene.status, scene.error) end
  end
  return summary
end

function steps:run() self:run(nil, self.stalls and 200 or nil) end

function steps:kill() self:run(nil, self.draw() % 60) end

function steps:query()
  local task = self.service.submits[self.draw() % math.max(1, #self.service.submits) + 1]
  if not task then return end
  local client <close> = self:client()
  client:query(task.id)
end

function steps:forget()
  local rows = self:rows()
  local row = rows[self.draw() % math.max(1, #rows) + 1]
  if not row or not assert(self.inspected:ask("forget", { id = row.id }))[1] then return end
  trace("forget", row.id)
  self.forgotten[row.id] = true
  self:allow(row.scene)
end

function steps:redo()
  local scene = self:pick(self.scenes)
  self:allow(scene)
  self:run({ redo = { scene } }, self.stalls and 200 or nil)
end

function steps:resubmit()
  local scene = self:pick(self.scenes)
  for _, row in ipairs(self:rows()) do
    if row.scene == scene and row.state == "unknown" then
      self:allow(scene)
      self.forgotten[row.id] = true
    end
  end
  self:run({ resubmit = { scene } }, self.stalls and 200 or nil)
end

function steps:adopt()
  local submit = self.service.submits[self.draw() % math.max(1, #self.service.submits) + 1]
  if not submit then return end
  local client <close> = self:client()
  omni.adopt_task(self.board, { client = client, directory = self.directory, scene = submit.prompt, task_id = submit.id })
end

function steps:clock()
  local seconds = self:pick { -30, -1, 1, 30, 400 } * 86400
  trace("clock", seconds)
  self.service.ledger = self.ledger
  self.service:sql(("UPDATE submit SET intended_at = intended_at - %d, ended_at = ended_at - %d, completed_at = completed_at - %d"):format(
    seconds, seconds, seconds))
end

function steps:lose_files()
  for _, row in ipairs(self:rows()) do
    for _, file in ipairs(assert(self.inspected:ask("files", { submit = row.id }))) do
      if self:chance(2) then os.remove(file.path) end
    end
  end
end

-- --- what must hold after each step

function History_methods:check()
  local submitted, charged = {}, 0
  for _, submit in ipairs(self.service.submits) do
    submitted[submit.prompt] = (submitted[submit.prompt] or 0) + 1
    charged = charged + (self.service.tasks[submit.id].credits or 0)
  end
  for scene, count in pairs(submitted) do
    assert(count <= self.allowed[scene], ("scene %s was submitted %d times, allowed were %d"):format(scene, count, self.allowed[scene]))
  end
  local spent = 0
  for _, row in ipairs(assert(self.inspected:ask("spent", {}))) do spent = spent + row.credits + row.estimated end
  assert(spent >= charged, ("spent is %g, the service charged %g"):format(spent, charged))
  for _, row in ipairs(self:rows()) do
    local before = self.seen[row.id] or {}
    assert(not before.credits or row.credits and row.credits >= before.credits, "known credits were lost")
    if before.state == "success" or before.state == "gone" then
      assert(row.state == "success" or row.state == "gone" or self.forgotten[row.id], "a success became " .. row.state)
    end
    self.seen[row.id] = row
  end
end

local function history(service, seed, folder)
  local next_number = random.stream(seed, "history")
  local self = setmetatable({
    draw = function() return next_number() >> 1 end, service = service, ledger = test_ledger.new(("%s/%d.db"):format(folder, seed)),
    directory = ("%s/%d"):format(folder, seed), allowed = {}, forgotten = {}, seen = {}, scenes = {},
  }, History_mt)
  service.submits, service.tasks = {}, {}
  for n = 1, self.draw() % 3 + 1 do
    self.scenes[n] = ("s%d"):format(n)
    self.allowed[self.scenes[n]] = 1
  end
  self.board = fickle.board({}, table.unpack(self.scenes))
  service.on_accept = function(task)
    if self:chance(8) then task.status, task.credits = "failed", 0 end
  end
  local inspected <close> = assert(records.open(self.ledger))
  self.inspected = inspected
  self:check() -- makes the ledger
  local names = { "run", "run", "run", "kill", "query", "forget", "redo", "resubmit", "adopt", "clock", "lose_files" }
  for _ = 1, self.draw() % 6 + 2 do
    self:set_weather(false)
    local name = self:pick(names)
    trace("step", name)
    steps[name](self)
    self:check()
  end
  self:set_weather(true)
  service.on_accept = nil
  for _ = 1, 2 do
    self:run()
    self:check()
  end
  -- In fair weather nothing is left that omni could have done by itself.
  for _, scene in ipairs(self:run().scenes) do
    local status = scene.status
    assert(status == "reused" or status == "unknown" or status == "failed", ("%s ends %s"):format(scene.scene, status))
  end
  self:check()
end

describe("paid once", function()
  local poster = film.poster
  local none = { code = "process_failed", message = "no posters here" }
  setup(function() -- a poster takes ten times as long as a history
    film.poster = function() return nil, none end
  end)
  teardown(function() film.poster = poster end)

  it("holds in every history", function()
    local folder <close> = env.directory(core.stat "/dev/shm" and "/dev/shm")
    fickle.open({}, function(service)
      for seed = first_seed, first_seed + sequences - 1 do
        local fine, problem = xpcall(history, debug.traceback, service, seed, folder.path)
        if not fine then error(("seed %d: %s"):format(seed, problem), 0) end
        if seed % 50 == 0 then os.execute(("rm -rf %s/*"):format(env.quote(folder.path))) end
      end
    end)
  end)
end)
