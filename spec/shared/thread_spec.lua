-- SPDX-License-Identifier: MIT
local env = require "helper.env"
local asked = require "helper.ledger"
local lfs = require "lfs"

-- The blocked signals of each of this process's threads but the main one, as bits: signal 1 is the lowest bit.
local function blocked()
  local masks, main = {}, io.open("/proc/self/stat"):read "n"
  for thread in lfs.dir "/proc/self/task" do
    if tonumber(thread) and tonumber(thread) ~= main then
      masks[#masks + 1] = tonumber(env.read("/proc/self/task/" .. thread .. "/status"):match "SigBlk:%s*(%x+)", 16)
    end
  end
  return masks
end

describe("a thread of omni's", function()
  local HUP <const>, INT <const>, USR1 <const>, PIPE <const>, TERM <const> = 1, 2, 10, 13, 15
  local ILL <const>, TRAP <const>, ABRT <const>, BUS <const>, FPE <const>, SEGV <const>, SYS <const> = 4, 5, 6, 7, 8, 11, 31

  it("receives no signals, except those that report a crash", function()
    local folder <close> = env.directory()
    local opened <close> = assert(asked.ledger.open(folder:file "ledger.db"))
    asked.ask(opened, "row", { id = 1 }) -- the thread has started once it has returned a result
    local masks = blocked()
    assert.is_true(#masks > 0)
    for _, mask in ipairs(masks) do
      for _, signal in ipairs { HUP, INT, USR1, PIPE, TERM } do assert.equal(1, mask >> (signal - 1) & 1, "signal " .. signal) end
      for _, signal in ipairs { ILL, TRAP, ABRT, BUS, FPE, SEGV, SYS } do assert.equal(0, mask >> (signal - 1) & 1, "signal " .. signal) end
    end
  end)
end)
