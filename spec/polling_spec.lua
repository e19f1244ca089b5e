-- SPDX-License-Identifier: MIT
local polling = require "omni.polling"

describe("the next query", function()
  it("is close at first, wider the longer the task lasts, and within its bounds", function()
    local last = 0
    for age = 0, 2000, 10 do
      local wait = polling.next_query(age, 2, 30, 0.5)
      assert.is_true(wait >= last and wait >= 2 and wait <= 30)
      last = wait
    end
    assert.equal(2, polling.next_query(0, 2, 30, 0.5))
    assert.equal(30, polling.next_query(2000, 2, 30, 0.5))
  end)

  it("differs by chance, a tenth to either side", function()
    assert.is_true(polling.next_query(100, 2, 30, 0) < polling.next_query(100, 2, 30, 1))
  end)
end)

describe("the next try", function()
  it("comes later each time, up to a bound, and never below half of it", function()
    assert.equal(1, polling.next_try(1, nil, 1, 60, 1))
    assert.equal(2, polling.next_try(2, nil, 1, 60, 1))
    assert.equal(60, polling.next_try(50, nil, 1, 60, 1))
    assert.equal(30, polling.next_try(50, nil, 1, 60, 0))
  end)

  it("is never earlier than the service asked for", function()
    for attempt = 1, 20 do
      for jitter = 0, 1, 0.25 do assert.is_true(polling.next_try(attempt, 17, 1, 60, jitter) >= 17) end
    end
  end)
end)
