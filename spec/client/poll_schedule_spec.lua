-- SPDX-License-Identifier: MIT
local polling = require "omni.client.poll_schedule"

-- What tasks take: log-normal, always the same ones.
local function tasks(count, median, spread, seed)
  math.randomseed(seed or 1)
  local list = {}
  for i = 1, count do
    local normal = math.sqrt(-2 * math.log(1 - math.random())) * math.cos(2 * math.pi * math.random())
    list[i] = median * math.exp(spread * normal)
  end
  return list
end

-- Queries a task, the mean delay until its end is noticed, and the longest one.
local function play(durations, next_wait)
  local queries, delay, longest = 0, 0, 0
  for _, took in ipairs(durations) do
    local age = 0
    repeat
      age = age + next_wait(age)
      queries = queries + 1
    until age >= took
    delay, longest = delay + age - took, math.max(longest, age - took)
  end
  return queries / #durations, delay / #durations, longest
end

local function planned(past, least, most)
  local plan = polling.plan(past, least or 2, most or 30)
  return function(age) return polling.next_query(age, plan, math.random()) end
end

local function every_five() return 5 end

describe("the next query", function()
  it("is within its limits, whatever the history and the random number", function()
    local pasts = {
      {}, { 0 }, { 0, 0, 0, 0 }, { 86400 }, { 0, 86400 }, { 90 }, tasks(100, 90, 0.25), tasks(100, 90, 0), tasks(20, 3, 2),
      { 0.001, 1e-300, 5 },
    }
    for _, past in ipairs(pasts) do
      for _, bounds in ipairs { { 2, 30 }, { 0.02, 0.05 }, { 0.2, 30 }, { 5, 5 }, { 40, 600 }, { 3600, 3600 }, { 0, 30 }, { 0, 0 } } do
        local plan = polling.plan(past, bounds[1], bounds[2])
        local age = 0
        for i = 0, 300 do
          local wait = polling.next_query(age, plan, i % 5 / 4)
          assert.is_true(wait >= bounds[1] and wait <= math.max(bounds[2], 0.001))
          age = age + wait
        end
      end
    end
    local wait = polling.next_query(10, polling.plan({}, 40, 30), 1)
    assert.equal(30, wait) -- the longest wait wins over the shortest
  end)

  it("varies randomly", function()
    local plan = polling.plan({}, 2, 30)
    assert.is_true(polling.next_query(0, plan, 0) < polling.next_query(0, plan, 1) - 1)
    assert.is_true(polling.next_query(1e6, plan, 0) < polling.next_query(1e6, plan, 1))
  end)

  it("is late while no task can be done, soon when that is likely, and late again in the long tail", function()
    local plan = polling.plan(tasks(50, 90, 0.15), 2, 30)
    assert.is_true(polling.next_query(0, plan, 0.5) > 25)
    for age = 80, 110 do assert.is_true(polling.next_query(age, plan, 0.5) < 7) end
    for age = 300, 3000, 100 do assert.is_true(polling.next_query(age, plan, 0.5) > 20) end
  end)

  it("skips the first seconds and gets later, if no durations are known", function()
    local plan = polling.plan({}, 2, 30)
    assert.is_true(polling.next_query(0, plan, 0) > 15)
    local last = 0
    for age = 100, 3000, 50 do
      local wait = polling.next_query(age, plan, 0.5)
      assert.is_true(wait > last - 1e-6)
      last = wait
    end
    assert.is_true(last > 27)
  end)

  it("is the same when it is computed again at the same age, and in whatever order the durations are given", function()
    local past = tasks(20, 90, 0.25)
    local plan = polling.plan(past, 2, 30)
    table.sort(past, function(a, b) return a > b end)
    local other = polling.plan(past, 2, 30)
    for age = 0, 200, 7 do
      assert.equal(polling.next_query(age, plan, 0.3), polling.next_query(age, plan, 0.3))
      assert.is_true(math.abs(polling.next_query(age, plan, 0.3) - polling.next_query(age, other, 0.3)) < 1e-6)
    end
  end)

  it("needs a third of the queries of every 5 s, at the same delay, for tasks of similar duration", function()
    for _, median in ipairs { 90, 300 } do
      local durations = tasks(2000, median, 0.1)
      local plain, plain_delay = play(durations, every_five)
      local queries, delay = play(durations, planned(tasks(100, median, 0.1, 7)))
      assert.is_true(queries <= plain * 0.34)
      assert.is_true(delay <= plain_delay)
    end
  end)

  it("needs about half of them at about the same delay for durations that differ by a quarter", function()
    for _, median in ipairs { 40, 90, 300 } do
      local durations = tasks(2000, median, 0.25)
      local plain, plain_delay = play(durations, every_five)
      local queries, delay = play(durations, planned(tasks(100, median, 0.25, 7)))
      assert.is_true(queries <= plain * 0.55)
      assert.is_true(delay <= plain_delay * 1.15)
    end
  end)

  it("needs at most half of them if no durations are known", function()
    for _, median in ipairs { 40, 90, 300 } do
      local durations = tasks(2000, median, 0.25)
      local plain = play(durations, every_five)
      local queries, delay = play(durations, planned({}))
      assert.is_true(queries <= plain * 0.51)
      assert.is_true(delay < 7)
    end
  end)

  it("is never later than the longest wait if the service gets faster, and saves queries if it gets slower", function()
    local quick, slow = tasks(500, 45, 0.25), tasks(500, 180, 0.25)
    local past = tasks(100, 90, 0.25, 7)
    local _, _, longest = play(quick, planned(past))
    assert.is_true(longest <= 30)
    assert.is_true(play(slow, planned(past)) < play(slow, every_five))
  end)

  it("adapts to a short wait, as for tasks of a sandbox", function()
    for _, past in ipairs { {}, { 0, 0, 1 } } do
      local queries, delay = play(tasks(200, 0.3, 0.3), planned(past, 0.02, 30))
      assert.is_true(delay < 0.15)
      assert.is_true(queries < 25)
      local plan = polling.plan(past, 0.02, 30)
      for age = 20, 100, 10 do assert.is_true(polling.next_query(age, plan, 0.5) <= age * 0.3) end
    end
  end)

  it("also holds for quick tasks of the real service", function()
    local durations = tasks(500, 8, 0.3)
    local queries, delay = play(durations, planned(tasks(30, 8, 0.3, 7)))
    assert.is_true(queries < 3)
    assert.is_true(delay < 3)
  end)
end)
