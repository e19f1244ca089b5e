-- SPDX-License-Identifier: MIT
-- Former bugs of the program omni, tested as a user would meet them.
local env = require "helper.env"
local program = require "helper.program"

local BOARD <const> = 'return storyboard { title = "T", scene "a" { prompt = "a" } }'

describe("omni lua", function()
  it("prints the ids of tasks that a script has dropped, also when the script fails", function()
    local folder <close> = env.directory()
    local script = env.write(folder:file "s.lua", [[
      local client = assert(omni.client())
      local ids = {}
      for i = 1, 3 do ids[i] = client:submit { prompt = "a" .. i }.id end
      collectgarbage()
      print(table.concat(ids, " "))
      error "oops"
    ]])
    local result = program.run { "lua", "--sandbox", "--seconds", "100", script }
    assert.equal(1, result.code)
    for id in result.out:gmatch("%S+") do assert.is_truthy(result.err:find("task " .. id, 1, true), id) end
    assert.equal(3, select(2, result.err:gsub("\n  task ", "")))
  end)

  it("reports submits that were given up on their way when the script fails", function()
    local folder <close> = env.directory()
    local script = env.write(folder:file "s.lua", [[
      local client = assert(omni.client())
      local before = client:balance()
      omni.spawn(client.submit, client, { prompt = "slow" })
      repeat omni.sleep(0.01) until client:balance() < before -- it was accepted, and is answered later
      error "oops"
    ]])
    local result = program.run { "lua", "--sandbox", "--fault", "slow:on=submit,delay=1000", script }
    assert.equal(1, result.code)
    assert.matches("1 submit%(s%) were sent, but their responses were lost", result.err)
  end)

  it("runs a script that calls omni.run itself, which waits for the fibers that were spawned in it", function()
    local folder <close> = env.directory()
    local script = env.write(folder:file "s.lua", [[
      local omni, n = require "omni", 0
      local function work()
        omni.sleep(0.01)
        n = n + 1
        if n == 1 then omni.spawn(work) end
      end
      print(omni.run(function(a)
        omni.spawn(work)
        return a, n
      end, "x"))
      print(n)
    ]])
    assert.equal("x\t0\n2", program.run({ "lua", script }).out)
  end)

  it("reports a script that yields", function()
    local result = program.run({ "lua", "-" }, { input = "coroutine.yield()" })
    assert.equal(1, result.code)
    assert.not_matches("bug in omni", result.err)
  end)
end)

describe("omni run", function()
  it("refuses an empty --base-url instead of using the real service", function()
    local folder <close> = env.directory()
    local board = env.write(folder:file "b.lua", BOARD)
    local result = program.run({ "run", board, "--yes", "--base-url", "" }, { environment = { CRUN_API_KEY = "ak_" .. ("0"):rep(32) } })
    assert.equal(2, result.code)
    assert.matches("base_url", result.err)
  end)

  it("writes valid JSON whatever bytes a path or a title contains", function()
    local folder <close> = env.directory()
    local board = env.write(folder:file "b.lua", (BOARD:gsub('"T"', '"T\\xff"')))
    local service = program.service()
    local result = program.run({ "run", board, "--yes", "--json", "--out", folder:file "bad\xff" }, { environment = service.environment })
    service.stop()
    assert.equal(0, result.code)
    for _, line in ipairs(result.lines) do assert.is_truthy(utf8.len(line), line) end
    assert.matches("\na%-%x+.mp4\nfilm.jpg\n$", env.output("ls " .. env.quote(folder:file "bad\xff/media")))
  end)

  it("says at once that the service can't be reached, and that it continues to try", function()
    local folder <close> = env.directory()
    local board = env.write(folder:file "b.lua", BOARD)
    local key = { CRUN_API_KEY = "ak_" .. ("0"):rep(32) }
    local child = program.start({ "run", board, "--yes", "--base-url", "http://127.0.0.1:1" }, { environment = key })
    local patience = os.time() + 20
    repeat until child:errors():find("trying again") or os.time() > patience
    child:signal("INT")
    local result = child:finish()
    assert.equal(130, result.code)
    assert.matches("trying again", result.err)
  end)

  it("doesn't pass the key to ffmpeg", function()
    local folder <close> = env.directory()
    local seen = folder:file "seen"
    env.write(folder:file "ffmpeg", ("#!/bin/sh\necho \"[$CRUN_API_KEY]\" >> '%s'\nexit 1\n"):format(seen))
    os.execute("chmod +x " .. env.quote(folder:file "ffmpeg"))
    local board = env.write(folder:file "b.lua", BOARD)
    local result = program.run({ "run", board, "--sandbox", "--seconds", "0.05" },
      { environment = { CRUN_API_KEY = "ak_secret", PATH = folder.path .. ":/usr/bin:/bin" } })
    assert.equal(1, result.code) -- the film can't be cut, with that ffmpeg
    assert.matches("^%[%]\n", env.read(seen))
    assert.not_matches("secret", env.read(seen))
  end)
end)
