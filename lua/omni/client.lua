-- SPDX-License-Identifier: MIT
-- The client: one account at the service. Submits at most once, repeats what may be repeated, hands out tasks.

local core = require "omni.core"
local credentials = require "omni.credentials"
local entry = require "omni.entry"
local err = require "omni.error"
local exchange = require "omni.exchange"
local input_rules = require "omni.input"
local json = require "omni.json"
local loop = require "omni.loop"
local options = require "omni.options"
local polling = require "omni.polling"
local records = require "omni.records"
local task = require "omni.task"
local upload = require "omni.upload"
local watch = require "omni.watch"

local default_base_url <const> = "https://api.crun.ai" -- docs/service.md, "Transport"

---@class omni.Client
---@field base_url string
local Client_methods = {}
local Client_mt = { __name = "omni.client", __index = Client_methods }

-- --- requests

-- Tries until it works, until it is of no use, or until `self.retry_for` seconds have passed.
-- `try(self, ...)` returns a value, or nil and a failure.
local function persist(self, try, ...)
  local deadline, attempt = core.now() + self.retry_for, 0
  while true do
    local value, failure = try(self, ...)
    if not failure then return value end
    attempt = attempt + 1
    local wait = self:pause_after(failure, attempt)
    if not wait or core.now() + wait > deadline then
      failure.retry = nil
      return nil, err.new(failure)
    end
    loop.sleep(wait)
    if self.given_up and self.given_up() then return nil, err.new(failure) end -- storyboard/submit.lua
  end
end

---Seconds to wait before a failed try is repeated, or nil when it must not be. For omni's own modules.
function Client_methods:pause_after(failure, attempt)
  if not failure.retry then return nil end
  -- Maintenance takes longer than a burst of requests does.
  local longer = failure.code == "maintenance" and 10 or 1
  return polling.next_try(attempt, failure.retry_after, self.retry_min * longer, self.retry_max * longer, math.random())
end

local function check_open(self)
  if not self.http then error("the client is closed", 3) end
end

local function try_submit(_, submit)
  return submit:try()
end

local function try_call(self, method, path, body, repeatable)
  local value, failure = exchange.perform(self, nil, nil, "call", method, path, body)
  if failure and not repeatable then failure.retry = false end
  return value, failure
end

local submit_options = { model = "string", callback_url = "string", about = "table" }

-- Input and options, checked and as JSON, and the checked input; or nil, err.
local function request_body(given, opts, callback_url)
  local model = opts.model or input_rules.default_model
  if model == "" or not utf8.len(model) then
    return nil, err.new { code = "invalid_input", field = "model", message = "model: must be the name of a model" }
  end
  local input, problem = input_rules.check(model, given)
  if not input then return nil, problem end
  if callback_url and not core.is_usable_url(callback_url) then
    return nil, err.new {
      code = "invalid_input", field = "callback_url",
      message = "callback_url: must be an http(s) URL without a user or password",
    }
  end
  local text
  text, problem = json.encode({ model = model, input = input, callback_url = callback_url }, "input")
  return text, problem or input
end

---Submits a task. This costs credits. It is sent at most once; what was certainly not sent, or refused for the moment
---(429, 455), is tried again for `retry_for` seconds. It stands in the client's ledger before the first byte leaves, and its task id
---before this returns; what can't be written there isn't sent.
---@param input table  the model's input (google/gemini-omni: prompt, img_urls, video_list, duration, aspect_ratio, resolution)
---@param opts? { model?: string, callback_url?: string, about?: table }  model: "google/gemini-omni" by default; about: what the
---  ledger notes beside it, for omni's own modules (lua/omni/entry.lua)
---@return omni.Task|nil
---@return omni.Error|nil  code "submit_unknown": it may have been accepted and charged; `sent` tells "no", "maybe" or "answered"
function Client_methods:submit(input, opts)
  check_open(self)
  opts = options.check(opts, submit_options, "client:submit")
  if not loop.current() then return loop.drive(self.submit, self, input, opts) end
  local receiver, url, token = self.receiver, opts.callback_url, nil
  if receiver and not url then url, token = receiver:issue() end
  local body, checked = request_body(input, opts, url)
  if not body then return nil, checked end
  local model = opts.model or input_rules.default_model
  local submit <close>, problem = entry.open(self, model, checked, body, opts.about, token)
  if not submit then return nil, problem end
  local kind = self.watch.history:kind(model, checked)
  local id, failure = persist(self, try_submit, submit)
  local made = id and task.new(self, id, kind) or nil
  if token then receiver:answered(token, made, failure) end
  return made, failure
