-- SPDX-License-Identifier: MIT
-- Several keys, against a sandbox with as many accounts: each key has its own limit, and one key fails in the middle.

local answers = require "helper.answers"
local core = require "omni.core"
local credentials = require "omni.client.credentials"
local hostile = require "helper.hostile"
local omni = require "omni"
local studio = require "helper.studio"

local become, statuses = studio.become, studio.statuses

local limits <const> = { 1, 2, 5 }
local scenes <const> = 60
local HELD <const> = 3600 -- seconds that tasks take which end by s:hurry() or s.sandbox:advance()

-- A board of so many scenes, and one that is left out, so that no film is cut.
local function board_of(count)
  local names = {}
  for i = 1, count do names[i] = ("s%02d"):format(i) end
  local only = table.move(names, 1, count, 1, {})
  names[count + 1] = "left out"
  return studio.board(table.unpack(names)), { only = only }
end

local board <const>, those <const> = board_of(scenes)

-- A client with these keys of the sandbox's (all of them, unless said otherwise); its warnings are kept in s.warnings.
local function client_with(s, keys, more)
  local given = { keys = keys or s.sandbox.keys, on_event = answers.on_warning(function(text) s.warnings[#s.warnings + 1] = text end) }
  for name, value in pairs(more or {}) do given[name] = value end
  return s:new_client(given)
end

-- A studio whose sandbox has an account for each limit, and whose client has all of their keys.
local function open(given, body)
  given.keys = given.keys or limits
  studio.open(given, function(s)
    s.warnings = {}
    local client <close> = client_with(s)
    s.client = client
    body(s)
  end)
end

local function begin(s, n)
  local some, only = board_of(n)
  return s:begin(some, nil, only)
end

local function run(s, n, more)
  local some, only = board_of(n)
  for name, value in pairs(more or {}) do only[name] = value end
  return s:run(some, only)
end

local function count(summary, status)
  local n = 0
  for _, one in ipairs(statuses(summary)) do
    if one == status then n = n + 1 end
  end
  return n
end

local function peaks(s)
  local found = {}
  for i, account in ipairs(s.sandbox:ledger().accounts) do found[i] = account.peak end
  return found
end

-- Each scene was accepted by the service once and no more.
local function assert_charged_once(s, expected)
  local seen, n = {}, 0
  for _, task in ipairs(s.sandbox:ledger().tasks) do
    assert.is_nil(seen[task.input.prompt], task.input.prompt .. " was submitted twice")
    seen[task.input.prompt], n = true, n + 1
  end
  assert.equal(expected or scenes, n)
end

local function in_limits(s)
  for i, peak in ipairs(peaks(s)) do assert.is_true(peak <= limits[i], ("key %d: %d in flight"):format(i, peak)) end
end

local function fingerprint(s, number) return credentials.fingerprint(s.sandbox.keys[number].key) end

-- The tasks of a key that the sandbox has and that aren't over.
local function in_flight(s, number)
  local n, account = 0, fingerprint(s, number)
  for _, task in ipairs(s.sandbox:ledger().tasks) do
    if task.account == account and task.status ~= "success" then n = n + 1 end
  end
  return n
end

-- Whether each key has as many tasks in flight as it may have.
local function full(s)
  for i, limit in ipairs(limits) do
    if in_flight(s, i) ~= limit then return false end
  end
  return true
end

-- Begins to make the board; goes on until so many submits were accepted, and the keys are full again.
local function begin_and_wait(s, submits)
  local shooting, directory = s:begin(board, nil, those)
  repeat
    become(function() return full(s) end)
    local enough = s:submits() >= submits
    if not enough then s.sandbox:advance(7200) end
  until enough
  return shooting, directory
end

describe("several keys", function()
  it("have as many tasks in flight as their limits allow, and no more; all scenes are made, and charged once", function()
    open({ seconds = HELD }, function(s)
      local shooting, directory <close> = begin_and_wait(s, 8) -- luacheck: ignore 211
      assert.equal(8, s:submits())
      local hurry <close> = s:hurry() -- luacheck: ignore 211
      local summary = shooting:join()
      assert.equal(scenes, count(summary, "fetched"))
      assert.same(limits, peaks(s))
      assert_charged_once(s)
      assert.equal(s.sandbox:ledger().charged, summary.credits)
      assert.same({}, s.warnings)
      for i, key in ipairs(s.client:keys()) do
        assert.same({ key = fingerprint(s, i), limit = limits[i], in_flight = 0, paused = 0 }, key)
      end
    end)
  end)

  it("keep their limits when far more scenes than that wait", function()
    open({ seconds = HELD }, function(s)
      local making = omni.spawn(function() return assert(run(s, 20, { jobs = 20 })) end)
      become(function() return full(s) end)
      local hurry <close> = s:hurry() -- luacheck: ignore 211
      assert.equal(20, count(making:join(), "fetched"))
      assert.same(limits, peaks(s))
      assert_charged_once(s, 20)
    end)
  end)

  it("report that a submit waits for a free slot, and that it waits no longer", function()
    open({ keys = { 1 }, seconds = HELD }, function(s)
      local events = {}
      local client <close> = s:new_client { keys = s.sandbox.keys, on_event = function(event)
        if event.event:find "^slots" then events[#events + 1] = { event.event, event.slots } end
      end }
      assert(client:submit { prompt = "a", duration = 4 })
      local second = omni.spawn(client.submit, client, { prompt = "b", duration = 4 })
      become(function() return events[1] ~= nil end)
      local hurry <close> = s:hurry() -- luacheck: ignore 211
      assert(second:join())
      assert.same({ { "slots_full", 1 }, { "slots_free", 1 } }, events)
    end)
  end)

  it("share the submits of a script, also without limits", function()
    open({ keys = { { credits = 400 }, { credits = 400 }, { credits = 400 } } }, function(s)
      local fibers = {}
      for i = 1, 30 do
        fibers[i] = omni.spawn(function() return assert(assert(s.client:submit { prompt = "p" .. i, duration = 4 }):await()) end)
      end
      omni.join(table.unpack(fibers))
      for _, account in ipairs(s.sandbox:ledger().accounts) do assert.equal(400, account.charged) end
    end)
  end)

  it("report the balance of each, and the sum", function()
    open({ keys = { { credits = 100 }, { credits = 50.5 }, { credits = 0 } } }, function(s)
      s.sandbox:revoke(s.sandbox.keys[3].key)
      local found = assert(s.client:balances())
      assert.same({ fingerprint(s, 1), fingerprint(s, 2), fingerprint(s, 3) }, { found[1].key, found[2].key, found[3].key })
      assert.same({ 100, 50.5 }, { found[1].balance, found[2].balance, found[3].balance })
      assert.equal("unauthorized", found[3].error.code)
      assert.equal(150.5, s.client:balance())
    end)
  end)

  it("pay for a board together: it isn't refused because no single key could pay", function()
    open({ keys = { { in_flight = 1, credits = 40 }, { in_flight = 1, credits = 80 } } }, function(s)
      assert.equal(3, count(assert(run(s, 3)), "fetched"))
      assert.equal("insufficient_credits", select(2, s:run(studio.board "more")).code)
    end)
  end)

  it("continue without a disabled key (403): its refused submit goes to the next key, uncharged", function()
    open({ keys = 2, faults = { "status-403:key=1,on=any" } }, function(s)
      assert.equal(4, count(assert(run(s, 4)), "fetched"))
      assert_charged_once(s, 4)
      assert.same({ 0, 160 }, { s.sandbox:ledger().accounts[1].charged, s.sandbox:ledger().accounts[2].charged })
      local told = "the API key %s is disabled by the service; the other keys are used instead"
      assert.same({ told:format(fingerprint(s, 1)) }, s.warnings)
      assert.equal("key_disabled", s.client:keys()[1].disabled)
      assert.equal(10000 - 160, s.client:balance())
      -- Whose task that is it can't say: the other key is asked.
      local _, task = next(s.sandbox:ledger().tasks)
      local stranger <close> = client_with(s, nil, { ledger = false })
      assert.equal("success", assert(stranger:query(task.task_id)).status)
    end)
  end)

  it("that are all disabled end a run, and the error says where to look; nothing is charged", function()
    open({ keys = 1, faults = { "envelope-403:on=submit" } }, function(s)
      local summary = assert(run(s, 3))
      assert.equal(0, s:submits())
      assert.equal("key_disabled", summary.scenes[1].error.code)
      assert.matches("https://crun.ai/user-api-key", summary.scenes[1].error.hint, 1, true)
      assert.same({}, s:rows "open")
    end)
  end)

  it("continue without a revoked key: its tasks fail, stay accepted, and aren't submitted again", function()
    open({ seconds = HELD }, function(s)
      local shooting, directory <close> = begin_and_wait(s, 20) -- luacheck: ignore 211
      s.sandbox:revoke(s.sandbox.keys[3].key)
      local hurry <close> = s:hurry() -- luacheck: ignore 211
      local summary = shooting:join()
      local failed = 0
      for _, scene in ipairs(summary.scenes) do
        if scene.status == "failed" then
          failed = failed + 1
          assert.equal("unauthorized", scene.error.code)
          assert.is_string(scene.task_id)
          assert.equal(scene.task_id, scene.error.task_id)
          local row = s:rows("find", { task_id = scene.task_id })[1]
          assert.same({ "accepted", s.sandbox.url .. " " .. fingerprint(s, 3) }, { row.state, row.account })
        end
      end
      assert.equal(limits[3], failed)
      assert.equal(scenes - failed, count(summary, "fetched"))
      assert_charged_once(s)
      in_limits(s)
      assert.same({ ("the API key %s is rejected by the service; the other keys are used instead"):format(fingerprint(s, 3)) }, s.warnings)
      assert.equal("unauthorized", s.client:keys()[3].disabled)
      assert.is_nil(s.client:keys()[1].disabled)
      -- A further run doesn't submit them again either.
      directory:close()
      assert.equal(failed, count(assert(s:run(board, those)), "failed"))
      assert_charged_once(s)
    end)
  end)

  it("continue without a key that is out of credits: the others make everything", function()
    open({ seconds = HELD }, function(s)
      local shooting, directory <close> = begin_and_wait(s, 20) -- luacheck: ignore 211
      s.sandbox:set_credits(s.sandbox.keys[3].key, 0)
      local before = s.sandbox:ledger().accounts[3].charged
      local hurry <close> = s:hurry() -- luacheck: ignore 211
      local summary = shooting:join()
      assert.equal(scenes, count(summary, "fetched"))
      assert.equal(before, s.sandbox:ledger().accounts[3].charged)
      assert_charged_once(s)
      in_limits(s)
      assert.same({ ("the API key %s is out of credits; the other keys are used instead"):format(fingerprint(s, 3)) }, s.warnings)
      assert.equal("insufficient_credits", s.client:keys()[3].disabled)
    end)
  end)

  it("end a run when no key is left, and say so; scenes that aren't submitted cost nothing", function()
    open({ keys = { 1, 1 }, seconds = HELD }, function(s)
      local shooting, directory <close> = begin(s, 10) -- luacheck: ignore 211
      become(function() return s:submits() == 2 end)
      s.sandbox:advance(7200)
      become(function() return s:submits() >= 3 end)
      for _, key in ipairs(s.sandbox.keys) do s.sandbox:set_credits(key.key, 0) end
      local hurry <close> = s:hurry() -- luacheck: ignore 211
      local submits, summary = s:submits(), shooting:join()
      assert.equal(submits, s:submits())
      assert.equal(submits, count(summary, "fetched"))
      assert.equal("insufficient_credits", summary.scenes[10].error.code)
      assert.equal(2, #s.warnings)
      assert.matches("the other keys are used instead$", s.warnings[1])
      assert.matches("no other key is left$", s.warnings[2])
    end)
  end)

  it("record the balance of the key that sent the submit", function()
    open({ keys = { { in_flight = 1, credits = 7 }, { in_flight = 1, credits = 90 } } }, function(s)
      local shooting, directory <close> = begin(s, 1) -- luacheck: ignore 211
      shooting:join()
      local row = s:rows("find", { task_id = s.sandbox:ledger().tasks[1].task_id })[1]
      assert.same({ 90, s.sandbox.url .. " " .. fingerprint(s, 2) }, { row.balance_before, row.account })
    end)
  end)
end)

describe("the tasks of several keys", function()
  -- The sandbox answers 404 for a task of another key: whoever gets an answer has asked with the right one.
  it("are queried after a restart with the key that made each, in whatever order the keys are given", function()
    open({ seconds = HELD }, function(s)
      local shooting, directory = begin_and_wait(s, 20)
      become(function()
        local fetched = 0
        for _, event in ipairs(s.events) do
          if event.event == "fetched" then fetched = fetched + 1 end
        end
        return fetched == s:submits() - 8
      end)
      shooting:interrupt()
      assert.is_true(shooting:join().interrupted)
      directory:close()
      s.client:close()
      local submits = s:submits()
      local keys = s.sandbox.keys
      local again <close> = client_with(s, { keys[3], keys[1], keys[2] })
      s.client = again
      local second, opened = s:begin(board, nil, those)
      local resumed = 0
      for _, scene in ipairs(second.plan.scenes) do
        if scene.action == "resume" then resumed = resumed + 1 end
      end
      assert.equal(8, resumed)
      local hurry <close> = s:hurry() -- luacheck: ignore 211
      local summary = second:join()
      assert.is_true(submits < scenes)
      assert.equal(scenes, count(summary, "fetched") + count(summary, "reused"))
      opened:close()
      assert_charged_once(s)
      in_limits(s)
    end)
  end)

  it("count against their key's limit after a restart, even if nobody awaits them", function()
    open({ keys = { 1, 1 }, seconds = HELD }, function(s)
      local path = s.directory .. "/own.db"
      do
        local first <close> = client_with(s, nil, { ledger = path })
        for _ = 1, 2 do assert(first:submit { prompt = "a", duration = 4 }) end
      end
      local second <close> = client_with(s, { s.sandbox.keys[2], s.sandbox.keys[1] }, { ledger = path })
      local third = omni.spawn(function() return assert(second:submit { prompt = "b", duration = 4 }) end)
      local service, asked = s.sandbox.service, {}
      local handle = service.handle
      function service.handle(self, request)
        if request.path:find "TaskInfo" then asked[request.query] = true end
        return handle(self, request)
      end
      become(function() return next(asked) and next(asked, next(asked)) end) -- the two are taken up
      assert.is_false(third:done())
      s.sandbox:advance(7200)
      third:join()
      assert.same({ 1, 1 }, peaks(s))
      assert.equal(3, s:submits())
    end)
  end)

  it("are queried with the right key if only their id is known, also by a client without a ledger", function()
    open({}, function(s)
      local path = s.directory .. "/own.db"
      local maker <close> = client_with(s, nil, { ledger = path })
      local ids = {}
      for i = 1, 6 do ids[i] = assert(maker:submit { prompt = "p" .. i, duration = 4 }).id end
      local keys = s.sandbox.keys
      local knowing <close> = client_with(s, { keys[2], keys[3], keys[1] }, { ledger = path })
      local stranger <close> = client_with(s, { keys[2], keys[3], keys[1] }, { ledger = false })
      for _, client in ipairs { knowing, stranger } do
        for _, id in ipairs(ids) do assert.equal("success", assert(assert(client:task(id)):await()).status) end
      end
    end)
  end)

  it("give an error with the fingerprint of the missing key", function()
    open({ seconds = 3600 }, function(s)
      local path, keys = s.directory .. "/own.db", s.sandbox.keys
      local id
      do
        local maker <close> = client_with(s, { keys[3] }, { ledger = path })
        id = assert(maker:submit { prompt = "a", duration = 4 }).id
      end
      local other <close> = client_with(s, { keys[1], keys[2] }, { ledger = path })
      local task, problem = other:query(id)
      assert.is_nil(task)
      assert.same({ "no_key", id }, { problem.code, problem.task_id })
      assert.matches(fingerprint(s, 3), problem.message, 1, true)
      assert.matches("add that key", problem.hint)
      assert.is_nil((problem.message .. problem.hint):find(keys[3].key, 1, true))
      assert.equal("no_key", select(2, assert(other:task(id)):await()).code)
    end)
  end)
end)

describe("a task that a client with several keys knows only by its id", function()
  local function two_keys(url)
    local other = "ak_" .. ("0123456789abcdef"):rep(2)
    return assert(omni.client {
      base_url = url, keys = { { key = answers.KEY }, { key = other } }, ledger = false, schemas = false, retry_for = 0, retry_min = 0.005,
      retry_max = 0.01, poll_min = 0.005, poll_max = 0.01,
    })
  end

  it("is awaited even if the network fails for longer than a call is retried", function()
    local server <close> = hostile.start()
    local client <close> = two_keys(server.url)
    local broken, paused = { hostile.reset() }, { hostile.json(answers.envelope("null", 429, "slow down"), "429 Too Many Requests") }
    server:script { GET = { broken, broken, broken, paused, broken, { answers.running() }, broken, { answers.success(server.url) } } }
    local seen = {}
    local task = assert(assert(client:task(answers.ID)):await { on_status = function(t) seen[#seen + 1] = t.status end })
    assert.same({ "running", "success" }, seen)
    assert.equal("success", task.status)
  end)

  it("is awaited until the deadline and no longer, also if a query gets no answer; the error has the last failure", function()
    local server <close> = hostile.start()
    local client <close> = two_keys(server.url)
    server:script { GET = { { hostile.hang() } } }
    local _, problem = assert(client:task(answers.ID)):await { timeout = 0.05 }
    assert.same({ "timeout", answers.ID }, { problem.code, problem.task_id })
    server:script { GET = { { hostile.reset() } } }
    _, problem = assert(client:task(answers.ID)):await { timeout = 0.2 }
    assert.equal("timeout", problem.code)
    assert.equal("network", problem.cause.code)
  end)

  it("isn't awaited if no key can query it", function()
    local server <close> = hostile.start()
    local client <close> = two_keys(server.url)
    server:script { GET = { { hostile.json(answers.envelope("null", 404, "no such task"), "404 Not Found") } } }
    local _, problem = assert(client:task(answers.ID)):await()
    assert.same({ "not_found", answers.ID }, { problem.code, problem.task_id })
    assert.equal(2, #server:requests "GET")
  end)
end)

describe("a program that submits and never awaits", function()
  local real_now <const> = core.now
  after_each(function() core.now = real_now end)

  it("counts a task of a key without a limit for an hour, and no longer", function()
    open({ keys = { {}, {} }, seconds = 100000 }, function(s)
      local function in_flight_now()
        local found = s.client:keys()
        return { found[1].in_flight, found[2].in_flight }
      end
      for i = 1, 6 do assert(s.client:submit { prompt = "p" .. i, duration = 4 }) end
      assert.same({ 3, 3 }, in_flight_now())
      core.now = function() return real_now() + 3601 end
      assert.same({ 0, 0 }, in_flight_now())
      for i = 1, 3 do assert(s.client:submit { prompt = "q" .. i, duration = 4 }) end
      assert.same({ 2, 1 }, in_flight_now())
    end)
  end)

  it("keeps no finished task in memory", function()
    open({ keys = { {} }, seconds = 0 }, function(s)
      for i = 1, 200 do assert(assert(s.client:submit { prompt = "p" .. i, duration = 4 }):await()) end
      local taken = s.client.all_keys[1].started
      assert.is_true(taken.last - taken.first < 100)
    end)
  end)
end)

describe("two programs with one ledger and the same keys", function()
  it("never exceed a key's limit together; each scene is charged once", function()
    open({ keys = { 1, 2 }, seconds = HELD }, function(s)
      local path, clients, fibers = s.directory .. "/own.db", {}, {}
      for n = 1, 2 do
        clients[n] = client_with(s, nil, { ledger = path })
        for i = 1, 6 do
          fibers[#fibers + 1] = omni.spawn(function()
            return assert(assert(clients[n]:submit { prompt = ("%d %d"):format(n, i), duration = 4 }):await())
          end)
        end
      end
      become(function() return in_flight(s, 1) == 1 and in_flight(s, 2) == 2 end)
      local hurry <close> = s:hurry() -- luacheck: ignore 211
      omni.join(table.unpack(fibers))
      for _, client in ipairs(clients) do client:close() end
      assert.same({ 1, 2 }, peaks(s))
      assert_charged_once(s, 12)
    end)
  end)
end)
