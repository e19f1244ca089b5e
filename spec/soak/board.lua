-- SPDX-License-Identifier: MIT
-- A board of 50 scenes that is changed and run again many times in one process. board.lua URL KEY RUNS FOLDER

local core = require "omni.core"
local measure = require "soak.measure"
local omni = require "omni"

local url, key, runs, folder = arg[1], arg[2], math.tointeger(tonumber(arg[3])), arg[4]
local SCENES <const> = 50
local SAMPLES <const> = math.min(100, runs)

omni.run(function()
  local client <close> = assert(omni.client { base_url = url, api_key = key, ledger = folder .. "/ledger.db", poll_min = 0.01,
    poll_max = 0.1 })
  local version_of, samples, begun, fetched = {}, {}, core.now(), 0
  local function run()
    local board = { defaults = { duration = 4 }, cut = false }
    for i = 1, SCENES do board[i] = omni.scene("s" .. i) { prompt = ("scene %d, version %d"):format(i, version_of[i] or 0) } end
    local summary = assert(omni.run_storyboard(omni.storyboard(board), { client = client, directory = folder, budget = 1e9, jobs = 8 }))
    for _, scene in ipairs(summary.scenes) do
      assert(scene.status == "fetched" or scene.status == "reused", scene.error)
      if scene.status == "fetched" then fetched = fetched + 1 end
    end
  end
  run()
  for i = 1, SAMPLES do
    for number = runs * (i - 1) // SAMPLES + 1, runs * i // SAMPLES do
      version_of[number % SCENES + 1] = number
      run()
    end
    samples[i] = measure.sample(("%d runs, %.0f s"):format(runs * i // SAMPLES, core.now() - begun))
  end
  measure.report(samples, 0.1, { runs = runs, seconds = core.now() - begun, cpu_seconds = os.clock(), fetched = fetched })
end)
