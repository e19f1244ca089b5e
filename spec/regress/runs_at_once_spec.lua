-- SPDX-License-Identifier: MIT
-- Two simultaneous runs in one folder used each other's unfinished files, so paid clips weren't saved. A budget that isn't a number (NaN)
-- let a run spend without limit.
local env = require "helper.env"
local omni = require "omni"

local board = omni.storyboard { omni.scene "a" { prompt = "a" }, omni.scene "b" { prompt = "b" } }

local function sandbox_and_client()
  local sandbox = assert(omni.sandbox { seconds = 0.05, clips = "builtin" })
  return sandbox, assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, poll_min = 0.01 })
end

describe("the output folder of a run", function()
  it("is locked: a second run waits until the first has ended, and finds everything done", function()
    local folder <close> = env.directory()
    local sandbox <close>, client = sandbox_and_client()
    local options = { client = client, directory = folder.path }
    omni.run(function()
      local runs = {}
      for i = 1, 3 do runs[i] = omni.spawn(function() return (assert(omni.run_storyboard(board, options))) end) end
      for _, run in ipairs(runs) do
        for _, scene in ipairs(run:join().scenes) do assert.is_truthy(scene.file) end
      end
    end)
    assert.equal(2, sandbox:ledger().submits)
  end)
end)

describe("omni.run_storyboard", function()
  it("refuses a budget that isn't a number", function()
    local folder <close> = env.directory()
    local sandbox <close>, client = sandbox_and_client()
    for _, budget in ipairs { 0 / 0, -1 } do
      assert.has_error(function() omni.run_storyboard(board, { client = client, directory = folder.path, budget = budget }) end)
    end
    assert.equal(0, sandbox:ledger().submits)
  end)
end)
