-- SPDX-License-Identifier: MIT
-- Four machines run one board with one ledger in PostgreSQL. Programs are killed, connections are lost, and the database is restarted, at
-- random moments: each scene is charged once. A moment is a number of requests and of statements, so a seed gives the same disturbances.
-- OMNI_MACHINES_ROUNDS is the number of rounds (6; `make check`: 25, `make prove`: 500), OMNI_MACHINES_SCENES the number of scenes of the
-- board (8; 60), OMNI_MACHINES_SEED the seed, OMNI_MACHINES_FIRST the number of the first round.

local postgresql = require "helper.postgresql"

if not postgresql.is_there then
  return describe("PostgreSQL", function() it("isn't installed", function() pending "nothing was tried" end) end)
end

local core = require "omni.core"
local env = require "helper.env"
local film = require "omni.film"
local omni = require "omni"
local person = require "helper.person"
local program = require "helper.program"
local random = require "omni.sandbox.random"
local relays = require "helper.postgresql_relay"
local studio = require "helper.studio"

local function number(name, default) return math.tointeger(tonumber(os.getenv("OMNI_MACHINES_" .. name))) or default end

local rounds <const> = number("ROUNDS", env.is_slow and 1 or 6)
local scenes <const> = number("SCENES", 8)
local seed <const> = number("SEED", 20261128)
local first_round <const> = number("FIRST", 1)
local is_loud <const> = os.getenv "OMNI_MACHINES_LOUD" ~= nil

local MACHINES <const> = 4
local FILM_EVERY <const> = rounds >= 25 and 10 or 1
local MOST_STARTS <const> = 30 -- of one machine, in a round

local function board_text(round)
  local lines = { 'return storyboard { defaults = { duration = 4 }, cut = os.getenv "CUT" and { output = "film.mp4" } or false,' }
  for i = 1, scenes do lines[#lines + 1] = ('  scene "s%d" { prompt = "%d s%d" },'):format(i, round, i) end
  return table.concat(lines, "\n") .. "\n}\n"
end

-- --- what happens to a machine, or to all

local disturbances <const> = {
  { 4, "is killed", function(machine) machine.kill() end },
  { 2, "loses its connections", function(machine) machine.relay:drop() end },
  { 3, "loses an answer of the database", function(machine) machine.relay:lose_answers() end },
  { 2, "is delayed", function(machine, share) machine.relay:pause(share) end },
  { 3, "loses its server processes", function(machine)
    postgresql.sql("postgres", ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'machine %d'"):format(
      machine.number))
  end },
  { 1, "can't reach the database", function(machine, share)
    machine.relay:set_open(false)
    omni.spawn(function()
      omni.sleep(share)
      machine.relay:set_open(true)
    end)
  end },
  { 1, "sees the database restarted", function(_, share)
    postgresql.stop(share < 0.5 and "fast" or "immediate")
    postgresql.start()
  end },
}

-- Chooses a disturbance by its weight.
local function choose(draw)
  local sum = 0
  for _, one in ipairs(disturbances) do sum = sum + one[1] end
  local left = draw() * sum
  for _, one in ipairs(disturbances) do
    left = left - one[1]
    if left < 0 then return one end
  end
end

-- --- a round