end

local function checked_id(id)
  if core.is_task_id(id) then return id end
  return nil, err.new {
    code = "invalid_input", field = "task_id",
    message = "task_id: must be a string of 1 to 256 printable ASCII characters without spaces",
  }
end

---Takes up a task known from elsewhere. Sends nothing.
---@param id string
---@return omni.Task|nil
---@return omni.Error|nil  code "invalid_input"
function Client_methods:task(id)
  check_open(self)
  local checked, problem = checked_id(id)
  if not checked then return nil, problem end
  return task.new(self, checked)
end

---Asks for a task's state.
---@param id string
---@return omni.Task|nil
---@return omni.Error|nil  codes: not_found, bad_answer, network, ...
function Client_methods:query(id)
  check_open(self)
  local known, problem = self:task(id)
  if not known then return nil, problem end
  return known:refresh()
end

-- The service's submit, however its path is written.
local function is_submit(path)
  local plain = path:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  return plain:lower():find("createtask", 1, true) ~= nil
end

local methods = { GET = true, POST = true, PUT = true, DELETE = true, PATCH = true }

---Any other call of the API. A GET is repeated when it fails for the moment; nothing else is.
---@param method "GET"|"POST"|"PUT"|"DELETE"|"PATCH"
---@param path string       with its query, percent-encoded: "/api/v1/client/account/balance"
---@param body? table       sent as JSON
---@return any data         the answer's `data` (json null: omni.null)
---@return omni.Error|nil
function Client_methods:call(method, path, body)
  check_open(self)
  if not methods[method] then error("client:call: the method must be GET, POST, PUT, DELETE or PATCH", 2) end
  if type(path) ~= "string" or not path:find("^/[!-~]*$") or path:find("[#\\]") then
    error("client:call: a path that begins with '/' is due, of printable ASCII characters without spaces", 2)
  end
  if is_submit(path) then error("client:call: a submit must go through client:submit, which sends it at most once", 2) end
  if not loop.current() then return loop.drive(self.call, self, method, path, body) end
  local text, problem
  if body ~= nil then
    text, problem = json.encode(body, "body")
    if not text then return nil, problem end
  end
  return persist(self, try_call, method, path, text, method == "GET")
end

local function broken(what)
  return nil, err.new { code = "bad_answer", message = ("the answer holds no valid %s"):format(what) }
end

local function number_in(data, name)
  local value = type(data) == "table" and data[name]
  if type(value) ~= "number" or value ~= value then return nil end
  return math.tointeger(value) or value
end

---The account's credits.
---@return number|nil
---@return omni.Error|nil
function Client_methods:balance()
  check_open(self)
  local data, problem = self:call("GET", "/api/v1/client/account/balance")
  if problem then return nil, problem end
  local balance = number_in(data, "balance")
  if not balance then return broken("balance") end
  return balance
end

