-- SPDX-License-Identifier: MIT
-- Callbacks at the command line: `omni run --listen`, `omni listen`, and lost responses.

local cjson = require "cjson"
local env = require "helper.env"
local omni = require "omni"
local program = require "helper.program"

local BOARD = [[
return storyboard {
  cut = false,
  defaults = { duration = 4 },
  scene "a" { prompt = "a" },
  scene "b" { prompt = "b", continues = "a" },
}
]]

describe("callbacks at the command line:", function()
  local service, files, board, out, port

  local function open(...)
    service, files = program.service { ... }, env.directory()
    board, out, port = env.write(files:file "board.lua", BOARD), files:file "out", env.free_ports(1)
  end
  after_each(function()
    service.stop()
    files:close()
  end)

  local function run(...)
    return program.run({ "run", board, "--yes", "--out", out, ... }, { environment = service.environment })
  end
  local function listen(...)
    return program.start({ "listen", "--listen", "127.0.0.1:" .. port, "--ledger", out .. "/ledger.db", ... },
      { environment = service.environment })
  end
  it("omni run --listen is woken by them, and settles a submit whose answer was lost without paying twice", function()
    open("--seconds", "0.3", "--fault", "drop-after:on=submit,match=a")
    local result = run("--listen", "127.0.0.1:" .. port)
    assert.equal(0, result.code, result.out .. result.err)
    assert.matches("a: unknown", result.out)
    assert.matches("b: fetched", result.out)
    assert.equal(2, service.submits())
    assert.equal(80, service.ledger().charged)
  end)

  -- The task ends, and its callback comes, only when the clock is set forward.
  local function kill_run_with_lost_answer()
    open("--seconds", "1000", "--fault", "drop-after:on=submit,match=a")
    local child = program.start({ "run", board, "--yes", "--out", out, "--listen", "127.0.0.1:" .. port },
      { environment = service.environment })
    child:wait_for("a: unknown")
    child:signal("KILL")
    child:finish()
  end

  it("omni listen settles a submit that a killed run left open, and the same run command continues", function()
    kill_run_with_lost_answer()
    local listener = listen()
    listener:wait_for("listening; callback URLs begin with http://127.0.0.1:" .. port)
    service.advance(2000)
    assert.matches('found the task of a lost submit.*scene "a"', listener:wait_for("found the task"))
    listener:signal("INT")
    assert.equal(0, listener:finish().code)
    assert.equal(0, run("--only", "a").code)
    assert.equal(1, service.submits())
  end)

  it("omni run --listen, started again, waits for the callback of a submit that a killed run left open", function()
    kill_run_with_lost_answer()
    local child = program.start({ "run", board, "--yes", "--only", "a", "--out", out, "--listen", "127.0.0.1:" .. port },
      { environment = service.environment })
    child:wait_for("a: unknown")
    service.advance(2000)
    assert.equal(0, child:finish().code)
    assert.equal(1, service.submits())
  end)

  it("omni listen prints each callback as a line or as JSON, never its body, and forwards it", function()
    open("--seconds", "1000")
    omni.run(function()
      local bodies = {}
      local endpoint <close> = assert(omni.serve({ host = "127.0.0.1" }, function(request)
        bodies[#bodies + 1] = request:body()
        return 200, {}, "ok"
      end))
      local address = "127.0.0.1:" .. port
      local submitting = omni.spawn(function()
        return assert(omni.process({ program.binary, "run", board, "--yes", "--only", "a", "--out", out, "--listen", address },
          { environment = service.environment, stdout = "pipe" }))
      end)
      local deadline = os.time() + env.seconds(20)
      repeat omni.sleep(0.05) until service.submits() == 1 or os.time() > deadline
      submitting:cancel() -- killed while the task runs; the next program receives its callback
      local lines = {}
      local listening = omni.spawn(function()
        omni.process({ program.binary, "listen", "--listen", address, "--ledger", out .. "/ledger.db", "--json", "--forward-to",
          endpoint.url .. "/mine" }, { environment = service.environment, on_output = function(text)
          for line in text:gmatch("[^\n]+") do lines[#lines + 1] = line end
        end })
      end)
      repeat omni.sleep(0.02) until #lines >= 1 or os.time() > deadline
      service.advance(2000) -- the task ends only now
      repeat omni.sleep(0.02) until #lines >= 6 or os.time() > deadline
      listening:cancel()
      local seen = {}
      for i, line in ipairs(lines) do
        local event = cjson.decode(line)
        seen[event.event] = event
        assert.is_number(event.time)
        assert.is_nil(line:find("prompt", 1, true), "line " .. i)
      end
      assert.equal("http://" .. address, seen.listening.url)
      assert.same({ 200, "success" }, { seen.accepted.status, seen.accepted.state })
      assert.equal(seen.accepted.task_id, seen.confirmed.task_id)
      assert.equal(200, seen.forwarded.status)
      assert.same({ seen.accepted.task_id, "a" }, { seen.taken_over.task_id, seen.taken_over.scene })
      assert.same({ seen.accepted.task_id, "a", "success" }, { seen.recorded.task_id, seen.recorded.scene, seen.recorded.state })
      assert.equal(seen.accepted.task_id, cjson.decode(bodies[1]).task_id)
    end)
  end)

  it("omni listen takes over the task of a killed run, also without a callback, and a later run fetches the clip at no cost", function()
    open("--seconds", "1000")
    local child = program.start({ "run", board, "--yes", "--only", "a", "--out", out }, { environment = service.environment })
    child:wait_for("a: pending")
    child:signal("KILL")
    child:finish()
    service.advance(2000) -- the task ends, and its callback reaches nobody
    local listener = listen()
    assert.matches('  took over  task [%x-]+  scene "a"$', listener:wait_for("took over"))
    assert.matches('  recorded the end  task [%x-]+  scene "a"  success$', listener:wait_for("recorded"))
    listener:signal("INT")
    assert.equal(0, listener:finish().code)
    local result = run("--only", "a")
    assert.equal(0, result.code, result.err)
    assert.matches("a: fetched", result.out)
    assert.equal(1, service.submits())
  end)

  it("omni listen puts the clip of a killed run into the store, and a later run gets it from there", function()
    open("--seconds", "1000", "--fault", "garbage:on=media,skip=1") -- the service sends the clip once
    local store = files:file "store"
    env.output("mkdir " .. env.quote(store))
    local child = program.start({ "run", board, "--yes", "--only", "a", "--out", out }, { environment = service.environment })
    child:wait_for("a: pending")
    child:signal("KILL")
    child:finish()
    service.advance(2000)
    local listener = listen("--store", store)
    assert.matches('put into the store  task [%x-]+  scene "a"$', listener:wait_for("store"))
    listener:signal("INT")
    assert.equal(0, listener:finish().code)
    local result = run("--only", "a", "--store", store)
    assert.equal(0, result.code, result.err)
    assert.matches("a: fetched", result.out)
    assert.equal(1, #env.lines(("ls %s/media/a-*.mp4"):format(out)))
    assert.equal(1, service.submits())
  end)

  it("omni listen says why a clip isn't in the store, and a later run fetches it", function()
    open("--seconds", "1000")
    local store = files:file "store"
    local child = program.start({ "run", board, "--yes", "--only", "a", "--out", out }, { environment = service.environment })
    child:wait_for("a: pending")
    child:signal("KILL")
    child:finish()
    service.advance(2000)
    local listener = listen("--store", store, "--json")
    assert.equal("store_failed", cjson.decode(listener:wait_for("not_stored")).error.code)
    listener:signal("INT")
    assert.equal(0, listener:finish().code)
    assert.matches("to fetch: 1\n", program.run({ "status", "--ledger", out .. "/ledger.db" }, { environment = service.environment }).out)
    local result = run("--only", "a")
    assert.equal(0, result.code, result.err)
    assert.matches("a: fetched", result.out)
    assert.equal(1, service.submits())
  end)

  it("refuse senseless options, and send nothing", function()
    open()
    for message, words in pairs {
      ["add %-%-listen"] = { "--public-url", "https://example.com" },
      ["expected ADDRESS:PORT or a port, got 'nowhere'"] = { "--listen", "nowhere" },
      ["expected an http or https URL, got 'example.com'"] = { "--listen", "127.0.0.1:0", "--public-url", "example.com" },
      ["go together"] = { "--listen", "127.0.0.1:0", "--tls-key", "key.pem" },
    } do
      local result = run(table.unpack(words))
      assert.equal(2, result.code)
      assert.matches(message, result.err)
    end
    assert.equal(2, program.run({ "listen", "--forward-to", "x" }, { environment = service.environment }).code)
    assert.equal(0, service.submits())
  end)
end)
