-- SPDX-License-Identifier: MIT
-- Rate limits and maintenance, over real sockets: requests that are refused for the moment wait, and no others.
local core = require "omni.core"
local env = require "helper.env"
local omni = require "omni"
local studio = require "helper.studio"

local INPUT <const> = { prompt = "A lighthouse at dusk.", duration = 4 }

-- Calls `body(client, sandbox, seen)` in the loop; `seen` counts requests by what they were answered.
local function open(given, options, body)
  omni.run(function()
    given.seconds, given.clips = given.seconds or 0.2, "builtin"
    local sandbox <close> = assert(omni.sandbox(given))
    local seen = { passed = 0, refused = 0 }
    local service, handle = sandbox.service, sandbox.service.handle
    function service.handle(...)
      local response = handle(...)
      local refused = response.status == 429 or type(response.body) == "string" and response.body:find('"code":429', 1, true)
      local kind = refused and "refused" or "passed"
      seen[kind] = seen[kind] + 1
      return response
    end
    local all = { base_url = sandbox.url, api_key = sandbox.key, poll_min = 0.1, retry_min = 0.02, schemas = false, ledger = false }
    for name, value in pairs(options or {}) do all[name] = value end
    if given.keys then all.keys, all.api_key = sandbox.keys, nil end
    local client <close> = assert(omni.client(all))
    body(client, sandbox, seen)
  end)
end

-- Submits so many tasks at once, and awaits them.
local function finish(client, count)
  local fibers = {}
  for i = 1, count do
    fibers[i] = omni.spawn(function()
      local task = assert(client:submit(INPUT))
      assert.equal("success", assert(task:await { timeout = env.seconds(60) }).status)
    end)
  end
  omni.join(table.unpack(fibers))
end

local function limiter_of(client, number) return client.all_keys[number or 1].transport.limiter end

-- Lets a second that the service asks for last 50 milliseconds: a header can't ask for less than a second.
local function shorten_seconds(client)
  local limiter = limiter_of(client)
  local learn = limiter.learn
  function limiter:learn(failure, pauses)
    if failure and failure.retry_after then failure.retry_after = failure.retry_after / 20 end
    return learn(self, failure, pauses)
  end
end

