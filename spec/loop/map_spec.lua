-- SPDX-License-Identifier: MIT
local omni = require "omni"

describe("omni.map", function()
  it("returns the first result of each call in the order of the list, inside and outside of a fiber", function()
    local function check()
      local results, errors = omni.map({ 3, 1, 2 }, nil, function(value, index)
        omni.sleep(value / 1000)
        return value * 10 + index, "ignored"
      end)
      assert.same({ 31, 12, 23, n = 3 }, results)
      assert.is_nil(errors)
      assert.same({ n = 0 }, (omni.map({}, { limit = 3 }, error)))
    end
    check()
    omni.run(check)
  end)

  it("calls the function for at most `limit` values at a time", function()
    local running, most = 0, 0
    omni.map({ 1, 2, 3, 4, 5 }, { limit = 2 }, function()
      running = running + 1
      most = math.max(most, running)
      omni.sleep(0.001)
      running = running - 1
    end)
    assert.equal(2, most)
  end)

  it("collects errors by index, returned and raised ones, and does the rest", function()
    local results, errors = omni.map({ "a", "b", "c", "d" }, { limit = 1 }, function(value)
      if value == "b" then return nil, "no b" end
      if value == "c" then error "no c" end
      return value
    end)
    assert.same({ "a", nil, nil, "d", n = 4 }, results)
    assert.equal("no b", errors[2])
    assert.is_true(omni.is_error(errors[3]))
    assert.matches("no c", errors[3].message)
    assert.matches("map_spec", errors[3].traceback)
  end)

  it("takes nil, and values that are false, for results", function()
    local results, errors = omni.map({ 1, 2 }, nil, function(value)
      if value == 1 then return false end
    end)
    assert.same({ false, nil, n = 2 }, results)
    assert.is_nil(errors)
  end)

  it("with fail_fast returns the first error and its index, cancels the running calls and starts no other", function()
    local started, closed = {}, 0
    local results, problem, index = omni.map({ 1, 2, 3, 4 }, { limit = 2, fail_fast = true }, function(value)
      started[#started + 1] = value
      local held <close> = setmetatable({}, { __close = function() closed = closed + 1 end }) -- luacheck: ignore 211
      if value == 1 then omni.sleep(3600) end
      return nil, "no " .. value
    end)
    assert.same({ nil, "no 2", 2 }, { results, problem, index })
    assert.same({ { 1, 2 }, 2 }, { started, closed })
  end)

  it("is cancelled together with the fiber that waits in it", function()
    local started, closed = 0, 0
    omni.run(function()
      local fiber = omni.spawn(omni.map, { 1, 2 }, nil, function()
        local held <close> = setmetatable({}, { __close = function() closed = closed + 1 end }) -- luacheck: ignore 211
        started = started + 1
        omni.sleep(3600)
      end)
      while started < 2 do omni.sleep(0) end
      fiber:cancel()
    end)
    assert.equal(2, closed)
  end)

  it("needs no limit for submits, since a key's in_flight is one", function()
    omni.run(function()
      local sandbox <close> = assert(omni.sandbox { seconds = 0.02, clips = "builtin" })
      local client <close> = assert(omni.client { base_url = sandbox.url, keys = { { key = sandbox.key, in_flight = 2 } } })
      local most = 0
      local tasks, errors = omni.map({ "a", "b", "c", "d", "e" }, nil, function(prompt)
        local task, problem = client:submit { prompt = prompt }
        if not task then return nil, problem end
        most = math.max(most, client:keys()[1].in_flight)
        return task:await()
      end)
      assert.is_nil(errors)
      for i = 1, 5 do assert.equal("success", tasks[i].status) end
      assert.equal(2, most)
    end)
  end)

  it("raises for misuse at the caller's line", function()
    for _, call in ipairs { function() omni.map("x", nil, print) end, function() omni.map({}, { limit = 0 }, print) end,
      function() omni.map({}, { limt = 1 }, print) end, function() omni.map({}, nil) end } do
      local _, problem = pcall(call)
      assert.matches("^spec/loop/map_spec%.lua:%d+: omni%.map: ", problem)
    end
  end)
end)