---What a submit would cost. Costs nothing.
---@param input table  as for submit
---@param opts? { model?: string }
---@return { credits: number, balance?: number, affordable?: boolean }|nil
---@return omni.Error|nil
function Client_methods:estimate(input, opts)
  check_open(self)
  opts = options.check(opts, { model = "string" }, "client:estimate")
  if not loop.current() then return loop.drive(self.estimate, self, input, opts) end
  local body, problem = request_body(input, opts)
  if not body then return nil, problem end
  local data, failure = persist(self, try_call, "POST", "/api/v1/client/job/EstimateTask", body, true)
  if failure and failure.code == "not_found" then -- an older form of the same call
    data, failure = persist(self, try_call, "POST", "/api/v1/client/job/estimate-credits", body, true)
  end
  if failure then return nil, failure end
  local credits = number_in(data, "estimated_credits") or number_in(data, "credits")
  if not credits or credits < 0 then return broken("estimate") end
  local affordable = data.affordable
  return { credits = credits, balance = number_in(data, "balance"), affordable = type(affordable) == "boolean" and affordable or nil }
end

local upload_options = { on_progress = "function", content_type = "string" }

---Uploads a file, so that the service can fetch it: what it returns as `url` goes into `img_urls` or `video_list`. Costs nothing.
---@param path string  an image (PNG, JPEG, WebP, GIF), a film (MP4, MOV, WebM, Matroska, OGG) or sound (MP3, WAV, OGG, M4A)
---@param opts? { on_progress?: fun(bytes: integer, total: integer), content_type?: string }  on_progress: begins again when it is
---  tried again; content_type: what it is, instead of what its first bytes say (where these say nothing, its ending)
---@return { url: string, bytes: integer, content_type: string, sha256: string }|nil
---@return omni.Error|nil  codes: invalid_input, io (both with field "path"), file_changed, upload_expired, upload_failed, network, ...
function Client_methods:upload(path, opts)
  check_open(self)
  if type(path) ~= "string" or path == "" or path:find("\0") then error("client:upload: a path is due", 2) end
  opts = options.check(opts, upload_options, "client:upload")
  if opts.content_type and not opts.content_type:find "^[%w!#$&^_.+-]+/[%w!#$&^_.+-]+$" then
    error("client:upload: option 'content_type' must be a media type, as image/png is", 2)
  end
  return loop.drive(upload.send, self, path, opts.content_type, opts.on_progress)
end

---Says something to the owner of the client once (option on_warning). For omni's own modules.
function Client_methods:warn(text)
  if self.on_warning and not self.warned[text] then
    self.warned[text] = true
    self.on_warning(text)
  end
end

---The client's ledger, opened when it is first needed; nil when it has none. For omni's own modules.
---@return omni.Records|nil
---@return omni.Error|nil
function Client_methods:ledger()
  if self.ledger_problem then return nil, self.ledger_problem end
  if not self.records and self.ledger_path then
    local problem
    self.records, problem = records.open(self.ledger_path)
    if not self.records then return nil, problem end
    self.records.on_failure = function(failure) self:warn(failure.message) end
  end
  return self.records
end

---The ledger for a board's run: the client's own, or, when it has none (a rehearsal), one beside the run's output.
---@param directory string
---@return omni.Records|nil
---@return omni.Error|nil
function Client_methods:board_ledger(directory)
  if not self.ledger_path and not self.ledger_problem then self.ledger_path = directory .. "/ledger.db" end
  return self:ledger()
end

---Closes the connections and wipes the key. Requests in flight are given up; their tasks go on at the service.
function Client_methods:close()
  if not self.http then return end
  if self.receiver then self.receiver:close() end
  exchange.close(self)
  self.watch:close { code = "closed", message = "the client was closed", retry = false }
  if self.records then self.records:close() end
  self.records, self.ledger_path = nil, nil
end

Client_mt.__close = Client_methods.close

-- --- opening

local client_options = {
  api_key = "any", base_url = "any", user_agent = "string", proxy = "string", ca_file = "string",
  connect_timeout = "seconds", timeout = "seconds", max_connections = "count", max_bytes = "count", max_download_bytes = "count",
  http_version = "string", retry_for = "seconds", retry_min = "seconds", retry_max = "seconds",
  poll_min = "seconds", poll_max = "seconds", on_warning = "function", ledger = "any",
}

