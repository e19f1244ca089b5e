-- SPDX-License-Identifier: MIT
-- The client: the service, by one key or several. Submits at most once, repeats what may be repeated, hands out tasks.

local calling = require "omni.client.retry"
local core = require "omni.core"
local credentials = require "omni.client.credentials"
local entry = require "omni.client.submit_record"
local err = require "omni.error"
local exchange = require "omni.http.exchange"
local history = require "omni.client.task_durations"
local json = require "omni.json"
local keyring = require "omni.client.key_selection"
local keys = require "omni.client.key"
local loop = require "omni.loop"
local models = require "omni.models"
local options = require "omni.options"
local paths = require "omni.file.path"
local polling = require "omni.client.poll_schedule"
local records = require "omni.ledger"
local requests = require "omni.client.submit_body"
local sending = require "omni.client.submit"
local service = require "omni.client.service_address"
local task = require "omni.client.task"
local templates = require "omni.models.effect_templates"
local upload = require "omni.client.upload"

---@class omni.Client
---@field base_url string  in its normal form, without a slash at its end
---@field service string   the name of the service behind it (service_address.lua): accounts of equal names are the same
local Client_methods = {}
local Client_mt = { __name = "omni.client", __index = Client_methods }

-- --- requests

---Seconds to wait before a failed try is repeated, or nil when it must not be. For omni's own modules.
function Client_methods:pause_after(failure, attempt)
  if not failure.retry then return nil end
  return polling.next_try(attempt, failure.retry_after, self.retry_min, self.retry_max, math.random())
end

-- What views of a client take the place of (storyboard/run/stoppable_submit.lua): whether a submit is still wanted, asked before each
-- try; and word of
-- when nothing of it is on its way.
function Client_methods.given_up() return false end

function Client_methods:idle(_) end -- luacheck: ignore self

local function check_open(self)
  if not self.http then error("the client is closed", 3) end
end

local submit_options = { model = "string", callback_url = "string", about = "table" }

-- One request, sent; nil and the failure.
local function send(self, request, opts, token)
  local submit <close>, problem = entry.open(self, request, opts.about, token)
  if not submit then return nil, problem end
  local kind = self.history:kind(request.model, request.input)
  local id, failure, room = sending.send(self, submit)
  if id then
    local made = task.new(room.key.client, id, room.key, kind, submit.records, submit.id)
    room:keep(made)
    return made
  end
  return nil, calling.final(failure)
end

-- A token whose submit's fiber is cancelled: from then on the receiver goes by what the ledger says of it.
local Issued_mt = {
  __close = function(issued)
    if issued.token then issued.receiver.tokens:forget(issued.token) end
  end,
}

