-- SPDX-License-Identifier: MIT
-- What is known about the cost of a submit with an unknown outcome.
local unknown_submit = require "omni.storyboard.plan.unknown_submit"

-- Returns a ledger with submits that were sent at these times.
local function ledger_with(account, ...)
  local times = { ... }
  return { ask = function(_, verb, params)
    assert.equal("spent", verb)
    local count = 0
    for _, time in ipairs(times) do
      if time >= params.since then count = count + 1 end
    end
    return { { account = account, submits = count }, { account = "another", submits = 7 } }
  end }
end

local function row(more)
  local fields = { account = "a", intended_at = 1000, answered_at = 1030, estimate = 40, balance_before = 100, balance_after = 20 }
  for name, value in pairs(more or {}) do fields[name] = value ~= "nil" and value or nil end
  return fields
end

describe("the cost of a submit with an unknown outcome", function()
  it("is its estimate, and the balance before and after", function()
    local alone = unknown_submit.count_others(ledger_with("a", 500, 1000, 2000), row())
    assert.same({ "it may have cost about 40 credits", "balance 100 before, 20 after" }, unknown_submit.costs(alone))
    assert.same({ "it may have cost about 40 sandbox credits", "balance 100 before" },
      unknown_submit.costs(row { balance_after = "nil" }, true))
    assert.same({}, unknown_submit.costs { })
  end)

  it("isn't the difference of the balances if other submits of the account were sent between", function()
    local busy = unknown_submit.count_others(ledger_with("a", 500, 995, 1000, 1020, 2000), row())
    assert.equal("2 other submits were sent between, so the difference isn't its cost alone", unknown_submit.costs(busy)[3])
    busy = unknown_submit.count_others(ledger_with("sandbox", 1000, 1020), row())
    assert.equal("1 other submit was sent between, so the difference isn't its cost alone", unknown_submit.costs(busy)[3])
    assert.is_nil(unknown_submit.count_others(ledger_with("b", 1000, 1020), row()).others ~= 0 or nil)
  end)

  it("needs no count without both balances", function()
    assert.is_nil(unknown_submit.count_others({}, row { balance_after = "nil" }).others)
  end)
end)
