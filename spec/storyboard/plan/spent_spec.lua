-- SPDX-License-Identifier: MIT
-- What a board has cost: one sum for the plan, the run and its summary; nothing counts twice.
local omni = require "omni"
local studio = require "helper.studio"

describe("the cost of a board", function()
  it("is the same in the plan and the summary after an unknown outcome, which counts in its own run only", function()
    studio.open({ faults = { "drop-after:on=submit,match=b" } }, function(s)
      local board = studio.board("a", "b")
      local summary = assert(s:run(board))
      local spent = { credits = 40, estimated = 40 }
      assert.same({ 40, 40, spent }, { summary.credits, summary.estimated, summary.spent })
      assert.same(spent, assert(s:plan(board)).spent)
      summary = assert(s:run(board))
      assert.same({ 0, 0, spent }, { summary.credits, summary.estimated, summary.spent })
    end)
  end)

  it("counts both parts against the board's budget", function()
    studio.open({ faults = { "drop-after:on=submit,match=b" } }, function(s)
      local function board(budget)
        return omni.storyboard { defaults = { duration = 4 }, budget = budget, omni.scene "a" { prompt = "a" },
          omni.scene "b" { prompt = "b" }, omni.scene "c" { prompt = "c" } }
      end
      assert(s:run(board(200), { only = { "a", "b" } }))
      local _, err = s:run(board(100))
      assert.equal("over_budget", err.code)
      assert.matches("80 are spent", err.message)
      assert(s:run(board(120)))
      assert.equal(3, s:submits())
    end)
  end)

  it("doesn't grow when a clip is fetched again", function()
    studio.open({}, function(s)
      local board = studio.board("a", "b")
      local summary = assert(s:run(board))
      assert.same({ 80, { credits = 80, estimated = 0 } }, { summary.credits, summary.spent })
      os.remove(summary.scenes[1].file)
      s.events = {}
      summary = assert(s:run(board))
      assert.same({ "fetched", "reused" }, studio.statuses(summary))
      assert.same({ 0, 0, { credits = 80, estimated = 0 } }, { summary.credits, summary.estimated, summary.spent })
      assert.is_nil(summary.scenes[1].credits)
      for _, event in ipairs(s.events) do assert.is_nil(event.credits) end
    end)
  end)
end)

describe("a rehearsal that was killed, run again in another sandbox", function()
  it("makes its scenes again, says why, and counts the lost ones neither as cost nor against the budget", function()
    studio.open({ seconds = 3600 }, function(s)
      local function board() -- the lost rehearsal leaves nothing of its budget
        return omni.storyboard { defaults = { duration = 4 }, budget = 100,
          omni.scene "a" { prompt = "a" }, omni.scene "b" { prompt = "b" } }
      end
      local lost = omni.spawn(s.run, s, board())
      studio.become(function() return s:submits() == 2 end)
      lost:cancel()
      local box <close> = assert(omni.sandbox { seconds = 0.05, clips = "builtin" })
      local client <close> = assert(omni.client { base_url = box.url, api_key = box.key })
      local plan = assert(omni.plan_storyboard(board(), { client = client, directory = s.directory }))
      assert.same({ "submit", "submit" }, studio.statuses(plan))
      for _, scene in ipairs(plan.scenes) do assert.equal("its sandbox is closed", scene.why) end
      assert.same({ credits = 0, estimated = 0 }, plan.spent)
      local summary = assert(omni.run_storyboard(board(), { client = client, directory = s.directory }))
      assert.same({ "fetched", "fetched" }, studio.statuses(summary))
      assert.same({ credits = 80, estimated = 0 }, summary.spent)
    end)
  end)
end)
