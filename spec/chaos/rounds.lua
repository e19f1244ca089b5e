-- SPDX-License-Identifier: MIT
-- A short round of `make chaos`, and one that must fail.

local env = require "helper.env"

if env.is_slow then return pending "chaos takes too long here" end

-- Runs small rounds. Returns what was printed, and whether all was well.
local function chaos(settings)
  local in_namespace = os.execute "unshare -rm true 2>/dev/null" and "unshare -rm" or "" -- which lets it mount a disk
  local pipe = assert(io.popen(("%s CHAOS_SCENES=3 CHAOS_ORDERS=4 CHAOS_JOBS=1 CHAOS_LONGEST=100 ROUNDS=1 %s %s spec/chaos/run.lua 2>&1")
    :format(settings, in_namespace, env.plain_lua)))
  local said = pipe:read("a")
  return said, pipe:close() == true
end

describe("chaos", function()
  it("loses nothing, pays for nothing twice, and shows what is unknown", function()
    local said, fine = chaos "SEED=3"
    assert.is_true(fine, said)
    assert.matches("seed 3: %d+ charges, %d+ rows, %d+ files, 1 films, %d+ KB searched", said)
    assert.matches("%d+  connection ", said)
    assert.matches("1 rounds, 0 broken, %d+ s\n$", said)
  end)

  it("fails when a row is missing, and prints the seed and what happened", function()
    local said, fine = chaos([[SEED=2 CHAOS_SABOTAGE="DELETE FROM file; DELETE FROM submit WHERE id IN]]
      .. [[ (SELECT id FROM submit WHERE task_id NOT NULL LIMIT 1)"]])
    assert.is_false(fine, said)
    assert.matches("BROKEN with seed 2:\n  charge %S+ has no row", said)
    assert.matches("what happened:\n +%d+%.%d s  seed 2, %l+ keys, faults: ", said)
    assert.matches("\n  make chaos SEED=2 ROUNDS=1\n", said)
    assert.matches("1 rounds, 1 broken", said)
  end)
end)
