-- SPDX-License-Identifier: MIT
-- Specs of other folders about money, once more with a ledger in PostgreSQL. They name their ledgers with `new` of helper/ledger.lua.
local env = require "helper.env"
local postgresql = require "helper.postgresql"

local specs <const> = {
  "spec/storyboard/run/paid_once_spec.lua", -- a success is final
  "spec/storyboard/run/paid_once_property_spec.lua", -- the same, in random histories
  "spec/e2e/together_spec.lua", -- two runs at once, budgets
  "spec/store/store_spec.lua", -- several machines share clips
}

describe("with a ledger in PostgreSQL", function()
  for _, path in ipairs(specs) do
    it("the promises of " .. path .. " hold, too", function()
      if not postgresql.is_there then return pending "PostgreSQL isn't installed" end
      -- A new database for each history takes time: fewer histories.
      local output = env.output(("OMNI_TEST_BACKEND=PostgreSQL SEQUENCES=10 %s spec/helper/busted.lua %s -o TAP 2>&1; true")
        :format(env.lua, path))
      local _, passed = output:gsub("%f[^\n\0]ok %d", "")
      assert.is_nil(output:find "%f[^\n\0]not ok", output)
      assert.is_true(passed > 0, output)
    end)
  end
end)
