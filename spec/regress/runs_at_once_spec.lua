-- SPDX-License-Identifier: MIT
-- Two runs at once in one folder took each other's unfinished files: films that were paid for were not saved. A budget that is
-- no number, and a price below nothing, let a run spend without end.
local env = require "helper.env"
local omni = require "omni"

local board = omni.storyboard { omni.scene "a" { prompt = "a" }, omni.scene "b" { prompt = "b" } }

local function sandbox_and_client()
  local sandbox = assert(omni.sandbox { seconds = 0.05, clips = "builtin" })
  return sandbox, assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, poll_min = 0.01 })
end

describe("a folder that a run shoots into", function()
  it("is refused to a second run before that spends anything, and free again afterwards", function()
    local folder <close> = env.directory()
    local sandbox <close>, client = sandbox_and_client()
    local options = { client = client, directory = folder.path }
    omni.run(function()
      local first = omni.spawn(omni.run_storyboard, board, options)
      omni.sleep(0)
      local summary, err = omni.run_storyboard(board, options)
      assert.is_nil(summary)
      assert.equal("io", err.code)
      assert.matches("another run", err.message)
      first:join()
      assert.equal(2, sandbox:ledger().submits)
      assert(omni.run_storyboard(board, options))
    end)
    assert.equal(4, sandbox:ledger().submits)
  end)
end)

describe("omni.run_storyboard", function()
  it("takes no budget that is no number, and asks for a price that can't be", function()
    local folder <close> = env.directory()
    local sandbox <close>, client = sandbox_and_client()
    for _, budget in ipairs { 0 / 0, -1 } do
      assert.has_error(function() omni.run_storyboard(board, { client = client, directory = folder.path, budget = budget }) end)
    end
    for _, price in ipairs { -5, 0 / 0, "1" } do
      local summary = assert(omni.run_storyboard(board,
        { client = client, directory = folder.path, budget = 10, prices = { a = price, b = price } }))
      assert.equal("over_budget", summary.scenes[1].error.code)
    end
    assert.equal(0, sandbox:ledger().submits)
  end)
end)
