-- SPDX-License-Identifier: MIT
-- The ledger refused a row while another program filled the key. When that program's task ended before the reason was looked up, the
-- submit failed with "over_budget", of a budget of 0 credits.

local studio = require "helper.studio"

describe("a submit that the ledger refuses for a reason that disappears a moment later", function()
  it("is tried again", function()
    studio.open({}, function(s)
      local client <close> = s:new_client { ledger = s.directory .. "/own.db" }
      local records = assert(client:ledger())
      local ask, refused = records.ask, false
      function records:ask(verb, ...)
        if verb == "intend" and not refused then
          refused = true
          return {}
        end
        return ask(self, verb, ...)
      end
      assert(assert(client:submit { prompt = "a boat", duration = 4 }):await())
      assert.is_true(refused)
      assert.equal(1, s:submits())
      assert.equal("success", ask(records, "find", { id = 1 })[1].state)
    end)
  end)
end)