describe("four machines with one board and one ledger in PostgreSQL", function()
  -- Plays a round. Returns the number of submits with an unknown outcome.
  local function play(round)
    local next_integer = random.stream(seed + round, "machines")
    local function draw() return random.fraction(next_integer) end
    local folder <close> = env.directory()
    local board = env.write(folder:file "board.lua", board_text(round))
    local ledger = postgresql.database()
    local sandbox <close> = assert(omni.sandbox { seconds = 0.1, clips = "builtin", credits = 1e9,
      faults = { "slow:on=submit,delay=0.1,chance=0.5", "drop-after:on=submit,chance=0.03" }, seed = round })
    local base = { HOME = folder.path, PATH = "/nonexistent", CRUN_BASE_URL = sandbox.url, CRUN_API_KEY = sandbox.key, OMNI_LEDGER = "" }

    local machines, story, begun = {}, {}, core.now()
    local function tell(form, ...) story[#story + 1] = ("%5.1f s  "):format(core.now() - begun) .. form:format(...) end
    local left, until_next = 6 + math.floor(draw() * 8), 20 -- disturbances of this round; ticks until the next
    local function tick()
      until_next = until_next - 1
      if until_next > 0 or left == 0 then return end
      left, until_next = left - 1, 1 + math.floor(draw() * 6 * scenes)
      local machine, one, share = machines[1 + math.floor(draw() * MACHINES)], choose(draw), draw()
      tell("machine %d %s (%.2f)", machine.number, one[2], share)
      omni.spawn(one[3], machine, share)
    end
    local handle = sandbox.service.handle
    function sandbox.service.handle(...)
      tick()
      return handle(...)
    end

    local function run(machine, more, environment)
      local words = { program.binary, "run", board, "--yes", "--jobs", "4", "--out", machine.out, "--ledger", machine.ledger,
        table.unpack(more or {}) }
      return assert(omni.process(words, { environment = environment or base, stdout = "pipe" }))
    end

    -- Starts the program again and again, until it has ended by itself and nothing is to happen any more, or with success.
    local function work(machine)
      for _ = 1, MOST_STARTS do
        local result
        local child <const> = omni.spawn(function() result = run(machine) end)
        machine.kill = function() child:cancel() end
        pcall(child.join, child)
        if result then
          tell("machine %d ends with %s: %s", machine.number, result.exit, result.stderr)
          assert.is_true(result.exit == 0 or result.exit == 1 or result.exit == 3 or result.exit == 4, table.concat(story, "\n"))
          if result.exit == 0 or left == 0 and result.exit == 4 then return end
          -- A scene that waits for another machine's answer is unknown, too, if that machine has lost its connection.
          if result.exit == 4 then omni.sleep(0.2) end
        end
      end
      error("it never ends:\n" .. table.concat(story, "\n"))
    end

    local fibers = {}
    for i = 1, MACHINES do
      local relay = relays.open(5500 + i)
      relay.on_bytes = tick
      machines[i] = { number = i, relay = relay, out = folder:file("out" .. i), kill = function() end,
        ledger = relay:address(ledger, 5) .. "&application_name=machine%20" .. i }
    end
    for i = 1, MACHINES do fibers[i] = omni.spawn(work, machines[i]) end
    omni.join(table.unpack(fibers))
    left = 0

    local told = function() return ("round %d:\n%s"):format(round, table.concat(story, "\n")) end
    local function charged(scene) return person.charged(sandbox:ledger().tasks, ("%d %s"):format(round, scene)) end
    local last, words, unknown, result = machines[1], {}, 0, nil
    for _ = 1, 5 do
      result = run(last, words)
      tell("the last run ends with %s", result.exit)
      if result.exit ~= 4 then break end
      assert.matches("unknown", result.stdout)
      local client <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, ledger = ledger })
      local more, seen = person.settle(board, { client = client, directory = last.out }, charged)
      assert.is_true(seen > 0, "exit code 4 without an unknown scene; " .. told())
      unknown = unknown + seen
      words = more
    end
    assert.equal(0, result.exit, ("%s\n%s%s"):format(told(), result.stdout, result.stderr))
    for i = 1, scenes do assert.equal(1, #charged("s" .. i), ("scene %d, %s"):format(i, told())) end
    assert.equal(scenes, sandbox:ledger().submits)

    local has_film, environment = round % FILM_EVERY == 0, {}
    for name, value in pairs(base) do environment[name] = value end
    if has_film then environment.PATH = os.getenv "PATH" end -- ffmpeg draws thumbnails and cuts the film, which takes most of a round
    result = run(machines[2], has_film and { "--set", "CUT=1" } or {}, environment)
    assert.equal(0, result.exit, result.stderr)
    assert.matches(scenes .. " reused", result.stdout)
    if has_film then
      local frames, media = 0, machines[2].out .. "/media/s"
      for i = 1, scenes do frames = frames + assert(film.probe(env.lines(("ls %s%d-*.mp4"):format(media, i))[1])).video.frames end
      assert.equal(frames, assert(film.probe(machines[2].out .. "/film.mp4")).video.frames, told())
    end
    assert.equal(scenes, sandbox:ledger().submits)
    for i = 1, MACHINES do machines[i].relay:close() end
    tell "all is well"
    postgresql.sql("postgres", ("DROP DATABASE %s WITH (FORCE)"):format(ledger:match "/([^/?]+)%?"))
    if is_loud then print(("round %d: %d unknown\n  %s"):format(round, unknown, table.concat(story, "\n  "))) end
    return unknown
  end

  it(("charge each scene once, and make the film, whatever happens to them, %d times"):format(rounds), function()
    local unknown = 0
    omni.run(function()
      for round = first_round, first_round + rounds - 1 do unknown = unknown + play(round) end
    end)
    if rounds >= 25 then assert.is_true(unknown > 0, "nothing met a submit on its way: the test proves too little") end
  end)
end)

