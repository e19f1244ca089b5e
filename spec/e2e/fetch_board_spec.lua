-- SPDX-License-Identifier: MIT
-- `omni fetch BOARD`: waits for tasks in flight, fetches paid files, and submits nothing.
local cjson = require "cjson"
local env = require "helper.env"
local program = require "helper.program"

local text <const> = [[return storyboard { cut = false, defaults = { duration = 4 },
  scene "dawn" { prompt = "dawn" }, scene "dusk" { prompt = "dusk", first_frame = last_frame "dawn" },
  scene "storm" { prompt = "storm" } }]]

describe("omni fetch BOARD", function()
  local files, service

  before_each(function()
    files = env.directory()
    env.write(files:file "film.lua", text)
    service = program.real_service { seconds = 100 }
    service.environment.XDG_STATE_HOME = files:file "state"
  end)
  after_each(function()
    service.stop()
    files:close()
  end)

  local function omni(...) return program.run({ ... }, { environment = service.environment, directory = files.path }) end
  local function start(...) return program.start({ ... }, { environment = service.environment, directory = files.path }) end

  -- Submits two scenes, and interrupts the run.
  local function submit()
    local child = start("run", "film.lua", "--yes")
    child:wait_for "dawn: pending"
    if not table.concat(child.lines, "\n"):find "storm: pending" then child:wait_for "storm: pending" end
    child:signal "INT"
    child:finish()
  end

  it("waits for the scenes in flight, fetches them, and submits nothing", function()
    submit()
    local child = start("fetch", "film.lua")
    local result = child:finish(function() service.advance(200) end)
    assert.same({ 0, 2 }, { result.code, service.submits() })
    assert.matches("2 in flight, 1 not submitted: nothing to pay", result.out)
    assert.matches("2 of 2 scenes done", result.out)
    assert.matches("\n  1 scene not submitted\n", result.out)
    for _, name in ipairs { "dawn", "storm" } do assert.matches(name .. "%-%x+%.mp4", env.output("ls " .. files:file "film.omni/media")) end
    result = omni("fetch", "film.lua")
    assert.same({ 0, "nothing to fetch: no scene is in flight, and the files of all that was paid for are here" },
      { result.code, (result.out:gsub("%s+$", "")) })
    assert.equal(2, service.submits())
  end)

  it("can be interrupted, and prints how to continue", function()
    submit()
    local child = start("fetch", "film.lua", "--out", "here")
    child:wait_for "dawn: pending"
    child:signal "INT"
    local result = child:finish()
    assert.equal(130, result.code)
    assert.matches("\n  omni fetch film%.lua %-%-out here", result.out)
    assert.equal(2, service.submits())
  end)

  it("with --json prints the events of a run", function()
    submit()
    local child = start("fetch", "film.lua", "--json")
    local result = child:finish(function() service.advance(200) end)
    local last = cjson.decode(result.lines[#result.lines])
    assert.same({ "done", 0, "waiting", false }, { last.event, last.exit, last.scenes[2].status, last.scenes[2].selected })
  end)

  it("refuses options that belong to a single task", function()
    for option, value in pairs { timeout = "3", ["no-wait"] = false, any = false } do
      local words = { "fetch", "film.lua", "--" .. option, value or nil }
      local result = omni(table.unpack(words))
      assert.same({ 2, ("omni: --%s: only for a task, not for a board\n"):format(option) }, { result.code, result.err })
    end
  end)
end)
