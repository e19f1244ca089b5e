-- SPDX-License-Identifier: MIT
-- Keeps the sandbox's tasks and its charge ledger. A task's status is computed from the current time whenever the status is read, so only a
-- task with a callback_url needs a fiber (callbacks.lua).

local json = require "omni.json"
local payload = require "omni.sandbox.task_payload"
local random = require "omni.sandbox.random"

local ledger_object = json.shape { "submits", "charged", "tasks", "accounts" }
local row_object = json.shape { "task_id", "account", "model", "input", "credits", "status", "create_at", "complete_at" }

---@class omni.sandbox.Task
---@field id string
---@field account omni.sandbox.Account
---@field model string
---@field input string          JSON text as sent
---@field prompt string|nil
---@field callback_url string|nil
---@field credits number
---@field clip table            its output (price.lua), and `prompt`
---@field fate table            ends ("success" or "failed"), reason, no_media, never
---@field status string         at the last `settle`
---@field created integer       Unix seconds
---@field began number          monotonic seconds, as are runs_at and ends_at
---@field files table<string, string>  paths of the drawn files by the extensions of their URLs ("mp4")
---@field endings string[]      of its URLs
---@field drawn_at number|nil
---@field drawn fun()|nil       called when its files are drawn, or drawing has failed
---@field over number|nil       monotonic seconds: when it became final
---@field completed integer|nil Unix seconds
---@field took integer|nil      seconds

local Tasks_methods = {}
local Tasks_mt = { __name = "omni.sandbox.tasks", __index = Tasks_methods }

local extensions = { png = "png", jpeg = "jpg" }

-- Returns the specs of a task's files (a single clip, or images), and the extensions of the files' URLs.
local function drawings(clip)
  local specs, endings = {}, {}
  for i = 1, clip.count or 1 do
    local spec = {}
    for name, value in pairs(clip) do spec[name] = value end
    spec.count, spec.index = nil, i > 1 and i or nil
    local ending = clip.image and extensions[clip.image] or "mp4"
    specs[i], endings[i] = spec, i > 1 and ("%d.%s"):format(i, ending) or ending
  end
  return specs, endings
end

-- Draws a task's files. The task can't end before all its files exist.
local function draw(self, task, specs)
  local left = #specs
  self.drawing[task] = true
  for i, spec in ipairs(specs) do
    self.draw(spec, function(path, message)
      left, task.files[task.endings[i]] = left - 1, path
      if not path then task.fate.ends, task.fate.reason = "failed", "can't draw a clip: " .. tostring(message) end
      if left > 0 then return end
      task.drawn_at, self.drawing[task] = self.now(), nil
      if task.drawn then task.drawn() end
    end)
  end
end

---@class omni.sandbox.WantedTask
---@field account omni.sandbox.Account
---@field model string
---@field input string           JSON
---@field prompt? string
---@field callback_url? string
---@field credits number         the task's price
---@field clip table             the spec of the task's output (price.lua)
---@field fate table             the task's outcome, which faults can change

---Accepts a task: charges it, gives it an id, and draws its clip.
---@param wanted omni.sandbox.WantedTask
---@return omni.sandbox.Task
function Tasks_methods:accept(wanted)
  local id = random.uuid(self.ids)
  local lasts = self.seconds * (0.8 + 0.4 * random.fraction(self.jitter))
  local now = self.now()
  local task = wanted --[[@as omni.sandbox.Task]]
  task.id, task.status, task.created = id, "pending", self.wall()
  task.began, task.runs_at, task.ends_at = now, now + lasts / 10, now + lasts
  self.accounts:charge(task.account, task)
  self.by_id[id] = task
  self.in_order[#self.in_order + 1] = task
  local fate = task.fate
  task.draws = fate.ends == "success" and not fate.no_media and not fate.never
  local specs
  specs, task.endings = drawings(task.clip)
  task.files = {}
  if task.draws then draw(self, task, specs) end
  return task
end

---@param id string
---@return omni.sandbox.Task|nil
function Tasks_methods:find(id)
  return self.by_id[id]
end

---Updates a task's status for the current time.
---@param task omni.sandbox.Task
---@return string status
function Tasks_methods:settle(task)
  if task.completed then return task.status end
  local now = self.now()
  if now < task.runs_at then
    task.status = "pending"
  elseif now < task.ends_at or task.fate.never or task.draws and not task.drawn_at then
    task.status = "running"
  else
    task.over = math.max(task.ends_at, task.drawn_at or 0)
    local lasted = task.over - task.began
    task.took = math.floor(lasted + 0.5)
    task.completed = math.min(self.wall(), task.created + math.ceil(lasted))
    task.status = task.fate.ends
  end
  return task.status
end

-- Returns the task object with the given status, times and media URLs.
local function payload_of(task, id, status, completed, took, media)
  return payload.task {
    id = id, model = task.model, input = task.input, callback_url = task.callback_url, status = status, created = task.created,
    completed = completed, took = took, credits = task.credits, clip = task.clip, media = media, reason = task.fate.reason,
  }
end

---Returns the task object for a query or a callback.
---@param task omni.sandbox.Task
---@param media_urls string[]  the URLs of its media
---@return table
function Tasks_methods:describe(task, media_urls)
  local status = self:settle(task)
  return payload_of(task, task.id, status, task.completed, task.took, task.fate.no_media and {} or media_urls)
end

---Returns a forged task object for a fault. The forged status differs from the task's real status.
---@param task omni.sandbox.Task
---@param status "running"|"success"
---@param media_url? string  of a success
---@param id? string         a false id
---@return table
function Tasks_methods:pretend(task, status, media_url, id)
  local final = status == "success"
  return payload_of(task, id or task.id, status, final and self.wall() or nil, final and math.floor(self.now() - task.began + 0.5) or nil,
    { media_url })
end

---Returns whether the sandbox is still drawing a file for a task that should end before the given time.
---@param time number  of `now`
---@return boolean
function Tasks_methods:is_drawing(time)
  for task in pairs(self.drawing) do
    if task.ends_at <= time then return true end
  end
  return false
end

---Returns the charge ledger.
---@param decoded? boolean  return the inputs as tables instead of as the JSON texts that clients sent (`json.raw`)
---@return { submits: integer, charged: number, tasks: table[], accounts: table[] }
function Tasks_methods:ledger(decoded)
  local rows, charged = {}, 0
  for i, task in ipairs(self.in_order) do
    local input = decoded and json.decode(task.input) or json.raw(task.input)
    rows[i] = row_object {
      task_id = task.id, account = task.account.account, model = task.model, input = input, credits = task.credits,
      status = self:settle(task), create_at = task.created, complete_at = task.completed,
    }
    charged = charged + task.credits
  end
  return ledger_object { submits = #rows, charged = charged, tasks = rows, accounts = self.accounts:rows(self.in_order) }
end

---@param settings omni.sandbox.Settings  seconds, seed, now, wall, draw
---@param accounts table  from accounts.open
local function open(settings, accounts)
  return setmetatable({
    seconds = settings.seconds, accounts = accounts,
    now = settings.now, wall = settings.wall, draw = settings.draw,
    ids = random.stream(settings.ids_seed or settings.seed, "ids"), jitter = random.stream(settings.seed, "jitter"),
    by_id = {}, in_order = {}, drawing = {},
  }, Tasks_mt)
end

return { open = open }
