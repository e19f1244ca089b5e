-- SPDX-License-Identifier: MIT
-- The scenes that `only`, `redo` and `resubmit` name.
local omni = require "omni"
local selection = require "omni.storyboard.plan.selection"
local studio = require "helper.studio"

local names <const> = { "storm", "storm 2", "Été", "a*b", "axb" }

local function board()
  local scenes = {}
  for index, name in ipairs(names) do scenes[index] = { name = name } end
  return { scenes = scenes }
end

local function chosen(...)
  local list = {}
  for name in pairs(selection.resolve(board(), { only = { ... } }).only) do list[#list + 1] = name end
  table.sort(list)
  return list
end

local function refused(given)
  local fine, problem = pcall(selection.resolve, board(), given)
  assert.is_false(fine)
  assert.equal("invalid_input", problem.code)
  return problem.message
end

describe("only, redo and resubmit", function()
  it("name scenes by their names and by patterns", function()
    assert.same({ "storm", "storm 2" }, chosen "storm*")
    assert.same({ "axb", "storm 2" }, chosen("storm ?", "axb"))
    assert.same({ "Été" }, chosen "?t?")
    assert.same({ "a*b" }, chosen "a*b")
    assert.same({ "a*b", "axb" }, chosen "a?b")
    assert.equal(#names, #chosen "*")
    assert.is_nil(selection.resolve(board(), { only = {} }).only)
  end)

  it("are refused with a name or a pattern that fits no scene", function()
    assert.equal('only: the board has no scene "strom"; did you mean \'storm\'?', refused { only = { "strom" } })
    assert.equal('redo: no scene of the board matches "x*"', refused { redo = { "x*" } })
    assert.equal('resubmit: no scene of the board matches "storm.?"', refused { resubmit = { "storm.?" } })
  end)

  it("don't contradict each other: what only leaves out can't be made again", function()
    studio.open({}, function(s)
      for _, option in ipairs { "redo", "resubmit" } do
        local plan, problem = s:plan(studio.board("one", "three"), { only = { "one" }, [option] = { "three" } })
        assert.is_nil(plan)
        assert.same({ "invalid_input", option, option .. ": scene \"three\" isn't among those of 'only'" },
          { problem.code, problem.field, problem.message })
      end
      assert.is_true(assert(s:plan(studio.board("one", "three"), { only = { "t*" }, redo = { "three" } })).by_name.three.redo)
      assert.equal(0, s:submits())
    end)
  end)

  it("include the scenes that a chosen one builds on", function()
    local built = assert(omni.storyboard {
      omni.scene "first" { prompt = "a", duration = 4 },
      omni.scene "second" { prompt = "b", continues = "first" },
      omni.scene "other" { prompt = "c", duration = 4 },
    })
    studio.open({}, function(s)
      local plan = assert(s:plan(built, { only = { "sec*" }, redo = { "first" } }))
      assert.same({ true, true, false }, { plan.by_name.first.selected, plan.by_name.second.selected, plan.by_name.other.selected })
    end)
  end)
end)
