-- SPDX-License-Identifier: MIT
-- `omni status` after runs against services that look like the real one: the ledger is the user's, in XDG_STATE_HOME.
local cjson = require "cjson"
local env = require "helper.env"
local program = require "helper.program"

local function board_of(...)
  local lines = { "return storyboard { defaults = { duration = 4 }," }
  for _, name in ipairs { ... } do lines[#lines + 1] = ('scene "%s" { prompt = "%s" },'):format(name, name) end
  return table.concat(lines, "\n") .. "}"
end

describe("omni status", function()
  local files, state, services

  before_each(function()
    files, services = env.directory(), {}
    state = files:file "state"
  end)
  after_each(function()
    for _, service in ipairs(services) do service.stop() end
    files:close()
  end)

  local function serve(options)
    local service = program.real_service(options)
    services[#services + 1] = service
    service.environment.XDG_STATE_HOME = state
    return service
  end
  -- Runs without a key and without a service.
  local function status(...)
    return program.run({ "status", ... }, { environment = { XDG_STATE_HOME = state }, directory = files.path })
  end
  -- Runs until the scene is in flight, and interrupts. Returns the id of the task.
  local function leave(service, board, scene, ...)
    local child = program.start({ "run", files:file(board), "--yes", ... }, { environment = service.environment, directory = files.path })
    local id = child:wait_for(scene .. ": pending"):match("task ([%x-]+)")
    child:signal("INT")
    child:finish()
    return id
  end

  it("without a ledger says that nothing was submitted, and creates none", function()
    local result = status()
    assert.same({ 0, "" }, { result.code, result.err })
    assert.equal("there is no ledger at " .. state .. "/omni/ledger.db: nothing was submitted", result.out)
    local event = cjson.decode(status("--json").lines[1])
    assert.same({ "status", false, 0 }, { event.event, event.exists, event.spent.credits })
    assert.same({}, files:names())
  end)

  it("lists tasks in flight, unknown outcomes with the ways out, and the cost: today, in all, by board and account", function()
    local service = serve { seconds = 100, faults = { "drop-after:on=submit,match=lost" } }
    env.write(files:file "night.lua", board_of("lost", "dusk"))
    env.write(files:file "day.lua", board_of "noon")
    local dusk = leave(service, "night.lua", "dusk")
    local noon = leave(service, "day.lua", "noon")

    local result = status()
    assert.same({ 0, "" }, { result.code, result.err })
    for _, line in ipairs {
      "ledger " .. state .. "/omni/ledger.db", "in flight: 2", "unknown: 1", "  1  night.lua: lost  submitted ",
      "      it may have cost about 40 credits\n", "      balance 10000 before, ",
      ("omni run %s/night.lua --resubmit lost\n"):format(files.path),
      ("omni run %s/night.lua --adopt lost TASK_ID\n"):format(files.path), "omni forget 1\n",
      "spent today: 0 credits (3 submits), and about 120 not yet reported\n",
      "spent in all: 0 credits (3 submits), and about 120 not yet reported\n",
    } do
      assert.is_truthy((result.out .. "\n"):find(line, 1, true), line .. " is missing in\n" .. result.out)
    end
    assert.matches("\n  2  night.lua: dusk  pending  for 0:%d%d  about 40 credits  task " .. dusk:gsub("%-", "%%-"), result.out)
    assert.not_matches("key", result.out) -- a single account isn't listed

    result = status("day.lua")
    assert.matches("in flight: 1\n  3  noon  pending .*" .. noon:gsub("%-", "%%-"), result.out)
    assert.matches("unknown: 0\n", result.out)
    assert.matches("spent on this board: 0 credits %(1 submit%), and about 40 not yet reported", result.out)
    assert.equal(2, status("dawn.lua").code)

    local event = cjson.decode(status("--json", "night.lua").lines[1])
    assert.same({ 1, 1, true }, { #event.in_flight, #event.unknown, event.exists })
    assert.same({ credits = 0, estimated = 80, given_up = 0, submits = 2 }, event.today)
    assert.same({ dusk, "dusk", "accepted", 2, files:file "night.lua", 40 }, { event.in_flight[1].task_id, event.in_flight[1].scene,
      event.in_flight[1].state, event.in_flight[1].submit, event.in_flight[1].board, event.in_flight[1].estimate })
    assert.same({ "submit_unknown", 1, 10000 }, { event.unknown[1].error.code, event.unknown[1].submit, event.unknown[1].balance_before })

    local other = serve { seconds = 0.05 }
    env.write(files:file "other.lua", board_of "boat")
    assert.equal(0, program.run({ "run", files:file "other.lua", "--yes" }, { environment = other.environment }).code)
    result = status()
    assert.matches("\nspent in all: 40 credits %(4 submits%), and about 120 not yet reported\n", result.out)
    local sums = { [service.url] = "0 credits (3 submits), and about 120 not yet reported", [other.url] = "40 credits (1 submit)" }
    for url, sum in pairs(sums) do
      local said = ("  %s, key KEY\n    today: %s\n    in all: %s"):format(url, sum, sum):gsub("%p", "%%%0"):gsub("KEY", "%%x+")
      assert.matches(said, result.out)
    end
    assert.is_nil((os.execute(("grep -rqF %s %s"):format(service.key, env.quote(files.path)))))
  end)

  it("counts a submit as unknown if its omni was killed before the answer came", function()
    local service = serve { faults = { "slow:on=submit,delay=60" } }
    env.write(files:file "night.lua", board_of "dusk")
    local child = program.start({ "run", files:file "night.lua", "--yes" }, { environment = service.environment })
    child:wait_for("dusk: submitting")
    repeat
      local row = status("--json")
      local event = cjson.decode(row.lines[1])
    until #event.in_flight == 1
    child:signal("KILL")
    child:finish()
    local result = status()
    assert.matches("\n  1  night.lua: dusk  submitted .*omni ended before the response arrived\n", result.out)
  end)

  it("lists the clips that were paid for but aren't here, and how long the service keeps them", function()
    local service = serve { seconds = 0.05, faults = { "status-403:on=media" } }
    env.write(files:file "night.lua", board_of "dusk")
    local result = program.run({ "run", files:file "night.lua", "--yes" }, { environment = service.environment, directory = files.path })
    assert.equal(1, result.code, result.err)
    local shown = status().out
    assert.matches("\nto fetch: 1\n  1  night.lua: dusk  paid for, task [%x-]+; the service keeps it for about %d+ days more\n", shown)
    local event = cjson.decode(status("--json", "night.lua").lines[1])
    assert.same({ 1, "dusk" }, { #event.to_fetch, event.to_fetch[1].scene })
    env.output(("sqlite3 %s/omni/ledger.db 'UPDATE submit SET completed_at = 1, ended_at = 1'"):format(state))
    assert.matches("task [%x-]+; its media have probably expired at the service\n", status().out)
    env.output(("sqlite3 %s/omni/ledger.db \"UPDATE submit SET state = 'gone'\""):format(state))
    result = program.run({ "plan", files:file "night.lua" }, { environment = service.environment, directory = files.path })
    for _, way in ipairs { "omni run %S*night.lua %-%-redo dusk\n", "omni forget 1" } do assert.matches(way, result.out .. "\n") end
  end)

  it("names a ledger that can't be read", function()
    local path = env.write(files:file "bytes.db", ("no database "):rep(200))
    os.execute("chmod 600 " .. env.quote(path))
    local result = status("--ledger", path)
    assert.equal(1, result.code)
    assert.matches("^omni: .*bytes.db", result.err)
  end)

  it("counts the tasks of a rehearsal that was killed neither as in flight nor as cost, since they ended with it", function()
    local words <const> = { "status", "film.lua", "--sandbox" }
    env.write(files:file "film.lua", board_of "dusk")
    local child = program.start({ "run", "film.lua", "--sandbox", "--seconds", "3600" }, { directory = files.path })
    child:wait_for "pending"
    local running = program.run(words, { directory = files.path }).out
    assert.matches("in flight: 1\n.*and about 40 not yet reported\n", running)
    child:signal "KILL"
    child:finish()
    local killed = program.run(words, { directory = files.path }).out
    assert.matches("in flight: 0\nunknown: 0\n", killed)
    assert.not_matches("not yet reported", killed)
  end)

  it("finds the ledger of a board's rehearsals as omni run does, whatever OMNI_LEDGER says", function()
    local function omni(words, environment)
      environment = environment or {}
      environment.XDG_STATE_HOME, environment.OMNI_LEDGER = state, files:file "other.db"
      return program.run(words, { environment = environment, directory = files.path })
    end
    env.write(files:file "film.lua", (board_of("dusk"):gsub("defaults", "cut = false, defaults")))
    assert.equal(0, omni({ "run", "film.lua", "--sandbox", "--seconds", "0.1" }).code)
    local result = omni { "status", "film.lua", "--sandbox" }
    assert.same({ 0, "ledger film.omni/sandbox/ledger.db" }, { result.code, result.lines[1] })
    assert.matches("spent on this board: 40 sandbox credits %(1 submit%)", result.out)
    result = omni { "status", "film.lua" }
    assert.equal("its rehearsals: omni status film.lua --sandbox", result.lines[#result.lines])
    assert.matches("there is no ledger at .*/other%.db", result.lines[1])

    local service = program.service { "--seconds", "0.1" }
    local own = { CRUN_API_KEY = service.environment.CRUN_API_KEY, CRUN_BASE_URL = service.environment.CRUN_BASE_URL }
    assert.equal(0, omni({ "run", "film.lua", "--yes" }, own).code)
    assert.equal("ledger film.omni/ledger.db", omni({ "status", "film.lua" }, own).lines[1])
    service.stop()
    assert.matches("ok +the key belongs to a sandbox: each board has its own ledger", omni({ "doctor" }, own).out)
    assert.is_nil(env.read(files:file "other.db"))
  end)

  it("accepts --sandbox and --out only with a board", function()
    for name, words in pairs { sandbox = { "--sandbox" }, out = { "--out", "x" } } do
      local result = status(table.unpack(words))
      assert.same({ 2, ("omni: --%s: also name the board\n"):format(name) }, { result.code, result.err })
    end
  end)
end)
