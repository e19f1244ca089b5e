-- SPDX-License-Identifier: MIT
-- An application's idempotency key: what it names is paid for once, across fibers, programs, restarts and crashes.
local answers = require "helper.answers"
local asked = require "helper.ledger"
local env = require "helper.env"
local hostile = require "helper.hostile"
local ledger = require "omni.ledger_sqlite"
local omni = require "omni"

local INPUT <const> = { prompt = "a lighthouse" }
local FORM <const> = '{"input":{"prompt":"a lighthouse"},"model":"google/gemini-omni"}' -- of INPUT, as the ledger has it
local KEYED <const> = { idempotency_key = "order-17" }

-- Calls `body(server, open, path)`: `open` opens a client with the ledger at `path`, as a program does when it starts.
local function with_server(script, body)
  local directory <close> = env.directory()
  local server <close> = hostile.start()
  server:script(script)
  local path, clients = directory:file "orders.db", {}
  local function open(more)
    local given = { ledger = path, retry_for = 5 }
    for name, value in pairs(more or {}) do given[name] = value end
    clients[#clients + 1] = assert(answers.client(server.url, given))
    return clients[#clients]
  end
  body(server, open, path)
  for _, client in ipairs(clients) do client:close() end
end

local function refused(code) return hostile.json(answers.envelope("null", code, "no, sorry")) end

-- An intent with the key, as another program's submit writes it. Returns the ledger's handle.
local function begun_elsewhere(server, path, more)
  local params = { account = "a", model = "google/gemini-omni", input = '{"prompt":"a lighthouse"}', form = FORM, service = server.url,
    idempotency_key = "order-17" }
  for name, value in pairs(more or {}) do params[name] = value end
  local handle = ledger.open(path)
  return handle, assert(asked.ask(handle, "intend", params))[1].id
end

describe("a submit with an idempotency key", function()
  it("is sent once: a later one returns the same task, also after a restart, from the ledger alone", function()
    with_server({ POST = { { answers.accepted "first" }, { answers.accepted "second" } } }, function(server, open)
      local client = open()
      assert.equal("first", assert(client:submit(INPUT, KEYED)).id)
      assert.equal("first", assert(client:submit(INPUT, KEYED)).id)
      client:close()
      local task = assert(open():submit(INPUT, KEYED))
      assert.equal("first", task.id)
      assert.equal("google/gemini-omni", task.model)
      assert.equal(1, server:posts())
      assert.equal("second", assert(open():submit(INPUT, { idempotency_key = "order-18" })).id)
      assert.equal(2, server:posts())
    end)
  end)

  it("is sent once by many fibers at the same time, which all get its task", function()
    with_server({ POST = { { answers.accepted "first" }, { answers.accepted "second" } } }, function(server, open)
      local client = open()
      omni.run(function()
        local fibers = {}
        for i = 1, 20 do fibers[i] = omni.spawn(function() return assert(client:submit(INPUT, KEYED)).id end) end
        for _, id in ipairs { omni.join(table.unpack(fibers)) } do assert.equal("first", id) end
      end)
      assert.equal(1, server:posts())
    end)
  end)

  it("is sent once by several programs at the same time, which all get its task", function()
    with_server({ POST = { { answers.accepted "first" }, { answers.accepted "second" } } }, function(server, _, path)
      local said = asked.race(4, [[
        local url, key, path = ...
        local omni = require "omni"
        local client <close> = assert(omni.client { base_url = url, api_key = key, ledger = path, schemas = false })
        client:find { tag = "none" } -- opens the ledger
        go()
        print(assert(client:submit({ prompt = "a lighthouse" }, { idempotency_key = "order-17" })).id)
      ]], { server.url, answers.KEY, path })
      for _, line in ipairs(said) do assert.equal("first\n", line) end
      assert.equal(1, server:posts())
    end)
  end)

  it("waits for one that is on its way in another program, and returns its task", function()
    with_server({ POST = { { answers.accepted "second" } } }, function(server, open, path)
      local handle <close>, id = begun_elsewhere(server, path)
      omni.run(function()
        local client = open()
        local fiber = omni.spawn(function() return client:submit(INPUT, KEYED) end)
        assert(client:find { idempotency_key = "order-17" }) -- the fiber looks before this
        assert.is_false(fiber:done())
        assert(asked.ask(handle, "accept", { id = id, task_id = "first" }))
        assert.equal("first", assert(fiber:join()).id)
      end)
      assert.equal(0, server:posts())
    end)
  end)

  it("is sent if the one that was on its way is refused", function()
    with_server({ POST = { { answers.accepted "second" } } }, function(server, open, path)
      local handle <close>, id = begun_elsewhere(server, path)
      omni.run(function()
        local client = open()
        local fiber = omni.spawn(function() return client:submit(INPUT, KEYED) end)
        assert(client:find { idempotency_key = "order-17" })
        assert(asked.ask(handle, "refuse", { id = id, error = "insufficient_credits" }))
        assert.equal("second", assert(fiber:join()).id)
      end)
      assert.equal(1, server:posts())
    end)
  end)

  it("whose outcome is unknown stays unknown, with its row, until a person gives it up", function()
    with_server({ POST = { { hostile.close() }, { answers.accepted "second" } } }, function(server, open, path)
      local client, rows = open(), {}
      for i = 1, 3 do
        local task, problem = client:submit(INPUT, KEYED)
        assert.is_nil(task)
        assert.same({ "submit_unknown", "maybe" }, { problem.code, problem.sent })
        rows[i] = problem.row
        if i == 2 then client = open() end
      end
      assert.same({ 1, 1, 1 }, rows)
      assert.equal(1, server:posts())
      assert(asked.once(path, "forget", { id = rows[2] }))
      assert.equal("second", assert(client:submit(INPUT, KEYED)).id)
      assert.equal(2, server:posts())
    end)
  end)

  it("whose program was killed on the way has an unknown outcome", function()
    with_server({ POST = { { answers.accepted "second" } } }, function(server, open, path)
      local child = asked.start([[
        local path, service, form = ...
        local handle = ledger.open(path)
        assert(asked.intend(handle, nil, { form = form, service = service, idempotency_key = "order-17", model = "google/gemini-omni" }))
        print "intended"
        io.read()
      ]], { path, server.url, FORM })
      assert.equal("intended", child:line())
      child:kill()
      local _, problem = open():submit(INPUT, KEYED)
      assert.same({ "submit_unknown", 1 }, { problem.code, problem.row })
      assert.equal(0, server:posts())
    end)
  end)

  it("that the service refused, or that was certainly not sent, may be sent again", function()
    with_server({ POST = { { refused(422) }, { answers.accepted "second" } } }, function(server, open)
      local client = open()
      assert.equal("invalid_request", select(2, client:submit(INPUT, KEYED)).code)
      assert.equal("second", assert(client:submit(INPUT, KEYED)).id)
      assert.equal(2, server:posts())

      local dead <close> = assert(answers.client(("http://127.0.0.1:%d"):format(hostile.dead_port()), { ledger = client.ledger_path }))
      assert.equal("no", select(2, dead:submit(INPUT, { idempotency_key = "order-18" })).sent)
      assert.equal("second", assert(client:submit(INPUT, { idempotency_key = "order-18" })).id)
    end)
  end)

  it("that is refused for the moment is tried again, and one that another submit overtakes returns that one's task", function()
    with_server({ POST = { { refused(429) }, { answers.accepted "second" } } }, function(server, open, path)
      local client = open { retry_min = 0.2, retry_max = 0.2 }
      omni.run(function()
        local fiber = omni.spawn(function() return client:submit(INPUT, KEYED) end)
        local seen
        repeat
          omni.sleep(0.01)
          seen = assert(client:find { idempotency_key = "order-17" })[1]
        until seen and seen.state == "refused"
        local handle <close>, id = begun_elsewhere(server, path)
        assert(asked.ask(handle, "accept", { id = id, task_id = "first" }))
        assert.equal("first", assert(fiber:join()).id)
      end)
      assert.equal(1, server:posts())
    end)
  end)

  it("whose task failed returns the failed task, and why it failed", function()
    local over = answers.task("failed", '{"code":501,"message":"the model gave up"}')
    with_server({ POST = { { answers.accepted() } }, GET = { { hostile.json(answers.envelope(over)) } } }, function(server, open)
      local client = open()
      assert(assert(client:submit(INPUT, KEYED)):await())
      client:close()
      local task = assert(open():submit(INPUT, KEYED))
      assert.is_true(task:done())
      assert.same({ "failed", "generation_failed" }, { task.status, task.error.code })
      assert.matches("the model gave up", task.error.message)
      assert.equal(task, assert(task:await()))
      assert.equal(1, server:posts())
    end)
  end)

  it("whose task succeeded returns that task, and awaiting it gives its files", function()
    with_server({ POST = { { answers.accepted() } }, GET = { { answers.success "https://media.test/a.mp4" } } }, function(server, open)
      local client = open()
      assert(assert(client:submit(INPUT, KEYED)):await())
      client:close()
      local task = assert(open():submit(INPUT, KEYED))
      assert.equal("success", task.status)
      assert.same({ "https://media.test/a.mp4" }, assert(task:await()).media)
      assert.equal(1, server:posts())
    end)
  end)

  it("with another input, or another model, is an error that names both, and sends nothing", function()
    with_server({ POST = { { answers.accepted() } } }, function(server, open)
      local client = open()
      assert(client:submit(INPUT, KEYED))
      local function conflict(input, opts)
        local task, problem = client:submit(input, opts)
        assert.is_nil(task)
        assert.same({ "idempotency_conflict", "no", 1, answers.ID }, { problem.code, problem.sent, problem.row, problem.task_id })
        return problem.message
      end
      assert.matches('17.*number 1 .*prompt: this submit has a tower, number 1 a lighthouse', conflict({ prompt = "a tower" }, KEYED))
      assert.matches("model: this submit has google/veo, number 1 google/gemini%-omni",
        conflict(INPUT, { idempotency_key = "order-17", model = "google/veo" }))
      assert.matches("duration: this submit has 4, number 1 none", conflict({ prompt = "a lighthouse", duration = 4 }, KEYED))
      assert.matches("empty fields", conflict({ prompt = "a lighthouse", img_urls = {} }, KEYED))
      assert.equal(1, server:posts())
    end)
  end)

  it("compares a local file by its bytes", function()
    local directory <close> = env.directory()
    local sandbox <close> = assert(omni.sandbox { seconds = 0.05, clips = "builtin" })
    local client <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, ledger = directory:file "l.db" })
    local function submit(bytes)
      local path = env.write(directory:file "keeper.png", "\x89PNG\r\n\x1a\n" .. bytes)
      return client:submit({ prompt = "she waits", img_urls = { omni.file(path) } }, KEYED)
    end
    local first = assert(submit "one")
    assert.equal(first.id, assert(submit "one").id)
    assert.equal("idempotency_conflict", select(2, submit "two").code)
    os.remove(directory:file "keeper.png")
    local _, problem = client:submit({ prompt = "she waits", img_urls = { omni.file(directory:file "keeper.png") } }, KEYED)
    assert.same({ "io", "img_urls[1]" }, { problem.code, problem.field })
  end)

  it("that was used at another service is an error that names it", function()
    with_server({ POST = { { answers.accepted() } } }, function(server, open, path)
      local handle <close>, id = begun_elsewhere(server, path, { service = "https://elsewhere.test" })
      assert(asked.ask(handle, "accept", { id = id, task_id = "first" }))
      local _, problem = open():submit(INPUT, KEYED)
      assert.same({ "already_submitted", "no", 1 }, { problem.code, problem.sent, problem.row })
      assert.matches("elsewhere%.test", problem.message)
      assert.equal(0, server:posts())
    end)
  end)

  it("can be given up by its deadline while it waits for another one; nothing was sent", function()
    with_server({ POST = { { answers.accepted() } } }, function(server, open, path)
      local handle <close> = begun_elsewhere(server, path) -- luacheck: ignore 211
      local _, problem = open():submit(INPUT, { idempotency_key = "order-17", timeout = env.seconds(0.2) })
      assert.same({ "timeout", "no" }, { problem.code, problem.sent })
      assert.equal(0, server:posts())
    end)
  end)

  it("needs a ledger; a client without one raises at the caller's line", function()
    local client <close> = assert(answers.client("http://127.0.0.1:9", { ledger = false }))
    for _, option in ipairs { "tag", "idempotency_key" } do
      local fine, problem = pcall(function() client:submit(INPUT, { [option] = "x" }) end)
      assert.is_false(fine)
      assert.matches(("^spec/client/idempotency_spec.lua:%%d+: client:submit: option '%s' needs a ledger.*ledger = false"):format(option),
        problem)
    end
    local sandbox <close> = assert(omni.sandbox { clips = "builtin" })
    local rehearsal <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key })
    assert.error_matches(function() rehearsal:submit(INPUT, KEYED) end, "sandbox key")
  end)

  it("is a short text without control characters", function()
    local client <close> = assert(answers.client "http://127.0.0.1:9")
    for _, wrong in ipairs { "", "a\nb", "a\0", "\xff", ("x"):rep(257), 17 } do
      assert.error_matches(function() client:submit(INPUT, { idempotency_key = wrong }) end, "1 to 256 bytes")
    end
  end)
end)
