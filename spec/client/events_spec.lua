-- SPDX-License-Identifier: MIT
-- The client's hook on_event: what it gets, and that it can do no harm.
local answers = require "helper.answers"
local asked = require "helper.ledger"
local env = require "helper.env"
local hostile = require "helper.hostile"
local omni = require "omni"

local INPUT <const> = { prompt = "a lighthouse" }

local function refused(code) return hostile.json(answers.envelope("null", code, "no, sorry")) end

-- Calls `body(client, events, server)`; `events` lists what the hook got.
local function observe(script, options, body)
  local server <close> = hostile.start()
  server:script(script)
  local events, given = {}, {}
  for name, value in pairs(options) do given[name] = value end
  given.on_event = given.on_event or function(event) events[#events + 1] = event end
  local client <close> = assert(answers.client(server.url, given))
  omni.run(body, client, events, server)
end

local function names(events)
  local found = {}
  for i, event in ipairs(events) do found[i] = event.event end
  return found
end

local function one(events, name)
  for _, event in ipairs(events) do
    if event.event == name then return event end
  end
end

-- Runs `fn`. Returns the errors that reached nobody.
local function surfaced(fn)
  local errors = {}
  local before = omni.on_error(function(problem) errors[#errors + 1] = problem end)
  omni.run(fn)
  omni.run(omni.sleep, 0)
  omni.on_error(before)
  return errors
end

describe("on_event", function()
  it("gets the begin and the end of each request, and the states of a task", function()
    observe({ POST = { { answers.accepted() } }, GET = { { answers.running() }, { answers.success "https://media.test/a.mp4" } } },
      { ledger = false }, function(client, events)
        local task = assert(client:submit(INPUT))
        assert.same({ "request_begun", "request_ended", "task" }, names(events))
        assert.same({
          event = "request_begun", request = 1, kind = "submit", method = "POST", path = "/api/v1/client/job/CreateTask", attempt = 1,
          key = client:keys()[1].key,
        }, events[1])
        local ended = events[2]
        assert.same({ 1, "submit", 200, #answers.accepted_body(), 1 },
          { ended.request, ended.kind, ended.status, ended.bytes, ended.attempt })
        assert.is_true(ended.seconds > 0)
        assert.is_nil(ended.error)
        assert.same({ "pending", answers.ID, "google/gemini-omni" }, { events[3].state, events[3].task_id, events[3].model })

        assert(task:await())
        local states = {}
        for _, event in ipairs(events) do
          if event.event == "task" then states[#states + 1] = event.state end
          if event.kind == "query" then
            assert.same({ "GET", "/api/v1/client/job/TaskInfo", answers.ID }, { event.method, event.path, event.task_id })
          end
        end
        assert.same({ "pending", "running", "success" }, states)
      end)
  end)

  it("gets a failed task's error and its credits", function()
    local over = answers.task("failed", '{"code":501,"message":"the model gave up"}'):gsub('"source"', '"credits":40,"source"')
    observe({ GET = { { hostile.json(answers.envelope(over)) } } }, { ledger = false }, function(client, events)
      assert(client:query(answers.ID))
      local event = one(events, "task")
      assert.same({ "failed", "generation_failed", 40 }, { event.state, event.error.code, event.credits })
    end)
  end)

  it("gets each retry with its reason, and the number of each attempt", function()
    observe({ GET = { { hostile.json("", "503 Busy") }, { hostile.json "?" }, { answers.running() } } }, { ledger = false, retry_for = 20 },
      function(client, events)
        assert(client:query(answers.ID))
        local attempts, reasons = {}, {}
        for _, event in ipairs(events) do
          if event.event == "request_ended" then
            attempts[#attempts + 1] = { event.attempt, event.status, event.error and event.error.code }
          end
          if event.event == "retry" then reasons[#reasons + 1] = { event.reason, event.attempt, event.error.code } end
        end
        assert.same({ { 1, 503, "server_error" }, { 2, 200, "bad_answer" }, { 3, 200 } }, attempts)
        assert.same({ { "server_error", 2, "server_error" }, { "bad_answer", 3, "bad_answer" } }, reasons)
      end)
  end)

  it("gets no retry where none follows", function()
    observe({ GET = { { hostile.json("", "503 Busy") } } }, { ledger = false }, function(client, events)
      assert.is_nil((client:query(answers.ID)))
      assert.is_nil(one(events, "retry"))
    end)
  end)

  it("gets the pause of a key, and its end", function()
    observe({ POST = { { refused(429) }, { answers.accepted() } } }, { ledger = false, retry_for = 20 }, function(client, events)
      assert(client:submit(INPUT))
      omni.sleep(0)
      local pause = one(events, "paused")
      assert.same({ "rate_limited", client:keys()[1].key }, { pause.reason, pause.key })
      assert.is_true(pause.seconds > 0)
      assert.equal(pause.key, one(events, "resumed").key)
      assert.equal("rate_limited", one(events, "retry").reason)
    end)
  end)

  it("gets a key that is disabled, with the warning", function()
    local events, server <close> = {}, hostile.start()
    server:script { POST = { { refused(402) }, { answers.accepted() } } }
    local client <close> = assert(omni.client {
      base_url = server.url, keys = { { key = answers.KEY }, { key = (answers.KEY:gsub("00$", "11")) } }, ledger = false, schemas = false,
      on_event = function(event) events[#events + 1] = event end,
    })
    assert(client:submit(INPUT))
    local event = one(events, "key_disabled")
    assert.equal("insufficient_credits", event.reason)
    assert.equal(event.key, one(events, "request_ended").key)
    assert.matches(event.key .. " is out of credits", one(events, "warning").message)
  end)

  it("gets the progress of a download and of an upload, with the server and the local path, and no part of the URL", function()
    local directory <close> = env.directory()
    local sandbox <close> = assert(omni.sandbox { seconds = 0.05, clips = "builtin" })
    local events = {}
    local client <close> = assert(omni.client {
      base_url = sandbox.url, api_key = sandbox.key, on_event = function(event) events[#events + 1] = event end,
    })
    local picture = env.write(directory:file "keeper.png", "\x89PNG\r\n\x1a\n01234567")
    local task = assert(client:submit { prompt = "she waits", img_urls = { omni.file(picture) } })
    assert(task:await())
    local _, bytes = assert(task:save(directory:file "a.mp4"))
    local upload, download = one(events, "upload"), one(events, "download")
    assert.same({ picture, 16 }, { upload.file, upload.total })
    assert.same({ directory:file "a.mp4", bytes }, { download.file, download.total })
    local host = sandbox.url:match "//(.*)"
    for _, event in ipairs(events) do
      if event.kind == "upload" or event.kind == "download" then
        assert.same({ host, nil, nil }, { event.host, event.path, event.key })
        if event.event == "request_ended" then
          assert.same({ 200, event.kind == "upload" and 16 or bytes }, { event.status, event.bytes })
        end
      end
    end
  end)

  it("gets no key, no input and no body, whatever happens", function()
    local script = { POST = { { refused(422) }, { hostile.close() }, { answers.accepted() } }, GET = { { answers.running() } } }
    observe(script, { ledger = false },
      function(client, events)
        for i = 1, 3 do client:submit { prompt = "secret prompt " .. i } end
        client:call("GET", "/api/v1/client/account/balance?secret=query")
        for _, event in ipairs(events) do
          for name, value in pairs(event) do
            local text = name .. "=" .. tostring(value)
            assert.is_nil(text:find(answers.KEY, 1, true))
            assert.is_nil(text:find("secret", 1, true), text)
          end
        end
        assert.equal("/api/v1/client/account/balance", events[#events].path)
      end)
  end)

  it("gets trouble of the ledger", function()
    local directory <close> = env.directory()
    local path = env.write(directory:file "l.db", ("no database "):rep(100))
    env.output("chmod 600 " .. env.quote(path))
    observe({ POST = { { answers.accepted() } } }, { ledger = path }, function(client, events, server)
      assert.equal("ledger_failed", select(2, client:submit(INPUT)).code)
      assert.equal("ledger_failed", one(events, "ledger_failed").error.code)
      assert.equal(0, server:posts())
    end)
  end)

  it("is told of a submit's end only when the outcome is on disk", function()
    local directory <close> = env.directory()
    local path, state = directory:file "l.db", nil
    observe({ POST = { { answers.accepted() } } }, { ledger = path, on_event = function(event)
      if event.event == "request_ended" then state = asked.once(path, "row", { id = 1 })[1].state end
    end }, function(client)
      assert(client:submit(INPUT))
      assert.equal("accepted", state)
    end)
  end)

  it("is told of a request that is cancelled", function()
    observe({ POST = { { hostile.hang() } } }, { ledger = false }, function(client, events)
      assert.equal("submit_unknown", select(2, client:submit(INPUT, { timeout = env.seconds(0.2) })).code)
      omni.sleep(0)
      assert.same({ "request_begun", "request_ended" }, names(events))
      assert.equal("cancelled", events[2].error.code)
    end)
  end)
end)

describe("a hook that fails", function()
  -- Submits once. Returns the errors that surfaced.
  local function submit_with(hook, options)
    local server <close> = hostile.start()
    server:script { POST = { { answers.accepted() } }, GET = { { answers.running() } } }
    local given = { on_event = hook, ledger = false }
    for name, value in pairs(options or {}) do given[name] = value end
    local client <close> = assert(answers.client(server.url, given))
    local errors = surfaced(function() assert.equal(answers.ID, assert(client:submit(INPUT)).id) end)
    assert.equal(1, server:posts())
    return errors
  end

  it("leaves the submit alone, and surfaces with its traceback", function()
    local directory <close> = env.directory()
    for _, options in ipairs { {}, { ledger = directory:file "l.db" } } do
      local first = submit_with(function(event) error("no " .. event.event) end, options)[1]
      assert.matches("events_spec.lua:%d+: no request_begun", tostring(first))
      assert.matches("events_spec.lua:%d+: in ", first.traceback)
    end
  end)

  it("because it waits, or yields, leaves the submit alone, too", function()
    for pattern, hook in pairs {
      ["can't wait"] = function() omni.sleep(0.01) end,
      ["coroutine.yield was called in on_event"] = function() coroutine.yield() end,
    } do
      assert.matches(pattern, tostring(submit_with(hook)[1]))
    end
  end)

  it("because it closes the client loses no task id", function()
    local directory <close> = env.directory()
    for _, at in ipairs { "request_begun", "request_ended", "task" } do
      local server <close> = hostile.start()
      server:script { POST = { { answers.accepted() } } }
      local path, client = directory:file(at .. ".db"), nil
      client = assert(answers.client(server.url, { ledger = path, on_event = function(event)
        if event.event == at then client:close() end
      end }))
      local task, problem = omni.run(client.submit, client, INPUT)
      local row = asked.once(path, "row", { id = 1 })[1]
      if at == "request_begun" then
        assert.same({ nil, "closed", 0 }, { task, problem.code, server:posts() })
      else
        assert.same({ answers.ID, answers.ID, 1 }, { assert(task, problem).id, row.task_id, server:posts() })
      end
      client:close()
    end
  end)

  it("may start a coroutine that waits, and may cause events itself", function()
    local seen = 0
    local server <close> = hostile.start()
    server:script { GET = { { answers.running() } } }
    local client, balance
    client = assert(answers.client(server.url, { ledger = false, on_event = function(event)
      if event.event == "task" then
        omni.spawn(function() balance = select(2, client:balance()) end)
        client:warn "an event within an event"
      end
      if event.event == "warning" then seen = seen + 1 end
    end }))
    omni.run(function() assert(client:query(answers.ID)) end)
    assert.equal(1, seen)
    assert.equal("bad_answer", balance.code)
    client:close()
  end)
end)
