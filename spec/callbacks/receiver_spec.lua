-- SPDX-License-Identifier: MIT
-- The receiver: what it accepts, what it refuses, and that omni believes nothing before a query has confirmed it.

local cjson = require "cjson"
local core = require "omni.core"
local env = require "helper.env"
local omni = require "omni"
local studio = require "helper.studio"

local become = studio.become

-- A studio whose client has a receiver with a web server of its own; queries without a callback would take a minute. The sandbox
-- sends none by itself: each spec says what comes.
local function open(given, body, more)
  given.faults = given.faults or {}
  table.insert(given.faults, "callback-never")
  studio.open(given, function(s)
    s.client:close()
    local client <close> = s:new_client { ledger = s.directory .. "/ledger.db", poll_min = 0.02, poll_max = 0.02 }
    s.client = client
    local settings = { client = client, listen = "127.0.0.1:0", poll = 60 }
    for name, value in pairs(more or {}) do settings[name] = value end
    local receiver <close> = assert(omni.callbacks(settings))
    s.receiver = receiver
    body(s, receiver)
  end)
end

-- The callback URL that a task went out with, as the service echoes it.
local function url_of(s, task)
  return assert(s.sandbox.service.tasks:find(task.id).callback_url)
end

local function path_of(url) return url:match("^https?://[^/]+(/.*)$") end

-- How many queries the sandbox gets from now on.
local function counted(s)
  local queries, handle = 0, s.sandbox.service.handle
  s.sandbox.service.handle = function(self, request)
    if request.path:find("TaskInfo") then queries = queries + 1 end
    return handle(self, request)
  end
  return function() return queries end
end

-- What the service would POST for a task.
local function body_of(task, status)
  return cjson.encode {
    task_id = task.id, status = status or "success", create_at = 1, complete_at = 2, param = { model = "m", input = { prompt = "x" } },
    result = { code = 200, media_urls = { "http://127.0.0.1:1/forged.mp4" } },
  }
end

