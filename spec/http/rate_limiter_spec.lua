-- SPDX-License-Identifier: MIT
-- The rate limiter without a network: requests are only counted.
local core = require "omni.core"
local rate_limiter = require "omni.http.rate_limiter"
local loop = require "omni.loop"
local studio = require "helper.studio"

-- Returns a rate limiter over a fake C client that only knows the number of running requests. `begun` lists the started requests in order.
local function paced(settings)
  local http = { count = 0 }
  function http:running() return self.count end
  settings.connections = settings.connections or 1
  local self = { http = http, limiter = rate_limiter.new(http, settings), begun = {}, reported = {} }
  -- Makes one request in the running fiber: starts when the limiter allows it, and fails after a turn of the loop with the failure that
  -- `answer` returns.
  function self.ask(name, answer, on_begin)
    local number = assert(self.limiter:enter())
    local turn <close> = self.limiter -- luacheck: ignore 211
    local pauses = self.limiter.pauses
    self.begun[#self.begun + 1] = name
    http.count = http.count + 1
    if on_begin then on_begin() end
    loop.sleep(0)
    http.count = http.count - 1
    local failure = answer and answer() or nil
    local reported = self.limiter:learn(failure, pauses, number)
    if reported then self.reported[#self.reported + 1] = reported end
    return failure
  end
  return self
end

local function refusal(more)
  local failure = { code = "rate_limited", retry = true }
  for name, value in pairs(more or {}) do failure[name] = value end
  return failure
end

-- Lets `count` fibers ask until they get through; every `nth` answer is a refusal.
local function crowd(p, count, nth)
  local answered, through, fibers = 0, {}, {}
  for i = 1, count do
    fibers[i] = loop.spawn(function()
      repeat
        local failure = p.ask(i, function()
          answered = answered + 1
          if answered % nth == 0 then return refusal() end
        end)
      until not failure
      through[#through + 1] = i
    end)
  end
  loop.join(table.unpack(fibers))
  return through
end

local function sorted(count)
  local list = {}
  for i = 1, count do list[i] = i end
  return list
end

describe("a request that waits for its turn", function()
  it("starts in order, among a thousand requests, even if every third is refused", function()
    loop.run(function()
      local p = paced { least = 0.0001, most = 0.0001 }
      assert.same(sorted(1000), crowd(p, 1000, 3))
      assert.is_true(p.limiter.pauses >= 400)
      assert.is_true(p.limiter:is_idle())
    end)
  end)

  it("keeps its place when it is refused, so that nobody overtakes it", function()
    loop.run(function()
      local p = paced { connections = 8, least = 0.0001, most = 0.0001 }
      local under_way, through, lowest, answered, fibers = {}, {}, 1, 0, {}
      for i = 1, 1000 do
        fibers[i] = loop.spawn(function()
          repeat
            local failure = p.ask(i, function()
              under_way[i], answered = nil, answered + 1
              if answered % 2 == 0 then return refusal() end
              through[i] = true
            end, function()
              under_way[i] = true
              while through[lowest] do lowest = lowest + 1 end
              for j = lowest, i - 1 do assert(through[j] or under_way[j], ("%d overtook %d"):format(i, j)) end
            end)
          until not failure
        end)
      end
      loop.join(table.unpack(fibers))
      assert.is_true(p.limiter.pauses > 0 and answered >= 1999)
    end)
  end)

  it("lets the others continue when it is cancelled", function()
    loop.run(function()
      local p = paced {}
      p.http.count = 1 -- something is under way that lasts
      local first, second, third = loop.spawn(p.ask, 1), loop.spawn(p.ask, 2), loop.spawn(p.ask, 3)
      studio.become(function() return not p.limiter:is_idle() end)
      second:cancel()
      p.http.count = 0
      p.limiter:advance()
      loop.join(first, third)
      assert.same({ 1, 3 }, p.begun)
    end)
  end)

  it("returns when its time is over, and when the key is closed", function()
    loop.run(function()
      local p = paced { least = 60 }
      p.ask(1, refusal)
      assert.is_false(p.limiter:enter(0.01))
      local waiting = loop.spawn(function() return p.limiter:enter() end)
      studio.become(function() return not p.limiter:is_idle() end)
      p.limiter:close()
      assert.is_false(waiting:join())
      assert.is_false(p.limiter:enter())
    end)
  end)

  it("never runs beside more requests than there are connections, reserved turns included", function()
    loop.run(function()
      local p = paced { connections = 3 }
      local hold = assert(p.limiter:reserve())
      local most, fibers = 0, {}
      for i = 1, 20 do
        fibers[i] = loop.spawn(p.ask, i, function() most = math.max(most, p.http.count + 1) end)
      end
      studio.become(function() return #p.begun == 20 end)
      loop.join(table.unpack(fibers))
      assert.equal(2, most)
      hold:use()
    end)
  end)

  it("gets the turn of a request that gave it up", function()
    loop.run(function()
      local p = paced {}
      local waiting
      do
        local hold <close> = assert(p.limiter:reserve()) -- luacheck: ignore 211
        waiting = loop.spawn(p.ask, 1)
        studio.become(function() return not p.limiter:is_idle() end)
        assert.same({}, p.begun)
      end
      waiting:join()
      assert.same({ 1 }, p.begun)
    end)
  end)

  it("keeps a reserved turn during a pause and until a connection is free, however long that takes", function()
    loop.run(function()
      local p = paced {}
      p.http.count = 1 -- something is under way that lasts
      local waiting = loop.spawn(function()
        local hold <close> = p.limiter:reserve(0)
        return hold ~= nil
      end)
      studio.become(function() return not p.limiter:is_idle() end)
      loop.sleep(0.01)
      assert.is_false(waiting:done())
      p.http.count = 0
      p.limiter:advance()
      assert.is_true(waiting:join())
      p.ask(1, function() return refusal { retry_after = 60 } end)
      assert.is_nil(p.limiter:reserve(0))
    end)
  end)
end)

describe("a refusal", function()
  local function after(failures, settings)
    local p = paced(settings or { connections = 100 })
    for _, failure in ipairs(failures) do
      p.limiter.paused_until = p.limiter.paused_until and core.now() -- the pause is over
      p.ask(1, function() return failure or nil end)
    end
    return p.limiter
  end

  it("pauses everything once, however many requests were on their way", function()
    loop.run(function()
      local p, fibers = paced { connections = 50, least = 60 }, {}
      for i = 1, 50 do fibers[i] = loop.spawn(p.ask, i, refusal) end
      loop.join(table.unpack(fibers))
      assert.same({ 1, 1 }, { p.limiter.pauses, p.limiter.strikes })
      assert.is_true(p.limiter:paused() <= 60)
      assert.is_false(p.limiter:enter(0))
    end)
  end)

  it("pauses for as long as the longest pause that those requests asked for", function()
    loop.run(function()
      local p, fibers = paced { connections = 3 }, {}
      for i, seconds in ipairs { 100, 1000, 1000.1 } do
        fibers[i] = loop.spawn(p.ask, i, function() return refusal { retry_after = seconds } end)
      end
      loop.join(table.unpack(fibers))
      assert.equal(1, p.limiter.pauses)
      local left = p.limiter:paused()
      assert.is_true(left > 990 and left <= 1000.1)
      assert.same({ 2, 1000 }, { #p.reported, p.reported[2] }) -- a pause that is prolonged by a second or more is reported again
    end)
  end)

  it("pauses for as long as it asks", function()
    loop.run(function()
      local left = after({ refusal { retry_after = 100 } }):paused()
      assert.is_true(left > 99 and left <= 101)
    end)
  end)

  it("is followed by longer and longer pauses, up to the limit, only while no request succeeds", function()
    loop.run(function()
      local settings = { connections = 100, least = 100, most = 1000 }
      for strikes, range in ipairs { { 50, 100 }, { 100, 200 }, { 200, 400 }, { 400, 800 }, { 500, 1000 } } do
        local refusals = {}
        for i = 1, strikes do refusals[i] = refusal() end
        local left = after(refusals, settings):paused()
        assert.is_true(left > range[1] - 1 and left <= range[2], strikes .. " in a row: " .. left)
      end
      local left = after({ refusal(), refusal(), refusal(), false, refusal() }, settings):paused()
      assert.is_true(left <= 100, "something got through: " .. left)
    end)
  end)

  it("is followed by no longer pause if other requests succeed in the meantime", function()
    loop.run(function()
      local p = paced { connections = 2, least = 100, most = 1000 }
      for _ = 1, 5 do
        local refused, through = loop.spawn(p.ask, 1, refusal), loop.spawn(p.ask, 2)
        loop.join(refused, through)
        assert.is_true(p.limiter:paused() <= 100)
        p.limiter.paused_until = core.now()
      end
      assert.equal(5, p.limiter.pauses)
    end)
  end)

  it("for maintenance pauses ten times as long", function()
    loop.run(function()
      local settings = { connections = 100, least = 100, most = 1000 }
      local left = after({ { code = "maintenance" } }, settings):paused()
      assert.is_true(left > 499 and left <= 1000)
      left = after({ { code = "maintenance" }, { code = "maintenance" }, { code = "maintenance" }, { code = "maintenance" },
        { code = "maintenance" } }, settings):paused()
      assert.is_true(left > 4999 and left <= 10000)
    end)
  end)

  it("of another kind pauses nothing", function()
    loop.run(function()
      for _, code in ipairs { "network", "server_error", "unauthorized", "not_found", "submit_unknown", "bad_answer" } do
        local g = after { { code = code, retry_after = 60 } }
        assert.same({ 0, 0 }, { g:paused(), g.pauses }, code)
      end
    end)
  end)

  it("lets at most 1.5 times as many requests start afterwards as had succeeded before", function()
    loop.run(function()
      for passed, may in pairs { [0] = 1, [1] = 2, [3] = 5 } do
        local answers = {}
        for i = 1, passed do answers[i] = false end
        answers[#answers + 1] = refusal()
        local g = after(answers, { connections = #answers }) -- as many as could be sent
        g.connections = 100
        g.paused_until = core.now()
        local begun = 0
        while begun < 50 and g:enter(0) do begun = begun + 1 end
        assert.equal(may, begun)
      end
    end)
  end)

  it("is followed by rounds, each twice as large as the last, which start when the last one has ended", function()
    loop.run(function()
      local p, at_once, fibers = paced { connections = 16 }, {}, {}
      p.ask(0, refusal)
      p.limiter.paused_until = core.now()
      for i = 1, 15 do fibers[i] = loop.spawn(p.ask, i, function() at_once[i] = p.http.count + 1 end) end
      loop.join(table.unpack(fibers))
      assert.same({ 1, 2, 1, 4, 3, 2, 1, 8, 7, 6, 5, 4, 3, 2, 1 }, at_once)
    end)
  end)

  it("is forgotten when all requests succeed: then any number may start", function()
    loop.run(function()
      local p, fibers = paced { connections = 16, least = 0.001 }, {}
      p.ask(0, refusal)
      for i = 1, 40 do fibers[i] = loop.spawn(p.ask, i) end
      loop.join(table.unpack(fibers))
      assert.equal(1, p.limiter.pauses)
      local begun = 0
      while begun < 16 and p.limiter:enter(0) do
        begun = begun + 1
        p.http.count = begun
      end
      assert.equal(16, begun)
    end)
  end)
end)

describe("a rate", function()
  it("spaces the starts of requests, and doesn't save up unused ones", function()
    loop.run(function()
      local p = paced { connections = 100, rate = 50 }
      local begun, fibers = core.now(), {}
      for i = 1, 11 do fibers[i] = loop.spawn(p.ask, i) end
      loop.join(table.unpack(fibers))
      assert.same(sorted(11), p.begun)
      assert.is_true(core.now() - begun >= 0.2) -- ten gaps
      assert.is_true(p.limiter.next_at >= begun + 11 / 50)
      loop.sleep(0.1)
      assert(p.limiter:enter())
      assert.is_true(p.limiter.next_at > core.now())
      assert.is_false(p.limiter:enter(0))
    end)
  end)

  it("also holds after a pause", function()
    loop.run(function()
      local p = paced { connections = 100, rate = 0.01, least = 0.001, most = 0.001 }
      p.ask(1, refusal)
      p.limiter.paused_until = core.now()
      assert.is_false(p.limiter:enter(0))
      assert.equal(0, p.limiter:paused())
    end)
  end)
end)