---Submits a task. This costs credits. It is sent at most once; what was certainly not sent is tried again for `retry_for` seconds,
---what was refused for the moment (429, 455) for `pause_for`. It stands in the client's ledger before the first byte leaves, and its
---task id before this returns; what can't be written there isn't sent. With several keys it goes to the one with room; where none
---has room it waits for that.
---@param input table  the model's input, as the model wants it (google/gemini-omni: prompt, img_urls, video_list, duration, aspect_ratio,
---  resolution); omni.file(path) may stand where a URL is due: it is uploaded first
---@param opts? omni.SubmitOptions
---@return omni.Task|nil
---@return omni.Error|nil  code "submit_unknown": it may have been accepted and charged; `sent` tells "no", "maybe" or "answered"
function Client_methods:submit(input, opts)
  check_open(self)
  opts = options.check(opts, submit_options, "client:submit")
  if not loop.in_fiber "client:submit" then return loop.drive(self.submit, self, input, opts) end
  local again
  while true do
    local receiver, token, asked = self.receiver, nil, { model = opts.model, callback_url = opts.callback_url }
    if receiver and not asked.callback_url then asked.callback_url, token = receiver:issue() end
    local issued <close> = token and setmetatable({ receiver = receiver, token = token }, Issued_mt) or nil -- luacheck: ignore 211
    local request, made, problem
    request, problem = requests.make(self, input, asked, { again = again })
    if request then made, problem = send(self, request, opts, token) end
    if token then
      issued.token = nil
      receiver:answered(token, made, problem)
    end
    if made or again or not request or not request.reused or problem.code ~= "invalid_request" then return made, problem end
    again = true -- refused, and so not charged: what was uploaded before may be gone
    self:warn(upload.GONE:format(problem.message))
  end
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
  return task.new(self, checked, #self.keyring == 1 and self.keyring[1] or nil)
end

---Asks for a task's state.
---@param id string
---@return omni.Task|nil
---@return omni.Error|nil  codes: not_found, bad_answer, network, ...
function Client_methods:query(id)
  check_open(self)
  loop.in_fiber "client:query"
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
  if not loop.in_fiber "client:call" then return loop.drive(self.call, self, method, path, body) end
  local text, problem
  if body ~= nil then
    text, problem = json.encode(body, "body")
    if not text then return nil, problem end
  end
  return calling.call(self, method, path, text, method == "GET")
end

local function broken(what)
  return nil, err.new { code = "bad_answer", message = ("the answer holds no valid %s"):format(what) }
end

local function number_in(data, name)
  local value = type(data) == "table" and data[name]
  if type(value) ~= "number" or value - value ~= 0 then return nil end -- neither NaN nor infinite
  return math.tointeger(value) or value
end

---What each key has.
---@return omni.Balance[]  in the order in which the keys were given
function Client_methods:balances()
  check_open(self)
  if not loop.in_fiber "client:balances" then return loop.drive(self.balances, self) end
  local found, fibers = {}, {}
  for i, key in ipairs(self.keyring) do
    found[i] = { key = key.name }
    fibers[i] = loop.spawn(function()
      local data, problem = calling.persist(self, function()
        return exchange.perform(key, nil, nil, "call", "GET", "/api/v1/client/account/balance")
      end)
      found[i].balance, found[i].error = number_in(data, "balance"), problem
      if not problem and not found[i].balance then found[i].error = select(2, broken("balance")) end
    end)
  end
  loop.join(table.unpack(fibers))
  return found
end

---The account's credits: the sum of what the keys have, of those that can be asked.
---@return number|nil
---@return omni.Error|nil
function Client_methods:balance()
  check_open(self)
  loop.in_fiber "client:balance"
  local sum, problem
  for _, one in ipairs(self:balances()) do
    if one.balance then sum = (sum or 0) + one.balance end
    problem = problem or one.error
  end
  if sum then return sum end
  return nil, problem
end

---What a submit would cost. Costs nothing, and uploads nothing.
---@param input table  as for submit; a scene's clip or frame may stand in it, too
---@param opts? omni.EstimateOptions
---@return omni.Estimate|nil
---@return omni.Error|nil
function Client_methods:estimate(input, opts)
  check_open(self)
  opts = options.check(opts, { model = "string" }, "client:estimate")
  if not loop.in_fiber "client:estimate" then return loop.drive(self.estimate, self, input, opts) end
  local request, problem = requests.make(self, input, opts, { stand_in = true })
  if not request then return nil, problem end
  local function ask(path)
    return calling.call(self, "POST", path, request.body, true)
  end
  local data, failure = ask("/api/v1/client/job/EstimateTask")
  if failure and failure.code == "not_found" then data, failure = ask("/api/v1/client/job/estimate-credits") end -- the other form
  if failure then return nil, failure end
  local credits = number_in(data, "estimated_credits") or number_in(data, "credits")
  if not credits or credits < 0 then return broken("estimate") end
  if #self.keyring > 1 then return { credits = credits } end -- what one key has says little
  local affordable = data.affordable
  return { credits = credits, balance = number_in(data, "balance"), affordable = type(affordable) == "boolean" and affordable or nil }
end

-- --- what the service has

---The models that there are.
---@param opts? omni.ModelsOptions  only models with these properties
---@return table[]|nil models  each { model, modality?, operations, ... }: the service's own fields
---@return omni.Error|nil
function Client_methods:models(opts)
  check_open(self)
  opts = options.check(opts, { modality = "string", operation = "string" }, "client:models")
  loop.in_fiber "client:models"
  return loop.drive(models.list, self, opts)
end

---A model, with what it accepts.
---@param name string  "google/gemini-omni"
---@return table|nil model  { model, modality?, operations, input_schema?, required_input_fields?, ... }: the service's own fields
---@return omni.Error|nil   code "not_found": the message names the model that is meant most likely
function Client_methods:model(name)
  check_open(self)
  loop.in_fiber "client:model"
  return loop.drive(models.get, self, name)
end

---Effect templates, one after the other; pages are asked for as they are needed: `for template in client:templates { platform = "kling" }`.
---@param opts omni.TemplatesOptions
---@return fun(): table|nil  raises an omni.Error when the service can't be asked, as io.lines does
function Client_methods:templates(opts)
  check_open(self)
  return templates.each(self, opts)
end

local upload_options = { on_progress = "function", content_type = "string", again = "boolean" }

---Uploads a file, so that the service can fetch it: what it returns as `url` goes into `img_urls` or `video_list`. Costs nothing. The
---same content is uploaded once: for seven days its URL is taken to be good.
---@param path string  an image (PNG, JPEG, WebP, GIF), a film (MP4, MOV, WebM, Matroska, OGG) or sound (MP3, WAV, OGG, M4A)
---@param opts? omni.UploadOptions
---@return omni.Upload|nil
---@return omni.Error|nil  codes: invalid_input, io (both with field "path"), file_changed, upload_expired, upload_failed, network, ...
function Client_methods:upload(path, opts)
  check_open(self)
  options.path(path, "client:upload")
  opts = options.check(opts, upload_options, "client:upload")
  if opts.content_type and not opts.content_type:find "^[%w!#$&^_.+-]+/[%w!#$&^_.+-]+$" then
    error("client:upload: option 'content_type' must be a media type, as image/png is", 2)
  end
  loop.in_fiber "client:upload"
  return loop.drive(upload.send, self, path, opts)
end

---Says something to the owner of the client once (option on_warning). For omni's own modules.
function Client_methods:warn(text)
  if self.on_warning and not self.warned[text] then
    self.warned[text] = true
    self.on_warning(text)
  end
end

local function warn_of_failures(self, ledger)
  ledger.on_failure = function(failure) self:warn(failure.message) end
end

---The client's ledger, opened when it is first needed; nil when it has none. For omni's own modules.
---@return omni.Records|nil
---@return omni.Error|nil
function Client_methods:ledger()
  if self.ledger_problem then return nil, err.copy(self.ledger_problem) end
  if not self.records and self.ledger_path then
    local problem
    self.records, problem = records.open(self.ledger_path)
    if not self.records then return nil, problem end
    warn_of_failures(self, self.records)
  end
  return self.records
end

---The ledger of a board's run: the client's own. A client that has none (a rehearsal) keeps one beside each run's output.
---@param directory string
---@return omni.Records|nil
---@return omni.Error|nil
function Client_methods:board_ledger(directory)
  if self.ledger_path or self.ledger_problem then return self:ledger() end
  local path = paths.absolute(directory) .. "/ledger.db"
  if not self.board_ledgers[path] then
    local opened, problem = records.open(path)
    if not opened then return nil, problem end
    warn_of_failures(self, opened)
    self.board_ledgers[path] = opened
  end
  return self.board_ledgers[path]
end

---All ledgers that may hold a row of this client's: its own, and those of the boards that it has run.
---@return omni.Records[]
---@return omni.Error|nil  why its own can't be opened
function Client_methods:ledgers()
  local own, problem = self:ledger()
  local list = { own }
  for _, one in pairs(self.board_ledgers) do list[#list + 1] = one end
  return list, problem
end

---Whether this client's service has the task of a ledger's row. Keys are replaced, so the account says less.
---@param row table
---@return boolean
function Client_methods:serves(row)
  return row.service == self.service
end

---What brings files, to and from anywhere: its connections carry no key, and a key's pauses don't hold it up. For omni's own modules.
function Client_methods:courier()
  if not self.courier_ then
    self.courier_ = setmetatable({ http = core.client(self.transport) }, { __index = self })
    exchange.attach(self.courier_, { connections = self.connections })
  end
  for _, key in ipairs(self.keyring) do self.courier_.http:trust(key.http) end
  return self.courier_
end

---How the keys are doing.
---@return omni.KeyState[]
function Client_methods:keys()
  local found = {}
  for i, key in ipairs(self.keyring) do
    local aside = key:is_aside()
    found[i] = {
      key = key.name, in_flight = key.in_flight, flying = key:in_the_air(), paused = key.governor:paused(), aside = aside and aside.code,
    }
  end
  return found
end

---Closes the connections and wipes the keys. Requests in flight are given up; their tasks go on at the service.
function Client_methods:close()
  if not self.http then return end
  if self.receiver then self.receiver:close() end
  self.http = nil
  if self.courier_ then exchange.close(self.courier_) end
  self.keyring:close()
  if self.records then self.records:close() end
  for _, one in pairs(self.board_ledgers) do one:close() end
  self.records, self.ledger_path, self.board_ledgers = nil, nil, {}
end

Client_mt.__close = Client_methods.close

-- --- opening

local client_options = {
  api_key = "any", keys = "table", base_url = "any", user_agent = "string", proxy = "string", ca_file = "string",
  connect_timeout = "seconds", timeout = "seconds", max_connections = "count", max_bytes = "count", max_download_bytes = "count",
  http_version = "string", retry_for = "seconds", retry_min = "seconds", retry_max = "seconds", pause_for = "seconds", rate = "number",
  poll_min = "seconds", poll_max = "seconds", media_wait = "seconds", on_warning = "function", ledger = "any", schemas = "boolean",
  allow_private_networks = "boolean",
}

-- The C clients' options: what all of them have, and with it what those of a key have.
local transport_options = {
  "user_agent", "proxy", "ca_file", "connect_timeout", "timeout", "max_connections", "max_bytes", "max_download_bytes", "http_version",
  "allow_private_networks",
}

local function open_transport(opts, base_url, key)
  local settings = { base_url = base_url, api_key = key }
  for _, name in ipairs(transport_options) do settings[name] = opts[name] end
  local fine, http = pcall(core.client, settings)
  if fine then return http end
  return nil, err.new { code = "invalid_input", field = http:match("option '([%w_]+)'"), message = "omni.client: " .. http }
end

-- The keys that the options name, or the surroundings; checked.
local function keys_of(opts)
  if opts.keys and opts.api_key ~= nil then error("omni.client: options 'keys' and 'api_key' exclude each other", 3) end
  if opts.keys then return credentials.check_all(opts.keys) end
  if opts.api_key ~= nil then return credentials.check_all { { key = opts.api_key } } end
  local found, problem = credentials.find_all()
  if not found then return nil, problem end
  return credentials.check_all(found)
end

---Opens a client.
---@param opts? omni.ClientOptions
---@return omni.Client|nil
---@return omni.Error|nil  code "no_key" or "invalid_input"
local function open(opts)
  opts = options.check(opts, client_options, "omni.client")
  if opts.ledger then options.path(opts.ledger, "omni.client: option 'ledger'") end
  if opts.rate and not (opts.rate > 0 and opts.rate < math.huge) then error("omni.client: option 'rate' must be more than 0", 2) end
  local given, problem = keys_of(opts)
  if not given then return nil, problem end
  local from_environment = os.getenv("CRUN_BASE_URL")
  if from_environment == "" then from_environment = nil end -- an empty option is a mistake, though: it must not lead to the real service
  local base_url, wrong = service.base_url(opts.base_url or from_environment or service.default_base_url)
  if not base_url then
    return nil, err.new {
      code = "invalid_input", field = "base_url", message = "omni.client: option 'base_url' can't be used: it " .. wrong,
    }
  end
  local play = credentials.is_play(given[1].key)
  local self = setmetatable({
    base_url = base_url, service = service.name(base_url), board_ledgers = {},
    timeout = opts.timeout or 60, connections = opts.max_connections or 64, warned = {}, on_warning = opts.on_warning,
    retry_for = opts.retry_for or 120, retry_min = opts.retry_min or 1, retry_max = opts.retry_max or 60,
    pause_for = opts.pause_for or opts.retry_for or 1800, schemas = opts.schemas,
    media_wait = opts.media_wait or play and 5 or 300, poll_min = opts.poll_min or play and 0.2 or 2,
    poll_max = opts.poll_max or play and 2 or 30, transport = {},
    uploads = {}, uploading = {}, known_models = {},
    play = play,
  }, Client_mt)
  for _, name in ipairs(transport_options) do self.transport[name] = opts[name] end
  self.history = history.new(self)
  self.keyring = keyring.new(self, function(key, id, ledger, row) return task.new(self, id, key, nil, ledger, row) end)
  for _, one in ipairs(given) do
    local http
    http, problem = open_transport(opts, base_url, one.key)
    if not http then
      self.keyring:close()
      return nil, problem
    end
    self.keyring:add(keys.new(self, { key = one.key, in_flight = one.in_flight, rate = one.rate or opts.rate }, http, self.connections))
  end
  self.http = self.keyring[1].http
  if opts.ledger then
    self.ledger_path = opts.ledger
  elseif opts.ledger == nil and not self.play then
    self.ledger_path, self.ledger_problem = records.default_path()
  end
  for _, one in ipairs(given) do
    if not credentials.looks_right(one.key) then
      self:warn("the API key doesn't look like one of the service's (ak_ and 32 characters); it is used all the same")
    end
  end
  if base_url:find("^http://") and not core.is_loopback(base_url) then
    self:warn("the base URL is plain http: the API key crosses the network unencrypted")
  end
  return self
end

return { open = open }
