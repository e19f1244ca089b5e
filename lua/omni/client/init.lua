-- SPDX-License-Identifier: MIT
-- Implements the client, which submits tasks to the service, queries tasks, and makes other calls, with one or more API keys.

local backoff = require "omni.http.backoff"
local balances = require "omni.client.balances"
local core = require "omni.core"
local effect_templates = require "omni.models.effect_templates"
local err = require "omni.error"
local estimate = require "omni.client.estimate"
local json = require "omni.json"
local key_selection = require "omni.client.key_selection"
local keys = require "omni.client.key_state"
local ledger_search = require "omni.client.ledger_search"
local ledger_watch = require "omni.client.ledger_watch"
local ledgers = require "omni.ledger"
local models = require "omni.models"
local options = require "omni.options"
local path_of = require "omni.file.path"
local retry = require "omni.client.retry"
local settings = require "omni.client.settings"
local stores = require "omni.store"
local submits = require "omni.client.submit"
local poll_history = require "omni.client.poll_history"
local tasks = require "omni.client.task"
local timeout = require "omni.loop.timeout"
local transports = require "omni.http.transport"
local upload = require "omni.client.upload"

---@class omni.Client
---@field base_url string  the normalised base URL, without a slash at its end
---@field service string   the service's name (service_address.lua); clients with the same `service` reach the same accounts
---@field package all_keys omni.KeySelection
---@field closed boolean
---@field package store? omni.Store  keeps the files that the client fetches
local Client_methods = {}
local Client_mt = { __name = "omni.client", __index = Client_methods }

local function closed_error(call)
  return err.new { code = "closed", sent = "no", message = "the client was closed", call = call }
end

-- --- tasks

---Returns how many seconds to wait before retrying a failed call, or nil if the call must not be retried.
---@param failure table
---@param attempt integer  how many attempts have failed
---@return number|nil
---@package
function Client_methods:wait_before_retry(failure, attempt)
  if not failure.retry then return nil end
  return backoff.wait_before_retry(attempt, failure.retry_after, self.retry_min, self.retry_max, math.random())
end

---Reports that the current fiber will retry a failed call.
---@param failure table
---@param attempt integer  how many attempts have failed
---@param seconds number   the seconds until the retry
---@package
function Client_methods:report_retry(failure, attempt, seconds)
  local events = self.events
  if not events then return end
  events:attempt(attempt + 1)
  events:emit {
    event = "retry", reason = failure.code, error = err.public(failure), seconds = seconds, attempt = attempt + 1,
    task_id = failure.task_id,
  }
end

local submit_options = {
  model = "string", callback_url = "string", timeout = "timeout", tag = "label", idempotency_key = "label", about = "table", stop = "table",
}

-- If the client has no ledger, raises an error at the line that called a public function that needs one.
local function check_ledger(self, what)
  if self.ledger_path or self.ledger_problem then return end
  error(("%s needs a ledger, and this client has none: %s"):format(what, self.is_sandbox
    and "one with a sandbox key has one only if you give it the option 'ledger', a path" or "it was opened with ledger = false"), 3)
end

---Submits a task. A submit costs credits. omni first uploads the files in the input (`omni.file(path)`), and never repeats a submit that
---the service may have accepted. omni retries a submit for `retry_for` seconds if the submit was certainly not sent, and for `pause_for`
---seconds if the service temporarily refuses the submit (429, 455). The client's ledger records the submit before its first byte is sent,
---and the task id before
---`submit` returns. If omni can't write to the ledger, it sends nothing. If the client has several keys, `submit` uses a key with a free
---slot, or waits until a key has a free slot. If the ledger already contains a submit with the same `idempotency_key`, omni sends nothing:
---`submit` returns that submit's task, or the error "submit_unknown".
---@param input table  the model's input (google/gemini-omni: prompt, img_urls, video_list, duration, aspect_ratio, resolution).
---@param opts? omni.SubmitOptions
---@return omni.Task|nil
---@return omni.Error|nil  code "submit_unknown" (the submit may have been accepted and charged), with `sent` = "no", "maybe" or "answered"
function Client_methods:submit(input, opts)
  options.argument(input, "table", "client:submit")
  opts = options.check(opts, submit_options, "client:submit")
  for _, name in ipairs { "tag", "idempotency_key" } do
    if opts[name] then check_ledger(self, ("client:submit: option '%s'"):format(name)) end
  end
  if self.closed then return nil, closed_error "client:submit" end
  local seconds = opts.timeout
  if not seconds then return timeout.call(nil, "client:submit", submits.submit, self, input, opts) end
  local limited = {}
  for name, value in pairs(opts) do limited[name] = value end
  limited.timeout, limited.stop = nil, opts.stop or {}
  local task, problem = timeout.call(seconds, "client:submit", submits.submit, self, input, limited)
  if task or problem.code ~= "timeout" then return task, problem end
  return err.from("client:submit", nil, submits.timeout_error(limited.stop, problem))
