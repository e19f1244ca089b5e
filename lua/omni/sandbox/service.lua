-- SPDX-License-Identifier: MIT
-- Imitates the service (docs/service.md): returns the response to a request. The caller provides the HTTP server and the clock.

local accounts = require "omni.sandbox.accounts"
local effect_templates = require "omni.sandbox.effect_templates"
local model_endpoints = require "omni.sandbox.model_endpoints"
local faults = require "omni.sandbox.faults"
local files = require "omni.sandbox.served_files"
local json = require "omni.json"
local payload = require "omni.sandbox.task_payload"
local reply = require "omni.sandbox.response"
local task_endpoints = require "omni.sandbox.task_endpoints"
local tasks = require "omni.sandbox.tasks"
local uploads = require "omni.sandbox.uploads"

local most_body <const> = 1024 * 1024 -- maximum size in bytes of a request's body, except in uploads

local balance_object = json.shape { "balance" }
local place_object = json.shape { "presigned_url", "file_url" }

local refuse, success, parameter = reply.refuse, reply.success, reply.parameter

local function balance(_, request)
  return success(balance_object { balance = request.account.balance })
end

local function ledger(self)
  return { status = 200, body = json.text(self.tasks:ledger()) }
end

local function callbacks(self)
  return { status = 200, body = json.text(self:sent()) }
end

local function advance(self, request)
  local seconds = tonumber((parameter(request.query, "seconds") or ""):match "^%d+%.?%d*$")
  if not seconds then return refuse(422, "seconds: a number, 0 or more, is required") end
  if self.advance then self.advance(seconds) end
  return success()
end

local function serve(self, request)
  local file, status, message = request.route.find(self, request.name)
  if not file then return refuse(status, message) end
  return files.serve(file, request.headers)
end

local media_kinds = { image = true, video = true, audio = true }

local function upload_url(self, request)
  local content_type, ending = parameter(request.query, "content_type"), parameter(request.query, "ext")
  if not (content_type or ""):find "^%l+/[%w.+-]+$" or not media_kinds[content_type:match "^%l+"] then
    return refuse(422, "content_type: the media type of an image, a video or a sound is required")
  end
  if not (ending or ""):find "^%.%w+$" or #ending > 11 then return refuse(422, "ext: a file extension like .png is required") end
  local place = self.uploads:offer(content_type, ending)
  return success(place_object {
    presigned_url = ("%s/upload/%s?signature=%s"):format(self.url, place.name, place.signature),
    file_url = ("%s/files/%s"):format(self.url, place.name),
  })
end

local function upload(self, request)
  local place, status, message = self.uploads:take(request.name, request, parameter(request.query, "signature"),
    function(text) return self.accounts:leaks(text) end)
  if not place then return refuse(status, message) end
  return { status = 200, body = "" }
end

-- --- the endpoints

local job <const> = "/api/v1/client/job/"

-- `kind` is the name by which fault specs select the endpoint; `key` is true if the endpoint requires an API key.
local routes = {
  [job .. "CreateTask"] = { kind = "submit", method = "POST", key = true, run = task_endpoints.submit },
  [job .. "EstimateTask"] = { kind = "estimate", method = "POST", key = true, run = task_endpoints.estimate },
  [job .. "estimate-credits"] = { kind = "older_estimate", method = "POST", key = true, run = task_endpoints.older_estimate },
  [job .. "TaskInfo"] = { kind = "query", method = "GET", key = true, run = task_endpoints.query },
  [job .. "Models"] = { kind = "models", method = "GET", key = true, run = model_endpoints.models },
  ["/api/v1/client/account/balance"] = { kind = "balance", method = "GET", key = true, run = balance },
  ["/api/v1/client/files/upload-url"] = { kind = "upload_url", method = "GET", key = true, run = upload_url },
  ["/sandbox/ledger"] = { kind = "ledger", method = "GET", run = ledger },
  ["/sandbox/advance"] = { kind = "advance", method = "POST", run = advance },
  ["/sandbox/callbacks"] = { kind = "callbacks", method = "GET", run = callbacks },
}

-- The endpoints whose paths contain a variable part, such as a file's or a model's name.
local named_routes = {
  { path = "^/upload/([^/]+)$", kind = "upload", method = "PUT", run = upload },
  { path = "^" .. job .. "Models/(.+)$", kind = "models", method = "GET", key = true, run = model_endpoints.model },
}
for _, platform in ipairs { "kling", "vidu", "bytedance" } do
  named_routes[#named_routes + 1] = {
    path = "^" .. job .. "(" .. platform .. ")%-templates$", kind = "templates", method = "GET", key = true,
    run = effect_templates.endpoint,
  }
