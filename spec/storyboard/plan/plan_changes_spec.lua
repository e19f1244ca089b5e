-- SPDX-License-Identifier: MIT
-- omni.run_storyboard with the option `plan`: it does exactly what the plan says, or nothing.
local clips = require "helper.clips"
local env = require "helper.env"
local omni = require "omni"
local studio = require "helper.studio"

local statuses = studio.statuses

local two <const> = [[return storyboard {
  defaults = { duration = 4 },
  scene "dawn" { prompt = "dawn" },
  scene "dusk" { prompt = "dusk" },
}]]

-- Calls `body(s, path)` with a studio of a real service's kind, where nothing is spent without consent, and a board's file.
local function with_board(text, body, given)
  given = given or {}
  given.key = given.key or "ak_" .. ("r"):rep(32)
  studio.open(given, function(s)
    local client <close> = s:new_client { ledger = s.directory .. "/real.db" }
    s.client = client
    body(s, env.write(s.directory .. "/board.lua", text))
  end)
end

local function refused(s, board, plan)
  local before = s:submits()
  local summary, err = s:run(board, { plan = plan })
  assert.is_nil(summary)
  assert.equal("plan_changed", err.code)
  assert.equal(before, s:submits())
  assert.matches("nothing was submitted", err.message, 1, true)
  return table.concat(err.changes, "\n")
end

describe("a run with a plan", function()
  it("needs no other consent, and does what the plan says", function()
    with_board(two, function(s, path)
      assert.equal("no_consent", select(2, s:run(path)).code)
      local plan = assert(s:plan(path, { only = { "dusk" } }))
      assert.equal(1, plan.submits)
      assert.same({ "waiting", "fetched" }, statuses(assert(s:run(path, { plan = plan }))))
      assert.equal(1, s:submits())
    end)
  end)

  it("does nothing when it is repeated", function()
    with_board(two, function(s, path)
      local plan = assert(s:plan(path))
      assert(s:run(path, { plan = plan }))
      assert.matches('scene "dawn": the action was "submit" and is "reuse" now', refused(s, path, plan), 1, true)
    end)
  end)

  it("says what has changed on the board, also in a field's value, and runs nothing", function()
    with_board(two, function(s, path)
      local plan = assert(s:plan(path))
      env.write(path, (two:gsub('prompt = "dusk"', 'prompt = "dusk", resolution = "1080p"'):gsub('scene "dawn".-\n', "")))
      local changes = refused(s, path, plan)
      assert.matches("board%.lua was changed", changes)
      assert.matches('scene "dawn": isn\'t on the board any more', changes, 1, true)
      assert.matches('scene "dusk": resolution: added (1080p)', changes, 1, true)
      assert.matches("the cut of the film changed", changes, 1, true)
    end)
  end)

  it("notices that the file of a board, which the program had loaded before, was changed or removed", function()
    with_board(two, function(s, path)
      local board = assert(omni.load_storyboard(path))
      local plan = assert(s:plan(board))
      env.write(path, two .. "-- another thought")
      assert.matches("^the board's file .*board%.lua was changed$", refused(s, board, plan))
      os.remove(path)
      assert.matches("^the board's file .*board%.lua can't be read any more$", refused(s, board, plan))
      env.write(path, two)
      assert.same({ "fetched", "fetched" }, statuses(assert(s:run(board, { plan = plan }))))
    end)
  end)

  it("notices a clip that disappeared, a reference with other bytes, and another audio track", function()
    with_board('return storyboard { scene "a" { prompt = "a", duration = 4, references = file "k.png" }, cut = { audio = file "x.wav" } }',
      function(s, path)
        env.write(s.directory .. "/k.png", "\x89PNG\r\n\x1a\nfirst")
        env.write(s.directory .. "/x.wav", env.read(clips.ffmpeg({ "-f", "lavfi", "-i", "sine=f=440:d=5" }, "wav")))
        local plan = assert(s:plan(path))
        env.write(s.directory .. "/k.png", "\x89PNG\r\n\x1a\nsecond")
        env.write(s.directory .. "/x.wav", env.read(clips.ffmpeg({ "-f", "lavfi", "-i", "sine=f=880:d=5" }, "wav")))
        local changes = refused(s, path, plan)
        assert.matches("the file's content changed", changes, 1, true)
        assert.matches("the cut of the film changed", changes, 1, true)
        local summary = assert(s:run(path, { yes = true }))
        plan = assert(s:plan(path))
        assert.equal("reuse", plan.scenes[1].action)
        os.remove(summary.scenes[1].file)
        assert.matches('the action was "reuse" and is "fetch" now (', refused(s, path, plan), 1, true)
      end)
  end)

  it("notices another price, a price that is no longer known, and a submit by another program", function()
    with_board(two, function(s, path)
      local plan = assert(s:plan(path))
      plan.scenes[1].credits = 39
      assert.equal('scene "dawn": costs about 40 credits instead of 39', refused(s, path, plan))
      plan = assert(s:plan(path))
      assert(s:run(path, { yes = true, only = { "dawn" } }))
      assert.matches('^scene "dawn": the action was "submit" and is "reuse" now', refused(s, path, plan))
    end)
    with_board(two, function(s, path)
      local plan = assert(s:plan(path))
      assert.matches('scene "dawn": its price isn\'t known any more', refused(s, path, plan), 1, true)
    end, { faults = { "status-404:on=estimate+older_estimate,skip=2" } })
  end)

  it("isn't consent to an unknown price", function()
    with_board(two, function(s, path)
      local plan = assert(s:plan(path, { prices = false }))
      assert.is_false(plan.complete)
      assert.equal("no_consent", select(2, s:run(path, { plan = plan })).code)
      assert.equal(0, s:submits())
      assert.same({ "fetched", "fetched" }, statuses(assert(s:run(path, { plan = plan, yes = true }))))
    end)
  end)

  it("keeps its redo and its resubmit", function()
    with_board(two, function(s, path)
      assert(s:run(path, { yes = true }))
      local plan = assert(s:plan(path, { redo = { "dusk" } }))
      local summary = assert(s:run(path, { plan = plan }))
      assert.same({ "reused", "fetched" }, statuses(summary))
      assert.equal(3, s:submits())
    end)
  end)

  it("reports a board that can't be loaded any more, and a service that can't be reached, as such", function()
    with_board(two, function(s, path)
      local plan = assert(s:plan(path))
      env.write(path, "return nothing")
      assert.equal("invalid_board", select(2, s:run(path, { plan = plan })).code)
      env.write(path, two)
      s.sandbox:revoke(s.sandbox.key)
      assert.equal("unauthorized", select(2, s:run(path, { plan = plan })).code)
    end)
  end)
end)

