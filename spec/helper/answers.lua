-- SPDX-License-Identifier: MIT
-- The service's answers as text, and an impatient client with which specs call the service.
local env = require "helper.env"
local hostile = require "helper.hostile"
local omni = require "omni"

local answers = {}

answers.KEY = "ak_" .. ("5ec2e7"):rep(5) .. "00"
answers.ID = "d6956973-2f17-43d4-8514-af6cc3a2f55d"

---The envelope around `data` (JSON text).
function answers.envelope(data, code, message)
  return ('{"code":%d,"message":"%s","data":%s}'):format(code or 200, message or "success", data)
end

---A task object as JSON text; `result` is JSON text too.
function answers.task(status, result, id)
  return ('{"task_id":"%s","provider":"Google","model_version":"gemini-omni","status":"%s",'
    .. '"param":{"model":"google/gemini-omni","callback_url":null,"input":{"prompt":"a lighthouse"}},'
    .. '"create_at":1768900378,"result":%s,"duration_s":null,"complete_at":null,"source":"api"}')
    :format(id or answers.ID, status, result or "null")
end

function answers.running() return hostile.json(answers.envelope(answers.task("running"))) end

function answers.success(url)
  local result = ('{"code":200,"message":"success","media_urls":["%s"]}'):format(url)
  return hostile.json(answers.envelope(answers.task("success", result)))
end

function answers.accepted_body(id) return answers.envelope(('{"task_id":"%s"}'):format(id or answers.ID)) end

function answers.accepted(id) return hostile.json(answers.accepted_body(id)) end

---A client that tries once and waits briefly, unless `options` say otherwise.
function answers.client(base_url, options)
  local all = {
    base_url = base_url, api_key = answers.KEY, retry_for = 0, retry_min = 0.005, retry_max = 0.01,
    poll_min = 0.005, poll_max = 0.01, connect_timeout = env.seconds(5), timeout = env.seconds(10),
    media_wait = 0, schemas = false, -- questions and answers are scripted
  }
  for name, value in pairs(options or {}) do all[name] = value end
  return omni.client(all)
end

---A client's hook that calls `fn` with each warning.
function answers.on_warning(fn)
  return function(event)
    if event.event == "warning" then fn(event.message) end
  end
end

---The text of an error as a user may see it, with every field; raises when it holds the key.
function answers.text_of(err)
  local parts = { tostring(err) }
  for name, value in pairs(err) do parts[#parts + 1] = name .. "=" .. tostring(value) end
  local text = table.concat(parts, "\n")
  assert(not text:find(answers.KEY, 1, true), "the key is in an error")
  return text
end

return answers
