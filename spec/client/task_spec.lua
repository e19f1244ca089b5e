-- SPDX-License-Identifier: MIT
-- Outcomes of a task in one call, and errors that say where they happened and what is good all the same.
local answers = require "helper.answers"
local env = require "helper.env"
local hostile = require "helper.hostile"
local omni = require "omni"

-- Opens a client of a server with this script, and calls `body(client, server)`.
local function with_server(script, body)
  local server <close> = hostile.start()
  server:script(script)
  local client <close> = assert(answers.client(server.url, { ledger = false }))
  body(client, server)
end

describe("task:result", function()
  it("returns a success", function()
    with_server({ GET = { { answers.running() }, { answers.success "https://media.test/a.mp4" } } }, function(client)
      local task = assert(client:task(answers.ID))
      assert.equal(task, assert(task:result()))
      assert.same({ "https://media.test/a.mp4" }, task.media)
    end)
  end)

  it("returns nil and the error of a failed generation, each time", function()
    local over = answers.task("failed", '{"code":501,"message":"the model gave up"}')
    with_server({ GET = { { hostile.json(answers.envelope(over)) } } }, function(client)
      local task = assert(client:task(answers.ID))
      for _ = 1, 2 do
        local done, problem = task:result()
        assert.is_nil(done)
        assert.same({ "generation_failed", answers.ID, "task:result" }, { problem.code, problem.task_id, problem.call })
        problem.message = "changed"
      end
      assert.matches("the model gave up", task.error.message)
    end)
  end)

  it("returns the error of a wait that ended early", function()
    with_server({ GET = { { answers.running() } } }, function(client)
      local _, problem = assert(client:task(answers.ID)):result { timeout = 0.05 }
      assert.same({ "timeout", "running", "task:result" }, { problem.code, problem.task_status, problem.call })
      assert.error_matches(function() client:task(answers.ID):result { timeouts = 1 } end, "task:result: unknown option")
    end)
  end)
end)