end
for _, row in ipairs(files.kinds) do
  named_routes[#named_routes + 1] = { path = row.path, find = row.find, kind = row.kind, method = "GET", run = serve }
end

local function route_of(path)
  if routes[path] then return routes[path] end
  for _, route in ipairs(named_routes) do
    local name = path:match(route.path)
    if name then return route, name end
  end
end

-- --- a request

local function task_id_of(route, name, query)
  if route.kind == "media" then return name:match "^[^.]+" end
  return route.kind == "query" and parameter(query, "task_id") or nil
end

-- Returns an error response if the request's API key isn't valid, or if too many requests have used this key.
local function objection(self, request)
  local account = request.account
  if not account or account.revoked then
    return refuse(401, request.headers["x-api-key"] and "this key isn't valid" or "no key: the header x-api-key is required")
  end
  local wait = self.accounts:wait(account)
  if wait then return refuse(429, "rate limited", { ["Retry-After"] = ("%d"):format(math.max(1, math.ceil(wait))) }) end
end

-- Fills in the parts of a response that neither the endpoint nor a fault has set.
local function finish(response)
  response.headers = response.headers or {}
  local envelope = response.errors and payload.invalid or payload.envelope
  response.body = response.body or json.text(envelope {
    code = response.code, message = response.message, errors = response.errors, data = response.data,
  })
  response.headers["Content-Type"] = response.headers["Content-Type"] or "application/json"
  if response.cut then
    local body = response.body
    response.cut = (type(body) == "table" and body.length or #body) // 2
  end
  return response
end

local Service_methods = {}
local Service_mt = { __name = "omni.sandbox.service", __index = Service_methods }

---@class omni.sandbox.Request
---@field method string
---@field path string
---@field query? string
---@field headers table<string, string>
---@field body? string
---@field size? integer   size of the body in bytes
---@field file? string    path of the file that holds a large body

---@class omni.sandbox.Response
---@field status integer
---@field headers table<string, string>
---@field body string|table
---@field wait? fun()      called before the response is sent
---@field delay? number    seconds to wait before the response is sent
---@field drop? boolean    close the connection instead of responding
---@field reset? boolean   close the connection with a TCP reset
---@field cut? integer     number of bytes after which the body ends early

---Returns the response to one request.
---@param request omni.sandbox.Request
---@return omni.sandbox.Response
function Service_methods:handle(request)
  local route, name = route_of(request.path)
  if not route then return finish(refuse(404, "no such endpoint")) end
  if request.method ~= route.method and not (request.method == "HEAD" and route.method == "GET") then
    return finish(refuse(405, "this endpoint takes " .. route.method, { Allow = route.method }))
  end
  local size = request.size or #(request.body or "")
  if route.kind ~= "upload" and size > most_body then return finish(refuse(413, "the body is too large")) end
  request.route, request.name = route, name
  request.task_id = task_id_of(route, name, request.query)
  request.task = request.task_id and self.tasks:find(request.task_id)
  request.account = self.accounts:find(request.headers["x-api-key"])
  request.read = route.method == "POST" and task_endpoints.read_body(request.body or "") or nil

  local prompt = request.task and request.task.prompt
  local input = request.read and request.read.fields.input
  if type(input) == "table" and type(input.prompt) == "string" then prompt = input.prompt end
  local struck = self.faults:strike(route.kind, {
    prompt = prompt, method = request.method, range = request.headers.range, key = request.account and request.account.number,
  })

  local response = {}
  if not faults.apply(struck, "before", response) then
    response = route.key and objection(self, request) or route.run(self, request)
  end
  faults.apply(struck, "after", response)
  return finish(response)
end

-- --- for programs

---Returns the data that `GET /sandbox/ledger` returns, with each input as a table.
---@return { submits: integer, charged: number, tasks: table[], accounts: table[] }
function Service_methods:ledger()
  return self.tasks:ledger(true)
end

---Returns the callbacks that were sent, in the form that `GET /sandbox/callbacks` returns.
---@return omni.sandbox.Callback[]
function Service_methods:sent()
  return self.callbacks and self.callbacks:list() or {}
end

---@class omni.sandbox.Settings
---@field url? string      start of the media URLs (may be set later)
---@field key? string      and others: the options of accounts.read
---@field seconds number   duration of a task, plus or minus a fifth
---@field seed integer
---@field port? integer    of the server; decides the sandbox keys, as the seed does
---@field ids_seed? integer  decides the task ids (default: the seed)
---@field credits? number  initial balance
---@field faults table     from faults.open
---@field now fun(): number      monotonic seconds
---@field advance? fun(seconds: number)  moves `now` ahead, and waits until everything within that step has happened
---@field wall fun(): integer    Unix seconds
---@field upload_seconds? number  lifetime of a presigned URL (900)
---@field media_seconds? number   lifetime of a task's clip, from the task's end; unlimited when nil
---@field keep? fun(name: string, request: table): string|nil, any  keeps a request's body; returns the path
---@field draw fun(clip: table, done: fun(path: string|nil, message: any))  draws a clip; calls `done` once
---@field callbacks? table  from callbacks.open; nil: no callbacks
---@field stat fun(path: string): { size: integer, mtime: integer }|nil, string|nil
---@field accounts? table[]  from accounts.read, instead of key, keys, credits, in_flight and rate

---@param settings omni.sandbox.Settings
local function open(settings)
  local all = accounts.open(settings.accounts or assert(accounts.read(settings)), settings)
  return setmetatable({
    url = settings.url, accounts = all, faults = settings.faults, stat = settings.stat, now = settings.now, advance = settings.advance,
    callbacks = settings.callbacks,
    media_seconds = settings.media_seconds, tasks = tasks.open(settings, all), uploads = uploads.open(settings),
  }, Service_mt)
end

return { open = open, most_body = most_body }
