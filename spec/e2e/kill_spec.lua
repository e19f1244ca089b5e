-- SPDX-License-Identifier: MIT
-- Kills the program (SIGKILL) at random moments while it makes a film: the same command continues, and nothing is paid twice.
-- OMNI_KILL_ROUNDS is the number of rounds (25; `make prove`: 500), OMNI_KILL_SEED the seed of the random numbers.

local asked = require "helper.ledger"
local env = require "helper.env"
local film = require "omni.film"
local omni = require "omni"
local person = require "helper.person"
local program = require "helper.program"
local random = require "omni.sandbox.random"

local rounds = tonumber(os.getenv "OMNI_KILL_ROUNDS") or env.is_slow and 2 or 25
local seed = tonumber(os.getenv "OMNI_KILL_SEED") or 20261123

local at_once <const> = 3

local BOARD = [[
return storyboard {
  title = "Round %d",
  defaults = { duration = 4 },
  scene "a" { prompt = "%d a" },
  scene "b" { prompt = "%d b" },
  scene "c" { prompt = "%d c", continues = "a" },
  scene "d" { prompt = "%d d", first_frame = last_frame "b" },
}
]]
local scenes = { "a", "b", "c", "d" }

describe("omni run, killed at a random moment", function()
  local service, folder

  setup(function()
    folder = env.directory()
    service = program.service { "--credits", "1000000000", "--seconds", "0.25", "--fault", "slow:on=submit,delay=0.12,chance=0.5" }
  end)
  teardown(function()
    service.stop()
    folder:close()
  end)

  local function ledger()
    return service.ledger().tasks
  end

  local function charged(round, scene)
    return person.charged(ledger(), ("%d %s"):format(round, scene))
  end

  local function command(place, ...)
    return { program.binary, "run", place.board, "--yes", "--jobs", "2", "--out", place.out, "--ledger", place.ledger, ... }
  end
  local function run(place, ...)
    return assert(omni.process(command(place, ...), { environment = place.environment, stdout = "pipe" }))
  end

  -- Starts the program, and kills it after that many seconds, unless it has ended.
  local function run_and_kill(place, seconds)
    local fiber = omni.spawn(run, place)
    omni.sleep(seconds)
    if fiber:done() then return end
    fiber:cancel()
  end

  local function settle_unknown(round, place)
    local client <close> = assert(omni.client { base_url = service.url, api_key = service.key, ledger = place.ledger })
    local words, seen = person.settle(place.board, { client = client, directory = place.out },
      function(scene) return charged(round, scene) end)
    assert.is_true(seen > 0, "exit code 4 without an unknown scene")
    return words, seen
  end

  -- Returns the number of submits with an unknown outcome.
  local function play(round)
    local next_integer = random.stream(seed + round, "kill")
    local function next_number() return random.fraction(next_integer) end
    local place = { board = folder:file(round .. ".lua"), out = folder:file(round .. ".omni") }
    place.ledger = asked.new(place.out .. "/ledger.db")
    place.environment = { HOME = folder.path, CRUN_BASE_URL = service.url, CRUN_API_KEY = service.key }
    env.write(place.board, (BOARD:gsub("%%d", tostring(round))))
    for _ = 1, 1 + math.floor(3 * next_number()) do run_and_kill(place, 1.8 * env.slowness * next_number()) end

    local result, unknown, words = nil, 0, {}
    for _ = 1, 4 do
      result = run(place, table.unpack(words))
      if result.exit ~= 4 then break end
      local seen
      words, seen = settle_unknown(round, place)
      unknown = unknown + seen
    end
    assert.equal(0, result.exit, ("round %d: %s%s"):format(round, result.stdout, result.stderr))
    for _, scene in ipairs(scenes) do assert.equal(1, #charged(round, scene), ("round %d, scene %s"):format(round, scene)) end

    local clip = assert(film.probe(assert(env.output("ls " .. place.out .. "/media/a-*.mp4"):match("[^\n]+"))))
    local whole = assert(film.probe(place.out .. "/film.mp4"))
    assert.is_true(math.abs(whole.seconds - #scenes * clip.seconds) < 0.3, ("round %d: %f s"):format(round, whole.seconds))

    result = run(place)
    assert.equal(0, result.exit)
    assert.matches("4 reused", result.stdout)
    return unknown
  end

  it(("is run again until the film is there, %d times: each scene is charged once"):format(rounds), function()
    local next_round, unknown = 1, 0
    omni.run(function()
      local fibers = {}
      for n = 1, at_once do
        fibers[n] = omni.spawn(function()
          while next_round <= rounds do
            local round = next_round
            next_round = next_round + 1
            local seen = play(round)
            unknown = unknown + seen
          end
        end)
      end
      omni.join(table.unpack(fibers))
    end)
    assert.equal(rounds * #scenes, #ledger())
    if rounds >= 25 then assert.is_true(unknown > 0, "no kill met a submit on its way: the test proves too little") end
  end)
end)