describe("a misuse of plan_storyboard, run_storyboard and adopt_task", function()
  local board = studio.board "a"

  local function raises(message, fn)
    local fine, text = pcall(fn)
    assert.is_false(fine)
    assert.matches("^spec/storyboard/plan/plan_changes_spec%.lua:%d+: ", tostring(text))
    assert.matches(message, text, 1, true)
  end

  it("names the call and the mistake at the caller's line", function()
    for name in pairs { plan_storyboard = true, run_storyboard = true, adopt_task = true } do
      local call = omni[name]
      raises(name .. ": option 'client' is missing", function() call(board) return true end)
      raises(name .. ": options must be a table, not a string", function() call(board, "out") return true end)
      raises(name .. ": expected a storyboard or the path of its file, got nil", function() call() return true end)
      raises(name .. ": option 'client' must be a client, from omni.client, not a table", function()
        local scene = name == "adopt_task" and "a" or nil
        call(board, { client = {}, directory = "x", scene = scene, task_id = scene })
        return true
      end)
    end
    raises("adopt_task: option 'scene' is missing", function()
      omni.adopt_task(board, { client = {}, directory = "x" })
      return true
    end)
  end)

  it("names a plan that isn't for this run", function()
    studio.open({}, function(s)
      local plan = assert(s:plan(board))
      raises("option 'plan' must be a plan", function() s:run(board, { plan = {} }) return true end)
      raises("options 'plan' and 'only' exclude each other", function() s:run(board, { plan = plan, only = { "a" } }) return true end)
      raises("option 'plan' is for the directory", function()
        s:run(board, { plan = plan, directory = s.directory .. "/x" })
        return true
      end)
    end)
  end)
end)
