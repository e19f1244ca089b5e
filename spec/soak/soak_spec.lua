-- SPDX-License-Identifier: MIT
-- A short form of `make soak`.

local env = require "helper.env"

describe("a process that works for a long time", function()
  it("charges each task once; its memory, descriptors and threads stay flat", function()
    if env.is_slow then return pending "it takes too long here" end
    -- The warm-up takes longer than this run, so memory may grow.
    local said = env.output(("COUNT=400 RUNS=20 SOAK_LIMIT=25 %s spec/soak/run.lua 2>/dev/null"):format(env.plain_lua))
    assert.matches("^tasks: 400 in %d+ s, %d+ s of CPU time; memory ", said)
    assert.matches("\nboard: 20 in %d+ s, %d+ s of CPU time; memory ", said)
  end)
end)