end

-- Returns a handle for a task. `name` is the public function's name, for error messages.
local function task_of(self, id, name)
  if self.closed then return nil, closed_error(name) end
  if not core.is_task_id(id) then
    return nil, err.new {
      code = "invalid_input", field = "task_id", call = name,
      message = "task_id: must be a string of 1 to 256 printable ASCII characters without spaces",
    }
  end
  return tasks.new(self, id, #self.all_keys == 1 and self.all_keys[1] or nil)
end

---Returns a handle for the task with the given id. Sends nothing.
---@param id string
---@return omni.Task|nil
---@return omni.Error|nil  code "invalid_input"
function Client_methods:task(id)
  options.argument(id, "string", "client:task")
  return task_of(self, id, "client:task")
end

local query_options = { timeout = "timeout" }

---Queries a task's state.
---@param id string
---@param opts? omni.CallOptions
---@return omni.Task|nil
---@return omni.Error|nil  codes: not_found, bad_answer, network, timeout, ...
function Client_methods:query(id, opts)
  options.argument(id, "string", "client:query")
  local seconds = opts and options.check(opts, query_options, "client:query").timeout
  local task, problem = task_of(self, id, "client:query")
  if not task then return nil, problem end
  return tasks.refresh(task, seconds, "client:query")
end

-- Returns whether a path, in any spelling, is the endpoint that creates tasks.
local function is_submit(path)
  local plain = path:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  return plain:lower():find("createtask", 1, true) ~= nil
end

-- Makes a call and decodes the response exactly: whole numbers become integers, and empty tables are marked as arrays or objects.
local function call(self, method, path, body)
  local into = {}
  local data, problem = retry.call(self, method, path, body, method == "GET", into)
  if problem then return nil, problem end
  local exact = json.decode(into.answer) -- nil if the response isn't valid UTF-8
  return exact and exact.data or data
end

local methods = { GET = true, POST = true, PUT = true, DELETE = true, PATCH = true }

---Calls an API endpoint for which the client has no method. After a temporary failure, omni retries GET requests, but never requests with
---other methods.
---@param method "GET"|"POST"|"PUT"|"DELETE"|"PATCH"
---@param path string       the percent-encoded path with its query string, such as "/api/v1/client/account/balance"
---@param body? table       the request body, which omni sends as JSON
---@return any data         the response's `data`, in which JSON's null is `omni.null`
---@return omni.Error|nil
function Client_methods:call(method, path, body)
  if not methods[method] then error("client:call: the method must be GET, POST, PUT, DELETE or PATCH", 2) end
  if type(path) ~= "string" or not path:find("^/[!-~]*$") or path:find("[#\\]") then
    error("client:call: the path must begin with '/' and hold printable ASCII characters without spaces", 2)
  end
  if is_submit(path) then error("client:call: a submit must go through client:submit, which sends it at most once", 2) end
  if body ~= nil then options.argument(body, "table", "client:call") end
  if self.closed then return nil, closed_error "client:call" end
  local text, problem
  if body ~= nil then
    text, problem = json.encode(body, "body")
    if not text then return err.from("client:call", nil, problem) end
  end
  return timeout.call(nil, "client:call", call, self, method, path, text)
end

---Returns each API key's credit balance.
---@return omni.Balance[]|nil  a balance for each key, in the order in which the client got the keys
---@return omni.Error|nil      code "closed"
function Client_methods:balances()
  if self.closed then return nil, closed_error "client:balances" end
  return timeout.call(nil, "client:balances", balances.each, self)
end

---Returns the total balance of the accounts of the client's API keys. `balance` leaves out keys whose balance can't be queried, and fails
---only if no balance can be queried.
---@param opts? omni.CallOptions
---@return number|nil
---@return omni.Error|nil
function Client_methods:balance(opts)
  opts = options.check(opts, { timeout = "timeout" }, "client:balance")
  if self.closed then return nil, closed_error "client:balance" end
  local found, late = timeout.call(opts.timeout, "client:balance", balances.each, self)
  if not found then return nil, late end
  local sum, problem = balances.total(found)
  if sum then return sum end
  return err.from("client:balance", nil, problem)
end

---Returns the price of a submit. `estimate` costs nothing and uploads nothing.
---@param input table  the same input as for `submit`; it may also contain placeholders for a scene's clip or frame
---@param opts? omni.EstimateOptions
---@return omni.Estimate|nil
---@return omni.Error|nil
function Client_methods:estimate(input, opts)
  options.argument(input, "table", "client:estimate")
  opts = options.check(opts, { model = "string", timeout = "timeout" }, "client:estimate")
  if self.closed then return nil, closed_error "client:estimate" end
  return timeout.call(opts.timeout, "client:estimate", estimate.ask, self, input, opts)
end

-- --- models and files

---Lists the service's models.
---@param opts? omni.ModelsOptions  return only models with these properties
---@return table[]|nil models  a table for each model, with the fields that the service returns: { model, modality?, operations, ... }
---@return omni.Error|nil
function Client_methods:models(opts)
  opts = options.check(opts, { modality = "string", operation = "string" }, "client:models")
  if self.closed then return nil, closed_error "client:models" end
  return timeout.call(nil, "client:models", models.list, self, opts)
end

---Describes a model and the input that it accepts.
---@param name string  "google/gemini-omni"
---@return table|nil model  the service's fields: { model, modality?, operations, input_schema?, required_input_fields?, ... }
---@return omni.Error|nil   code "not_found" (the message suggests the most similar model name)
function Client_methods:model(name)
  options.argument(name, "string", "client:model")
  if self.closed then return nil, closed_error "client:model" end
  return timeout.call(nil, "client:model", models.get, self, name)
end

---Iterates over a platform's effect templates, and requests each page from the service only when the iteration reaches it: `for template in
---client:templates { platform = "kling" } do … end`.
---@param opts omni.TemplatesOptions
---@return fun(): table|nil  an iterator that, like `io.lines`, raises an error (an omni.Error) if a request fails
function Client_methods:templates(opts)
  return effect_templates.each(self, opts)
end

local upload_options = { on_progress = "function", content_type = "string", again = "boolean", timeout = "timeout" }

---Uploads a file so that the service can fetch it. Put the returned `url` into `img_urls` or `video_list`. Uploads cost nothing. For seven
---days, omni doesn't upload the same content again, so further calls return the first upload's URL.
---@param path string  an image (PNG, JPEG, WebP, GIF), a video (MP4, MOV, WebM, Matroska, OGG) or an audio file (MP3, WAV, OGG, M4A)
---@param opts? omni.UploadOptions
---@return omni.Upload|nil
---@return omni.Error|nil  codes: invalid_input, io (both with `field` "path"), file_changed, upload_expired, upload_failed, network, ...
function Client_methods:upload(path, opts)
  options.path(path, "client:upload")
  opts = options.check(opts, upload_options, "client:upload")
  if opts.content_type and not opts.content_type:find "^[%w!#$&^_.+-]+/[%w!#$&^_.+-]+$" then
    error("client:upload: option 'content_type' must be a media type, such as image/png", 2)
  end
  if self.closed then return nil, closed_error "client:upload" end
  return timeout.call(opts.timeout, "client:upload", upload.send, self, path, opts)
end

local find_options = { tag = "label", idempotency_key = "label" }

---Returns the submits in the client's ledger that have the given tag or idempotency key, oldest first. The result includes submits from
---earlier runs and from other programs that use the same ledger. Sends nothing.
---@param wanted omni.FindOptions
---@return omni.LedgerEntry[]|nil
---@return omni.Error|nil  code "ledger_failed"
function Client_methods:find(wanted)
  wanted = options.check(wanted, find_options, "client:find")
  if (wanted.tag == nil) == (wanted.idempotency_key == nil) then error("client:find: expected one of 'tag' and 'idempotency_key'", 2) end
  if self.closed then return nil, closed_error "client:find" end
  check_ledger(self, "client:find")
  return timeout.call(nil, "client:find", ledger_search.find, self, wanted)
end

---Iterates over the submits in the client's ledger that haven't ended, because the task is in flight or the outcome is unknown. The
---iteration covers the submits of all programs that use this ledger and service, except for storyboard submits. An application that wants
---to see only its own submits should use its own ledger. Call `unfinished` after a restart. Sends nothing.
---@return fun(): omni.LedgerEntry|nil  an iterator that, like `io.lines`, raises an error (an omni.Error) if the ledger can't be read
function Client_methods:unfinished()
  if self.closed then error(closed_error "client:unfinished", 2) end
  check_ledger(self, "client:unfinished")
  return ledger_search.unfinished(self)
end

---For a client without a ledger, returns the submits that were abandoned, or whose responses were lost. A submit with a `task_id` was
---accepted; the outcome of a submit without a `task_id` is unknown. A client that has a ledger records abandoned submits and lost responses
---in the ledger instead.
---@return omni.UnknownSubmit[]
function Client_methods:unknown_submits()
  return table.move(self.unknown, 1, #self.unknown, 1, {})
end

-- --- for omni's own modules

---Reports a "warning" event at most once for each message.
---@param text string
---@package
function Client_methods:warn(text)
  if self.events and not self.warned[text] then
    self.warned[text] = true
    self.events:emit { event = "warning", message = text }
  end
end

---Reports a task's new state.
---@param task omni.Task
---@package
function Client_methods:report_task(task)
  if not self.events then return end
  self.events:emit {
    event = "task", task_id = task.id, state = task.status, model = task.model, key = task.key and task.key.name,
    error = task.error and err.public(task.error), credits = task.credits,
  }
end

local function open_ledger(self, path)
  local ledger, problem = ledgers.open(path)
  local function report(failure)
    if self.events then self.events:emit { event = "ledger_failed", error = err.public(failure) } end
  end
  if problem then report(problem) end
  if ledger then
    ledger.on_failure = function(failure, returned)
      report(failure)
      if not returned then self:warn(failure.message) end
    end
    ledger.on_trouble = function(failure)
      if not self.events then return end
      self.events:emit { event = failure and "ledger_waits" or "ledger_continues", error = failure and err.public(failure) }
    end
  end
  return ledger, problem
end

---Returns the client's ledger, which the first call opens. Returns nil if the client has no ledger.
---@return omni.Ledger|nil
---@return omni.Error|nil
---@package
function Client_methods:ledger()
  if self.closed then return nil, closed_error "the ledger" end
  if self.ledger_problem then return nil, err.copy(self.ledger_problem) end
  if not self.own_ledger and self.ledger_path then
    local problem
    self.own_ledger, problem = open_ledger(self, self.ledger_path)
    if not self.own_ledger then return nil, problem end
  end
  return self.own_ledger
end

---Returns the client's ledger if the ledger's file exists, or if the ledger is a PostgreSQL database. Never creates a file.
---@return omni.Ledger|nil
---@package
function Client_methods:existing_ledger()
  if not self.own_ledger and not self.looked_for_ledger then
    self.looked_for_ledger = true
    if self.ledger_path and ledgers.exists(self.ledger_path) then self:ledger() end
  end
  return self.own_ledger
end

---Returns the ledger for a board: the client's own ledger or, if the client has none (with a sandbox key), a ledger in the board's output
---folder.
---@param directory string
---@return omni.Ledger|nil
---@return omni.Error|nil
---@package
function Client_methods:board_ledger(directory)
  if self.ledger_path or self.ledger_problem or self.closed then return self:ledger() end
  local path = path_of.absolute(directory) .. "/ledger.db"
  if not self.board_ledgers[path] then
    local opened, problem = open_ledger(self, path)
    if not opened then return nil, problem end
    self.board_ledgers[path] = opened
  end
  return self.board_ledgers[path]
end

---Returns all ledgers that may contain this client's rows: its own ledger, and the ledgers of the boards that it has run.
---@return omni.Ledger[]
---@return omni.Error|nil  why the client's own ledger can't be opened
---@package
function Client_methods:ledgers()
  local own, problem = self:ledger()
  local list = { own }
  for _, one in pairs(self.board_ledgers) do list[#list + 1] = one end
  return list, problem
end

---Returns whether a ledger row's task was created at this client's service. Ignores the row's account, since the user may have replaced the
---key.
---@param row table
---@return boolean
---@package
function Client_methods:serves(row)
  return row.service == self.service
end

---Returns the transport for media files, which sends no API key and isn't delayed when a key is paused. Returns nil if the client is
---closed.
---@return omni.Transport|nil
---@package
function Client_methods:media_transport()
  if self.closed then return nil end
  if not self.media then
    self.media = transports.new(core.client(self.transport_options), {
      connections = self.connections, timeout = self.timeout, events = self.events,
    })
  end
  for _, key in ipairs(self.all_keys) do self.media.http:trust(key.transport.http) end
  return self.media
end

-- --- state and closing

---Returns the state of each of the client's API keys.
---@return omni.KeyState[]
function Client_methods:keys()
  local found = {}
  for i, key in ipairs(self.all_keys) do
    local disabled = key:disabled()
    found[i] = {
      key = key.name, limit = key.limit, in_flight = key:in_flight(), paused = key.transport.limiter:paused(),
      disabled = disabled and disabled.code,
    }
  end
  return found
end

---Closes the connections and the ledger, and wipes the keys from memory. `close` aborts requests in progress; tasks continue at the
---service. After `close`, every call that needs the service or the ledger returns an error with the code "closed".
function Client_methods:close()
  if self.closed then return end
  if self.receiver then self.receiver:close() end
  self.closed = true
  if self.media then self.media:close() end
  if self.store then self.store:close() end
  self.all_keys:close()
  if self.own_ledger then self.own_ledger:close() end
  for _, one in pairs(self.board_ledgers) do one:close() end
  self.own_ledger, self.ledger_path, self.board_ledgers = nil, nil, {}
end

Client_mt.__close = Client_methods.close
options.guard(Client_methods, Client_mt, "client")

-- --- opening

---Opens a client. With a sandbox key, the client has no ledger and no store unless you set the options `ledger` and `store`.
---@param opts? omni.ClientOptions
---@return omni.Client|nil
---@return omni.Error|nil  codes: no_key, invalid_input, store_failed
local function open(opts)
  local chosen, problem = settings.choose(opts)
  if not chosen then return nil, problem end
  local self = setmetatable(chosen.fields, Client_mt)
  self.closed, self.shares_ledger = false, self.ledger_path ~= nil and ledgers.is_address(self.ledger_path)
  for _, name in ipairs { "board_ledgers", "known_models", "unknown", "uploading", "uploads", "warned" } do self[name] = {} end
  self.durations, self.ledger_watch = poll_history.new(self), ledger_watch.new(self)
  self.all_keys = key_selection.new(self, function(key, id, ledger, row)
    return tasks.new(self, id, key, nil, ledger, row)
  end)
  for _, one in ipairs(chosen.keys) do
    local http
    http, problem = settings.transport(self, one.key)
    if not http then
      self.all_keys:close()
      return nil, problem
    end
    self.all_keys:add(keys.new(self, one, http, self.connections))
  end
  if self.store_address then
    self.store, problem = stores.open(self.store_address, self)
    if not self.store then
      self:close()
      return nil, problem
    end
  end
  for _, warning in ipairs(chosen.warnings) do self:warn(warning) end
  return self
end

return { open = open }
