-- SPDX-License-Identifier: MIT
-- The module `omni`: everything that a program may call. Each function is documented where it is defined.
--
-- `require "omni"` loads only the binding. The first call of another function loads that function's module, so a program that only submits
-- and queries needs neither the storyboard language nor libmicrohttpd.

local core = require "omni.core"
local err = require "omni.error"
local json = require "omni.json"
local loop = require "omni.loop"
local placeholder = require "omni.client.placeholder"

-- Returns a function that loads its module when it is first called.
local function later(module, name)
  return function(...) return require(module)[name](...) end
end

--- Parses the body that the service sends to a callback URL, with or without its envelope. Anybody can send such a body, so confirm its
--- content with client:query(task.id).
---@param body string
---@return omni.Task|nil task  a table with the fields of a task, `raw` among them, and no methods
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
  timeout = require("omni.loop.timeout").timeout,

  client = require("omni.client").open,
  check_input = require("omni.models.input_rules").check,
  parse_callback = parse_callback,
  is_error = err.is,
  null = core.json.null, array = json.array, object = json.object,

  file = placeholder.file, url = placeholder.url, last_frame = placeholder.last_frame, clip = placeholder.clip,
  storyboard = later("omni.storyboard.language", "storyboard"),
  scene = later("omni.storyboard.language", "scene"),
  windows = later("omni.storyboard.language", "windows"),
  load_storyboard = later("omni.storyboard.language.load", "load"),
  plan_storyboard = later("omni.storyboard.plan", "make"),
  run_storyboard = later("omni.storyboard.run", "run"),
  adopt_task = later("omni.storyboard.run.adopt", "adopt"),

  callbacks = later("omni.callbacks.receiver", "open"),
  process = later("omni.process", "run"),
  serve = later("omni.http.server", "serve"),
  sandbox = later("omni.sandbox", "open"),
}
