-- SPDX-License-Identifier: MIT
local backoff = require "omni.http.backoff"

describe("the next try", function()
  it("waits longer each time, up to a limit, and never less than half of the limit so far", function()
    assert.equal(1, backoff.wait_before_retry(1, nil, 1, 60, 1))
    assert.equal(2, backoff.wait_before_retry(2, nil, 1, 60, 1))
    assert.equal(60, backoff.wait_before_retry(50, nil, 1, 60, 1))
    assert.equal(30, backoff.wait_before_retry(50, nil, 1, 60, 0))
  end)

  it("never comes earlier than the service asked for", function()
    for attempt = 1, 20 do
      for jitter = 0, 1, 0.25 do assert.is_true(backoff.wait_before_retry(attempt, 17, 1, 60, jitter) >= 17) end
    end
  end)
end)
