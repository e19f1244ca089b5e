-- SPDX-License-Identifier: MIT
local omni = require "omni"

local ID <const> = "d6956973-2f17-43d4-8514-af6cc3a2f55d"
local bare <const> = ('{"task_id":"%s","status":"SUCCESS","credits":2.5,"create_at":5,"complete_at":9,"duration_s":4,'
  .. '"extra":{"kept":true},"param":{"model":"google/gemini-omni"},"result":{"media_urls":["https://a.example/b.mp4"]}}'):format(ID)

describe("parse_callback", function()
  it("accepts the bare task object", function()
    local task = assert(omni.parse_callback(bare))
    assert.equal(ID, task.id)
    assert.equal("success", task.status)
    assert.equal("google/gemini-omni", task.model)
    assert.same({ "https://a.example/b.mp4" }, task.media)
    assert.same({ 5, 9, 4, 2.5 }, { task.created_at, task.completed_at, task.duration, task.credits })
    assert.equal("integer", math.type(task.created_at))
    assert.is_true(task.raw.extra.kept)
  end)

  it("accepts the task object in the envelope, whatever the envelope's code", function()
    for _, code in ipairs { "200", "501", "null", '"x"' } do
      local task = assert(omni.parse_callback(('{"code":%s,"message":"success","data":%s}'):format(code, bare)))
      assert.equal(ID, task.id)
    end
  end)

  it("returns an error, and never raises, for anything else", function()
    for _, body in ipairs { "", "null", "[]", "1", '"x"', "{}", "<html>", '{"data":[]}', '{"task_id":7,"status":"success"}',
      ('{"task_id":"%s"}'):format(ID), '{"task_id":"a b","status":"running"}',
      ('{"task_id":"%s","status":"running"}'):format(("x"):rep(257)),
      bare .. "\0", ("["):rep(100000) } do
      local task, problem = omni.parse_callback(body)
      assert.is_nil(task)
      assert.equal("bad_answer", problem.code)
      assert.truthy(tostring(problem):find("can't be used", 1, true))
    end
  end)

  it("takes the status from `status`, not from the result's code", function()
    local failed <const> = '{"task_id":"%s","status":"failed","result":{"code":200,"message":"nobody knows"}}'
    local task = assert(omni.parse_callback(failed:format(ID)))
    assert.equal("failed", task.status)
    assert.equal("generation_failed", task.error.code)
    assert.truthy(task.error.message:find("nobody knows", 1, true))
    task = assert(omni.parse_callback(('{"task_id":"%s","status":"pending","result":{"code":501}}'):format(ID)))
    assert.is_nil(task.error)
  end)
end)