describe("a receiver", function()
  it("gives each submit a callback URL with a secret of its own, of 128 bits, and stores only its digest", function()
    open({ seconds = 5 }, function(s, receiver)
      local urls = {}
      for i = 1, 2 do urls[i] = url_of(s, assert(s.client:submit { prompt = "x" .. i })) end
      for _, url in ipairs(urls) do assert.matches("^" .. receiver.url:gsub("%p", "%%%0") .. "/%x+$", url) end
      local token = urls[1]:match("(%x+)$")
      assert.equal(32, #token)
      assert.not_equal(urls[1], urls[2])
      local rows = s.client:ledger():ask("by_token", { token = core.sha256(token) })
      assert.equal("accepted", rows[1].state)
      for _, extra in ipairs { "", "-wal" } do
        local bytes = env.read(s.directory .. "/ledger.db" .. extra) or ""
        assert.is_nil(bytes:find(token, 1, true))
      end
    end)
  end)

  it("doesn't change a submit that already has a callback URL", function()
    open({ seconds = 5 }, function(s)
      local task = assert(s.client:submit({ prompt = "x" }, { callback_url = "https://example.com/mine" }))
      assert.equal("https://example.com/mine", url_of(s, task))
      assert.is_nil(task.callback)
    end)
  end)

  it("wakes the waiting fiber once a query has confirmed the callback, long before the next query", function()
    open({ seconds = 0.2 }, function(s, receiver)
      local task = assert(s.client:submit { prompt = "x" })
      local fiber = omni.spawn(function() return assert(task:await { timeout = 30 }) end)
      repeat omni.sleep(0.02) until s.sandbox:ledger().tasks[1].status == "success"
      local began = core.now()
      assert.equal(200, (receiver:handle("POST", path_of(url_of(s, task)), {}, body_of(task))))
      assert.equal("success", fiber:join().status)
      assert.is_true(core.now() - began < env.seconds(5))
      assert.not_matches("forged", task.media[1]) -- what the callback said isn't believed, what the query said is
      assert.equal(1, receiver.counts.confirmed)
    end)
  end)

  it("believes nothing: a callback for a task that still runs ends no wait", function()
    open({ seconds = 60 }, function(s, receiver)
      local task = assert(s.client:submit { prompt = "x" })
      local fiber = omni.spawn(function() return task:await { timeout = 60 } end)
      omni.sleep(0.05)
      assert.equal(200, (receiver:handle("POST", path_of(url_of(s, task)), {}, body_of(task))))
      omni.sleep(0.3)
      assert.is_false(fiber:done())
      assert.equal(0, receiver.counts.confirmed)
      fiber:cancel()
    end)
  end)

  it("refuses and counts each kind of unwanted request, and sends no query for it", function()
    open({ seconds = 60 }, function(s, receiver)
      local task, other = assert(s.client:submit { prompt = "x" }), assert(s.client:submit { prompt = "y" })
      local path, queries = path_of(url_of(s, task)), counted(s)
      local wrong = path:sub(1, -2) .. (path:sub(-1) == "0" and "1" or "0")
      for _, case in ipairs {
        { "POST", wrong, body_of(task), 404, "wrong_token" }, { "POST", "/", body_of(task), 404, "wrong_token" },
        { "POST", "/" .. ("0"):rep(32), body_of(task), 404, "wrong_token" }, { "POST", path .. "0", body_of(task), 404, "wrong_token" },
        { "GET", path, "", 405, "wrong_method" }, { "PUT", path, body_of(task), 405, "wrong_method" },
        { "POST", path, ("x"):rep(1048577), 413, "too_large" },
        { "POST", path, body_of(task), 415, "wrong_encoding", { ["Content-Encoding"] = "gzip" } },
        { "POST", path, "\x1F\x8B\8\0\0\0\0\0", 415, "wrong_encoding" },
        { "POST", path, "{", 400, "not_a_task", { ["content-encoding"] = "identity" } },
        { "POST", path, "[]", 400, "not_a_task" }, { "POST", path, "", 400, "not_a_task" },
        { "POST", path, '{"task_id":"a b","status":"success"}', 400, "not_a_task" },
        { "POST", path, body_of(other), 409, "wrong_task" },
      } do
        local before = receiver.counts[case[5]]
        local status, headers = receiver:handle(case[1], case[2], case[6], case[3])
        assert.equal(case[4], status)
        assert.equal(before + 1, receiver.counts[case[5]])
        assert.equal(case[4] == 405 and "POST" or nil, headers.Allow)
      end
      omni.sleep(0.1)
      assert.equal(0, queries())
    end)
  end)

  it("queries at most once a second for a token, however often it is called", function()
    open({ seconds = 60 }, function(s, receiver)
      local task, queries = assert(s.client:submit { prompt = "x" }), counted(s)
      local path = path_of(url_of(s, task))
      for _ = 1, 200 do assert.equal(200, (receiver:handle("POST", path, {}, body_of(task)))) end
      omni.sleep(0.5)
      assert.equal(1, queries())
    end)
  end)

  it("keeps a callback that comes before the answer to the submit, and finds its task then", function()
    open({ seconds = 0, faults = { "slow:on=submit,delay=0.4" } }, function(s, receiver)
      local submit = omni.spawn(function() return assert(s.client:submit { prompt = "x" }) end)
      local known
      repeat
        omni.sleep(0.01)
        known = s.sandbox.service.tasks.in_order[1]
      until known
      assert.equal(200, (receiver:handle("POST", path_of(known.callback_url), {}, body_of(known))))
      assert.equal(409, (receiver:handle("POST", path_of(known.callback_url), {}, body_of { id = "another" })))
      local task = submit:join()
      assert.equal("success", assert(task:await { timeout = 20 }).status)
    end)
  end)

  it("works without callbacks when they are lost: by slow queries, and one more at the deadline", function()
    open({ seconds = 0.1 }, function(s)
      local task = assert(s.client:submit { prompt = "x" })
      local began = core.now()
      assert.equal("success", assert(task:await { timeout = 1 }).status)
      assert.is_true(core.now() - began >= 0.9)
      s.client.callback_poll = 0.1
      assert.equal("success", assert(assert(s.client:submit { prompt = "y" }):await { timeout = 20 }).status)
    end)
  end)

  it("queries only once for a callback that says that the task runs", function()
    open({ seconds = 60 }, function(s, receiver)
      local task, queries = assert(s.client:submit { prompt = "x" }), counted(s)
      assert.equal(200, (receiver:handle("POST", path_of(url_of(s, task)), {}, body_of(task, "running"))))
      omni.sleep(1.3)
      assert.equal(1, queries())
    end)
  end)

  it("also finds the task if the submit's answer comes while the callback is being recorded", function()
    open({ seconds = 0 }, function(s, receiver)
      local records, held, kept = assert(s.client:ledger()), nil, nil
      local ask = records.ask
      function records.ask(self, verb, ...)
        if verb == "record_callback" then
          held = true
          repeat omni.sleep(0.005) until kept
        elseif verb == "accept" then
          repeat omni.sleep(0.005) until held
        end
        return ask(self, verb, ...)
      end
      local submit = omni.spawn(function() return assert(s.client:submit { prompt = "x" }) end)
      become(function() return s.sandbox.service.tasks.in_order[1] end)
      local known = s.sandbox.service.tasks.in_order[1]
      local callback = omni.spawn(function() return receiver:handle("POST", path_of(known.callback_url), {}, body_of(known)) end)
      local task = submit:join()
      local wait = omni.spawn(function() return assert(task:await { timeout = 30 }) end)
      kept = true
      assert.equal(200, callback:join())
      local began = core.now()
      assert.equal("success", wait:join().status)
      assert.is_true(core.now() - began < env.seconds(5))
    end)
  end)

  it("answers 503 when it can't record what it must keep, and accepts the callback when it comes again", function()
    open({ seconds = 0, faults = { "drop-after:on=submit" } }, function(s, receiver)
      local _, problem = s.client:submit { prompt = "x" }
      assert.equal("submit_unknown", problem.code)
      local known, records = s.sandbox.service.tasks.in_order[1], s.client:ledger()
      local ask = records.ask
      function records.ask(self, verb, ...)
        if verb == "record_callback" then return nil, { code = "ledger_failed", message = "the disk is full" } end
        return ask(self, verb, ...)
      end
      local path = path_of(known.callback_url)
      assert.equal(503, (receiver:handle("POST", path, {}, body_of(known))))
      assert.equal(1, receiver.counts.unavailable)
      records.ask = nil
      assert.equal(200, (receiver:handle("POST", path, {}, body_of(known))))
      become(function() return receiver.counts.settled == 1 end)
    end)
  end)

  it("can be closed while a submit is on its way: its task is returned, and polled", function()
    open({ seconds = 0, faults = { "slow:on=submit,delay=0.2" } }, function(s, receiver)
      local submit = omni.spawn(function() return assert(s.client:submit { prompt = "x" }) end)
      become(function() return s.sandbox.service.tasks.in_order[1] end)
      local known = s.sandbox.service.tasks.in_order[1]
      receiver:close()
      assert.equal("success", assert(submit:join():await { timeout = 10 }).status)
      assert.equal(503, (receiver:handle("POST", path_of(known.callback_url), {}, body_of(known))))
    end)
  end)

  it("keeps no finished tasks, so that memory stays bounded, and still accepts late callbacks", function()
    open({ seconds = 0 }, function(s, receiver)
      local queries, last = counted(s), nil
      for i = 1, 13000 do
        local url, hash = receiver:issue()
        local task = assert(s.client:task("task-" .. i))
        task.status = "success"
        receiver:submit_ended(hash, task)
        last = url
      end
      local kept = 0
      for _ in pairs(receiver.tokens.entries) do kept = kept + 1 end
      assert.is_true(kept <= 12000, kept)
      collectgarbage()
      assert.is_nil(next(receiver.tokens.tasks))
      assert.equal(200, (receiver:handle("POST", path_of(last), {}, body_of { id = "task-13000" })))
      omni.sleep(0.05)
      assert.is_true(queries() <= 1)
    end)
  end)

  it("accepts duplicate and late callbacks without harm", function()
    open({ seconds = 0 }, function(s, receiver)
      local task = assert(s.client:submit { prompt = "x" })
      local path = path_of(url_of(s, task))
      for _ = 1, 3 do assert.equal(200, (receiver:handle("POST", path, {}, body_of(task)))) end
      assert.equal("success", assert(task:await { timeout = 20 }).status)
      assert.equal(200, (receiver:handle("POST", path, {}, body_of(task, "running"))))
      omni.sleep(0.05)
      assert.equal("success", task.status)
    end)
  end)

  it("listens at its own address, and answers there", function()
    open({ seconds = 60 }, function(s, receiver)
      local task = assert(s.client:submit { prompt = "x" })
      local url = url_of(s, task)
      assert.equal(receiver.server.url, url:match("^(.*)/%x+$"))
      local function status(target, ...)
        return assert(omni.process({ "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", target, ... }, { stdout = "pipe" })).stdout
      end
      assert.equal("404", status(receiver.url .. "/" .. ("a"):rep(32)))
      assert.equal("405", status(url))
      assert.equal("400", status(url, "-d", "{}"))
      assert.equal("200", status(url, "-d", body_of(task)))
    end)
  end)

  it("counts under the names that docs/callbacks.md explains", function()
    open({}, function(_, receiver)
      local page = env.read("docs/callbacks.md")
      for name in pairs(receiver.counts) do assert.truthy(page:find("`" .. name .. "`", 1, true), name) end
    end)
  end)

  it("accepts 1,000 connections from one address on loopback, where a web server may be in front", function()
    open({ seconds = 60 }, function(s, receiver)
      local task = assert(s.client:submit { prompt = "x" })
      local sender <close> = require("omni.http.webhook").open { connections = 200 }
      local fibers, body, url = {}, body_of(task, "running"), url_of(s, task)
      for i = 1, 200 do fibers[i] = omni.spawn(function() return assert(sender:post(url, body, "application/json")).status end) end
      for _, status in ipairs { omni.join(table.unpack(fibers)) } do assert.equal(200, status) end
      assert.equal(200, receiver.counts.accepted)
    end)
  end)

  it("raises for invalid options", function()
    studio.open({}, function(s)
      assert.error_matches(function() omni.callbacks { listen = "127.0.0.1:0" } end, "'client'")
      assert.error_matches(function() omni.callbacks { client = s.client, listen = false } end, "'public_url'")
      assert.error_matches(function() omni.callbacks { client = s.client, listen = "x:y" } end, "ADDRESS:PORT")
      local apart = { client = s.client, listen = false, public_url = "https://film.example.com/hook", tls_key = "x" }
      assert.error_matches(function() omni.callbacks(apart) end, "TLS needs option")
      assert.error_matches(function() omni.callbacks { client = s.client, lisen = "x" } end, "did you mean 'listen'")
      local _, err = omni.callbacks { client = s.client, public_url = "ftp://x" }
      assert.equal("public_url", err.field)
      local receiver <close> = assert(omni.callbacks { client = s.client, listen = "127.0.0.1:0" })
      assert.is_truthy(receiver.url)
      assert.error_matches(function() receiver:handle("POST", nil, {}, "") end, "receiver:handle: expected")
      assert.error_matches(function() omni.callbacks { client = s.client } end, "has a receiver already")
    end)
  end)
end)

describe("a submit whose answer was lost", function()
  it("is settled by its callback: the scene is done, and charged once", function()
    open({ seconds = 0.3, faults = { "drop-after:on=submit" } }, function(s, receiver)
      local run = omni.spawn(function() return assert(s:run(studio.board "x")) end)
      local task
      repeat
        omni.sleep(0.02)
        task = s.sandbox.service.tasks.in_order[1]
      until task and s.sandbox:ledger().tasks[1].status == "success"
      assert.equal(200, (receiver:handle("POST", path_of(task.callback_url), {}, body_of(task))))
      assert.same({ "fetched" }, studio.statuses(run:join()))
      assert.equal(1, s:submits())
      assert.equal(1, receiver.counts.settled)
      assert.same({ "reuse" }, studio.statuses(assert(s:plan(studio.board "x"))))
    end)
  end)

  it("isn't settled by another task than the submitted one", function()
    open({ seconds = 0, faults = { "drop-after:on=submit,match=x" } }, function(s, receiver)
      local other = assert(s.client:submit({ prompt = "other" }, { callback_url = "https://example.com/" }))
      local _, err = s.client:submit { prompt = "x" }
      assert.equal("submit_unknown", err.code)
      local lost = s.sandbox.service.tasks.in_order[2]
      assert.equal(200, (receiver:handle("POST", path_of(lost.callback_url), {}, body_of(other))))
      omni.sleep(0.2)
      assert.equal(0, receiver.counts.settled)
      assert.equal("unknown", s.client:ledger():row("row", { id = 2 }).state)
      assert.equal(200, (receiver:handle("POST", path_of(lost.callback_url), {}, body_of(lost)))) -- the right one may come yet
      become(function() return receiver.counts.settled == 1 end)
      assert.equal(lost.id, s.client:ledger():row("row", { id = 2 }).task_id)
    end)
  end)

  it("is no longer waited for when the receiver is closed: the run ends, and says so", function()
    open({ seconds = 0, faults = { "drop-after:on=submit" } }, function(s, receiver)
      local run = omni.spawn(function() return assert(s:run(studio.board "x")) end)
      become(function() return next(receiver.tokens.entries) and select(2, next(receiver.tokens.entries)).waiting end)
      receiver:close()
      assert.same({ "unknown" }, studio.statuses(run:join()))
    end)
  end)

  it("gets its task if another program has settled it in the meantime", function()
    open({ seconds = 0, faults = { "drop-after:on=submit" } }, function(s, receiver)
      local run = omni.spawn(function() return assert(s:run(studio.board "x")) end)
      become(function() return next(receiver.tokens.entries) and select(2, next(receiver.tokens.entries)).waiting end)
      local row = s.client:ledger():ask("open")[1]
      assert(s.client:ledger():ask("adopt", { id = row.id, task_id = s.sandbox.service.tasks.in_order[1].id }))
      assert.same({ "fetched" }, studio.statuses(run:join()))
      assert.equal(1, s:submits())
    end)
  end)

  it("is settled by a later program: the next run of the board confirms the recorded callback", function()
    open({ seconds = 0, faults = { "drop-after:on=submit" } }, function(s)
      local run = omni.spawn(function() return s:run(studio.board "x") end)
      repeat omni.sleep(0.02) until s.sandbox:ledger().tasks[1] and #(s.client:ledger() and s.client:ledger():ask("open") or {}) > 0
      repeat omni.sleep(0.02) until s.client:ledger():ask("open")[1].state == "unknown"
      run:cancel()
      s.client:close()
      local lost = s.sandbox.service.tasks.in_order[1]
      do -- `omni listen` in the meantime: another client, which never saw the submit
        local client <close> = s:new_client { ledger = s.directory .. "/ledger.db" }
        local receiver <close> = assert(omni.callbacks { client = client, listen = "127.0.0.1:0" })
        assert.equal(200, (receiver:handle("POST", path_of(lost.callback_url), {}, body_of(lost))))
        repeat omni.sleep(0.02) until receiver.counts.settled == 1
      end
      local client <close> = s:new_client { ledger = s.directory .. "/ledger.db" }
      s.client = client
      assert.same({ "fetched" }, studio.statuses(assert(s:run(studio.board "x"))))
      assert.equal(1, s:submits())
    end)
  end)
end)
