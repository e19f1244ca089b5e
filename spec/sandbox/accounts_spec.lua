-- SPDX-License-Identifier: MIT
-- The sandbox's accounts, over real sockets: several keys, each with limits, a balance and tasks of its own.
local cjson = require("cjson").new()
local credentials = require "omni.client.credentials"
local loop = require "omni.loop"
local program = require "helper.program"
local sandbox = require "omni.sandbox"
local wire = require "helper.wire"

local job <const> = "/api/v1/client/job/"
local submit_body <const> = '{"model":"google/gemini-omni","input":{"prompt":"a boat"}}'

-- Runs fn(box, ask) in the loop; ask(n, ...) asks with the nth key.
local function with(given, fn)
  given.clips, given.seconds = "builtin", given.seconds or 3600
  loop.run(function()
    local box <close> = assert(sandbox.open(given))
    fn(box, function(n, method, target, body)
      local status, headers, text = wire.request(box.url, method, target, { ["X-API-Key"] = box.keys[n].key }, body)
      return status, cjson.decode(text), headers
    end)
  end)
end

local function submit(ask, n)
  local status, answer = ask(n, "POST", job .. "CreateTask", submit_body)
  return status, answer
end

local function balance(ask, n)
  local status, answer = ask(n, "GET", "/api/v1/client/account/balance")
  return status == 200 and answer.data.balance or status
end

describe("sandbox keys", function()
  it("differ, look like real keys, and are recognised as sandbox keys; no other key is", function()
    local seen = {}
    for _, of in ipairs { { 1 }, { 2 }, { 10 }, { 9999 }, { 1, 1 }, { 1, -7 }, { 1, 1, 8080 }, { 1, 1, 8081 }, { 2, 1, 8080 } } do
      local key = credentials.sandbox_key(table.unpack(of))
      assert.equal(key, credentials.sandbox_key(table.unpack(of)))
      assert.is_true(credentials.looks_right(key) and credentials.is_sandbox_key(key))
      assert.is_nil(seen[key])
      seen[key] = true
    end
    local first = credentials.sandbox_key(1)
    for _, key in ipairs { "", first .. "x", first:sub(1, -2), first:sub(1, -5) .. "12g4",
      "x" .. first, first:sub(1, -5), "ak_" .. ("0"):rep(32) } do
      assert.is_false(credentials.is_sandbox_key(key), key)
    end
  end)
end)

