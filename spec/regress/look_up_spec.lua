-- SPDX-License-Identifier: MIT
-- After a failed name lookup, a handle still has its buffer, and libcurl refuses to set the size again: every second call then failed for
-- good with "Out of memory".
local answers = require "helper.answers"

describe("a host name that can't be found", function()
  it("is a network failure each time", function()
    local client <close> = assert(answers.client("http://nobody.invalid"))
    for _ = 1, 4 do
      local _, err = client:balance()
      assert.equal("network", err.code)
      assert.not_matches("memory", err.message)
    end
  end)
end)
