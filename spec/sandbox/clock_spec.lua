-- SPDX-License-Identifier: MIT
-- The sandbox's clock: a step brings all events up to the new time at once, in the order of their times. Also tests what differs between
-- two sandboxes..
local clock = require "omni.sandbox.clock"
local loop = require "omni.loop"
local omni = require "omni"
local server = require "omni.http.server"

local scene <const> = { prompt = "a boat", duration = 4 }

-- Calls body(box, client, seen, url) with a sandbox whose tasks take an hour, and an endpoint that keeps the bodies of callbacks.
local function with(given, body)
  given.seconds, given.clips = 3600, "builtin"
  local seen = {}
  omni.run(function()
    local place <close> = assert(server.serve({}, function(request)
      seen[#seen + 1] = assert(omni.parse_callback(request:body()))
      return 204
    end))
    local box <close> = assert(omni.sandbox(given))
    local client <close> = assert(omni.client { base_url = box.url, api_key = box.key })
    body(box, client, seen, place.url)
  end)
end

describe("a step of the sandbox's clock", function()
  it("ends tasks and sends their callbacks, late ones and repeated ones as well, before it returns", function()
    local faults = { "callback-late:delay=500", "callback-twice:delay=600", "callback-stale:delay=700" }
    with({ faults = faults }, function(box, client, seen, url)
      local task = assert(client:submit(scene, { callback_url = url }))
      box:advance(300)
      assert.same({}, box:callbacks())
      box:advance(7200)
      local states = {}
      for i, one in ipairs(seen) do states[i] = one.status end
      assert.same({ "success", "success", "running" }, states)
      for _, one in ipairs(box:callbacks()) do assert.equal(204, one.status) end
      assert.is_true(assert(task:refresh()):done())
    end)
  end)

  it("keeps the order of the times", function()
    with({ seed = 3 }, function(box, client, seen, url)
      for _ = 1, 8 do assert(client:submit(scene, { callback_url = url })) end
      box:advance(10000)
      local tasks, last = box.service.tasks, 0
      assert.equal(8, #seen)
      for _, one in ipairs(seen) do
        local ends_at = tasks:find(one.id).ends_at
        assert.is_true(ends_at >= last)
        last = ends_at
      end
    end)
  end)

  it("works outside of omni.run, and needs no callbacks", function()
    local box <close> = assert(omni.sandbox { seconds = 3600, clips = "builtin" })
    local client <close> = assert(omni.client { base_url = box.url, api_key = box.key })
    local task = assert(client:submit(scene))
    box:advance(10000)
    assert.equal("success", assert(task:refresh()).status)
  end)

  it("adds up when several fibers step", function()
    omni.run(function()
      local time = clock.open()
      local before, order = time:now(), {}
      for _, at in ipairs { 15, 5, 25 } do
        time:spawn(function()
          time:sleep_until(before + at)
          order[#order + 1] = at
        end)
      end
      local one, two = loop.spawn(time.advance, time, 10), loop.spawn(time.advance, time, 10)
      omni.join(one, two)
      assert.same({ 5, 15 }, order)
      assert.is_true(time:now() - before >= 20 and time:now() - before < 25)
      time:advance(10)
      assert.same({ 5, 15, 25 }, order)
    end)
  end)

  it("goes on when a fiber that it waits for, or the one that steps, is cancelled", function()
    omni.run(function()
      local time = clock.open()
      local before, reached = time:now(), false
      local stuck = time:spawn(loop.park)
      local stepping = loop.spawn(time.advance, time, 10)
      omni.sleep(0)
      stepping:cancel()
      local other = loop.spawn(function()
        time:advance(10)
        reached = true
      end)
      omni.sleep(0)
      assert.is_false(reached)
      stuck:cancel()
      other:join()
      assert.is_true(time:now() - before >= 10)
    end)
  end)

  it("ends when the sandbox is closed meanwhile", function()
    omni.run(function()
      local time = clock.open()
      time:spawn(loop.park)
      local stepping = loop.spawn(time.advance, time, 10)
      omni.sleep(0)
      time:close()
      stepping:join()
    end)
  end)
end)

describe("two sandboxes", function()
  -- Returns the key and the first task id of a sandbox.
  local function first(given)
    given.clips = "builtin"
    local box <close> = assert(omni.sandbox(given))
    local client <close> = assert(omni.client { base_url = box.url, api_key = box.key })
    return box.key, assert(client:submit(scene)).id
  end

  it("have other task ids each time, so that none repeats in a ledger; with a seed, the same ones", function()
    local _, one = first {}
    local _, two = first {}
    assert.not_equal(one, two)
    _, one = first { seed = 1 }
    _, two = first { seed = 1 }
    assert.equal(one, two)
  end)

  it("have keys of their own: each refuses that of another", function()
    local one <close> = assert(omni.sandbox { clips = "builtin" })
    local two <close> = assert(omni.sandbox { clips = "builtin" })
    assert.not_equal(one.key, two.key)
    local client <close> = assert(omni.client { base_url = two.url, api_key = one.key })
    local _, err = client:submit(scene)
    assert.equal("unauthorized", err.code)
    assert.is_true(client.is_sandbox)
  end)
end)
