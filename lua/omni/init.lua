-- SPDX-License-Identifier: MIT
-- The `omni` module contains all public functions. Each function is documented in the file that defines it.
--
-- `require "omni"` loads only the modules that every client needs. Any other module is loaded by the first call to a function that needs
-- it, so a program that only submits and queries loads neither the storyboard language nor libmicrohttpd.

local core = require "omni.core"
local err = require "omni.error"
local json = require "omni.json"
local loop = require "omni.loop"
local options = require "omni.options"
local placeholder = require "omni.client.placeholder"

-- Returns a proxy for a module. The proxy loads the module when one of its functions is called. `---@module` gives the proxy the module's
-- types.
local function later(module)
  return setmetatable({}, { __index = function(_, name)
    return function(...) return require(module)[name](...) end
  end })
end

---@module "omni.storyboard.language"
local language = later "omni.storyboard.language"
---@module "omni.storyboard.language.load"
local board_loading = later "omni.storyboard.language.load"
---@module "omni.storyboard.plan"
local plans = later "omni.storyboard.plan"
---@module "omni.storyboard.run"
local runs = later "omni.storyboard.run"
---@module "omni.storyboard.run.adopt"
local adoption = later "omni.storyboard.run.adopt"
---@module "omni.storyboard.job"
local jobs = later "omni.storyboard.job"
---@module "omni.storyboard.job.worker"
local workers = later "omni.storyboard.job.worker"
---@module "omni.callbacks.receiver"
local receiver = later "omni.callbacks.receiver"
---@module "omni.process"
local process = later "omni.process"
---@module "omni.http.server"
local server = later "omni.http.server"
---@module "omni.sandbox"
local sandbox = later "omni.sandbox"

---Parses the body that the service sends to a callback URL. `parse_callback` accepts bodies with and without the service's envelope.
---Anybody can send a request to a callback URL, so confirm the content with client:query(task.id).
---@param body string
---@return omni.Task|nil task  a table with the fields of a task, including `raw`, but without its methods
---@return omni.Error|nil      code "bad_answer"
local function parse_callback(body)
  options.argument(body, "string", "omni.parse_callback")
  local task, failure = core.parse_callback(body)
  if not task then
    failure.retry, failure.call = nil, "omni.parse_callback"
    return nil, err.new(failure)
  end
  local whole = json.decode(body) or core.decode(body) -- `core.decode` also accepts text that isn't valid UTF-8
  if whole then task.raw = type(whole.task_id) == "string" and whole or whole.data end
  if task.error then
    task.error.task_id, task.error.retry = task.id, nil
    err.new(task.error)
  end
  return task
end

return {
  version = require "omni.version",

  run = loop.run, scope = loop.scope, spawn = loop.spawn, background = loop.background, sleep = loop.sleep, join = loop.join,
  on_error = loop.on_error, loop = loop,
  timeout = require("omni.loop.timeout").timeout, map = require("omni.loop.map").map,

  client = require("omni.client").open,
  check_input = require("omni.models.input_rules").check,
  parse_callback = parse_callback,
  is_error = err.is,
  null = core.json.null, array = json.array, object = json.object,

  file = placeholder.file, url = placeholder.url, last_frame = placeholder.last_frame, clip = placeholder.clip,
  storyboard = language.storyboard,
  scene = language.scene,
  windows = language.windows,
  load_storyboard = board_loading.load,
  plan_storyboard = plans.make,
  run_storyboard = runs.run,
  adopt_task = adoption.adopt,
  submit_storyboard = jobs.submit_storyboard,
  jobs = jobs.jobs,
  cancel_job = jobs.cancel_job,
  fetch_job = jobs.fetch_job,
  work = workers.work,

  callbacks = receiver.open,
  process = process.run,
  serve = server.serve,
  sandbox = sandbox.open,
}
