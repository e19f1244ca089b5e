-- SPDX-License-Identifier: MIT
-- `omni submit-board`, `omni work` and `omni jobs`: workers side by side, one of which is killed (SIGKILL) at a random moment, and what
-- these commands print. OMNI_WORK_ROUNDS is the number of rounds, OMNI_WORK_SEED the seed of the random numbers.

local asked = require "helper.ledger"
local env = require "helper.env"
local film = require "omni.film"
local omni = require "omni"
local person = require "helper.person"
local program = require "helper.program"
local random = require "omni.sandbox.random"
local s3 = require "helper.s3"
local socket = require "socket"

local rounds <const> = tonumber(os.getenv "OMNI_WORK_ROUNDS") or env.is_slow and 1 or 3
local seed <const> = tonumber(os.getenv "OMNI_WORK_SEED") or 20261128
local scenes <const> = { "a", "b", "c", "d", "e" }

local BOARD <const> = [[
local words = require "words"
return storyboard {
  title = "Round", defaults = { duration = 4 },
  scene "a" { prompt = words.a }, scene "b" { prompt = words.b }, scene "c" { prompt = words.c, continues = "a" },
  scene "d" { prompt = words.d, first_frame = last_frame "b" }, scene "e" { prompt = words.e },
}
]]

local function merged(...)
  local all = {}
  for _, part in ipairs { ... } do
    for name, value in pairs(part) do all[name] = value end
  end
  return all
end

local function write_board(folder, number)
  env.output("mkdir -p " .. env.quote(folder))
  local lines = {}
  for i, scene in ipairs(scenes) do lines[i] = ('%s = "%d %s"'):format(scene, number, scene) end
  env.write(folder .. "/words.lua", "return { " .. table.concat(lines, ", ") .. " }")
  return env.write(folder .. "/board.lua", BOARD)
end

-- Does what a person does about the unknown outcomes of a board: adopts the tasks that are there, and gives the others up.
local function settle(service, board, place)
  local client <close> = assert(omni.client { base_url = service.url, api_key = service.key, ledger = place.ledger })
  local given = { client = client, directory = place.folder .. "/person" }
  local plan = assert(omni.plan_storyboard(assert(omni.load_storyboard(board)), given))
  for _, scene in ipairs(plan.scenes) do
    if scene.action == "unknown" then
      local prompt = plan.board.scenes[scene.index].input.prompt
      local task_id = person.charged(service.ledger().tasks, prompt)[1]
      if task_id then
        assert(omni.adopt_task(board, merged(given, { scene = scene.scene, task_id = task_id })))
      else
        assert(client:ledger():ask("forget", { id = scene.row.id }))
      end
    end
  end
end

