-- SPDX-License-Identifier: MIT
-- The program with several keys: it keeps the limit of each key, also after a kill and a restart, or when it runs twice.

local credentials = require "omni.client.credentials"
local env = require "helper.env"
local program = require "helper.program"

local limits <const> = { 1, 2, 5 }

local function board_of(files, name, count)
  local lines = { "return storyboard { cut = false, defaults = { duration = 4 }," }
  for i = 1, count do lines[#lines + 1] = ('  scene "%s%02d" { prompt = "%s%02d" },'):format(name, i, name, i) end
  lines[#lines + 1] = "}"
  return env.write(files:file(name .. ".lua"), table.concat(lines, "\n"))
end

describe("omni with several keys", function()
  local files, service

  before_each(function() files = env.directory() end)
  after_each(function()
    if service then service.stop() end
    service = nil
    files:close()
  end)

  local function serve(seconds, ...)
    service = program.service { "--keys", "1,2,5", "--seconds", seconds, ... }
  end

  -- Returns the value of CRUN_API_KEYS for these keys of the sandbox.
  local function keys_of(...)
    local words = {}
    for i, number in ipairs { ... } do words[i] = ("%s=%d"):format(service.keys[number], limits[number]) end
    return table.concat(words, ",")
  end

  local function environment(keys)
    return { CRUN_BASE_URL = service.url, CRUN_API_KEYS = keys } -- no PATH: the sandbox draws no clips
  end

  -- Waits until each key has reached its limit of tasks in flight.
  local function wait_until_full(child)
    for _ = 1, 8 do child:wait_for '"event":"pending"' end
  end

  -- Waits for the end of a run whose tasks would take hours: ends those in flight now, and again after each line that the run prints.
  local function finish(child)
    service.advance(10000)
    return child:finish(function() service.advance(10000) end)
  end

  -- Checks that each scene was accepted once, and that no key exceeded its limit. Returns the accounts.
  local function check_ledger(expected)
    local ledger, seen, n = service.ledger(), {}, 0
    for _, task in ipairs(ledger.tasks) do
      assert.is_nil(seen[task.input.prompt], task.input.prompt .. " was submitted twice")
      seen[task.input.prompt], n = true, n + 1
    end
    assert.equal(expected, n)
    for i, account in ipairs(ledger.accounts) do
      assert.is_true(account.peak <= limits[i], ("key %d: %d in flight"):format(i, account.peak))
    end
    return ledger.accounts
  end

  local function shows_no_key(text)
    for n = 1, 3 do assert.is_nil(text:find(service.keys[n], 1, true), text) end
  end

  it("credits prints the balance of each key and the sum, even if one key is refused", function()
    serve("0.05", "--credits", "100")
    local result = program.run({ "credits" }, { environment = environment(keys_of(1, 2, 3)) })
    assert.equal(0, result.code, result.err)
    for n = 1, 3 do
      assert.matches("^" .. credentials.fingerprint(service.keys[n]) .. " +100 sandbox credits$", result.lines[n])
    end
    assert.matches("^sum +300 sandbox credits$", result.lines[4])
    local foreign = ("%s,%s"):format(keys_of(1, 2), credentials.sandbox_key(77))
    result = program.run({ "credits", "--json" }, { environment = environment(foreign) })
    assert.equal(1, result.code)
    local keys = program.events_of(result)[1].keys
    assert.same({ 100, 100, "unauthorized" }, { keys[1].balance, keys[2].balance, keys[3].error.code })
    shows_no_key(result.out .. result.err)
  end)

  it("run has as many scenes in flight as all keys allow together, unless --jobs says otherwise", function()
    serve "3600"
    local board = board_of(files, "a", 24)
    local child = program.start({ "run", board, "--yes", "--json" }, { environment = environment(keys_of(1, 2, 3)) })
    wait_until_full(child)
    local result = finish(child)
    assert.equal(0, result.code, result.err)
    local accounts = check_ledger(24)
    assert.same(limits, { math.tointeger(accounts[1].peak), math.tointeger(accounts[2].peak), math.tointeger(accounts[3].peak) })
    shows_no_key(result.out .. result.err)
  end)

  it("run continues after a key is refused in the middle, warns once, and never pays twice", function()
    serve("0.2", "--fault", "status-401:key=3,skip=20")
    local board, environment_ = board_of(files, "a", 24), environment(keys_of(1, 2, 3))
    local result = program.run({ "run", board, "--yes" }, { environment = environment_ })
    assert.is_true(result.code <= 1, result.err)
    local _, warnings = result.err:gsub("the API key %x+ is rejected by the service; the other keys are used instead", "")
    assert.equal(1, warnings, result.err)
    check_ledger(24)
    shows_no_key(result.out .. result.err)
  end)

  it("run, killed with tasks of several keys in flight, continues each with its own key, in any order of keys", function()
    serve "3600"
    local board = board_of(files, "a", 12)
    local child = program.start({ "run", board, "--yes", "--json" }, { environment = environment(keys_of(1, 2, 3)) })
    wait_until_full(child)
    child:signal "KILL"
    child:finish()
    local before = service.ledger()
    assert.equal(8, before.submits) -- each key has reached its limit
    local result = finish(program.start({ "run", board, "--yes", "--json" }, { environment = environment(keys_of(3, 1, 2)) }))
    assert.equal(0, result.code, result.err)
    check_ledger(12)
    local resumed, fetched = 0, 0
    for _, event in ipairs(program.events_of(result)) do
      if event.event == "plan" then
        for _, scene in ipairs(event.scenes) do
          if scene.action == "resume" then resumed = resumed + 1 end
        end
      end
      if event.event == "fetched" then fetched = fetched + 1 end
    end
    assert.same({ 8, 12 }, { resumed, fetched })
  end)

  it("run names the missing key of a task, and doesn't submit the task's scene again", function()
    serve "3600"
    local board = board_of(files, "a", 8)
    local child = program.start({ "run", board, "--yes", "--json" }, { environment = environment(keys_of(1, 2, 3)) })
    wait_until_full(child)
    child:signal "KILL"
    child:finish()
    local result = finish(program.start({ "run", board, "--yes", "--json" }, { environment = environment(keys_of(1, 3)) }))
    assert.equal(1, result.code, result.err)
    local lost = 0
    for _, event in ipairs(program.events_of(result)) do
      if event.event == "failed" then
        lost = lost + 1
        assert.equal("no_key", event.error.code)
        assert.matches(credentials.fingerprint(service.keys[2]), event.error.message, 1, true)
      end
    end
    assert.equal(2, lost)
    check_ledger(8)
    shows_no_key(result.out .. result.err)
  end)

  it("run twice at once, with one ledger, keeps the limits of the keys together", function()
    serve "0.2"
    local boards = { board_of(files, "a", 12), board_of(files, "b", 12) }
    local children = {}
    for n, board in ipairs(boards) do
      children[n] = program.start({ "run", board, "--yes", "--json", "--ledger", files:file "ledger.db" },
        { environment = environment(n == 1 and keys_of(1, 2, 3) or keys_of(3, 2, 1)) })
    end
    for _, child in ipairs(children) do
      local result = child:finish()
      assert.equal(0, result.code, result.out .. result.err)
    end
    check_ledger(24)
  end)
end)
