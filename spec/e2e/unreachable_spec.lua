-- SPDX-License-Identifier: MIT
-- `omni run` while the database with the ledger can't be reached: omni submits nothing, and records what is in flight when it can.

local postgresql = require "helper.postgresql"

if not postgresql.is_there then
  return describe("PostgreSQL", function() it("isn't installed", function() pending "nothing was tried" end) end)
end

local env = require "helper.env"
local omni = require "omni"
local program = require "helper.program"
local relays = require "helper.postgresql_relay"
local studio = require "helper.studio"

local BOARD <const> = [[
return storyboard { defaults = { duration = 4 }, cut = false,
  scene "dusk" { prompt = "dusk" }, scene "dawn" { prompt = "dawn" }, scene "sea" { prompt = "sea" } }
]]

describe("omni run, while the database can't be reached,", function()
  -- Calls `body(place)` in the loop. place: sandbox, relay, ledger (address), folder, start(...) → fiber that returns the result
  local function open(given, body)
    local folder <close> = env.directory()
    local direct = postgresql.database()
    omni.run(function()
      given.clips = "builtin"
      local sandbox <close> = assert(omni.sandbox(given))
      local relay <close> = relays.open(5601)
      local place = { sandbox = sandbox, relay = relay, direct = direct, output = "" }
      local board = env.write(folder:file "board.lua", BOARD)
      -- Starts a run: a fiber. The ledger tries for a second.
      function place.start(...)
        local words = { program.binary, "run", board, "--yes", "--out", folder:file "out", "--ledger", relay:address(direct, 1), ... }
        return omni.spawn(omni.process, words, {
          environment = { HOME = folder.path, PATH = "/nonexistent", CRUN_BASE_URL = sandbox.url, CRUN_API_KEY = sandbox.key,
            OMNI_LEDGER = "" },
          on_output = function(text) place.output = place.output .. text end,
        })
      end
      body(place)
    end)
  end

  it("submits nothing, and says so after a short patience", function()
    open({ seconds = 0.1 }, function(place)
      place.relay:set_open(false)
      local result = place.start():join()
      assert.same({ 3, "" }, { result.exit, place.output })
      assert.matches("^omni: the ledger postgresql://.* can't be reached: ", result.stderr)
      assert.equal(0, place.sandbox:ledger().submits)
    end)
  end)

  it("submits nothing more when the database goes away between the plan and the submits", function()
    open({ seconds = 0.1 }, function(place)
      function place.relay.on_bytes(bytes)
        if bytes:find("INSERT INTO submit", 1, true) then place.relay:set_open(false) end
      end
      local result = place.start():join()
      assert.equal(1, result.exit)
      for _, scene in ipairs { "dusk", "dawn", "sea" } do
        assert.matches(scene .. ": failed: the ledger postgresql://[^\n]* can't be reached: ", place.output)
      end
      assert.equal(0, place.sandbox:ledger().submits)
      place.relay.on_bytes = nil
      place.relay:set_open(true)
      assert.equal(0, place.start():join().exit)
      assert.equal(3, place.sandbox:ledger().submits)
    end)
  end)

  it("waits for the tasks in flight, and records them when the database is back", function()
    open({ seconds = 1000 }, function(place)
      local run = place.start()
      studio.become(function() return select(2, place.output:gsub("pending", "")) == 3 end)
      place.relay:set_open(false)
      place.sandbox:advance(1000)
      studio.become(function() return place.output:find "waiting for the ledger, to record what has happened: [^\n]* can't be reached" end)
      studio.become(function() return select(2, place.output:gsub("fetching", "")) == 3 end)
      place.relay:set_open(true)
      local result = run:join()
      assert.same({ 0, "" }, { result.exit, result.stderr }, place.output)
      assert.matches("3 of 3 scenes done, 120 sandbox credits", place.output)
      assert.equal("3|120|3", postgresql.sql(place.direct, [[SELECT count(*), sum(credits), (SELECT count(*) FROM omni.file)
        FROM omni.submit WHERE state = 'success']]))
      assert.equal(3, place.sandbox:ledger().submits)
    end)
  end)
end)