describe("task.raw", function()
  local script = { GET = { { answers.running() }, { answers.running() }, { answers.success "https://media.test/a.mp4" } } }

  it("is what the service sent, for on_status and once the task is over", function()
    with_server(script, function(client)
      local seen = {}
      local task = assert(client:task(answers.ID))
      assert(task:await { on_status = function(t) seen[#seen + 1] = t.raw and t.raw.status or "none" end })
      assert.same({ "running", "success" }, seen)
      assert.equal("success", task.raw.status)
      assert.equal(task.raw, task.raw)
    end)
  end)

  it("isn't kept for a fiber that only awaits the task, until the task is over or is refreshed", function()
    with_server({ GET = { { answers.running() } } }, function(client, server)
      local task = assert(client:task(answers.ID))
      omni.run(function()
        local wait = omni.spawn(task.await, task)
        repeat omni.sleep(0.01) until task.status
        assert.is_nil(task.raw)
        assert(task:refresh())
        assert.equal("running", task.raw.status)
        server:script { GET = { { answers.success "https://media.test/a.mp4" } } }
        assert.equal(task, wait:join())
        assert.equal("success", task.raw.status)
      end)
    end)
  end)
end)

describe("an error", function()
  it("names the call and the field when it is printed", function()
    with_server({ GET = { { hostile.json(answers.envelope("null", 404, "no such task")) } } }, function(client)
      local cases = {
        ["^client:submit: prompt: "] = function() return client:submit {} end,
        ["^client:estimate: duration: "] = function() return client:estimate { prompt = "a", duration = 5 } end,
        ["^client:query: .*no such task"] = function() return client:query "gone" end,
        ["^client:task: task_id: "] = function() return client:task "a b" end,
        ["^task:refresh: "] = function() return client:task("gone"):refresh() end,
        ["^task:await: "] = function() return client:task("gone"):await() end,
        ["^task:save: the task is not over"] = function() return client:task("gone"):save "x" end,
        ["^client:upload: .*no%-such%-file.*%(field path%)"] = function() return client:upload "no-such-file" end,
        ["^client:call: body%.x: "] = function() return client:call("POST", "/x", { x = print }) end,
        ["^client:model: "] = function() return client:model "gone" end,
        ["^client:balance: "] = function() return client:balance() end,
        ["^omni.parse_callback: "] = function() return omni.parse_callback "?" end,
      }
      for pattern, call in pairs(cases) do
        local fine, raised = pcall(function() assert(call()) end)
        assert.is_false(fine)
        assert.matches(pattern, tostring(raised))
      end
    end)
  end)

  it("of a file that can't be saved any more says that the task is paid for, and how to go on", function()
    local directory <close> = env.directory()
    with_server({ GET = { { answers.success "https://media.test/a.mp4" } } }, function(client)
      local task = assert(client:task(answers.ID):await())
      client:close()
      local _, problem = task:save(directory:file "a.mp4")
      assert.equal("closed", problem.code)
      assert.matches("succeeded and is paid for", problem.message)
      assert.truthy(problem.hint:find(answers.ID, 1, true))
    end)
  end)

  it("of a wait that the client's end cuts short says that the task goes on", function()
    with_server({ GET = { { answers.running() } } }, function(client)
      local _, problem = omni.run(function()
        omni.spawn(function()
          omni.sleep(0.02)
          client:close()
        end)
        return client:task(answers.ID):await()
      end)
      assert.equal("closed", problem.code)
      assert.matches("goes on at the service", problem.hint)
      assert.truthy(problem.hint:find(answers.ID, 1, true))
    end)
  end)
end)

describe("an input that comes back", function()
  it("has exact whole numbers, and its empty arrays and objects differ, so it can be submitted again unchanged", function()
    local directory <close> = env.directory()
    local sandbox <close> = assert(omni.sandbox { seconds = 0, clips = "builtin" })
    local client <close> = assert(omni.client {
      base_url = sandbox.url, api_key = sandbox.key, ledger = directory:file "l.db", schemas = false,
    })
    local input = { prompt = "a", seed = 9007199254740993, list = omni.array(), map = omni.object(), deep = { { omni.array() }, -1 << 62 } }
    local model = { model = "sandbox/any", tag = "first" }
    local function sent() return sandbox:ledger().tasks[#sandbox:ledger().tasks].input end
    local task = assert(assert(client:submit(input, model)):await())
    local first = sent()
    for _, again in ipairs { task.raw.param.input, first, assert(client:find { tag = "first" })[1].input } do
      assert.same({ 9007199254740993, -1 << 62 }, { again.seed, again.deep[2] })
      assert(client:submit(again, { model = "sandbox/any" }))
      assert.equal(require("omni.json").text(first), require("omni.json").text(sent()))
    end
    local json = require "omni.json"
    assert.matches('"list":%[%],"map":{}', json.text(first))
    assert.matches('"deep":%[%[%[%]%],%-4611686018427387904%]', json.text(first))
    local body = json.text(task.raw)
    assert.equal(json.text(first), json.text(assert(omni.parse_callback(body)).raw.param.input))
  end)
end)

describe("omni.client", function()
  local function open(more)
    local given = { api_key = answers.KEY, ledger = false }
    for name, value in pairs(more) do given[name] = value end
    return omni.client(given)
  end

  it("raises for a range whose ends are the wrong way round, and for a timeout of 0", function()
    for name, given in pairs {
      poll_min = { poll_min = 3, poll_max = 2 }, retry_min = { retry_min = 3, retry_max = 2 }, timeout = { timeout = 0 },
      connect_timeout = { connect_timeout = 0 },
    } do
      local fine, problem = pcall(function() open(given) end)
      assert.is_false(fine)
      assert.matches("^spec/client/task_spec.lua:%d+: omni.client: option '" .. name .. "'", problem)
    end
  end)

  it("moves the other end's default when only one end of a range is given", function()
    local client <close> = assert(open { poll_min = 60, retry_max = 0.5 })
    assert.same({ 60, 60, 0.5, 0.5 }, { client.poll_min, client.poll_max, client.retry_min, client.retry_max })
  end)
end)
