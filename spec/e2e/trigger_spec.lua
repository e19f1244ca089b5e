-- SPDX-License-Identifier: MIT
-- `omni trigger`: what your own endpoint receives, and what omni prints about its response.
local cjson = require("cjson").new()
local env = require "helper.env"
local hostile = require "helper.hostile"
local omni = require "omni"
local program = require "helper.program"

local KEY <const> = "ak_" .. ("0123456789abcdef"):rep(2)

local endpoint

local function answering(status, text) endpoint:script { POST = { { hostile.answer(status or "200 OK", text or "") } } } end

local function trigger(...)
  return program.run({ "trigger", "--to", endpoint.url .. "/hook/5ec2e7", ... }, { environment = { CRUN_API_KEY = KEY } })
end

-- Returns the request, as a receiver of callbacks parses it.
local function task() return assert(omni.parse_callback(endpoint:requests()[1].body)) end

describe("omni trigger", function()
  setup(function() endpoint = hostile.start() end)
  teardown(function() endpoint:close() end)
  before_each(function() answering() end)

  it("sends a task with each status, and prints the endpoint's answer and how long it took", function()
    for _, status in ipairs { "success", "failed", "running", "pending" } do
      answering()
      local result = trigger(status, "--task-id", "a-task/of:mine")
      assert.same({ 0, "" }, { result.code, result.err })
      assert.matches("^" .. status .. " of task a%-task/of:mine: 200 in %d+ ms$", result.out)
      local got = endpoint:requests()
      assert.equal(1, #got)
      assert.same({ "POST", "/hook/5ec2e7", "application/json" }, { got[1].method, got[1].target, got[1].headers["content-type"] })
      assert.same({ "a-task/of:mine", status }, { task().id, task().status })
      local final = status == "success" or status == "failed"
      assert.equal(final, task().completed_at ~= nil)
    end
  end)

  it("reads and sends no key", function()
    trigger "success"
    for name, value in pairs(endpoint:requests()[1].headers) do
      assert.not_equal("x-api-key", name)
      assert.is_nil(value:find(KEY, 1, true))
    end
    assert.is_nil(endpoint:requests()[1].body:find(KEY, 1, true))
  end)

  it("sends the clip's URL that --media names", function()
    trigger("success", "--media", "https://example.com/other.mp4?a=b")
    assert.same({ "https://example.com/other.mp4?a=b" }, task().media)
    answering()
    trigger "no-media"
    assert.equal("broken_result", task().error.code)
  end)

  it("wraps the task in an envelope on request", function()
    trigger("success", "--wrapped", "--task-id", "x")
    local body = cjson.decode(endpoint:requests()[1].body)
    assert.same({ 200, "success", "x" }, { body.code, body.message, body.data.task_id })
  end)

  it("sends callbacks that an endpoint should refuse", function()
    trigger "garbage"
    assert.matches("^<!DOCTYPE html>", endpoint:requests()[1].body)
    answering()
    trigger "not-a-task"
    local body = endpoint:requests()[1].body
    assert.is_table(cjson.decode(body))
    assert.is_nil((omni.parse_callback(body)))
    answering()
    trigger "too-large"
    assert.equal(1024 * 1024 + 1, #endpoint:requests()[1].body)
    assert.equal("success", task().status)
  end)

  it("forges the success of a task that nobody has, with another id each time", function()
    trigger "forged"
    local first = task()
    answering()
    trigger "forged"
    assert.same({ "success", "success" }, { first.status, task().status })
    assert.not_equal(first.id, task().id)
  end)

  it("repeats the callback as often as requested, one after another", function()
    local turns = {}
    for i, status in ipairs { "200 OK", "409 Conflict", "200 OK" } do turns[i] = { hostile.answer(status, "") } end
    endpoint:script { POST = turns }
    local result = trigger("success", "--times", "3")
    assert.equal(1, result.code)
    assert.equal(3, #result.lines)
    assert.matches(": 409 in", result.lines[2])
    local got = endpoint:requests()
    assert.equal(3, #got)
    assert.same({ got[1].body, got[1].body }, { got[2].body, got[3].body })
  end)

  it("exits with 1 if the endpoint refuses, and prints the beginning of its response without control characters", function()
    for _, status in ipairs { "302 Found", "404 Not Found", "500 Oops" } do
      answering(status, "\27[2Jthis token\nisn't known " .. ("."):rep(1000))
      local result = trigger "success"
      assert.equal(1, result.code)
      assert.matches(": " .. status:match "%d+" .. " in %d+ ms: .*this token isn't known", result.out)
      assert.is_nil(result.out:find "%c")
      assert.is_true(#result.out < 400)
    end
  end)

  it("exits with 1 and prints the reason on stderr if there is no answer", function()
    endpoint:script { POST = { { hostile.close() } } }
    local result = trigger "success"
    assert.same({ 1, "" }, { result.code, result.out })
    assert.matches("^omni: success of task %S+: .+", result.err)
    assert.is_nil(result.err:find("5ec2e7", 1, true), "the URL's token is in an error")
    assert.equal(1, endpoint:posts())
  end)

  it("prints everything as JSON, one object a line", function()
    answering("404 Not Found", "no such hook")
    local result = trigger("forged", "--json", "--times", "2")
    assert.equal(1, result.code)
    assert.equal(2, #result.lines)
    local event = cjson.decode(result.lines[1])
    assert.same({ "trigger", "forged", 404, "no such hook" }, { event.event, event.kind, event.status, event.response })
    assert.equal(task().id, event.task_id)
    assert.is_true(event.seconds > 0 and event.seconds < env.seconds(10) and event.time > 1e9)
    endpoint:script { POST = { { hostile.close() } } }
    result = trigger("garbage", "--json")
    event = cjson.decode(result.out)
    assert.same({ 1, "network", nil, nil }, { result.code, event.error.code, event.status, event.task_id })
    assert.is_nil(result.out:find("5ec2e7", 1, true))
  end)

  it("uses no proxy of the environment for this machine", function()
    local proxy = "http://127.0.0.1:" .. hostile.dead_port()
    local result = program.run({ "trigger", "success", "--to", endpoint.url }, { environment = { http_proxy = proxy, all_proxy = proxy } })
    assert.same({ 0, "" }, { result.code, result.err })
  end)

  it("answers misuse with one clear line, and sends nothing", function()
    for message, arguments in pairs {
      ["argument 'kind' must be one of 'success'"] = { "trigger", "succes", "--to", endpoint.url },
      ["missing option '%-%-to'"] = { "trigger", "success" },
      ["%-%-to must be an http or https URL"] = { "trigger", "success", "--to", "ftp://127.0.0.1/" },
      ["%-%-to must not contain a user name or a password"] = { "trigger", "success", "--to", "http://a:b@127.0.0.1/" },
      ["%-%-media must be an http or https URL"] = { "trigger", "success", "--to", endpoint.url, "--media", "clip.mp4" },
      ["%-%-task%-id: expected 1 to 256 printable"] = { "trigger", "success", "--to", endpoint.url, "--task-id", "a b" },
      ["%-%-task%-id has no meaning with forged"] = { "trigger", "forged", "--to", endpoint.url, "--task-id", "x" },
      ["%-%-media has no meaning with failed"] = { "trigger", "failed", "--to", endpoint.url, "--media", "http://127.0.0.1/" },
      ["%-%-wrapped has no meaning with garbage"] = { "trigger", "garbage", "--to", endpoint.url, "--wrapped" },
      ["%-%-times: expected a whole number"] = { "trigger", "success", "--to", endpoint.url, "--times", "0" },
    } do
      local result = program.run(arguments)
      assert.same({ 2, "" }, { result.code, result.out }, message)
      assert.matches("^omni: [^\n]*" .. message, result.err)
    end
    assert.equal(0, #endpoint:requests())
  end)

  it("describes each kind in its help, as docs/cli.md does", function()
    assert.matches("\n +trigger ", program.run({ "help" }).out)
    local help, page = program.run { "help", "trigger" }, env.read "docs/cli.md"
    local kinds = help.out:match "{(.-)}"
    local count = 0
    for kind in kinds:gsub("%s", ""):gmatch "[^,]+" do
      count = count + 1
      assert.is_truthy(page:find("`" .. kind .. "`", 1, true), kind)
    end
    assert.is_true(count >= 9)
  end)

  it("ends at once at Ctrl-C", function()
    endpoint:script { POST = { { hostile.hang() } } }
    local child = program.start { "trigger", "success", "--to", endpoint.url }
    while #endpoint:requests() == 0 do require("socket").sleep(0.01) end
    child:signal "INT"
    assert.equal(130, child:finish().code)
  end)
end)
