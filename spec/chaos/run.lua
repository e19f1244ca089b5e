-- SPDX-License-Identifier: MIT
-- Chaos (`make chaos`): rounds in which two runs of one board and an application share a ledger, three keys and a disk, while the network,
-- the service, the disk, the clock and the programs themselves are disturbed. A disturbance comes after a number of requests, so a seed
-- gives the same disturbances in the same order. After each round a person settles what is unknown, and invariants.lua checks everything.
--
-- SECONDS is the time in which rounds begin (60), SEED the seed of the first round (1), ROUNDS the most rounds. CHAOS_JOBS is the number of
-- rounds at once (2), CHAOS_SCENES and CHAOS_ORDERS the sizes of the board (8) and of the application (12). CHAOS_LOUD=1 prints what
-- happens, CHAOS_KEEP=FOLDER keeps the files of a broken round. CHAOS_SABOTAGE is SQL that is run on each ledger before the checks, which
-- must then fail.

local asked = require "helper.ledger"
local cjson = require "cjson"
local core = require "omni.core"
local disturbances = require "chaos.disturbances"
local drawing = require "omni.sandbox.drawing"
local env = require "helper.env"
local faults = require "omni.sandbox.faults"
local invariants = require "chaos.invariants"
local omni = require "omni"
local person = require "helper.person"
local program = require "helper.program"
local proxies = require "chaos.proxy"
local random = require "omni.sandbox.random"

local function number(name, default) return math.tointeger(tonumber(os.getenv(name))) or default end

local SCENES <const> = number("CHAOS_SCENES", 8)
local ORDERS <const> = number("CHAOS_ORDERS", 12)
local PRICE <const> = 40
local LONGEST <const> = number("CHAOS_LONGEST", 120)   -- seconds that a program may run
local PATIENCE <const> = 20   -- seconds that a run waits for callbacks when nothing is disturbed any more
local MOST_STARTS <const> = 60 -- of a program, in a round
local FILM_EVERY <const> = 3  -- rounds; a film takes most of a round's time
local FAKETIME <const> = env.lines("ls /usr/lib/*/faketime/libfaketimeMT.so.1 2>/dev/null; true")[1]

