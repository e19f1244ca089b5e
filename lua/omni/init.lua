-- SPDX-License-Identifier: MIT
-- The public face: everything that a user may call, and nothing else. Each function is described where it is written.

local asset = require "omni.client.placeholder"
local core = require "omni.core"
local err = require "omni.error"
local json = require "omni.json"
local loop = require "omni.loop"
local words = require "omni.storyboard.language"

-- Loaded when it is first called: the server side needs libmicrohttpd, which a client doesn't.
local function later(module, name)
  return function(...) return require(module)[name](...) end
end

---What the service POSTs to a callback URL, bare or in its envelope. A hint and no more, as anybody can send it: confirm it with
---client:query(task.id).
---@param body string
---@return omni.Task|nil task  a table with a task's fields, `raw` among them, and no methods
---@return omni.Error|nil      code "bad_answer"
local function parse_callback(body)
  local task, failure = core.parse_callback(body)
  if not task then
    failure.retry = nil
    return nil, err.new(failure)
  end
  if task.error then
    task.error.task_id, task.error.retry = task.id, nil
    err.new(task.error)
  end
  return task
end

return {
  version = require "omni.version",

  run = loop.run, spawn = loop.spawn, sleep = loop.sleep, join = loop.join, loop = loop,

  client = require("omni.client").open,
  check_input = require("omni.models.input_rules").check,
  parse_callback = parse_callback,
  null = core.json.null, array = json.array, object = json.object,

  storyboard = words.storyboard, scene = words.scene, windows = words.windows,
  file = asset.file, url = asset.url, last_frame = asset.last_frame, clip = asset.clip,
  load_storyboard = require("omni.storyboard.language.load").load,
  plan_storyboard = later("omni.storyboard.plan", "make"),
  run_storyboard = later("omni.storyboard.run", "run"),
  adopt_task = later("omni.storyboard.run.adopt", "adopt"),

  callbacks = later("omni.callbacks.receiver", "open"),
  process = later("omni.process", "run"),
  serve = later("omni.http.server", "serve"),
  sandbox = later("omni.sandbox", "open"),
}
