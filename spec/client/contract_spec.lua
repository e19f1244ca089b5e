-- SPDX-License-Identifier: MIT
-- The service's answers as its documentation and public clients show them (spec/contract/*.json), over a socket: how a submit, a query, a
-- call and a callback understand them.
--
-- `kind`: answer (of any call), task (of a query), callback. `body` is the answer's text. `expect`: `ok` whether it is a success; `code`
-- the code of the error; `refused` whether a submit is certainly not charged; `*_contains` a part of the message; the others are fields
-- of the task, or of `data`. `source_class`: D documentation, V the service's own client, W another client's tests, M mocks only.
local answers = require "helper.answers"
local core = require "omni.core"
local env = require "helper.env"
local hostile = require "helper.hostile"
local omni = require "omni"

local null <const> = core.json.null

local cases = {}
for _, path in ipairs(env.lines("ls spec/contract/*.json")) do
  cases[#cases + 1] = assert(core.decode(env.read(path)))
end

local statuses <const> = {
  [200] = "200 OK", [401] = "401 Unauthorized", [403] = "403 Forbidden", [422] = "422 Unprocessable", [500] = "500 Oops",
}

local server

local function turn(case) return { hostile.json(case.body, statuses[case.http_status]) } end

local function check_failure(expect, problem)
  if expect.code then assert.equal(expect.code, problem.code) end
  if expect.code_not then assert.are_not.equal(expect.code_not, problem.code) end
  if expect.message_contains then assert.truthy(problem.message:find(expect.message_contains, 1, true)) end
end

local function check_task(expect, task)
  assert.equal(expect.status, task.status)
  if expect.media == null then assert.is_nil(task.media) elseif expect.media then assert.same(expect.media, task.media) end
  if expect.media_any then
    local found, wanted = { table.unpack(task.media) }, { table.unpack(expect.media_any) }
    table.sort(found)
    table.sort(wanted)
    assert.same(wanted, found)
  end
  if expect.credits then assert.equal(expect.credits, task.credits) end
  if expect.credits_are then assert.same({ nil, 6 }, { task.credits, task.reserved_credits }) end
  if expect.error_contains then assert.truthy(task.error.message:find(expect.error_contains, 1, true)) end
  if task.status ~= "failed" then assert.is_nil(task.error) end
end

describe("an answer of the service is understood:", function()
  setup(function() server = hostile.start() end)
  teardown(function() server:close() end)

  local check = {}

  function check.answer(case)
    local expect = case.expect
    server:script { GET = { turn(case) } }
    local data, problem = answers.client(server.url):call("GET", "/api/v1/client/anything")
    if not expect.ok then return check_failure(expect, problem) end
    assert.is_nil(problem)
    for name, value in pairs(expect) do
      local field = name:match "^data%.(.*)"
      if field and value == null then value = nil end
      if field then assert.equal(value, data[field]) end
    end
  end

  function check.task(case)
    server:script { GET = { turn(case) } }
    local id = core.decode(case.body).data.task_id
    check_task(case.expect, assert(answers.client(server.url):query(id)))
    check_task(case.expect, assert(omni.parse_callback(case.body)))
  end

  function check.callback(case)
    check_task(case.expect, assert(omni.parse_callback(case.body)))
  end

  assert(#cases >= 17)
  for _, case in ipairs(cases) do
    it(case.name:gsub("_", " "), function() check[case.kind](case) end)
  end

  for _, case in ipairs(cases) do
    if case.name:find "^create" or case.name:find "^refused" then
      it("as a submit's: " .. case.name:gsub("_", " "), function()
        server:script { POST = { turn(case) } }
        local task, problem = answers.client(server.url, { ledger = false }):submit { prompt = "x" }
        assert.equal(1, server:posts())
        if case.expect["data.task_id"] and case.expect["data.task_id"] ~= null then
          assert.equal(case.expect["data.task_id"], task.id)
        elseif case.expect.refused then
          check_failure(case.expect, problem)
          assert.equal("answered", problem.sent)
        else
          assert.equal("submit_unknown", problem.code)
        end
      end)
    end
  end
end)

describe("a refusal", function()
  setup(function() server = hostile.start() end)
  teardown(function() server:close() end)

  local function refusal(body, status)
    server:script { GET = { { hostile.json(body, status) } } }
    return select(2, answers.client(server.url):call("GET", "/x"))
  end

  it("has every text of `errors`, and every message of its objects, once", function()
    local problem = refusal('{"code":422,"message":"Type Error","errors":["duration: 4, 6 or 8",{"msg":"ratio: 16:9","loc":["a"]},7,null,'
      .. '{"message":"prompt: too long"},"duration: 4, 6 or 8"]}', "422 No")
    assert.equal("the service doesn't accept the request: Type Error: duration: 4, 6 or 8; ratio: 16:9; prompt: too long", problem.message)
    assert.same({ "invalid_request", 422 }, { problem.code, problem.status })
  end)

  it("has it under HTTP 200, and for every code", function()
    local problem = refusal '{"code":505,"message":"","errors":["not in your country"]}'
    assert.equal("the feature is disabled: not in your country", problem.message)
  end)

  it("contains no control characters of `errors`, and not more than a person reads", function()
    local many = {}
    for i = 1, 100 do many[i] = ('"\\u001b[2J%d %s"'):format(i, ("x"):rep(500)) end
    local problem = refusal(('{"code":422,"message":"%s","errors":[%s]}'):format(("m"):rep(5000), table.concat(many, ",")))
    assert.is_nil(problem.message:find "%c")
    assert.is_true(#problem.message <= 2000)
    assert.truthy(problem.message:find("?[2J1 xxx", 1, true)) -- a long message leaves room for them
  end)

  it("for lack of credits has the balance if the service states it", function()
    local problem = refusal('{"code":402,"message":"no credits","data":{"balance":12.5}}', "402 Pay")
    assert.equal(12.5, problem.balance)
    assert.matches("^the account has 12%.50 credits; buy credits at https://crun%.ai/billing", problem.hint)
    for _, data in ipairs { "null", "{}", '{"balance":"7"}', '{"balance":-1}', "7", "[]" } do
      problem = refusal(('{"code":402,"message":"no credits","data":%s}'):format(data))
      assert.is_nil(problem.balance)
      assert.matches("^buy credits", problem.hint)
    end
  end)

  it("of a key says where keys are made and reset", function()
    for _, code in ipairs { 401, 403 } do
      assert.matches("https://crun.ai/user-api-key", refusal(('{"code":%d,"message":"no"}'):format(code)).hint, 1, true)
    end
  end)
end)

describe("a task", function()
  local function parsed(fields)
    return assert(omni.parse_callback(('{"task_id":"t","status":"failed",%s}'):format(fields)))
  end

  it("has the reason of its failure, from any of its places; the result's message has priority", function()
    local places = {
      ['"result":{"message":"A"},"message":"B","reason":"C"'] = "A",
      ['"result":{"message":"failed"},"message":"B","reason":"C"'] = "B",
      ['"result":{"message":"success"},"message":"Failed","reason":"C"'] = "C",
      ['"result":null,"message":"B"'] = "B", ['"reason":"C"'] = "C", ['"result":{"reason":"D"}'] = "D",
      ['"result":[],"message":7,"reason":"C"'] = "C",
    }
    for fields, reason in pairs(places) do
      assert.equal("the generation failed: " .. reason, parsed(fields).error.message)
      assert.equal("generation_failed", parsed(fields).error.code)
    end
    assert.equal("the generation failed", parsed('"result":{"code":200,"message":"success"}').error.message)
  end)

  it("that moderation stopped has a code of its own, whatever the result's code", function()
    for _, fields in ipairs { '"reason":"input_moderation","result":null',
      '"reason":"OUTPUT_MODERATION","result":{"code":200,"message":"failed"}',
      '"result":{"code":501,"message":"Blocked by our content policy."}', '"message":"nope","reason":"input_moderation"' } do
      local problem = parsed(fields).error
      assert.equal("moderation_refused", problem.code)
      assert.matches("^the service's moderation refused it: ", problem.message)
      assert.is_nil(problem.status)
    end
  end)

  it("that succeeded without media is broken, not moderated, even if the service gives a reason", function()
    local task = assert(omni.parse_callback '{"task_id":"t","status":"success","reason":"moderation passed","result":null}')
    assert.equal("broken_result", task.error.code)
  end)

  local function media(fields, status)
    return assert(omni.parse_callback(('{"task_id":"t","status":"%s",%s}'):format(status or "success", fields))).media
  end

  it("has media from strings or objects, in the result or beside it", function()
    assert.same({ "https://a.example/1", "https://a.example/2" },
      media '"result":{"media_urls":[{"url":"https://a.example/1","type":"video"},7,{"x":1},{"url":"file:///x"},"https://a.example/2"]}')
    assert.same({ "https://a.example/1" }, media '"media_urls":[{"url":"https://a.example/1"}],"result":{"media_urls":[]}')
  end)

  it("has every URL of a success without media_urls once, always in the same order", function()
    local songs = '"suno_data":[{"id":"1","image_url":"https://a.example/1.jpg","audio_url":"https://a.example/1.mp3","title":"x"},'
      .. '{"audio_url":"https://a.example/2.mp3","image_url":"https://a.example/1.jpg","page":"ftp://a.example/"}]'
    local all = { "https://a.example/1.mp3", "https://a.example/1.jpg", "https://a.example/2.mp3" }
    assert.same(all, media('"result":{' .. songs .. "}"))
    assert.same(all, media('"result":null,' .. songs))
    assert.same({ "https://a.example/v.mp4" }, media '"result":{"media_urls":null,"video":{"url":"https://a.example/v.mp4"}}')
    assert.is_nil(media('"result":{"note":"see https://a.example/"}'))
    assert.is_nil(media('"result":{' .. songs .. "}", "running"))
    assert.is_nil(media('"param":{"input":{"img_urls":["https://a.example/in.png"]}},"result":{}'))
  end)

  it("has only the media of their usual place, if there are any", function()
    assert.same({ "https://a.example/v.mp4" },
      media '"result":{"media_urls":["https://a.example/v.mp4"],"media_info":{"cover":"https://a.example/c.jpg"}}')
  end)

  it("with a huge result is searched in bounded time", function()
    local names = {}
    for i = 1, 20000 do names[i] = ('"n%d":{"a":%d}'):format(i, i) end
    assert.is_nil(media(('"result":{%s}'):format(table.concat(names, ","))))
  end)

  it("has reserved credits until it is over, then its cost", function()
    for status, over in pairs { pending = false, running = false, queued = false, success = true, FAILED = true } do
      local task = assert(omni.parse_callback(('{"task_id":"t","status":"%s","credits":7.5}'):format(status)))
      assert.same(over and { 7.5, nil } or { nil, 7.5 }, { task.credits, task.reserved_credits })
    end
  end)
end)