for _, kind in ipairs { "a file and a folder", "PostgreSQL and S3" } do
  local backend = kind:find "PostgreSQL" and asked.backends[2] or asked.backends[1]

  describe("two workers, one of which is killed, with " .. kind .. ",", function()
    if backend.missing or kind:find "S3" and not s3.is_there then
      return it("weren't tried", function() pending(backend.missing or "the npm package s3rver isn't installed") end)
    end

    local service, folder, server, place
    setup(function()
      service = program.service { "--credits", "1000000", "--seconds", "0.3", "--fault", "slow:on=submit,delay=0.1,chance=0.5" }
      folder = env.directory()
      server = kind:find "S3" and s3.open() or nil
      place = { folder = folder.path, ledger = backend.new(folder), store = server and "s3://clips/jobs" or folder:file "store" }
      place.environment = merged(service.environment, server and server:environment() or {})
      if not server then env.output("mkdir " .. env.quote(place.store)) end
    end)
    teardown(function()
      service.stop()
      if server then server:close() end
      folder:close()
    end)

    -- Runs a command, or starts it.
    local function with_place(act, command, ...)
      local given = { command, "--ledger", place.ledger, ... }
      if command ~= "jobs" then table.move({ "--store", place.store }, 1, 2, #given + 1, given) end
      return act(given, { environment = place.environment })
    end
    local function run(...) return with_place(program.run, ...) end
    local function start_worker(number) return with_place(program.start, "work", "--out", folder:file("worker" .. number)) end
    local function find_job(name)
      for _, job in ipairs(program.events_of(run("jobs", "--json"))[1].jobs) do
        if job.job == name then return job end
      end
    end

    -- Kills the worker that has a job, a while after it has taken the job. Starts another one in its place.
    local function kill_worker(workers, name, seconds)
      local job
      repeat job = find_job(name) until job.state ~= "waiting"
      socket.sleep(seconds)
      local which = assert(job.worker):find(("process %s$"):format(workers[1].pid)) and 1 or 2
      workers[which]:signal "KILL"
      workers[which]:finish()
      workers[which] = start_worker(which)
    end

    local function play(round)
      local board, out, code = write_board(folder:file("board" .. round), round), folder:file("film" .. round), nil
      local workers = { start_worker(1), start_worker(2) }
      for attempt = 1, 4 do
        local submitted = run("submit-board", board, "--budget", "300")
        assert.equal(0, submitted.code, submitted.err)
        local name = submitted.out:match "job:%d+"
        if attempt == 1 then
          kill_worker(workers, name, 1.2 * env.slowness * random.fraction(random.stream(seed + round, "work")))
        end
        code = run("fetch", name, "--out", out).code
        if code == 0 then break end
        assert.same({ "failed", "submit_unknown" }, { find_job(name).state, find_job(name).error.code })
        settle(service, board, place)
      end
      assert.equal(0, code, "the job is never done")
      for _, worker in ipairs(workers) do
        worker:signal "TERM"
        local ended = worker:finish()
        assert.equal(0, ended.code, ended.err)
      end
      for _, scene in ipairs(scenes) do
        local charged = person.charged(service.ledger().tasks, ("%d %s"):format(round, scene))
        assert.equal(1, #charged, ("round %d, scene %s"):format(round, scene))
      end
      local clip = assert(film.probe(env.lines(("ls %s/media/a-*.mp4"):format(env.quote(out)))[1]))
      local whole = assert(film.probe(out .. "/film.mp4"))
      assert.is_true(math.abs(whole.seconds - #scenes * clip.seconds) < 0.3, whole.seconds)
    end

    it("pay once if one of them is stopped while it has a job: the other one ends the job, and the first one goes on", function()
      local before, board = service.submits(), folder:file "stalled.lua"
      local stalled = with_place(program.start, "work", "--out", folder:file "stalled")
      env.write(board, 'return storyboard { cut = false, scene "one" { prompt = "stalled", duration = 4 } }')
      assert.equal(0, run("submit-board", board, "--budget", "40").code)
      stalled:wait_for "one: pending"
      stalled:signal "STOP"
      backend.sql(place.ledger, "UPDATE job SET kept_until = 0 WHERE state = 'running'") -- as if a minute had passed
      local other = run("work", "--once", "--out", folder:file "other")
      assert.equal(0, other.code, other.err)
      assert.matches("stalled.lua  done", other.out, 1, true)
      stalled:signal "CONT"
      stalled:wait_for "taken over by another worker"
      assert.equal(0, run("submit-board", board, "--budget", "40").code)
      stalled:wait_for "stalled.lua  done"
      stalled:signal "TERM"
      assert.equal(0, stalled:finish().code)
      assert.equal(before + 1, service.submits())
    end)

    it(("pay for each scene once, within the budget, and make the film: %d rounds"):format(rounds), function()
      local before = service.submits()
      for round = 1, rounds do play(round) end
      assert.equal(rounds * #scenes, service.submits() - before)
    end)
  end)
end

describe("the commands for jobs", function()
  local service, folder, environment
  before_each(function()
    service, folder = program.service { "--credits", "1000" }, env.directory()
    env.output("mkdir " .. env.quote(folder:file "store"))
    environment = service.environment
    env.write(folder:file "board.lua", 'return storyboard { cut = false, scene "one" { prompt = os.getenv "WHO" or "a", duration = 4 } }')
  end)
  after_each(function()
    service.stop()
    folder:close()
  end)

  local function run(command, ...)
    local given = { command, ... }
    table.move({ "--ledger", folder:file "l.db" }, 1, 2, #given + 1, given)
    if command ~= "jobs" then table.move({ "--store", folder:file "store" }, 1, 2, #given + 1, given) end
    return program.run(given, { environment = environment, directory = folder.path })
  end

  it("show the price, the job's name, the jobs and the files", function()
    assert.matches("there are no jobs", run("jobs").out)
    local submitted = run("submit-board", "board.lua", "--budget", "40", "--set", "WHO=a cat")
    assert.same({ 0, "job:1" }, { submitted.code, submitted.out })
    assert.matches("1 to submit: about 40 sandbox credits", submitted.err, 1, true)
    assert.matches("\njob:1 +waiting +board.lua +40 +0", run("jobs").out)
    local worked = run("work", "--once", "--out", "w")
    assert.equal(0, worked.code, worked.err)
    assert.matches("job:1  board.lua  running\n", worked.out, 1, true)
    assert.matches("job:1  one: fetched: 40 sandbox credits\n", worked.out, 1, true)
    assert.matches("job:1  board.lua  done$", worked.out)
    assert.matches("\njob:1 +done +board.lua +1 of 1 scene +40 +40 +no film", run("jobs").out)
    local fetched = run("fetch", "job:1")
    assert.equal(0, fetched.code, fetched.err)
    assert.matches("^job%-1/report.html\njob%-1/media/one%-[^\n]*%.mp4$", fetched.out)
    assert.equal("a cat", service.ledger().tasks[1].input.prompt)
  end)

  it("print JSON", function()
    local events = program.events_of(run("submit-board", "board.lua", "--budget", "40", "--json"))
    assert.same({ "plan", "job" }, { events[1].event, events[2].event })
    assert.same({ "job:1", "waiting", 40, 0 }, { events[2].job, events[2].state, events[2].budget, events[2].spent })
    events = program.events_of(run("work", "--once", "--out", "w", "--json"))
    assert.same({ "job", "running" }, { events[1].event, events[1].state })
    assert.same({ "job", "done", "job:1" }, { events[#events].event, events[#events].state, events[#events].job })
    local event = program.events_of(run("jobs", "--json"))[1]
    assert.same({ "jobs", true, 1, "done" }, { event.event, event.exists, #event.jobs, event.jobs[1].state })
    event = program.events_of(run("fetch", "job:1", "--json"))[1]
    assert.same({ "job", "done", 2 }, { event.event, event.state, #event.files })
    event = program.events_of(run("submit-board", "board.lua", "--budget", "1", "--json", "--set", "WHO=b"))[2]
    assert.same({ "error", "over_budget" }, { event.event, event.error.code })
  end)

  it("wait for the film with --out, while a worker makes it", function()
    local worker = program.start({ "work", "--ledger", folder:file "l.db", "--store", folder:file "store", "--out", folder:file "w" },
      { environment = environment })
    local submitted = run("submit-board", "board.lua", "--budget", "40", "--out", "film")
    assert.equal(0, submitted.code, submitted.err)
    assert.matches("^job:1\nfilm/report.html\nfilm/media/one", submitted.out)
    worker:signal "INT"
    assert.equal(0, worker:finish().code)
  end)

  it("refuse what can't work, with the usual exit codes", function()
    env.write(folder:file "bad.lua", 'return storyboard { scene "one" { prompt = "a", first_frame = file "/etc/x.png" } }')
    for _, case in ipairs {
      { 2, "missing option '%-%-budget'", "submit-board", "board.lua" },
      { 2, "bad.lua:1: file: a job has only the files in the board's folder", "submit-board", "bad.lua", "--budget", "40" },
      { 3, "the plan costs about 40 sandbox credits, the budget is 39", "submit-board", "board.lua", "--budget", "39" },
      { 2, "add %-%-out", "submit-board", "board.lua", "--budget", "40", "--timeout", "3" },
      { 1, "the ledger has no job:7", "fetch", "job:7" },
      { 1, "the ledger has no job:7", "jobs", "--cancel", "job:7" },
    } do
      local result = run(table.unpack(case, 3))
      assert.equal(case[1], result.code, result.out .. result.err)
      assert.matches(case[2], result.err)
    end
    assert.equal(0, run("submit-board", "board.lua", "--budget", "40").code)
    local result = run("fetch", "job:1", "--no-wait")
    assert.equal(1, result.code)
    assert.matches("job:1 isn't over: it is waiting", result.err, 1, true)
    assert.equal("job:1: cancelled", run("jobs", "--cancel", "job:1").out)
    assert.matches("job:1 was cancelled", run("fetch", "job:1").err, 1, true)
    assert.equal(0, run("work", "--once", "--out", "w").code)
    assert.equal(0, service.submits())
    local missing = program.run({ "submit-board", "board.lua", "--budget", "40" }, { environment = environment, directory = folder.path })
    assert.equal(2, missing.code)
    assert.matches("a job needs a ledger that its workers can reach, too", missing.err, 1, true)
  end)

  it("name a failed job's reason, and exit with 1", function()
    env.write(folder:file "board.lua",
      'if not io.open "gone.lua" then error "gone" end return storyboard { scene "a" { prompt = "a" } }')
    env.write(folder:file "gone.lua", "")
    assert.equal(0, run("submit-board", "board.lua", "--budget", "400").code)
    asked.sqlite3(folder:file "l.db", "UPDATE job SET manifest = replace(manifest, 'gone.lua', 'away.lua')")
    local worked = run("work", "--once", "--out", "w")
    assert.equal(1, worked.code)
    assert.matches("job:1  board.lua  failed: board.lua:1: gone", worked.out, 1, true)
    assert.matches("job:1 +failed +board.lua.*board.lua:1: gone", run("jobs").out)
  end)
end)
