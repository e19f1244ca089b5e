-- SPDX-License-Identifier: MIT
-- Specs of other folders about money, once more with a ledger in PostgreSQL. They name their ledgers with `new` of helper/ledger.lua.
local env = require "helper.env"
local postgresql = require "helper.postgresql"

-- A new database for each history, or for each round, takes time: there are fewer of them.
local FEWER <const> = "SEQUENCES=10 OMNI_KILL_ROUNDS=3"

-- Each has the path of a spec, and patterns of what in it says nothing about the ledger.
local specs <const> = {
  { "spec/storyboard/run/paid_once_spec.lua" }, -- a success is final
  { "spec/storyboard/run/paid_once_property_spec.lua" }, -- the same, in random histories
  { "spec/e2e/together_spec.lua" }, -- two runs at once, budgets
  { "spec/e2e/unknown_spec.lua", "in a rehearsal", "without a ledger", "omni forget gives up", "defaults" }, -- only a person decides
  { "spec/e2e/again_spec.lua", "during the cut", "another run", "shows how long", "makes only that scene" }, -- nothing is paid for twice
  { "spec/e2e/kill_spec.lua" }, -- SIGKILL
  { "spec/store/store_spec.lua" }, -- several machines share clips
  { "spec/storyboard/job/worker_spec.lua" }, -- jobs
}

describe("with a ledger in PostgreSQL", function()
  for _, one in ipairs(specs) do
    local path = one[1]
    it("the promises of " .. path .. " hold, too", function()
      if not postgresql.is_there then return pending "PostgreSQL isn't installed" end
      local filters = {}
      for i = 2, #one do filters[i - 1] = "--filter-out=" .. env.quote(one[i]) end
      local output = env.output(("OMNI_TEST_BACKEND=PostgreSQL %s %s spec/helper/busted.lua %s %s -o TAP 2>&1; true")
        :format(FEWER, env.lua, path, table.concat(filters, " ")))
      local _, passed = output:gsub("%f[^\n\0]ok %d", "")
      assert.is_nil(output:find "%f[^\n\0]not ok", output)
      assert.is_true(passed > 0, output)
    end)
  end
end)
