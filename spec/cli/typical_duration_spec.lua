-- SPDX-License-Identifier: MIT
-- How long tasks usually take, and what that is based on.
local typical_duration = require "omni.cli.typical_duration"

-- Returns a ledger that has finished tasks with these durations.
local function ledger_with(...)
  local rows = {}
  for i, took in ipairs { ... } do rows[i] = { took = took, id = i } end
  return { ask = function(_, verb, params)
    assert.same({ "durations", "m" }, { verb, params.model })
    return rows
  end }
end

describe("the usual time of a task", function()
  it("is the median of the finished tasks like it, and says how many they are", function()
    assert.same({ seconds = 20, tasks = 3 }, typical_duration.of(ledger_with(10, 20, 90), "m", {}))
  end)

  it("isn't known with fewer than three such tasks", function()
    assert.is_nil(typical_duration.of(ledger_with(10, 20), "m", {}))
  end)

  it("is described with what it is based on, and says where it isn't known", function()
    local short, long = { seconds = 80, tasks = 14 }, { seconds = 190, tasks = 9 }
    assert.equal("a scene usually takes 1:20, judging by 14 finished tasks like it in the ledger",
      typical_duration.describe { a = short, b = short })
    assert.equal("a scene usually takes 1:20 to 3:10, judging by 23 finished tasks like it in the ledger; not known yet for 1 scene",
      typical_duration.describe { a = short, b = long, c = false })
    assert.equal("how long a scene usually takes isn't known yet: that needs 3 finished tasks like it in the ledger",
      typical_duration.describe { a = false })
    assert.is_nil(typical_duration.describe {})
  end)
end)
