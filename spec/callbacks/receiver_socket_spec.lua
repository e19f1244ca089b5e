-- SPDX-License-Identifier: MIT
-- Callbacks over real sockets, from end to end: the sandbox sends them in every way in which a service or a stranger can, and the receiver
-- listens.

local cjson = require "cjson"
local core = require "omni.core"
local env = require "helper.env"
local omni = require "omni"
local post = require "omni.http.webhook"
local studio = require "helper.studio"

local become = studio.become
local tls = require "helper.tls"

-- A studio whose client has a receiver. A lost callback would cost a minute. `s.queries()` returns how many queries the sandbox has
-- received.
local function open(faults, seconds, body, more)
  studio.open({ seconds = seconds, faults = faults }, function(s)
    local queries, handle = 0, s.sandbox.service.handle
    s.sandbox.service.handle = function(self, request)
      if request.path:find("TaskInfo") then queries = queries + 1 end
      return handle(self, request)
    end
    function s.queries() return queries end
    local settings = { client = s.client, listen = "127.0.0.1:0", poll = 60 }
    for name, value in pairs(more or {}) do settings[name] = value end
    local receiver <close> = assert(omni.callbacks(settings))
    body(s, receiver)
  end)
end

-- What the sandbox has sent, and was answered.
local function statuses(s)
  local list = {}
  for i, sent in ipairs(s.sandbox:callbacks()) do list[i] = sent.status or sent.error or "under way" end
  return list
end

local function is_answered(s, count)
  local list = statuses(s)
  for _, status in ipairs(list) do
    if status == "under way" then return false end
  end
  return #list >= count
end

