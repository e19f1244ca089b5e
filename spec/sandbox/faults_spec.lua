-- SPDX-License-Identifier: MIT
local cjson = require("cjson").new()
local faults = require "omni.sandbox.faults"
local http_date = require("omni.sandbox.response").http_date
local service = require "omni.sandbox.service"

local key = "ak_" .. ("0"):rep(32)
local submit_path, query_path = "/api/v1/client/job/CreateTask", "/api/v1/client/job/TaskInfo"

-- A service whose clock is ours, and whose clips are drawn at once.
local function rehearse(specs, seed)
  local clock = { time = 100 }
  local served = service.open {
    url = "http://127.0.0.1:1", key = key, seconds = 3, seed = seed or 1, credits = 10000, faults = assert(faults.open(specs, seed)),
    now = function() return clock.time end, wall = function() return 1700000000 + math.floor(clock.time) end,
    draw = function(_, done) done "/clip.mp4" end, stat = function() return { size = 1000, mtime = 1700000000 } end,
  }
  local function ask(method, path, query, body, headers)
    headers = headers or {}
    headers["x-api-key"] = key
    local response = served:handle { method = method, path = path, query = query, headers = headers, body = body or "" }
    local fine, decoded = pcall(cjson.decode, response.body)
    return response, fine and decoded or nil
  end
  local function submit(prompt)
    return ask("POST", submit_path, nil, cjson.encode { model = "google/gemini-omni", input = { prompt = prompt or "a boat" } })
  end
  local function query(id) return ask("GET", query_path, "task_id=" .. id) end
  return { ask = ask, submit = submit, query = query, service = served, clock = clock }
end

local function refused(spec)
  local set, failure = faults.open { spec }
  assert.is_nil(set)
  assert.equal("invalid_fault", failure.code)
  return tostring(failure)
end

describe("the spec of a fault", function()
  it("may be the name of any documented fault alone", function()
    for _, row in ipairs(faults.rows) do
      assert.truthy(faults.open { row.name })
    end
  end)

  it("is documented, with each fault and each key", function()
    local file <close> = assert(io.open "docs/sandbox.md")
    local page = file:read "a"
    for _, row in ipairs(faults.rows) do
      assert.is_truthy(page:find("`" .. row.name .. "`", 1, true), row.name)
      for name in pairs(row.known) do assert.is_truthy(page:find("`" .. name .. "[=`]"), name) end
    end
  end)

  it("with an unknown fault is refused, with the most similar name", function()
    assert.matches("there is no fault 'stauts%-429'; did you mean 'status%-429'?", refused "stauts-429")
  end)

  it("with an unknown key is refused, with the most similar one; so is a key that the fault doesn't take", function()
    assert.matches("fail takes no 'evry'; did you mean 'every'?", refused "fail:evry=2")
    assert.matches("fail takes no 'on'", refused "fail:on=submit")
    assert.matches("cut takes no 'retry_after'", refused "cut:retry_after=1")
  end)

  it("with an invalid value is refused with the allowed values", function()
    assert.matches("every=0: a whole number, 1 or more", refused "fail:every=0")
    assert.matches("first=x: a whole number", refused "fail:first=x")
    assert.matches("chance=1.5: a number from 0 to 1", refused "fail:chance=1.5")
    assert.matches("on=sumbit: any, submit, query", refused "slow:on=sumbit")
    assert.matches("delay=soon: a number of seconds", refused "slow:delay=soon")
    assert.matches("retry_after=later: whole seconds, date", refused "status-429:retry_after=later")
    assert.matches("reset=perhaps: known are: no, yes", refused "drop-after:reset=perhaps")
    assert.matches("match=: a part of the prompt", refused "fail:match=")
  end)

  it("is refused if it isn't key=value, has a key twice, is empty, or isn't a string", function()
    assert.matches("'first' isn't key=value", refused "fail:first")
    assert.matches("'first' is given twice", refused "fail:first=1,first=2")
    assert.matches("there is no fault ''", refused "")
    assert.matches("expected a string, got number", refused(7))
  end)

  it("may contain commas in quoted values", function()
    local it_rehearses = rehearse { 'status-455:match="sea, sky", first=1' }
    assert.equal(200, it_rehearses.submit("sea and sky").status)
    assert.equal(455, it_rehearses.submit("sea, sky").status)
    assert.equal(200, it_rehearses.submit("sea, sky").status)
  end)
end)