describe("a storm of refusals", function()
  local needed -- requests, where nothing is refused
  local seconds <const> = 0.02 -- of a task: the first query of each finds it done, however busy the machine is
  setup(function()
    open({ seconds = seconds }, {}, function(client, _, seen)
      finish(client, 200)
      needed = seen.passed
    end)
  end)

  for _, fault in ipairs {
    "status-429:every=2", "envelope-429:every=2", "status-429:every=2,retry_after=0", "envelope-429:every=2,retry_after=0",
  } do
    it(("(%s) fails none of 200 tasks, charges each once, and takes at most twice the requests"):format(fault), function()
      open({ faults = { fault }, seconds = seconds }, {}, function(client, sandbox, seen)
        finish(client, 200)
        assert.equal(200, sandbox:ledger().submits)
        assert.is_true(seen.refused >= 200)
        assert.is_true(seen.passed + seen.refused <= 2 * needed, ("%d requests, needed %d"):format(seen.passed + seen.refused, needed))
      end)
    end)
  end

  for _, kind in ipairs { "status", "envelope" } do
    it(("(%s, every second one, Retry-After: 1) fails none of 200 tasks, and takes at most twice the requests"):format(kind), function()
      local storm = { faults = { kind .. "-429:every=2,retry_after=1" }, seconds = seconds }
      open(storm, { max_connections = 200 }, function(client, sandbox, seen)
        shorten_seconds(client)
        finish(client, 200)
        assert.equal(200, sandbox:ledger().submits)
        assert.is_true(limiter_of(client).pauses > 1)
        assert.is_true(seen.passed + seen.refused <= 2 * needed, ("%d requests, needed %d"):format(seen.passed + seen.refused, needed))
      end)
    end)

    it(("(%s, Retry-After: 1) pauses once for a hundred refusals that were on their way"):format(kind), function()
      local storm = { faults = { kind .. "-429:every=2,first=100,retry_after=1" }, seconds = seconds }
      open(storm, { max_connections = 200 }, function(client, sandbox, seen)
        local begun = core.now()
        finish(client, 200)
        assert.same({ 200, 100, 1 }, { sandbox:ledger().submits, seen.refused, limiter_of(client).pauses })
        assert.is_true(core.now() - begun >= 1)
      end)
    end)
  end

  it("lets omni find the service's limit: the service refuses no more requests than it accepts", function()
    open({ rate = 20 }, {}, function(client, sandbox, seen) -- any machine is faster than that
      finish(client, 60)
      assert.equal(60, sandbox:ledger().submits)
      assert.is_true(seen.refused > 0 and seen.refused <= seen.passed, ("%d refused, %d passed"):format(seen.refused, seen.passed))
    end)
  end)

  it("lets a thousand calls through in the order in which they were made", function()
    open({ faults = { "status-429:every=5" } }, { max_connections = 1, retry_min = 0.001, retry_max = 0.001 }, function(client)
      local order, fibers = {}, {}
      for i = 1, 1000 do
        fibers[i] = omni.spawn(function()
          assert(client:call("GET", "/api/v1/client/account/balance"))
          order[#order + 1] = i
        end)
      end
      omni.join(table.unpack(fibers))
      assert.equal(1000, #order)
      for place, i in ipairs(order) do assert.equal(place, i) end
      assert.is_true(limiter_of(client).pauses >= 200)
    end)
  end)
end)

describe("during a pause", function()
  local LONG <const> = ",first=1,retry_after=3600"

  it("requests of another key continue", function()
    open({ keys = 2, faults = { "status-429:key=1,retry_after=3600" } }, {}, function(client, sandbox)
      finish(client, 20)
      assert.is_true(client:keys()[1].paused > 3500)
      assert.equal(0, client:keys()[2].paused)
      assert.equal(20, sandbox:ledger().submits)
    end)
  end)

  it("downloads and uploads continue", function()
    open({ faults = { "status-429:on=balance" .. LONG } }, { pause_for = 0 }, function(client)
      local folder <close> = env.directory()
      local task = assert(assert(client:submit(INPUT)):await())
      local _, problem = client:balance()
      assert.equal("rate_limited", problem.code)
      assert.is_true(client:keys()[1].paused > 3500)
      assert(task:save(folder:file "a.mp4"))
      assert.same({ "a.mp4" }, folder:names())
    end)
  end)

  it("the deadline of an await still holds", function()
    open({ faults = { "status-429:on=query" .. LONG } }, {}, function(client)
      local task = assert(client:submit(INPUT))
      studio.become(function()
        local _, problem = task:await { timeout = 0.05 }
        assert.equal("timeout", problem.code)
        return client:keys()[1].paused > 0
      end)
      local _, problem = task:await { timeout = 0.05 }
      assert.same({ "timeout", task.id }, { problem.code, problem.task_id })
    end)
  end)

  it("an await that has waited longer than pause_for continues when the pause ends", function()
    open({ faults = { "status-429:on=query,first=3,retry_after=1" } }, { pause_for = 0.01 }, function(client, _, seen)
      finish(client, 20)
      assert.equal(3, seen.refused)
    end)
  end)

  it("a submit that is stopped isn't sent any more", function()
    open({ faults = { "status-429:on=submit,first=1,retry_after=1" } }, {}, function(client, sandbox, seen)
      local stop = {}
      local submit = omni.spawn(client.submit, client, INPUT, { stop = stop })
      studio.become(function() return seen.refused == 1 and not stop.sending end)
      stop.requested = true
      local task, problem = submit:join()
      assert.is_nil(task)
      assert.equal("rate_limited", problem.code)
      assert.same({ 0, 0, true }, { sandbox:ledger().submits, seen.passed, stop.prevented })
    end)
  end)

  it("a submit whose fiber is cancelled isn't sent any more, and delays no other", function()
    open({ faults = { "status-429:on=submit,first=1,retry_after=1" } }, {}, function(client, sandbox, seen)
      local stop = {}
      local submit = omni.spawn(client.submit, client, INPUT, { stop = stop })
      studio.become(function() return seen.refused == 1 and not stop.sending end)
      submit:cancel()
      assert(client:balance())
      assert.equal(0, sandbox:ledger().submits)
    end)
  end)
end)

describe("a call that doesn't wait for the end of a pause", function()
  local function refuse(client, method, ...)
    local value, problem = client[method](client, ...)
    assert.is_nil(value)
    assert.equal("rate_limited", problem.code)
    return problem
  end

  for name, options in pairs { ["retry_for = 0"] = { retry_for = 0 }, ["pause_for = 0.05"] = { pause_for = 0.05 } } do
    it(("(%s) is told that the service limits the rate, and what it asks for"):format(name), function()
      open({ faults = { "status-429:retry_after=3600" } }, options, function(client, sandbox)
        local problem = refuse(client, "submit", INPUT)
        assert.same({ 429, 3600, "answered" }, { problem.status, problem.retry_after, problem.sent })
        assert.equal(0, sandbox:ledger().submits)
      end)
    end)

    it(("(%s) is told so at once, too, when the pause has begun before"):format(name), function()
      open({ faults = { "status-429:retry_after=3600" } }, options, function(client, sandbox, seen)
        local task = client:task "d6956973-2f17-43d4-8514-af6cc3a2f55d"
        refuse(client, "balance")
        assert.matches("asked omni to wait for longer than", refuse(client, "balance").message)
        refuse(client, "estimate", INPUT)
        refuse(task, "refresh")
        assert.equal("no", refuse(client, "submit", INPUT).sent)
        assert.same({ 1, 0 }, { seen.refused, sandbox:ledger().submits })
      end)
    end)
  end

  it("still waits for a connection or for the key's rate, however long that takes", function()
    for _, options in ipairs { { max_connections = 1 }, { rate = 50 } } do
      options.retry_for = 0
      open({ faults = { "slow:on=submit,delay=0.02" } }, options, function(client, sandbox)
        finish(client, 10)
        assert.equal(10, sandbox:ledger().submits)
      end)
    end
  end)
end)

describe("maintenance", function()
  it("pauses ten times as long as a rate limit", function()
    for code, longest in pairs { [429] = 100, [455] = 1000 } do
      local options = { retry_min = 100, retry_max = 100, pause_for = 0 }
      open({ faults = { ("envelope-%d"):format(code) } }, options, function(client)
        assert.is_nil((client:balance()))
        local paused = client:keys()[1].paused
        assert.is_true(paused > longest * 0.49 and paused <= longest, code .. ": " .. paused)
      end)
    end
  end)

  it("ends, and all requests continue", function()
    open({ faults = { "status-455:first=3" } }, { retry_min = 0.002 }, function(client, sandbox)
      finish(client, 50)
      assert.equal(50, sandbox:ledger().submits)
    end)
  end)
end)

describe("Retry-After", function()
  it("as an HTTP date is obeyed like one in seconds", function()
    for _, after in ipairs { "3600", "date+3600" } do
      open({ faults = { "status-429:retry_after=" .. after } }, { pause_for = 0 }, function(client)
        assert.is_nil((client:balance()))
        local paused = client:keys()[1].paused
        assert.is_true(paused > 3590 and paused <= 3602, after .. ": " .. paused)
      end)
    end
  end)
end)
