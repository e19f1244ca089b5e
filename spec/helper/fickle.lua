-- SPDX-License-Identifier: MIT
-- A service in this process whose answers a spec can change at any moment, over a real socket. It remembers every charge.
--
--   fickle.open({}, function(service) service.media = 403; ... end)

local answers = require "helper.answers"
local core = require "omni.core"
local test_ledger = require "helper.ledger"
local env = require "helper.env"
local omni = require "omni"

local fickle = {}

local json <const> = { ["Content-Type"] = "application/json" }
local price <const> = 40
local clip <const> = "\0\0\0\24ftypisom\0\0\2\0isomiso2\0\0\0\8moov" .. ("\0"):rep(200) -- has the boxes of an MP4

---@class spec.Fickle
---@field url string
---@field submits { id: string, prompt: string, key: string }[]  accepted, and so charged, in order
---@field on_submit? fun(input: table): integer|nil   a status to answer with instead of accepting
---@field on_accept? fun(task: table)               may change what becomes of a new task: its `status`, its `credits`
---@field lose? fun(input: table): boolean            accept, but answer 500
---@field on_query? fun(data: table, task: table): table|nil, integer|nil  changes what is said of a task, or its code
---@field on_other? fun(request: omni.Request): integer|nil, table|nil, string|nil  answers what isn't the API's, nor below /media/
---@field media integer|string                        200, another status, or a body to send instead of a clip
local Fickle_methods = {}
local Fickle_mt = { __index = Fickle_methods }

local function envelope(data, code)
  return code or 200, json, core.json.encode { code = code or 200, message = code and "no" or "success", data = data or core.json.null }
end

local function create(self, body, key)
  local asked = core.json.decode(body)
  local refusal = self.on_submit and self.on_submit(asked.input)
  if refusal then return envelope(nil, refusal) end
  self.last = self.last + 1
  local id = ("%s-%d"):format(self.name, self.last)
  self.tasks[id] = { id = id, model = asked.model, input = asked.input, key = key, status = "success", credits = price }
  if self.on_accept then self.on_accept(self.tasks[id]) end
  table.insert(self.submits, { id = id, prompt = asked.input.prompt, key = key })
  if self.lose and self.lose(asked.input) then return envelope(nil, 500) end
  return envelope { task_id = id }
end

local function tell(self, id)
  local task = self.tasks[id]
  if not task then return envelope(nil, 404) end
  local over = task.status ~= "running"
  local data = {
    task_id = id, status = task.status, param = { model = task.model, input = task.input }, create_at = self.now,
    complete_at = over and self.now or nil, credits = over and task.credits or nil,
    result = task.status == "success" and { media_urls = { ("%s/media/%s.mp4"):format(self.url, id) } } or nil,
  }
  if self.on_query then
    local changed, code = self.on_query(data, task)
    if code then return envelope(nil, code) end
    data = changed or data
  end
  return envelope(data)
end

local function answer(self, request)
  local path, query = request:path(), request:query() or ""
  if path:find "^/media/" then
    if type(self.media) == "string" then return 200, { ["Content-Type"] = "text/html" }, self.media end
    if self.media ~= 200 then return self.media, {}, "" end
    return 200, { ["Content-Type"] = "video/mp4" }, clip
  elseif path:find "/CreateTask$" then
    return create(self, request:body(), request:headers()["x-api-key"])
  elseif path:find "/TaskInfo$" then
    return tell(self, query:match "task_id=([^&]*)")
  elseif path:find "/balance$" then
    return envelope { balance = self.balance - price * #self.submits }
  elseif path:find "/EstimateTask$" then
    return envelope { estimated_credits = price, affordable = true }
  end
  if self.on_other then return self.on_other(request) end
  return envelope(nil, 404)
end

---A client of this service that tries once and waits briefly.
---@param more? table  options of the client
function Fickle_methods:client(more)
  local all = { ledger = self.ledger, schemas = false, media_wait = 0 }
  for name, value in pairs(more or {}) do all[name] = value end
  return assert(answers.client(all.base_url or self.url, all))
end

---Runs a board, within any budget, with a client of its own.
---@return omni.RunSummary|nil, omni.Error|nil
function Fickle_methods:run(board, more, client_options)
  local client <close> = self:client(client_options)
  local given = { client = client, directory = self.directory, budget = 1e6 }
  for name, value in pairs(more or {}) do given[name] = value end
  return omni.run_storyboard(board, given)
end

---What a run would do.
---@return omni.Plan
function Fickle_methods:plan(board, more, client_options)
  local client <close> = self:client(client_options)
  local given = { client = client, directory = self.directory }
  for name, value in pairs(more or {}) do given[name] = value end
  return assert(omni.plan_storyboard(board, given))
end

---The result of one SQL statement on the ledger.
function Fickle_methods:sql(text)
  return test_ledger.backend.sql(self.ledger, text)
end

local opened = 0

---Calls `body(service)` in the loop. The service, its ledger and the folder of its boards are gone afterwards.
---@param given { balance?: number, host?: string }
---@param body fun(service: spec.Fickle)
function fickle.open(given, body)
  local folder <close> = env.directory()
  opened = opened + 1
  omni.run(function()
    local self = setmetatable({
      name = ("task-%d"):format(opened), tasks = {}, submits = {}, last = 0, media = 200, balance = given.balance or 1e6,
      now = os.time(), ledger = test_ledger.new(folder.path .. "/ledger.db"), directory = folder.path .. "/out",
    }, Fickle_mt)
    local server <close> = assert(omni.serve({ host = given.host }, function(request) return answer(self, request) end))
    self.url = server.url
    body(self)
  end)
end

---A board without a film, of scenes whose prompts are their names.
function fickle.board(fields, ...)
  fields.cut = false
  for _, name in ipairs { ... } do fields[#fields + 1] = omni.scene(name) { prompt = name } end
  return omni.storyboard(fields)
end

fickle.price = price

return fickle