describe("a callback that the service sends", function()
  -- name → the sandbox's fault, what its callbacks are answered, how many queries there may be
  local cases = {
    ["when the task is over"] = { nil, { 200 }, 1 },
    ["in the envelope of answers"] = { "callback-wrapped", { 200 }, 1 },
    ["before the submit's own answer"] = { "callback-early", { 200 }, 1 },
    ["twice"] = { "callback-twice", { 200, 200 }, 1 },
    ["and then one of an earlier state"] = { "callback-stale", { 200, 200 }, 1 },
    ["late"] = { "callback-late:delay=0.4", { 200 }, 1 },
  }
  for name, case in pairs(cases) do
    it(name .. " wakes who waits, at the cost of one query", function()
      open({ case[1] }, 0.1, function(s, receiver)
        local task = assert(s.client:submit { prompt = "x" })
        assert.equal("success", assert(task:await { timeout = 50 }).status) -- without the callback it were a minute
        become(function() return is_answered(s, #case[2]) end)
        omni.sleep(0.05)
        assert.same(case[2], statuses(s))
        assert.equal(case[3], s.queries())
        assert.equal(1, receiver.counts.confirmed)
        assert.equal("success", task.status)
      end)
    end)
  end

  it("is matched with its own task, in whatever order callbacks come", function()
    open({ "callback-late:delay=0.3,match=first" }, 0.05, function(s)
      local first, second = assert(s.client:submit { prompt = "first" }), assert(s.client:submit { prompt = "second" })
      local order = {}
      local function follow(task) table.insert(order, assert(task:await { timeout = 50 }).id) end
      omni.join(omni.spawn(follow, first), omni.spawn(follow, second))
      assert.same({ second.id, first.id }, order)
      assert.equal(2, s.queries())
    end)
  end)

  it("may be lost: a slow query finds the end of the task", function()
    open({ "callback-never" }, 0.05, function(s)
      assert.equal("success", assert(assert(s.client:submit { prompt = "x" }):await { timeout = 50 }).status)
      assert.same({}, s.sandbox:callbacks())
    end, { poll = 0.3 })
  end)

  it("settles a submit whose answer was lost: the scene is done, and charged once", function()
    open({ "drop-after:on=submit" }, 0.1, function(s, receiver)
      assert.same({ "fetched" }, studio.statuses(assert(s:run(studio.board "x"))))
      assert.equal(1, s:submits())
      assert.equal(1, receiver.counts.settled)
    end)
  end)

  it("may come over TLS, to the receiver's own certificate", function()
    local folder <close> = env.directory()
    local certificate, key = tls.certificate(folder, "own", "IP:127.0.0.1")
    env.output("chmod 600 " .. env.quote(key))
    open({ "callback-never" }, 0, function(s, receiver)
      assert.truthy(receiver.url:find("^https://127%.0%.0%.1:"))
      local task = assert(s.client:submit { prompt = "x" })
      local wait = omni.spawn(function() return assert(task:await { timeout = 50 }) end)
      local said = assert(omni.process({ "curl", "-s", "--cacert", certificate, "--data-binary",
        cjson.encode { task_id = task.id, status = "success" }, s.sandbox.service.tasks:find(task.id).callback_url }, { stdout = "pipe" }))
      assert.equal("accepted\n", said.stdout)
      assert.equal("success", wait:join().status)
    end, { tls_certificate = certificate, tls_key = key })
  end)
end)

describe("a forged callback", function()
  for kind, expected in pairs { status = 200, id = 409, garbage = 400 } do
    it("with the right token (" .. kind .. ") ends no wait, and is believed in nothing", function()
      open({ "callback-never", "callback-forged:kind=" .. kind }, 4, function(s, receiver)
        local other = assert(s.client:submit({ prompt = "other" }, { callback_url = "http://127.0.0.1:9/" }))
        local task = assert(s.client:submit { prompt = "x" })
        local wait = omni.spawn(function() return task:await { timeout = 60 } end)
        become(function()
          for _, sent in ipairs(s.sandbox:callbacks()) do
            if sent.task_id == task.id and sent.status then return true end
          end
        end)
        omni.sleep(0.1)
        for _, sent in ipairs(s.sandbox:callbacks()) do
          if sent.task_id == task.id then assert.equal(expected, sent.status) end
        end
        assert.is_false(wait:done())
        assert.not_equal("success", task.status)
        assert.is_nil(task.media)
        assert.equal(0, receiver.counts.confirmed)
        assert.is_true(s.queries() <= 1)
        assert.is_truthy(other.id)
        wait:cancel()
      end)
    end)
  end

  it("in a flood, with the right id and a missing, foreign or invented token, causes no query and ends no wait", function()
    open({ "callback-never" }, 60, function(s, receiver)
      local task, other = assert(s.client:submit { prompt = "x" }), assert(s.client:submit { prompt = "y" })
      local wait = omni.spawn(function() return task:await { timeout = 60 } end)
      local sender <close> = post.open { connections = 16 }
      local lie = cjson.encode { task_id = task.id, status = "success", result = { code = 200, media_urls = { "http://127.0.0.1:9/x" } } }
      local others = s.sandbox.service.tasks:find(other.id).callback_url
      local targets = {
        { receiver.url .. "/", 404 }, { receiver.url .. "/" .. task.id, 404 }, { receiver.url .. "/" .. ("a"):rep(32), 404 },
        { others, 409 }, { others:sub(1, -2), 404 },
      }
      local fibers = {}
      for i = 1, 200 do
        local target = targets[i % #targets + 1]
        fibers[i] = omni.spawn(function() assert.equal(target[2], assert(sender:post(target[1], lie, "application/json")).status) end)
      end
      omni.join(table.unpack(fibers))
      omni.sleep(0.1)
      assert.is_false(wait:done())
      assert.equal(0, s.queries())
      assert.equal(160, receiver.counts.wrong_token)
      assert.equal(40, receiver.counts.wrong_task)
      wait:cancel()
    end)
  end)

  it("in a flood, with the right token, causes at most one query a second", function()
    open({ "callback-never" }, 60, function(s)
      local task = assert(s.client:submit { prompt = "x" })
      local wait = omni.spawn(function() return task:await { timeout = 60 } end)
      local sender <close> = post.open { connections = 16 }
      local lie, url = cjson.encode { task_id = task.id, status = "success" }, s.sandbox.service.tasks:find(task.id).callback_url
      local fibers, began = {}, core.now()
      for i = 1, 200 do
        fibers[i] = omni.spawn(function() assert.equal(200, assert(sender:post(url, lie, "application/json")).status) end)
      end
      omni.join(table.unpack(fibers))
      omni.sleep(math.max(0, began + 1.3 - core.now()))
      assert.is_false(wait:done())
      local longest = core.now() - began
      assert.is_true(s.queries() >= 1 and s.queries() <= longest + 1, s.queries())
      wait:cancel()
    end)
  end)
end)
