-- SPDX-License-Identifier: MIT

local env = require "helper.env"
local ledgers = require "omni.ledger"
local lfs = require "lfs"
local omni = require "omni"

describe("a ledger's digests of files", function()
  it("take up a limited amount of memory, and aren't computed again", function()
    omni.run(function()
      local folder <close> = env.directory()
      local ledger <close> = assert(ledgers.open(folder:file "ledger.db"))
      local function read(first, last)
        for i = first, last do
          local path = folder:file(("%d.mp4"):format(i))
          env.write(path, "clip " .. i)
          lfs.touch(path, os.time() - 60) -- a file that has just changed isn't remembered
          assert(ledger:digest(path))
        end
        collectgarbage()
        collectgarbage()
        return collectgarbage "count"
      end
      local before = read(1, 600)
      local after = read(601, 1800)
      assert.is_true(after - before < 100, after - before) -- 400 bytes for each file would be 480 KB

      local all = {}
      for i = 1, 1800 do all[i] = folder:file(("%d.mp4"):format(i)) end
      assert(ledger:load_digests(all))
      local sha256 = ledger:digest(all[1])
      local asked = 0
      local row = ledger.row
      function ledger.row(...)
        asked = asked + 1
        return row(...)
      end
      for _, path in ipairs(all) do assert(ledger:digest(path)) end
      assert.equal(0, asked)
      assert.equal(sha256, ledger:digest(all[1]))
    end)
  end)
end)
