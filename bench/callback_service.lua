-- SPDX-License-Identifier: MIT
-- A service that sends callbacks, for callback_wait.lua. callback_service.lua SECONDS → its URL. After all submits are expected, each task
-- ends at a random moment within SECONDS. The service then sends the task's callback, and later queries return that moment.

local core = require "omni.core"
local loop = require "omni.loop"
local omni = require "omni"
local post = require "omni.http.webhook"

local window, quiet = tonumber(arg[1]), 3
local tasks, count, began = {}, 0, core.now()

local function task_json(task)
  local at, result = task.sent_at, '{"code":200,"media_urls":["http://127.0.0.1/a.mp4"]}'
  return ('{"task_id":"%s","status":"%s","create_at":1768900378,"complete_at":%s,"sent_at":%s,"result":%s,'
    .. '"param":{"model":"google/gemini-omni","callback_url":"%s","input":{"prompt":"%s"}}}'):format(
    task.id, at and "success" or "running", at and 1768900400 or "null", at and ("%.9f"):format(at) or "null", at and result or "null",
    task.callback_url, ("A lighthouse keeper climbs the stairs at dusk. "):rep(10))
end

omni.run(function()
  local sender <close> = post.open { connections = 64 }
  local function finish(task)
    loop.sleep(math.max(0, began + quiet - core.now()) + math.random() * window)
    task.sent_at = core.now()
    assert(sender:post(task.callback_url, task_json(task), "application/json"))
  end
  local headers = { ["Content-Type"] = "application/json" }
  local server <close> = assert(omni.serve({ max_connections_per_address = 1000 }, function(request)
    local data = '{"balance":1000}'
    if request:path():find("CreateTask", 1, true) then
      count = count + 1
      local task = { id = "task-" .. count, callback_url = core.json.decode(request:body()).callback_url }
      tasks[task.id] = task
      loop.background(finish, task)
      data = ('{"task_id":"%s"}'):format(task.id)
    elseif request:query() then
      data = task_json(tasks[request:query():match "task_id=([%w-]+)"])
    end
    return 200, headers, ('{"code":200,"message":"success","data":%s}'):format(data)
  end))
  print(server.url)
  io.stdout:flush()
  loop.sleep(120) -- longer than the benchmark runs
end)