local function loopback(base_url)
  return base_url:find("^https?://127%.[%d.]+%f[:/\0]") or base_url:find("^https?://localhost[:/]?") or base_url:find("^https?://%[::1%]")
end

---Opens a client.
---@param opts? table
---  api_key: the key; by default CRUN_API_KEY, else out of ~/.crun/.env.
---  base_url: by default CRUN_BASE_URL, else https://api.crun.ai.
---  connect_timeout (10), timeout (60): seconds for a connection, for a whole call. proxy: a URL, "" for none; by default what
---  the environment says. ca_file: certificates to trust instead of the system's. user_agent. http_version: "auto", "1.1",
---  "2-prior-knowledge". max_connections (64). max_bytes (8 MiB): of one answer. max_download_bytes (16 GiB): of one file.
---  retry_for (120): how long a call goes on trying what may be tried again, 0 for one try; retry_min (1), retry_max (60):
---  the first and the longest wait between tries. poll_min (2), poll_max (30): seconds between two queries of a waiting task,
---  placed by how long such tasks took before (docs/performance.md, "Polling").
---  on_warning: function(text), told once of each thing that is odd but no error.
---  ledger: the path of the ledger, false for none; by default OMNI_LEDGER, else $XDG_STATE_HOME/omni/ledger.db (~/.local/state), and
---  none with a sandbox's own key: play and money never mix.
---@return omni.Client|nil
---@return omni.Error|nil  code "no_key" or "invalid_input"
local function open(opts)
  opts = options.check(opts, client_options, "omni.client")
  if opts.ledger and (type(opts.ledger) ~= "string" or opts.ledger == "") then
    error("omni.client: option 'ledger' must be a path, or false for none", 2)
  end
  local key = opts.api_key
  local problem
  if key == nil then
    key, problem = credentials.find()
    if not key then return nil, problem end
  end
  problem = credentials.trouble(key)
  if problem then return nil, problem end
  local from_environment = os.getenv("CRUN_BASE_URL")
  if from_environment == "" then from_environment = nil end -- an empty option is a mistake, though: it must not lead to the real service
  local base_url = opts.base_url or from_environment or default_base_url
  local fine, http = pcall(core.client, {
    api_key = key, base_url = base_url, user_agent = opts.user_agent, proxy = opts.proxy, ca_file = opts.ca_file,
    connect_timeout = opts.connect_timeout, timeout = opts.timeout, max_connections = opts.max_connections,
    max_bytes = opts.max_bytes, max_download_bytes = opts.max_download_bytes, http_version = opts.http_version,
  })
  if not fine then
    return nil, err.new { code = "invalid_input", field = http:match("option '([%w_]+)'"), message = "omni.client: " .. http }
  end
  local self = setmetatable({
    http = http, base_url = base_url, timeout = opts.timeout or 60, warned = {}, on_warning = opts.on_warning,
    retry_for = opts.retry_for or 120, retry_min = opts.retry_min or 1, retry_max = opts.retry_max or 60,
    poll_min = opts.poll_min or 2, poll_max = opts.poll_max or 30,
  }, Client_mt)
  exchange.attach(self, opts.max_connections or 64)
  self.watch = watch.new(self, opts.max_connections or 64)
  self.account = base_url .. " " .. credentials.fingerprint(key)
  self.play = credentials.is_play(key)
  if opts.ledger then
    self.ledger_path = opts.ledger
  elseif opts.ledger == nil and not self.play then
    self.ledger_path, self.ledger_problem = records.default_path()
  end
  if not credentials.looks_right(key) then
    self:warn("the API key doesn't look like one of the service's (ak_ and 32 characters); it is used all the same")
  end
  if base_url:find("^[hH][tT][tT][pP]://") and not loopback(base_url:lower()) then
    self:warn("the base URL is plain http: the API key crosses the network unencrypted")
  end
  return self
end

return { open = open }