-- Gives each task a different clip: the built-in clip, and after it a box with the prompt, which players ignore.
local clip <const> = require("omni.sandbox.built_in_media").bytes "mp4"
function drawing.clip(spec, path)
  local text = spec.prompt .. (" "):rep(40000)
  return env.write(path, clip .. string.pack(">I4", #text + 8) .. "free" .. text)
end

local Round_methods = {}
local Round_mt = { __name = "spec.chaos.round", __index = Round_methods }

function Round_methods:tell(form, ...)
  self.story[#self.story + 1] = ("%5.1f s  "):format(core.now() - self.begun) .. form:format(...)
  if os.getenv "CHAOS_LOUD" then print(self.seed, self.story[#self.story]) end
end

function Round_methods:write_board(budget)
  local lines = { 'return storyboard { defaults = { duration = 4 }, cut = os.getenv "CUT" and { output = "film.mp4" } or false,',
    ("budget = %d,"):format(budget) }
  for i = 1, SCENES do lines[#lines + 1] = ('  scene "s%d" { prompt = "%s s%d" },'):format(i, self.name, i) end
  self.budget = budget
  env.write(self.board, table.concat(lines, "\n") .. "\n}\n")
end

-- --- the programs

local function environment_of(round, machine, tools)
  local all = { HOME = round.folder, PATH = tools and os.getenv "PATH" or "/nonexistent", CRUN_BASE_URL = round.proxy.url,
    CRUN_API_KEYS = round.key_list, CRUN_API_KEY = "", OMNI_LEDGER = round.ledger, OMNI_STORE = "", XDG_STATE_HOME = round.folder,
    XDG_CACHE_HOME = round.folder .. "/cache", XDG_CONFIG_HOME = round.folder, TMPDIR = round.folder }
  if FAKETIME then
    all.LD_PRELOAD, all.FAKETIME_TIMESTAMP_FILE, all.FAKETIME_CACHE_DURATION = FAKETIME, machine.clock, "1"
    all.FAKETIME_DONT_FAKE_MONOTONIC, all.DONT_FAKE_MONOTONIC, all.NO_FAKE_STAT = "1", "1", "1"
  end
  return all
end

-- Runs a program to its end. Returns its exit code, nil if it was killed, and what it printed.
local function start(round, machine, more, tools)
  machine.starts = machine.starts + 1
  local log = ("%s/%s-%d"):format(round.folder, machine.name, machine.starts)
  local words = { "/bin/sh", "-c", 'echo $$ >"$0.pid"; exec "$@" >"$0.out.log" 2>"$0.err.log"', log, program.binary }
  table.move(machine.words, 1, #machine.words, #words + 1, words)
  table.move(more or {}, 1, #(more or {}), #words + 1, words)
  local result
  local fiber = omni.spawn(function()
    result = assert(omni.process(words, { environment = environment_of(round, machine, tools), stderr = "null" }))
  end)
  machine.kill = function() if not fiber:done() then fiber:cancel() end end
  local watch = omni.spawn(function()
    repeat omni.sleep(0.01) until core.stat(log .. ".pid") and env.read(log .. ".pid"):find "\n"
    machine.pid = math.tointeger(tonumber(env.read(log .. ".pid")))
    omni.sleep(LONGEST)
    local states = asked.sqlite3(round.ledger, "SELECT id, state, error, account, input FROM submit; SELECT * FROM account")
    round.broken("%s hasn't ended in %d seconds; the ledger:\n%s", machine.name, LONGEST, states)
    round.hung = true
    machine.kill()
  end)
  pcall(fiber.join, fiber)
  watch:cancel()
  pcall(watch.join, watch)
  machine.pid, machine.kill = nil, function() end
  machine.output = (env.read(log .. ".out.log") or "") .. (env.read(log .. ".err.log") or "")
  local code = result and (result.exit or -result.signal)
  round:tell("%s ends: %s", machine.name, code or "killed")
  if code and code < 0 then round.broken("%s was ended by signal %d: %s", machine.name, -code, machine.output) end
  return code
end

-- Returns whether an application has nothing left to do.
local function is_done(machine, code)
  if machine.is_board or code ~= 0 then return code == 0 end
  local fine, states = pcall(cjson.decode, machine.output:match "{[^\n]*}\n$")
  return fine and states.later == 0
end

-- Restarts a program each time it ends, until it succeeds, exits twice in a row with 4 (a person must decide), or ends by itself after all
-- disturbances.
local function work(round, machine)
  local before
  for _ = 1, MOST_STARTS do
    local was_fair = round.is_fair
    local code = start(round, machine, not was_fair and machine.listens and { "--listen", "0" } or nil)
    if code and (is_done(machine, code) or was_fair or code == 4 and before == 4) or round.hung then return end
    before = code
    omni.sleep(code and 1 or 0.1)
  end
  round.broken("%s doesn't end in %d starts: %s", machine.name, MOST_STARTS, machine.output)
end

-- --- a round

-- Everything works from now on. Nobody waits half an hour for a callback that is lost.
function Round_methods:become_fair()
  if self.is_fair then return end
  self:tell "nothing is disturbed any more"
  self.is_fair = true
  self.proxy.is_fair = true
  self.box.service.faults = assert(faults.open {})
  for _, account in ipairs(self.box.service.accounts) do account.revoked = false end
  omni.background(function()
    omni.sleep(PATIENCE)
    for _, machine in ipairs(self.machines) do
      if machine.pid and machine.listens and not self.is_settling then disturbances.signal(machine, "INT") end
    end
  end)
end

-- Disturbs something now and then. Called for each piece of a request.
function Round_methods:tick()
  self.until_next, self.is_idle = self.until_next - 1, false
  if self.until_next > 0 or self.is_fair then return end
  if self.left == 0 then return self:become_fair() end
  self.left, self.until_next = self.left - 1, 1 + math.floor(self.draw() * 25)
  local machine, row, share = self.machines[1 + math.floor(self.draw() * #self.machines)], proxies.choose(self.rows, self.draw), self.draw()
  self:tell("%s %s (%.2f)", machine.name, row[2], share)
  self.counts[row[2]] = (self.counts[row[2]] or 0) + 1
  omni.background(row[3], self, machine, share)
end

local function machine_of(round, name, words, is_board)
  local machine = { name = name, words = words, is_board = is_board, starts = 0, kill = function() end, output = "",
    clock = round.folder .. "/" .. name .. ".clock", out = round.folder .. "/" .. name }
  function machine.set_clock(offset)
    env.write(machine.clock, ("%+d\n"):format(offset))
  end
  machine.set_clock(0)
  round.machines[#round.machines + 1] = machine
  assert(core.make_directory(machine.out))
end

-- Opens the sandbox, the proxy and the programs of a round.
local function open(round)
  local next_integer = random.stream(round.seed, "chaos")
  function round.draw() return random.fraction(next_integer) end
  round.name = "round" .. round.seed
  if os.execute(("mount -t tmpfs -o size=24m tmpfs %s 2>/dev/null"):format(env.quote(round.folder))) then round.has_disk = true end
  round.filler, round.board, round.ledger = round.folder .. "/filler", round.folder .. "/board.lua", round.folder .. "/ledger.db"
  round.rows = {}
  for _, row in ipairs(disturbances.rows) do
    if row.needs ~= "disk" or round.has_disk then round.rows[#round.rows + 1] = row end
  end
  local chosen, keys = {}, {}
  local is_real = round.draw() < 0.5 -- keys of the real service: longer waits between queries, and a missing task isn't a sandbox's end
  for _, fault in ipairs(disturbances.faults) do
    if round.draw() < 1 / 3 and (is_real or not fault:find "404") then chosen[#chosen + 1] = fault end
  end
  for i, limit in ipairs { 4, 4, 6 } do
    keys[i] = { key = is_real and "ak_" .. core.sha256(round.name .. i):sub(1, 32) or nil, in_flight = limit }
  end
  round.box = assert(omni.sandbox { seconds = 0.3, clips = "builtin", credits = 1e9, keys = keys, faults = chosen, seed = round.seed })
  round.proxy = proxies.open(round.box.url, round.draw)
  round.box.service.url = round.proxy.url -- media and uploads go through the proxy, too
  local list = {}
  for i, one in ipairs(round.box.keys) do
    round.keys[i] = one.key
    list[i] = ("%s=%d"):format(one.key, one.in_flight)
  end
  round.key_list = table.concat(list, ",")
  round:tell("seed %d, %s keys, faults: %s", round.seed, is_real and "real" or "sandbox", table.concat(chosen, " "))
  round:write_board(PRICE * (SCENES + 1))
  local function run(out)
    return { "run", round.board, "--yes", "--jobs", "3", "--out", round.folder .. "/" .. out, "--ledger", round.ledger }
  end
  machine_of(round, "first", run "first", true)
  round.machines[1].listens = true
  machine_of(round, "second", run "second", true)
  machine_of(round, "orders", { "lua", "spec/chaos/orders.lua", round.folder .. "/orders", tostring(ORDERS), round.name })
  round.left, round.until_next = 8 + math.floor(round.draw() * 16), 12
  function round.proxy.on_bytes() round:tick() end
  -- A run with a receiver waits half an hour for a callback that is lost. Disturbances don't wait for the few requests that it makes.
  omni.background(function()
    while not round.is_fair do
      round.is_idle = true
      omni.sleep(1)
      if round.is_idle then
        round.until_next = 0
        round:tick()
      end
    end
  end)
  function round.storm(fault)
    if not round.is_fair then table.move(assert(faults.open { fault }), 1, 1, #round.box.service.faults + 1, round.box.service.faults) end
  end
  function round.revoke(index)
    if not round.is_fair then round.box:revoke(round.keys[index]) end
  end
end

-- What the checks look at.
function Round_methods:state(films)
  local shown = assert(omni.process({ program.binary, "status", "--json", "--ledger", self.ledger }, { stdout = "pipe" })).stdout
  local truth, name = {}, self.name
  for _, task in ipairs(self.box.service.tasks.in_order) do
    truth[task.id] = task.files.mp4 and core.sha256(env.read(task.files.mp4)) or ""
  end
  if os.getenv "CHAOS_SABOTAGE" then asked.sqlite3(self.ledger, os.getenv "CHAOS_SABOTAGE") end
  return { charges = self.box:ledger().tasks, ledger = self.ledger, truth = truth, folder = self.folder, keys = self.keys, shown = shown,
    films = films,
    budgets = { { name = "the board", credits = self.budget, contains = function(prompt) return prompt:find("^" .. name .. " s%d") end } } }
end

function Round_methods:check(films)
  local violations, checked = invariants.check(self:state(films))
  for _, text in ipairs(violations) do self.broken("%s", text) end
  self:tell("checked: %s", checked)
  return checked
end

-- Does what a person does about unknown outcomes, and runs the board again until all scenes are there. Returns its films.
local function settle(round)
  round.is_settling = true
  local first, second = round.machines[1], round.machines[2]
  local function charged(scene) return person.charged(round.box:ledger().tasks, round.name .. " " .. scene) end
  round:write_board(PRICE * 1000)
  for _, machine in ipairs { first, second } do
    local code, words = nil, {}
    for _ = 1, 10 do
      code = start(round, machine, words)
      words = {}
      if code == 0 then break end
      if code == 4 then
        local client <close> = assert(omni.client { base_url = round.proxy.url, keys = round.client_keys, ledger = round.ledger })
        words = person.settle(round.board, { client = client, directory = machine.out }, function(scene)
          local ids = charged(scene)
          return { ids[#ids] } -- those before have failed
        end)
      end
    end
    if code ~= 0 then round.broken("%s ends with %s in the end: %s", machine.name, code, machine.output) end
  end
  if round.seed % FILM_EVERY ~= 0 or round.violations[1] then return {} end
  local code = start(round, first, { "--set", "CUT=1" }, true)
  if code ~= 0 then round.broken("the film can't be cut: %s", first.output) end
  return { { path = first.out .. "/film.mp4", media = first.out .. "/media", clips = SCENES } }
end

local function play(seed, counts)
  local directory <close> = env.directory()
  local round = setmetatable({ seed = seed, folder = directory.path, story = {}, machines = {}, keys = {}, counts = counts,
    begun = core.now(), violations = {} }, Round_mt)
  function round.broken(form, ...)
    round.violations[#round.violations + 1] = form:format(...)
    round:tell("BROKEN " .. form, ...)
  end
  open(round)
  round.client_keys = {}
  for i, one in ipairs(round.box.keys) do round.client_keys[i] = { key = one.key, in_flight = one.in_flight } end
  local fibers = {}
  for i, machine in ipairs(round.machines) do fibers[i] = omni.spawn(work, round, machine) end
  local fine, problem = pcall(omni.join, table.unpack(fibers))
  if not fine then round.broken("the round can't be played: %s", problem) end
  round.left = 0
  round:become_fair()
  os.remove(round.filler)
  round:check()
  local checked = ""
  if not round.violations[1] then
    local films = settle(round)
    checked = round:check(films)
  end
  for name, count in pairs(round.proxy.treated) do
    counts["connection " .. name] = (counts["connection " .. name] or 0) + count
  end
  round.proxy:close()
  round.box:close()
  if round.violations[1] and os.getenv "CHAOS_KEEP" then os.execute(("cp -a %s %s"):format(directory.path, os.getenv "CHAOS_KEEP")) end
  if round.has_disk then os.execute("umount -l " .. env.quote(directory.path)) end
  return round, checked
end

-- Removes what libfaketime leaves of programs that were killed.
local function remove_leftovers()
  for _, path in ipairs(env.lines "ls -d /dev/shm/*faketime_*_* 2>/dev/null; true") do
    if not env.is_alive(path:match "%d+$") then os.remove(path) end
  end
end

local function main()
  omni.on_error(function(problem) -- within this program: what follows would prove nothing
    io.stderr:write(tostring(problem), "\n", problem.traceback or "", "\n")
    os.exit(1)
  end)
  local seconds, first, most = number("SECONDS", 60), number("SEED", 1), number("ROUNDS", math.maxinteger)
  local begun, next_seed, rounds, broken, counts = core.now(), first, 0, 0, {}
  if not FAKETIME then print "clocks don't jump: libfaketime isn't installed" end
  local function run_rounds()
    while broken == 0 and core.now() - begun < seconds and next_seed - first < most do
      local seed = next_seed
      next_seed = next_seed + 1
      local round, checked = play(seed, counts)
      rounds = rounds + 1
      print(("seed %d: %s, %.0f s"):format(seed, checked, core.now() - round.begun))
      if not round.has_disk and rounds == 1 then print "the disk is never full: no file system can be mounted here" end
      if round.violations[1] then
        broken = broken + 1
        print(("\nBROKEN with seed %d:\n  %s\n\nwhat happened:\n  %s\n\n  make chaos SEED=%d ROUNDS=1"):format(seed,
          table.concat(round.violations, "\n  "), table.concat(round.story, "\n  "), seed))
      end
      io.stdout:flush()
    end
  end
  omni.run(function()
    local fibers = {}
    for i = 1, number("CHAOS_JOBS", 2) do fibers[i] = omni.spawn(run_rounds) end
    omni.join(table.unpack(fibers))
  end)
  remove_leftovers()
  local names = {}
  for name in pairs(counts) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do print(("%6d  %s"):format(counts[name], name)) end
  print(("%d rounds, %d broken, %.0f s"):format(rounds, broken, core.now() - begun))
  os.exit(broken == 0 and rounds > 0)
end

main()