describe("two machines that run a board, and one of them dies or stalls", function()
  -- Two machines run a board of three scenes, whose tasks run until the sandbox's clock is moved on. `harm` does something to the first
  -- machine, and returns how it ends its run; nil: not at all.
  local function play(harm)
    omni.run(function()
      local folder <close> = env.directory()
      local board = env.write(folder:file "board.lua",
        'return storyboard { cut = false, defaults = { duration = 4 }, scene "a" { prompt = "a" }, scene "b" { prompt = "b" }, '
        .. 'scene "c" { prompt = "c" } }')
      local ledger = postgresql.database()
      local sandbox <close> = assert(omni.sandbox { seconds = 1000, clips = "builtin", credits = 1e6 })
      local function start(out)
        local machine = { said = "" }
        machine.fiber = omni.spawn(function()
          return omni.process({ program.binary, "run", board, "--yes", "--out", folder:file(out), "--ledger", ledger }, {
            environment = { HOME = folder.path, PATH = "/nonexistent", CRUN_BASE_URL = sandbox.url, CRUN_API_KEY = sandbox.key,
              OMNI_LEDGER = "" },
            on_output = function(text) machine.said = machine.said .. text end,
          })
        end)
        return machine
      end
      local function waits(machine)
        return select(2, machine.said:gsub("%f[%w][abc]: pending", "")) == 3
      end
      local function claimed()
        return postgresql.sql(ledger, "SELECT count(waiter), count(DISTINCT waiter), min(waiter) FROM omni.submit")
      end
      local first = start "one"
      studio.become(function() return waits(first) and claimed():find "^3|1|" end)
      local before = claimed()
      local second = start "two"
      studio.become(function() return waits(second) end)
      local finished = omni.spawn(function()
        studio.become(function() return claimed():find "^3|1|" and claimed() ~= before end) -- the second machine has taken them over
        sandbox:advance(2000)
      end)
      harm(first, ledger, finished)
      local result = assert(second.fiber:join())
      assert.equal(0, result.exit, second.said)
      for _, scene in ipairs { "a", "b", "c" } do assert.matches(scene .. ": fetched", second.said, 1, true) end
      assert.equal(3, sandbox:ledger().submits)
      assert.equal("3|0", postgresql.sql(ledger, "SELECT count(*), count(*) FILTER (WHERE state <> 'success') FROM omni.submit"))
    end)
  end

  -- Makes the machines look at the claims at once, not only after at most 15 seconds.
  local function hurry(ledger) postgresql.sql(ledger, "SELECT pg_notify('omni', 'claims')") end

  it("the other one takes over the tasks of a machine that was killed", function()
    play(function(first, ledger, finished)
      first.fiber:cancel()
      hurry(ledger)
      finished:join()
    end)
  end)

  it("the other one takes over the tasks of a machine that has stalled, which continues later without a further submit", function()
    play(function(first, ledger, finished)
      local process = postgresql.sql(ledger, "SELECT process FROM omni.session WHERE number = (SELECT min(waiter) FROM omni.submit)")
      assert(os.execute("kill -STOP " .. process))
      postgresql.sql(ledger, "UPDATE omni.session SET claims_until = 0 WHERE process = " .. process) -- as if a minute had passed
      hurry(ledger)
      finished:join()
      assert(os.execute("kill -CONT " .. process))
      assert.equal(0, assert(first.fiber:join()).exit, first.said)
    end)
  end)
end)
