-- SPDX-License-Identifier: MIT
-- A service for soak tests, whose memory doesn't grow: it remembers no tasks. A task is over at once. The service sends a callback for each
-- task with a callback URL. It prints its URL; GET /count returns the number of submits and of callbacks that were answered with 2xx.

local core = require "omni.core"
local loop = require "omni.loop"
local omni = require "omni"
local post = require "omni.http.webhook"

local TASK <const> = '{"task_id":"%s","status":"success","create_at":1768900378,"complete_at":1768900380,"credits":40,'
  .. '"result":{"code":200,"media_urls":["http://127.0.0.1/a.mp4"]},'
  .. '"param":{"model":"google/gemini-omni","callback_url":null,"input":{"prompt":"A lighthouse.","duration":4}}}'

local submits, callbacks = 0, 0

omni.run(function()
  local sender <close> = post.open { connections = 64 }
  local function call_back(url, id)
    local answer = sender:post(url, TASK:format(id), "application/json")
    if answer and answer.status < 300 then callbacks = callbacks + 1 end
  end
  local headers = { ["Content-Type"] = "application/json" }
  local server <close> = assert(omni.serve({ max_connections_per_address = 1000 }, function(request)
    local path, data = request:path(), '{"balance":1000000000}'
    if path:find("CreateTask", 1, true) then
      submits = submits + 1
      local id = ("soak-%d"):format(submits)
      local url = core.json.decode(request:body()).callback_url
      if type(url) == "string" then loop.background(call_back, url, id) end
      data = ('{"task_id":"%s"}'):format(id)
    elseif path:find("TaskInfo", 1, true) then
      data = TASK:format(request:query():match "task_id=([%w-]+)")
    elseif path == "/count" then
      return 200, headers, ('{"submits":%d,"callbacks":%d}'):format(submits, callbacks)
    end
    return 200, headers, ('{"code":200,"message":"success","data":%s}'):format(data)
  end))
  print(server.url)
  io.stdout:flush()
  loop.park()
end)