describe("a fault", function()
  it("strikes each Nth request with every, and at most N times with first", function()
    local r = rehearse { "status-500:every=2,first=2,on=submit" }
    local got = {}
    for i = 1, 8 do got[i] = r.submit().status end
    assert.same({ 200, 500, 200, 500, 200, 200, 200, 200 }, got)
  end)

  it("spares the first N requests with skip, and all keys but one with key", function()
    local r = rehearse { "status-401:skip=2,every=2,on=submit", "status-402:key=2" }
    local got = {}
    for i = 1, 8 do got[i] = r.submit().status end
    assert.same({ 200, 200, 200, 401, 200, 401, 200, 401 }, got)
    assert.equal(402, (rehearse { "status-402:key=1" }).submit().status)
  end)

  it("strikes with the given chance: the same requests for one seed, others for another seed", function()
    local function run(seed)
      local r, got = rehearse({ "status-500:chance=0.5" }, seed), {}
      for i = 1, 200 do got[i] = r.submit().status == 500 and "x" or "." end
      return table.concat(got)
    end
    assert.equal(run(7), run(7))
    assert.not_equal(run(7), run(8))
    local _, count = run(7):gsub("x", "")
    assert.is_true(count > 70 and count < 130)
  end)

  it("strikes only the requests that `on` names; without it every API call, but no media and no ledger", function()
    local r = rehearse { "status-455:on=query+estimate" }
    assert.equal(200, r.submit().status)
    assert.equal(455, r.query("x").status)
    assert.equal(455, r.ask("POST", "/api/v1/client/job/EstimateTask", nil, "{}").status)
    assert.equal(200, r.ask("GET", "/api/v1/client/account/balance").status)
    r = rehearse { "status-455" }
    assert.equal(455, r.ask("GET", "/api/v1/client/account/balance").status)
    assert.equal(404, r.ask("GET", "/media/x.mp4").status)
    assert.equal(200, r.ask("GET", "/sandbox/ledger").status)
  end)

  it("strikes only tasks that match, also their queries and downloads", function()
    local r = rehearse { "status-500:match=storm,on=query+media" }
    local _, calm = r.submit "a calm sea"
    local _, storm = r.submit "a storm"
    r.clock.time = 200
    assert.equal(200, r.query(calm.data.task_id).status)
    assert.equal(500, r.query(storm.data.task_id).status)
    assert.equal(500, r.ask("GET", "/media/" .. storm.data.task_id .. ".mp4").status)
  end)

  it("answers 401, 402, 404, 429, 455, 500, 503 and 505 as HTTP status or under HTTP 200, and charges nothing", function()
    for _, code in ipairs { 401, 402, 404, 429, 455, 500, 503, 505 } do
      local r = rehearse { "status-" .. code .. ":first=1", "envelope-" .. code .. ":first=2" }
      local response, answer = r.submit()
      assert.same({ code, code }, { response.status, answer.code })
      response, answer = r.submit()
      assert.same({ 200, code, cjson.null }, { response.status, answer.code, answer.data })
      assert.truthy(#answer.message > 0)
      assert.equal(0, r.service:ledger().submits)
    end
  end)

  it("sends Retry-After as seconds or as a date only on request", function()
    assert.is_nil(rehearse({ "status-429" }).submit().headers["Retry-After"])
    assert.equal("7", tostring(rehearse({ "status-429:retry_after=7" }).submit().headers["Retry-After"]))
    local date = rehearse({ "envelope-429:retry_after=date+60" }).submit().headers["Retry-After"]
    assert.matches("^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$", date)
    assert.is_true(date == http_date(os.time() + 60) or date == http_date(os.time() + 59))
  end)

  it("handles and charges the submit first with when=after", function()
    local r = rehearse { "status-500:when=after" }
    local response, answer = r.submit()
    assert.same({ 500, 500, cjson.null }, { response.status, answer.code, answer.data })
    assert.equal(1, r.service:ledger().submits)
  end)

  it("drop-before charges nothing; drop-after charges", function()
    local r = rehearse { "drop-before" }
    assert.is_true(r.submit().drop)
    assert.equal(0, r.service:ledger().submits)
    r = rehearse { "drop-after:reset=yes" }
    local response = r.submit()
    assert.same({ true, true }, { response.drop, response.reset })
    assert.equal(1, r.service:ledger().submits)
  end)

  it("cut ends the answer in the middle, garbage replaces it by HTML, slow delays it; all of them charge", function()
    local r = rehearse { "cut" }
    local response = r.submit()
    assert.equal(#response.body // 2, response.cut)
    assert.equal(1, r.service:ledger().submits)
    r = rehearse { "garbage" }
    local answer
    response, answer = r.submit()
    assert.is_nil(answer)
    assert.same({ 200, "text/html" }, { response.status, response.headers["Content-Type"] })
    assert.equal(1, r.service:ledger().submits)
    r = rehearse { "slow:delay=0.25" }
    response, answer = r.submit()
    assert.same({ 0.25, 200 }, { response.delay, answer.code })
  end)

  it("works together with others: a late, incomplete 429", function()
    local response = rehearse({ "slow:delay=3", "cut", "status-429:retry_after=1" }).submit()
    assert.same({ 3, 429, #response.body // 2 }, { response.delay, response.status, response.cut })
  end)

  it("fail makes the task fail with its reason, keeps the charge, and draws nothing", function()
    local r = rehearse { 'fail:match=storm,reason="too much wind"' }
    local _, made = r.submit "a storm"
    r.clock.time = 200
    local _, answer = r.query(made.data.task_id)
    assert.equal("failed", answer.data.status)
    assert.same({ 501, "too much wind" }, { answer.data.result.code, answer.data.result.message })
    assert.same({ 40, "failed" }, { r.service:ledger().charged, r.service:ledger().tasks[1].status })
  end)

  it("no-media makes it succeed without a URL", function()
    local r = rehearse { "no-media" }
    local _, made = r.submit()
    r.clock.time = 200
    local response, answer = r.query(made.data.task_id)
    assert.equal("success", answer.data.status)
    assert.matches('"media_urls":%[%]', response.body)
    assert.equal(404, r.ask("GET", "/media/" .. made.data.task_id .. ".mp4").status)
  end)

  it("never keeps it running for good", function()
    local r = rehearse { "never" }
    local _, made = r.submit()
    r.clock.time = 1e6
    local _, answer = r.query(made.data.task_id)
    assert.equal("running", answer.data.status)
    assert.equal(cjson.null, answer.data.complete_at)
  end)

  it("counts accepted tasks, not refused requests", function()
    local r = rehearse { "fail:every=2", "status-429:every=2" }
    local states = {}
    for _ = 1, 8 do r.submit() end
    r.clock.time = 200
    for i, task in ipairs(r.service:ledger().tasks) do states[i] = task.status end
    assert.same({ "success", "failed", "success", "failed" }, states)
  end)

  it("media-cut interrupts a download from the beginning, but not one that continues, nor a HEAD", function()
    local r = rehearse { "media-cut" }
    local _, made = r.submit()
    r.clock.time = 200
    local path = "/media/" .. made.data.task_id .. ".mp4"
    assert.equal(500, r.ask("GET", path).cut)
    assert.is_nil(r.ask("HEAD", path).cut)
    local response = r.ask("GET", path, nil, nil, { range = "bytes=500-" })
    assert.same({ 206, 500, 500 }, { response.status, response.body.offset, response.body.length })
    assert.is_nil(response.cut)
  end)

  it("media-short shortens a whole download, but not a part, nor a HEAD", function()
    local r = rehearse { "media-short" }
    local _, made = r.submit()
    r.clock.time = 200
    local path = "/media/" .. made.data.task_id .. ".mp4"
    assert.equal(500, r.ask("GET", path).body.length)
    assert.equal(1000, r.ask("HEAD", path).body.length)
    assert.equal(1000, r.ask("GET", path, nil, nil, { range = "bytes=0-" }).body.length)
  end)
end)