describe("a sandbox with several keys", function()
  it("has a balance for each key, and only a task's own key finds the task", function()
    with({ keys = { { credits = 100 }, { key = "second", credits = 50 } } }, function(box, ask)
      local port = math.tointeger(tonumber(box.url:match "%d+$"))
      assert.same({ credentials.sandbox_key(1, 1, port), "second" }, { box.keys[1].key, box.keys[2].key })
      assert.equal(box.key, box.keys[1].key)
      local _, answer = submit(ask, 1)
      local target = job .. "TaskInfo?task_id=" .. answer.data.task_id
      assert.same({ 200, 404 }, { (ask(1, "GET", target)), (ask(2, "GET", target)) })
      assert.same({ 60, 50 }, { balance(ask, 1), balance(ask, 2) })
      assert.equal(200, (submit(ask, 2)))
      assert.equal(402, (submit(ask, 2)))
      local ledger = box:ledger()
      assert.same({ credentials.fingerprint(box.keys[1].key), credentials.fingerprint "second" },
        { ledger.tasks[1].account, ledger.tasks[2].account })
      assert.same({ 80, 40, 10 }, { ledger.charged, ledger.accounts[2].charged, ledger.accounts[2].balance })
    end)
  end)

  it("answers a submit beyond a key's limit with 500 and charges nothing, until one of its tasks has ended", function()
    with({ keys = { 1, 2 } }, function(box, ask)
      assert.same({ 1, 2 }, { box.keys[1].in_flight, box.keys[2].in_flight })
      assert.equal(200, (submit(ask, 1)))
      local status, answer = submit(ask, 1)
      assert.same({ 500, 500, "Internal Error" }, { status, answer.code, answer.message })
      assert.equal(9960, balance(ask, 1))
      assert.same({ 200, 200, 500 }, { (submit(ask, 2)), (submit(ask, 2)), (submit(ask, 2)) })
      local first = box.service.tasks.in_order[1]
      first.runs_at, first.ends_at = 0, 0
      while not first.drawn_at do loop.sleep(0) end
      assert.equal(200, (submit(ask, 1)))
      assert.equal(500, (submit(ask, 1)))
      local accounts = box:ledger().accounts
      assert.same({ 1, 1, 2, 2 }, { accounts[1].peak, accounts[1].in_flight, accounts[2].peak, accounts[2].in_flight })
    end)
  end)

  it("can also limit a single key, and by default doesn't", function()
    with({ in_flight = 1 }, function(_, ask) assert.same({ 200, 500 }, { (submit(ask, 1)), (submit(ask, 1)) }) end)
    with({}, function(box, ask)
      for _ = 1, 20 do assert.equal(200, (submit(ask, 1))) end
      assert.same({ 20, nil }, { box:ledger().accounts[1].peak, box:ledger().accounts[1].in_flight })
    end)
  end)

  it("refuses a revoked key with 401 and a key without credits with 402; the others continue", function()
    with({ keys = 3 }, function(box, ask)
      box:revoke(box.keys[1].key)
      box:set_credits(box.keys[2].key, 39.5)
      assert.same({ 401, 402, 200 }, { (submit(ask, 1)), (submit(ask, 2)), (submit(ask, 3)) })
      assert.same({ 401, 39.5, 9960 }, { balance(ask, 1), balance(ask, 2), balance(ask, 3) })
      assert.error_matches(function() box:revoke "other" end, "no such key")
      assert.error_matches(function() box:set_credits(box.key, -1) end, "0 or more")
    end)
  end)

  it("limits the requests of a key to its rate: 429 with Retry-After, for that key only", function()
    with({ keys = 2, rate = 0.001 }, function(_, ask)
      assert.equal(10000, balance(ask, 1))
      local status, _, headers = ask(1, "GET", "/api/v1/client/account/balance")
      assert.equal(429, status)
      assert.is_true(tonumber(headers["retry-after"]) > 900)
      assert.equal(10000, balance(ask, 2))
    end)
  end)

  it("applies a fault with key=N to the requests of one key", function()
    with({ keys = 2, faults = { "status-401:key=2,skip=1" } }, function(_, ask)
      assert.same({ 10000, 10000, 10000, 401 }, { balance(ask, 1), balance(ask, 2), balance(ask, 1), balance(ask, 2) })
    end)
  end)

  it("accepts no upload that carries any of the keys", function()
    with({ keys = 2 }, function(box, ask)
      local _, answer = ask(1, "GET", "/api/v1/client/files/upload-url?content_type=image/png&ext=.png")
      local target = answer.data.presigned_url:sub(#box.url + 1)
      local headers = { ["Content-Type"] = "image/png", Authorization = "Bearer " .. box.keys[2].key }
      assert.equal(400, (wire.request(box.url, "PUT", target, headers, "x")))
    end)
  end)

  it("refuses invalid keys", function()
    for message, given in pairs {
      ["exclude each other"] = { key = "a", keys = 2 }, ["'keys' must be a number from 1"] = { keys = 0 },
      ["keys%[2%].key' is given twice"] = { keys = { { key = "a" }, { key = "a" } } },
      ["keys%[1%].in_flight' must be a whole number"] = { keys = { 0 } }, ["keys%[1%]' has no 'limit'"] = { keys = { { limit = 1 } } },
      ["keys%[1%].credits' must be 0 or more"] = { keys = { { credits = -1 } } }, ["'rate' must be more than 0"] = { rate = 0 },
      ["keys%[1%]' must be a limit"] = { keys = { "x" } },
      ["'keys' must be a number from 1 to 1000"] = { keys = { 1, nil, 3 } },
    } do
      assert.error_matches(function() sandbox.open(given) end, message)
    end
  end)

  it("is started by the program with --keys, which prints the environment that a client needs", function()
    local child = program.start { "sandbox", "--keys", "1,2,5" }
    local port = math.tointeger(tonumber(child:wait_for("CRUN_BASE_URL="):match "%d+$"))
    local line = child:wait_for "CRUN_API_KEYS="
    child:signal "TERM"
    child:finish()
    local function key(n) return credentials.sandbox_key(n, 1, port) end
    assert.equal(("export CRUN_API_KEYS=%s=1,%s=2,%s=5"):format(key(1), key(2), key(3)), line)
    assert.matches("%-%-keys: expected whole numbers, 1 or more, separated by commas, got '1,0'",
      program.run({ "sandbox", "--keys", "1,0" }).err)
    local both = program.run { "sandbox", "--keys", "1,2", "--in-flight", "3", "--host", "192.0.2.1" }
    assert.same({ 2, "" }, { both.code, both.out })
    assert.matches("%-%-keys and %-%-in%-flight exclude each other", both.err)
    local service = program.service { "--keys", "3", "--rate", "100" }
    assert.same({ service.key, 3 }, { service.keys[1], math.tointeger(service.ledger().accounts[1].in_flight) })
    service.stop()
  end)
end)
