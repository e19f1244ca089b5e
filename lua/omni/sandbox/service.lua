-- SPDX-License-Identifier: MIT
-- The sandbox's side of the contract (docs/service.md): a request in, a response out; no socket, no clock of its own.
--
-- Takes omni.input by name: the check that the library makes before a submit is the one that the service makes after it.

local faults = require "omni.sandbox.faults"
local files = require "omni.sandbox.files"
local inputs = require "omni.input"
local json = require "omni.sandbox.json"
local payload = require "omni.sandbox.payload"
local price = require "omni.sandbox.price"
local stored = require "omni.sandbox.stored"
local tasks = require "omni.sandbox.tasks"
local uploads = require "omni.sandbox.uploads"

local most_body <const> = 1024 * 1024 -- bytes of a request that brings no file

local accepted_object = json.shape { "task_id" }
local balance_object = json.shape { "balance" }
local estimate_object = json.shape { "estimated_credits", "balance", "affordable" }
local place_object = json.shape { "presigned_url", "file_url" }

local function refuse(code, message, headers)
  return { status = code, code = code, message = message, headers = headers }
end

local function success(data)
  return { status = 200, code = 200, message = "success", data = data }
end

local function parameter(query_string, name)
  for pair in (query_string or ""):gmatch "[^&]+" do
    local key, value = pair:match "^([^=]*)=?(.*)$"
    if key == name then
      return (value:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
    end
  end
  return nil
end

-- The body of a submit or an estimate: its members decoded, and their texts. What is wrong with it is kept for later.
local function read_body(text)
  local value, message = json.decode(text)
  if value == nil then return { wrong = "the body isn't JSON: " .. message, fields = {} } end
  if not text:find "^%s*{" then return { wrong = "the body must be a JSON object", fields = {} } end
  return { fields = value, texts = json.members(text) }
end

-- A body checked as the service checks it: what a task is made of, or nil and what is wrong, the field named.
local function check(body)
  if body.wrong then return nil, body.wrong end
  local model, input, callback_url = body.fields.model, body.fields.input, body.fields.callback_url
  if type(model) ~= "string" or model == "" then return nil, "model: a string is required" end
  if type(input) ~= "table" or not body.texts.input:find "^{" then return nil, "input: an object is required" end
  if callback_url == json.null then callback_url = nil end
  if callback_url then
    local usable, failure = inputs.url(callback_url, "callback_url")
    if not usable then return nil, failure.message end
  end
  local given = {}
  for name, value in pairs(input) do
    if value ~= json.null then given[name] = value end
  end
  if model == "google/gemini-omni" then
    local checked, failure = inputs.check(model, given)
    if not checked then return nil, "input." .. failure.message end
    given = checked
  end
  local seconds, aspect_ratio, resolution = price.clip(given)
  local prompt = type(given.prompt) == "string" and given.prompt or nil
  return {
    model = model, input = body.texts.input, prompt = prompt, callback_url = callback_url,
    credits = price.credits(model, given),
    clip = {
      prompt = prompt or model, seconds = seconds, aspect_ratio = aspect_ratio, resolution = resolution,
      images = given.img_urls, video = type(given.video_list) == "table" and given.video_list[1] or nil,
    },
  }
end

local function media_url(self, id)
  return ("%s/media/%s.mp4"):format(self.url, id)
end

-- Has the task's callbacks sent. Returns what its submit's answer must wait for, if anything.
local function announce(self, task)
  if not task.callback_url or not self.callbacks then return nil end
  local plan = self.callbacks:plan {
    task = task, tasks = self.tasks, media_url = media_url(self, task.id), forged_url = media_url(self, "forged"),
  }
  faults.apply(self.faults:strike("callback", { prompt = task.prompt }), "callback", plan)
  return self.callbacks:expect(plan)
end

local function create(self, request)
  local wanted, wrong = check(request.read)
  if not wanted then return refuse(422, wrong) end
  wrong = stored.lost_reference(self, wanted.clip)
  if wrong then return refuse(422, wrong) end
  if wanted.credits > self.tasks.balance then
    return refuse(402, ("not enough credits: this task costs %s, the balance is %s"):format(
      json.encode(wanted.credits), json.encode(self.tasks.balance)))
  end
  wanted.fate = { ends = "success" }
  faults.apply(self.faults:strike("task", { prompt = wanted.prompt }), "task", wanted.fate)
  local task = self.tasks:accept(wanted)
  local response = success(accepted_object { task_id = task.id })
  response.wait = announce(self, task)
  return response
end

local function estimate(self, request)
  local wanted, wrong = check(request.read)
  if not wanted then return refuse(422, wrong) end
  local balance = self.tasks.balance
  return success(estimate_object {
    estimated_credits = wanted.credits, balance = balance, affordable = wanted.credits <= balance,
  })
end

local function query(self, request)
  if not request.task_id or request.task_id == "" then return refuse(422, "task_id: this query parameter is required") end
  local task = request.task
  if not task then return refuse(404, "no such task") end
  return success(self.tasks:describe(task, media_url(self, task.id)))
end

local function balance(self)
  return success(balance_object { balance = self.tasks.balance })
end

local function ledger(self)
  return { status = 200, body = json.encode(self.tasks:ledger()) }
end

local function callbacks(self)
  return { status = 200, body = json.encode(self:sent()) }
end

local function serve(self, request)
  local file, status, message = request.route.find(self, request.name)
  if not file then return refuse(status, message) end
  return files.answer(file, request.headers)
end

local media_kinds = { image = true, video = true, audio = true }

local function upload_url(self, request)
  local content_type, ending = parameter(request.query, "content_type"), parameter(request.query, "ext")
  if not (content_type or ""):find "^%l+/[%w.+-]+$" or not media_kinds[content_type:match "^%l+"] then
    return refuse(422, "content_type: the media type of an image, a video or a sound is required")
  end
  if not (ending or ""):find "^%.%w+$" or #ending > 11 then return refuse(422, "ext: an ending is required, as .png is") end
  local place = self.uploads:offer(content_type, ending)
  return success(place_object {
    presigned_url = ("%s/upload/%s?signature=%s"):format(self.url, place.name, place.signature),
    file_url = ("%s/files/%s"):format(self.url, place.name),
  })
end

local function upload(self, request)
  local place, status, message = self.uploads:take(request.name, request, parameter(request.query, "signature"), self.key)
  if not place then return refuse(status, message) end
  return { status = 200, body = "" }
end

-- kind: what faults can be told to strike; key: whether the API key is demanded.
local routes = {
  ["/api/v1/client/job/CreateTask"] = { kind = "submit", method = "POST", key = true, run = create },
  ["/api/v1/client/job/EstimateTask"] = { kind = "estimate", method = "POST", key = true, run = estimate },
  ["/api/v1/client/job/TaskInfo"] = { kind = "query", method = "GET", key = true, run = query },
  ["/api/v1/client/account/balance"] = { kind = "balance", method = "GET", key = true, run = balance },
  ["/api/v1/client/files/upload-url"] = { kind = "upload_url", method = "GET", key = true, run = upload_url },
  ["/sandbox/ledger"] = { kind = "ledger", method = "GET", run = ledger },
  ["/sandbox/callbacks"] = { kind = "callbacks", method = "GET", run = callbacks },
}

-- Those whose paths end in a name.
local named_routes = { { path = "^/upload/([^/]+)$", kind = "upload", method = "PUT", run = upload } }
for _, row in ipairs(stored.kinds) do
  named_routes[#named_routes + 1] = { path = row.path, find = row.find, kind = row.kind, method = "GET", run = serve }
end

local function route_of(path)
  if routes[path] then return routes[path] end
  for _, route in ipairs(named_routes) do
    local name = path:match(route.path)
    if name then return route, name end
  end
end

-- Turns what a handler and the faults made into what goes out.
local function finish(response)
  response.headers = response.headers or {}
  response.body = response.body or json.encode(payload.envelope {
    code = response.code, message = response.message, data = response.data,
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

---Answers one request.
---@param request { method: string, path: string, query: string|nil, headers: table<string, string>, body: string }
---@return { status: integer, headers: table, body: string|table, wait?: fun(), delay?: number, drop?: boolean, reset?: boolean,
---  cut?: integer }
function Service_methods:handle(request)
  local route, name = route_of(request.path)
  if not route then return finish(refuse(404, "no such endpoint")) end
  if request.method ~= route.method and not (request.method == "HEAD" and route.method == "GET") then
    return finish(refuse(405, "this endpoint takes " .. route.method, { Allow = route.method }))
  end
  if route.kind ~= "upload" and #(request.body or "") > most_body then return finish(refuse(413, "the body is too large")) end
  request.route, request.name = route, name
  request.task_id = route.kind == "media" and name or route.kind == "query" and parameter(request.query, "task_id") or nil
  request.task = request.task_id and self.tasks:find(request.task_id)
  request.read = route.method == "POST" and read_body(request.body or "") or nil

  local prompt = request.task and request.task.prompt
  local input = request.read and request.read.fields.input
  if type(input) == "table" and type(input.prompt) == "string" then prompt = input.prompt end
  local struck = self.faults:strike(route.kind, { prompt = prompt, method = request.method, range = request.headers.range })

  local response = {}
  if not faults.apply(struck, "before", response) then
    if route.key and request.headers["x-api-key"] ~= self.key then
      response = refuse(401, request.headers["x-api-key"] and "this key isn't valid" or "no key: the header x-api-key is required")
    else
      response = route.run(self, request)
    end
  end
  faults.apply(struck, "after", response)
  return finish(response)
end

---The charge ledger, as `GET /sandbox/ledger` tells it, with the inputs as tables.
---@return { submits: integer, charged: number, tasks: table[] }
function Service_methods:ledger()
  return self.tasks:ledger(true)
end

---The callbacks that were sent, as `GET /sandbox/callbacks` tells them.
---@return omni.sandbox.Callback[]
function Service_methods:sent()
  return self.callbacks and self.callbacks:list() or {}
end

---@class omni.sandbox.Settings
---@field url? string      what media URLs begin with (may be set later)
---@field key string
---@field seconds number   how long a task takes, give or take a fifth
---@field seed integer
---@field credits number   the balance to begin with
---@field faults table     from faults.open
---@field now fun(): number      monotonic seconds
---@field wall fun(): integer    Unix seconds
---@field upload_seconds? number  how long a place for an upload is offered (900)
---@field media_seconds? number   how long a task's clip can be had, from its end; without end when nil
---@field keep? fun(name: string, bytes: string): string|nil, any  keeps an uploaded file; answers its path
---@field draw fun(clip: table, done: fun(path: string|nil, message: any))  has a clip drawn; calls `done` once
---@field callbacks? table  from callbacks.open; without it none are sent
---@field stat fun(path: string): { size: integer, mtime: integer }|nil, string|nil

---@param settings omni.sandbox.Settings
local function open(settings)
  return setmetatable({
    url = settings.url, key = settings.key, faults = settings.faults, stat = settings.stat, now = settings.now,
    callbacks = settings.callbacks,
    media_seconds = settings.media_seconds, tasks = tasks.open(settings), uploads = uploads.open(settings),
  }, Service_mt)
end

return { open = open }
