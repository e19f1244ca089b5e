-- SPDX-License-Identifier: MIT
-- The sandbox's callbacks, over real sockets: which callbacks an endpoint gets, when, and how the sandbox lists them.
local cjson = require("cjson").new()
local core = require "omni.core"
local env = require "helper.env"
local hostile = require "helper.hostile"
local loop = require "omni.loop"
local omni = require "omni"
local sandbox = require "omni.sandbox"
local server = require "omni.http.server"
local wire = require "helper.wire"

local job = "/api/v1/client/job/"

-- An endpoint that keeps what comes: { path, query, headers, body, at }. `answer(request, n)` says what to answer to the nth.
local function endpoint(answer)
  local seen, waiting = {}, nil
  local one = assert(server.serve(nil, function(request)
    local n = #seen + 1
    seen[n] = {
      method = request:method(), path = request:path(), query = request:query(), headers = request:headers(), body = request:body(),
      at = core.now(),
    }
    if waiting then loop.wake(waiting) end
    if answer then return answer(request, n) end
    return 200
  end))
  -- Parks until the condition is true; an incoming request must make it true.
  function seen.wait(condition)
    waiting = loop.current()
    local deadline = core.now() + env.seconds(10)
    while not condition() do
      assert(core.now() < deadline, "what was waited for never came")
      loop.park(0.01)
    end
    waiting = nil
  end
  function seen.arrived(n)
    seen.wait(function() return #seen >= n end)
    return seen[n]
  end
  return one, seen
end

-- Runs fn(world) with a sandbox whose tasks end at once, and an endpoint.
local function with(given, answer, fn)
  given.seconds, given.clips = given.seconds or 0, given.clips or "builtin"
  loop.run(function()
    local one <close>, seen = endpoint(answer)
    local box <close> = assert(sandbox.open(given))
    local w = { box = box, seen = seen, url = one.url, endpoint = one }

    function w.ask(method, target, body)
      local status, _, text = wire.request(box.url, method, target, { ["X-API-Key"] = box.key }, body)
      return status, status and cjson.decode(text)
    end

    -- Submits, and gives the task's id. The callback goes to the endpoint unless a URL is given; false: no callback.
    function w.submit(prompt, url)
      if url == nil then url = one.url .. "/hook/5ec2e7?x=%20y" end
      local status, answered = w.ask("POST", job .. "CreateTask", cjson.encode {
        model = "google/gemini-omni", input = { prompt = prompt or "a boat" }, callback_url = url or nil,
      })
      return status == 200 and answered.data.task_id or nil
    end

    function w.query(id) return select(2, w.ask("GET", job .. "TaskInfo?task_id=" .. id)).data end

    -- Parks until n callbacks were sent and what came back is known; gives them all.
    function w.sent(n)
      seen.wait(function()
        local all = box:callbacks()
        return #all >= n and (all[n].status or all[n].error)
      end)
      return box:callbacks()
    end

    fn(w)
  end)
end

local function faults(w)
  local names = {}
  for i, one in ipairs(w.box:callbacks()) do names[i] = one.fault or "none" end
  return names
end

local function statuses(w)
  local all = {}
  for i, one in ipairs(w.seen) do all[i] = assert(omni.parse_callback(one.body)).status end
  return all
end

describe("a task with a callback_url", function()
  it("gets its object POSTed there once when it is done, the same as a query returns, and without the key", function()
    with({}, nil, function(w)
      local id = w.submit()
      local got = w.seen.arrived(1)
      assert.same({ "POST", "/hook/5ec2e7", "x=%20y" }, { got.method, got.path, got.query })
      assert.equal("application/json", got.headers["content-type"])
      for name, value in pairs(got.headers) do
        assert.not_equal("x-api-key", name)
        assert.is_nil(value:find(w.box.key, 1, true))
      end
      assert.same(w.query(id), cjson.decode(got.body))
      local task = assert(omni.parse_callback(got.body))
      assert.same({ id, "success", 40 }, { task.id, task.status, task.credits })
      assert.same({ ("%s/media/%s.mp4"):format(w.box.url, id) }, task.media)
      assert.equal(200, (wire.request(w.box.url, "GET", "/media/" .. id .. ".mp4")))
      assert.equal(1, #w.sent(1))
    end)
  end)

  it("gets its callback at the moment of its end, even if nobody queries it", function()
    with({ seconds = 0.2 }, nil, function(w)
      local began = core.now()
      local id = w.submit()
      local task = w.box.service.tasks:find(id)
      local got = w.seen.arrived(1)
      assert.is_true(got.at >= task.ends_at, "it came before the task's end")
      assert.is_true(got.at - task.ends_at < env.seconds(1), "it came late")
      assert.is_true(task.ends_at - began >= 0.15)
      assert.same({ "success" }, statuses(w))
      local one = w.sent(1)[1]
      assert.is_true(one.began >= task.ends_at and one.began <= got.at)
      assert.is_true(math.abs(one.at - os.time()) <= env.seconds(5))
    end)
  end)

  it("gets its callback when its clip is drawn, if that takes longer than the task", function()
    with({}, nil, function(w)
      local release
      w.box.clips.draw = function(_, path)
        release = loop.current()
        loop.park()
        return path
      end
      local id = w.submit()
      while not release do loop.sleep(0) end
      assert.equal("running", w.query(id).status)
      assert.equal(0, #w.box:callbacks())
      loop.wake(release)
      w.seen.arrived(1)
      assert.same({ "success" }, statuses(w))
    end)
  end)

  it("gets a callback when it fails, too", function()
    with({ faults = { "fail:reason=no wind" } }, nil, function(w)
      w.submit()
      local task = assert(omni.parse_callback(w.seen.arrived(1).body))
      assert.equal("failed", task.status)
      assert.matches("no wind", task.error.message)
    end)
  end)

  it("gets no callback if it never ends; neither does a task without a callback_url", function()
    with({ faults = { "never:match=storm" } }, nil, function(w)
      w.submit "a storm"
      w.submit("a boat", false)
      local id = w.submit "a kite"
      w.sent(1)
      assert.equal(id, w.box:callbacks()[1].task_id)
      assert.equal(1, #w.seen)
    end)
  end)

  it("gets one each, even if many tasks end at once, with few connections at a time", function()
    local open, most, ready = 0, 0, false
    local function slowly()
      open = open + 1
      most = math.max(most, open)
      while not ready do loop.sleep(0.01) end
      open = open - 1
      return 200
    end
    with({ credits = 1e6 }, slowly, function(w)
      local wanted, count = {}, 60
      for i = 1, count do wanted[w.submit("a boat", ("%s/%d"):format(w.url, i))] = "/" .. i end
      ready = true
      local all = w.sent(count)
      for _, got in ipairs(w.seen) do
        local id = omni.parse_callback(got.body).id
        assert.equal(wanted[id], got.path)
        wanted[id] = nil
      end
      assert.is_nil(next(wanted))
      for _, one in ipairs(all) do assert.same({ 200, nil }, { one.status, one.error }) end
      assert.is_true(most > 1 and most <= 16, most)
    end)
  end)
end)

describe("the answer to a callback", function()
  it("is listed in the order of sending, in the process and over HTTP", function()
    with({}, function(_, n) return n == 1 and 200 or 503 end, function(w)
      local first = w.submit "a boat"
      w.seen.arrived(1)
      local second = w.submit("a kite", w.url .. "/other")
      w.sent(2)
      local list = w.box:callbacks()
      assert.same({ first, second }, { list[1].task_id, list[2].task_id })
      assert.same({ 200, 503 }, { list[1].status, list[2].status })
      assert.equal(w.url .. "/other", list[2].url)
      local status, _, text = wire.request(w.box.url, "GET", "/sandbox/callbacks")
      assert.equal(200, status)
      local served = cjson.decode(text)
      assert.same({ task_id = second, url = w.url .. "/other", at = list[2].at, status = 503, error = cjson.null, fault = cjson.null },
        served[2])
      assert.equal("[", text:sub(1, 1))
    end)
  end)

  it("is missing in an empty list while no callback was sent", function()
    with({}, nil, function(w)
      assert.equal("[]", select(3, wire.request(w.box.url, "GET", "/sandbox/callbacks")))
      assert.same({}, w.box:callbacks())
    end)
  end)

  it("has any status: the callback isn't sent again, and no redirect is followed", function()
    for _, status in ipairs { 204, 302, 404, 500 } do
      with({}, function() return status, { Location = "/elsewhere" } end, function(w)
        w.submit()
        assert.equal(status, w.sent(1)[1].status)
        w.submit()
        w.sent(2)
        assert.equal(2, #w.seen)
        for _, got in ipairs(w.seen) do assert.equal("/hook/5ec2e7", got.path) end
      end)
    end
  end)

  it("is an error if there is no answer", function()
    with({}, function(request) request:drop() end, function(w)
      w.submit()
      w.submit("a kite", "http://127.0.0.1:" .. hostile.dead_port())
      w.sent(1)
      for _, one in ipairs(w.sent(2)) do
        assert.is_nil(one.status)
        assert.is_string(one.error)
      end
      assert.equal(1, #w.seen)
    end)
  end)
end)

describe("a sandbox that is closed", function()
  it("sends no more callbacks, and aborts those on their way", function()
    with({}, function(_, n) return n == 1 and loop.park() or 200 end, function(w)
      w.submit()
      w.seen.arrived(1)
      local before = #w.box:callbacks()
      w.box.service.tasks.seconds = env.seconds(0.3)
      for _ = 1, 5 do w.submit() end
      w.box:close()
      loop.sleep(env.seconds(0.4)) -- longer than those tasks would have lasted
      assert.equal(before, #w.box:callbacks())
      assert.equal(1, #w.seen)
      assert.same({}, { w.box:callbacks()[1].status, w.box:callbacks()[1].error })
    end)
  end)
end)

describe("the fault", function()
  it("callback-late sends the callback some seconds after the task's end", function()
    with({ faults = { "callback-late:delay=0.2" } }, nil, function(w)
      local id = w.submit()
      local got = w.seen.arrived(1)
      assert.is_true(got.at - w.box.service.tasks:find(id).ends_at >= 0.2)
      assert.same({ "success" }, statuses(w))
      assert.same({ "callback-late" }, faults(w))
    end)
  end)

  it("callback-late with a chance changes the order of callbacks", function()
    local function order(seed)
      local got = {}
      with({ faults = { "callback-late:chance=0.5,delay=" .. env.seconds(0.4) }, seed = seed }, nil, function(w)
        local places = {}
        for i = 1, 8 do places[w.submit()] = i end
        w.seen.arrived(8)
        for i, one in ipairs(w.seen) do got[i] = places[omni.parse_callback(one.body).id] end
      end)
      return got
    end
    local late = order(3)
    local sorted = table.move(late, 1, 8, 1, {})
    table.sort(sorted)
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8 }, sorted)
    assert.not_same(sorted, late)
  end)

  it("callback-twice sends the same callback again, at once or later", function()
    for spec, least in pairs { ["callback-twice"] = 0, ["callback-twice:delay=0.1"] = 0.1 } do
      with({ faults = { spec } }, nil, function(w)
        w.submit()
        local second = w.seen.arrived(2)
        assert.equal(w.seen[1].body, second.body)
        assert.is_true(second.at - w.seen[1].at >= least)
        w.sent(2)
        assert.same({ "none", "callback-twice" }, faults(w))
      end)
    end
  end)

  it("callback-never sends no callback for the tasks that it strikes", function()
    with({ faults = { "callback-never:match=storm" } }, nil, function(w)
      w.submit "a storm"
      local id = w.submit "a boat"
      w.sent(1)
      assert.equal(1, #w.seen)
      assert.equal(id, w.box:callbacks()[1].task_id)
    end)
  end)

  it("callback-early sends the callback before the submit is answered", function()
    with({ seconds = 0.05, faults = { "callback-early" } }, nil, function(w)
      local submitted
      local submit = loop.spawn(function()
        submitted = w.submit()
        return core.now()
      end)
      local got = w.seen.arrived(1)
      assert.is_nil(submitted)
      assert.is_true(submit:join() >= got.at)
      assert.equal(submitted, assert(omni.parse_callback(got.body)).id)
      assert.same({ "success" }, statuses(w))
      assert.same({ "callback-early", 200 }, { w.box:callbacks()[1].fault, w.box:callbacks()[1].status })
    end)
  end)

  it("callback-early doesn't delay the answer for a task that never ends", function()
    with({ faults = { "callback-early", "never" } }, nil, function(w)
      assert.is_string(w.submit())
      assert.equal(0, #w.seen)
    end)
  end)

  it("callback-early also works for a submit whose answer is lost", function()
    with({ faults = { "callback-early", "drop-after:on=submit" } }, nil, function(w)
      assert.is_nil(w.submit())
      assert.equal(1, #w.seen)
      assert.equal(w.box:ledger().tasks[1].task_id, omni.parse_callback(w.seen[1].body).id)
    end)
  end)

  it("callback-wrapped sends the task in the envelope", function()
    with({ faults = { "callback-wrapped" } }, nil, function(w)
      local id = w.submit()
      local body = cjson.decode(w.seen.arrived(1).body)
      assert.same({ 200, "success", w.query(id) }, { body.code, body.message, body.data })
      assert.equal("success", omni.parse_callback(w.seen[1].body).status)
      assert.same({ "callback-wrapped" }, faults(w))
    end)
  end)

  it("callback-forged says that a running task is done, with a media URL that leads nowhere", function()
    with({ seconds = env.seconds(0.6), faults = { "callback-forged" } }, nil, function(w)
      local id = w.submit()
      local lie = assert(omni.parse_callback(w.seen.arrived(1).body))
      assert.equal("running", w.query(id).status)
      assert.same({ id, "success" }, { lie.id, lie.status })
      assert.equal(404, (wire.request(w.box.url, "GET", lie.media[1]:match "//[^/]+(/.*)")))
      local truth = assert(omni.parse_callback(w.seen.arrived(2).body))
      assert.same({ id, "success" }, { truth.id, truth.status })
      assert.not_same(lie.media, truth.media)
      w.sent(2)
      assert.same({ "callback-forged", "none" }, faults(w))
      assert.equal(id, w.box:callbacks()[1].task_id)
    end)
  end)

  it("callback-forged:kind=id names another task of this sandbox, or an id of no task", function()
    with({ faults = { "callback-forged:kind=id" } }, nil, function(w)
      local first = w.submit("a boat", w.url .. "/first")
      w.seen.arrived(2)
      local nobody = assert(omni.parse_callback(w.seen[1].body))
      assert.not_equal(first, nobody.id)
      assert.equal(404, (w.ask("GET", job .. "TaskInfo?task_id=" .. nobody.id)))
      local second = w.submit("a kite", w.url .. "/second")
      w.seen.arrived(4)
      assert.same({ "/second", first }, { w.seen[3].path, omni.parse_callback(w.seen[3].body).id })
      assert.same({ "/second", second }, { w.seen[4].path, omni.parse_callback(w.seen[4].body).id })
      assert.equal(second, w.box:callbacks()[3].task_id)
    end)
  end)

  it("callback-forged:kind=garbage sends an HTML page", function()
    with({ faults = { "callback-forged:kind=garbage", "callback-never" } }, nil, function(w)
      w.submit()
      assert.matches("^<!DOCTYPE html>", w.seen.arrived(1).body)
      w.sent(1)
      assert.same({ "callback-forged" }, faults(w))
    end)
  end)

  it("callback-forged may be given several times, and applies to a task that never ends", function()
    with({ faults = { "callback-forged:kind=garbage", "callback-forged:kind=id", "callback-forged", "never" } }, nil, function(w)
      local id = w.submit()
      w.sent(3)
      assert.matches("^<!DOCTYPE html>", w.seen[1].body)
      assert.not_equal(id, omni.parse_callback(w.seen[2].body).id)
      assert.equal(id, omni.parse_callback(w.seen[3].body).id)
      assert.equal("running", w.query(id).status)
    end)
  end)

  it("callback-stale adds a callback that says the task runs", function()
    with({ faults = { "callback-stale" } }, nil, function(w)
      local id = w.submit()
      w.sent(2)
      assert.same({ "success", "running" }, statuses(w))
      assert.same({ "none", "callback-stale" }, faults(w))
      local old = cjson.decode(w.seen[2].body)
      assert.same({ id, cjson.null, cjson.null }, { old.task_id, old.result, old.complete_at })
      assert.equal("success", w.query(id).status)
    end)
  end)

  it("callback-... works together with others, and the list of callbacks names all of them", function()
    local specs = { "callback-stale", "callback-twice", "callback-wrapped", "callback-late:delay=0.01", "callback-forged" }
    with({ faults = specs }, nil, function(w)
      w.submit()
      w.sent(4)
      assert.same({ "success", "success", "success", "running" }, statuses(w))
      assert.same({
        "callback-forged", "callback-wrapped+callback-late", "callback-wrapped+callback-late+callback-twice", "callback-stale",
      }, faults(w))
    end)
  end)

  it("callback-... obeys every, first and match, and counts only tasks with a callback_url", function()
    with({ faults = { "callback-wrapped:every=2,match=storm" } }, nil, function(w)
      local got = {}
      for _, prompt in ipairs { "storm 1", "a boat", "storm 2", "storm 3", "storm 4" } do
        w.submit("storm without", false)
        w.submit(prompt)
        w.sent(#got + 1)
        got[#got + 1] = w.box:callbacks()[#got + 1].fault or ""
      end
      assert.same({ "", "", "callback-wrapped", "", "callback-wrapped" }, got)
    end)
  end)

  it("callback-... refuses 'on', and lists the allowed kinds", function()
    local _, failure = sandbox.open { faults = { "callback-late:on=submit" } }
    assert.matches("callback%-late takes no 'on'", failure.message)
    _, failure = sandbox.open { faults = { "callback-forged:kind=ids" } }
    assert.matches("kind=ids: did you mean 'id'?", failure.message)
    _, failure = sandbox.open { faults = { "callback-lat" } }
    assert.matches("did you mean 'callback%-late'?", failure.message)
  end)
end)
