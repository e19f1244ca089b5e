-- SPDX-License-Identifier: MIT
-- A fiber that sent a request within a callback was woken by the event for which it had waited before the callback. It took that for a
-- timeout, and submitted again. Besides, a closed client reported nothing about a submit on its way.
local answers = require "helper.answers"
local core = require "omni.core"
local hostile = require "helper.hostile"
local omni = require "omni"

-- A sandbox whose second submit is answered late, and its files a little late, and a client in a hurry.
local function with_sandbox(body)
  local sandbox <close> = assert(omni.sandbox {
    seconds = 0.05, clips = "builtin", faults = { "slow:on=submit,match=second,delay=0.6", "slow:on=media,delay=0.4",
      "never:match=endless" },
  })
  local client <close> = assert(omni.client {
    base_url = sandbox.url, api_key = sandbox.key, poll_min = 0.01, poll_max = 0.01, retry_min = 0.005,
  })
  omni.run(body, client, assert(client:submit { prompt = "first" }))
  local prompts = {}
  for i, task in ipairs(sandbox:ledger().tasks) do prompts[i] = task.input.prompt end
  return prompts
end

-- Saves the task's file; calls `once` at the first news of it, while it is still on its way.
local function save(task, once)
  local path = os.tmpname()
  finally(function() os.remove(path) end)
  assert(task:await())
  local called
  assert(task:save(path, { on_progress = function()
    if called then return end
    called = true
    once()
  end }))
  assert.is_true(called)
end

describe("a request that is sent within a callback", function()
  it("is sent once, even if the awaited task ends in the meantime", function()
    local server <close> = hostile.start()
    server:script {
      GET = { { answers.running() }, { answers.success(server.url .. "/a.mp4") } },
      POST = { { answers.accepted() }, { hostile.until_requests(6), answers.accepted "second" } },
    }
    local client <close>, second = assert(answers.client(server.url, { retry_for = 5 })), nil
    local first = assert(client:submit { prompt = "first" })
    omni.run(function()
      omni.spawn(function() -- another caller repeats the request until the server answers
        assert(first:await())
        for _ = 1, 2 do assert(client:query(answers.ID)) end
      end)
      assert(first:await { on_status = function(task)
        if task.status == "running" then second = assert(client:submit { prompt = "second" }) end
      end })
    end)
    assert.equal("second", second.id)
    assert.equal(2, server:posts())
  end)

  it("is sent once, even if the download that reports its progress ends in the meantime", function()
    local prompts = with_sandbox(function(client, first)
      save(first, function() assert(client:submit { prompt = "second" }) end)
    end)
    assert.same({ "first", "second" }, prompts)
  end)

  it("is sent once after an error in the callback, too", function()
    local server <close> = hostile.start()
    server:script {
      GET = { { answers.running() } },
      POST = { { answers.accepted() }, { hostile.until_requests(6), answers.accepted "second" } },
    }
    local client <close>, second = assert(answers.client(server.url, { retry_for = 5 })), nil
    local first = assert(client:submit { prompt = "first" })
    omni.run(function()
      assert.is_false((pcall(first.await, first, { on_status = function() error "no" end })))
      omni.spawn(function() -- makes the server answer
        for _ = 1, 4 do assert(client:query(answers.ID)) end
      end)
      second = assert(client:submit { prompt = "second" })
    end)
    assert.equal("second", second.id)
    assert.equal(2, server:posts())
  end)
end)

describe("a fiber that waits within a callback", function()
  it("sleeps as long as it wants", function()
    with_sandbox(function(_, first)
      save(first, function()
        local begin = core.now()
        omni.sleep(0.3)
        assert.is_true(core.now() - begin >= 0.3)
      end)
    end)
  end)

  it("awaits a task until its deadline", function()
    with_sandbox(function(client, first)
      local endless = assert(client:submit { prompt = "endless" })
      save(first, function()
        local begin = core.now()
        local _, problem = endless:await { timeout = 0.3 }
        assert.equal("timeout", problem.code)
        assert.is_true(core.now() - begin >= 0.3)
      end)
    end)
  end)
end)

describe("a client that is closed while a submit is on its way", function()
  it("reports an unknown outcome; a submit that still waited in the queue was certainly not sent", function()
    local server <close> = hostile.start()
    server:script { POST = { { hostile.hang() } } }
    local client = assert(answers.client(server.url, { max_connections = 1 }))
    local errors = {}
    omni.run(function()
      local sent = omni.spawn(function() errors[1] = select(2, client:submit { prompt = "a" }) end)
      local waiting = omni.spawn(function() errors[2] = select(2, client:submit { prompt = "b" }) end)
      local patience = core.now() + 10
      repeat omni.sleep(0.01) until server:posts() == 1 or core.now() > patience
      client:close()
      omni.join(sent, waiting)
    end)
    assert.same({ "submit_unknown", "maybe" }, { errors[1].code, errors[1].sent })
    assert.same({ "closed", "no" }, { errors[2].code, errors[2].sent })
    assert.equal(1, server:posts())
  end)
end)

describe("libcurl", function()
  for _, method in ipairs { "POST", "PUT", "DELETE", "PATCH" } do
    it("doesn't send a " .. method .. " without a body again by itself", function()
      local server <close> = hostile.start()
      server:script { GET = { { answers.running() } }, [method] = { { hostile.close() } } }
      local client <close> = assert(answers.client(server.url))
      assert(client:query(answers.ID)) -- a connection that has been used before
      local _, err = client:call(method, "/api/v1/client/something")
      assert.equal("network", err.code)
      assert.equal(1, #server:requests(method))
    end)
  end
end)

describe("a run that was stopped while a refused submit waited for its next try", function()
  it("makes no further try, even if the time for it had come", function()
    local server <close> = hostile.start()
    server:script { POST = { { hostile.json(answers.envelope("null", 429, "slow down")) }, { answers.accepted() } } }
    local client <close> = assert(answers.client(server.url, { retry_for = 5 }))
    local asked = 0
    local stop = setmetatable({}, { __index = function(_, name)
      if name ~= "requested" then return nil end
      asked = asked + 1
      return asked > 2 -- between the pause's begin and its end
    end })
    local task = omni.run(client.submit, client, { prompt = "a" }, { stop = stop })
    assert.is_nil(task)
    assert.is_true(stop.prevented)
    assert.equal(1, server:posts())
  end)
end)
