-- SPDX-License-Identifier: MIT
-- A submit and its row in the ledger: intended before the first byte leaves, then accepted, refused or unknown; later its states,
-- its cost, its files. A client without a ledger goes through the same steps and writes nothing.

local core = require "omni.core"
local digest = require "omni.file.digest"
local exchange = require "omni.http.exchange"
local loop = require "omni.loop"

-- What a row is made of beside what every submit has (csrc/ledger/schema.h, table submit).
local notes = { "board", "scene", "identity", "base", "take", "form", "estimate", "budget", "instead_of" }

---@class omni.Entry
local Entry_methods = {}
local Entry_mt = { __name = "omni.entry", __index = Entry_methods }

-- Why no row was made: the same scene is under way or done already, the board's budget doesn't allow it, or the ledger is of the
-- other kind.
local function refusal(self)
  local records, params = self.records, self.params
  local mixed, problem = records:row("mixed", { play = params.play })
  if problem then return problem end
  if mixed then
    return { code = "ledger_failed", message = ("the ledger %s holds %s submits, and this is a %s one; the two are never mixed")
      :format(records.path, params.play and "real" or "rehearsal", params.play and "rehearsal" or "real"),
      hint = "choose another ledger" }
  end
  if params.in_flight and #(records:ask("flying", { account = params.account }) or {}) >= params.in_flight then
    return { code = "rate_limited", no_room = true, message = "another program has filled the key" } -- submit.lua waits
  end
  local row = params.identity and records:row("by_identity", { identity = params.identity, service = params.service })
  if row and row.id ~= self.id and row.state ~= "failed" and row.state ~= "forgotten" and row.state ~= "refused"
    and not (row.state == "unknown" and params.instead_of and row.id <= params.instead_of) then
    return { code = "already_submitted", task_id = row.task_id,
      message = "not submitted: the same scene was submitted meanwhile, by another run" }
  end
  if params.budget then
    local cost = params.estimate or 0
    local rows, failure = records:ask("spent", { board = params.board })
    if not rows then return failure end
    for _, of_account in ipairs(rows) do cost = cost + of_account.credits + of_account.promised end
    if cost > params.budget + 1e-9 then
      return { code = "over_budget", hint = "raise the board's budget, or make the film cheaper",
        message = core.format("not submitted: with it this board would have cost more than its budget of %.14g credits", params.budget) }
    end
  end
  -- Say another program's task has ended since. submit.lua tries again.
  return { code = "rate_limited", no_room = true, message = "what kept the submit back is gone" }
end

local patience <const> = 10 -- seconds for a balance, which is good to know and no more

---A key's credits, asked once.
---@param key omni.Key
---@return number|nil  nil when that fails
local function balance(key)
  local data = exchange.perform(key, nil, patience, "call", "GET", "/api/v1/client/account/balance")
  local value = type(data) == "table" and data.balance
  return type(value) == "number" and value == value and value or nil
end

local checked = {
  "account", "service", "in_flight", "balance_before", "identity", "board", "budget", "estimate", "instead_of",
}

local function intend(self)
  local verb, params = "intend", self.params
  if self.id then
    verb, params = "again", { id = self.id }
    for _, name in ipairs(checked) do params[name] = self.params[name] end
  end
  local rows, problem = self.records:ask(verb, params, function(late) -- the fiber was cancelled before it was told
    if late and late[1] then
      self.records:note("refuse", { id = late[1].id, error = "cancelled", message = "given up before it was sent" })
    end
  end)
  if not rows then return nil, problem end
  if not rows[1] then return nil, refusal(self) end
  self.id = rows[1].id
  return true
end

-- What a submit's outcome does to its row: the ledger's verb, and its parameters.
local function verdict(self, id, failure)
  if id then return "accept", { id = self.id, task_id = id } end
  local verb = failure.code == "submit_unknown" and "doubt" or "refuse"
  return verb, { id = self.id, error = failure.code, message = core.clean(failure.message or "", 500) }
end

local abandoned <const> = { code = "submit_unknown", message = "the submit was given up on its way" }

-- A submit that has left takes the place of the one whose outcome is unknown.
local function replace(self, verb)
  local params = self.params
  if not params.instead_of or verb == "refuse" then return end
  self.records:note("replace", { instead_of = params.instead_of, identity = params.identity, service = params.service })
end

-- Writes down, without waiting, what the submit's own fiber doesn't hear of, or couldn't write any more.
local function settle_late(self, id, failure)
  self.settled = true
  if not self.records then return end
  local verb, params = verdict(self, id, failure or not id and abandoned or nil)
  if not id and not failure then params.error = "cancelled" end
  replace(self, verb)
  self.records:note(verb, params)
  if self.key.in_flight and self.key.http then loop.background(self.key.take_up, self.key, self.records) end -- it counts as any other row
end

-- Of what came back: the row, then the answer.
local function settle(self, id, failure)
  local records = self.records
  if self.settled then return id, failure end -- the client was closed
  local verb, params = verdict(self, id, failure)
  replace(self, verb)
  if id then
    local row, problem = records:row(verb, params)
    if row then return id end
    return nil, { code = "ledger_failed", task_id = id, sent = "answered",
      message = "the task was accepted, but its id could not be written down: " .. (problem and problem.message or "its row is gone"),
      hint = "keep the task id, it is nowhere else; it can be given to a board's scene with omni run BOARD --adopt SCENE TASK_ID" }
  end
  local _, problem = records:ask(verb, params)
  if verb == "doubt" and not problem then
    params.balance_after = balance(self.key)
    records:note(verb, params)
  end
  return nil, failure
end

local function not_now(code, message, given_up)
  return nil, { code = code, message = message, retry = false, sent = "no", given_up = given_up }
end

---One try with this key, when it is its turn: the row, the POST, the row.
---@param key omni.Key
---@param timeout number  seconds to wait for its turn
---@return string|nil task_id
---@return table|nil failure  `given_up`: the client's owner didn't want it any more
function Entry_methods:try(key, timeout)
  local client, params = self.client, self.params
  if key ~= self.key then params.balance_before = nil end -- that was another key's
  self.key = key
  if self.records and params.identity and not params.balance_before then params.balance_before = balance(key) end
  local hold <close> = key.governor:hold(timeout)
  if not hold then
    if not key.http then return not_now("closed", "the client was closed") end
    return not_now("rate_limited", core.format("the service asked to wait, for longer than %g seconds", client.pause_for))
  end
  if client.given_up() then return not_now("cancelled", "not submitted: it was given up before that", true) end
  client:idle(false)
  if self.records then
    params.account, params.in_flight = key.account, key.in_flight
    local fine, problem = intend(self)
    if not fine then
      problem.retry, problem.sent = false, "no"
      return nil, problem
    end
  end
  hold:use()
  if not self.records then return exchange.submit(key, self.body) end
  key:owns_row(self.records, self.id, true)
  self.owning, self.heard, self.settled = true, false, false
  local id, failure = exchange.submit(key, self.body, function(...) settle_late(self, ...) end)
  self.heard = true
  id, failure = settle(self, id, failure)
  self.owning = false
  if id or failure.code ~= "submit_unknown" then key:owns_row(self.records, self.id, nil) end -- from now on its task counts, or nothing
  return id, failure
end

-- Of a fiber that was cancelled, or failed.
function Entry_mt:__close()
  if not self.owning then return end
  self.key:owns_row(self.records, self.id, nil)
  if self.heard or self.settled then return end
  self.records:note("refuse", { id = self.id, error = "cancelled", message = "given up before it was sent" })
end

---Begins a submit. Nothing is written yet.
---@param client omni.Client
---@param request omni.Request
---@param about? table    what a storyboard knows of it: board, scene, identity, base, take, form, estimate, budget, instead_of, and the
---  `ledger` of its run
---@param token? string   the digest of the token in its callback URL
---@return omni.Entry|nil  to be closed
---@return omni.Error|nil  the ledger can't be opened
local function open(client, request, about, token)
  local records, problem = about and about.ledger, nil
  if not records then records, problem = client:ledger() end
  if problem then return nil, problem end
  local self = setmetatable({ client = client, body = request.body, records = records, params = {} }, Entry_mt)
  if records then
    local params = { service = client.service, play = client.play, model = request.model, input = request.input_text, token = token }
    for _, name in ipairs(notes) do params[name] = about and about[name] end
    self.params = params
  end
  return self
end

-- --- what becomes of a task

-- The ledger that a task's row is in, if any, and what names the row there. Of a task that was only named, the client's own ledger may
-- have one; a ledger that isn't there yet isn't made for it.
local function row_of(client, task)
  if task.ledger then return task.ledger, { id = task.row } end
  if not client.records and not client.looked_for_ledger then
    client.looked_for_ledger = true
    if client.ledger_path and core.stat(client.ledger_path) then client:ledger() end
  end
  return client.records, { service = client.service, task_id = task.id }
end

---Notes a task's state, without waiting for the disk: should it get lost, it is asked for again. Of tasks that this program neither
---submitted nor took up from the ledger, only how they ended.
---@param client omni.Client
---@param task omni.Task
local function note_state(client, task)
  local final = task.status == "success" or task.status == "failed"
  if not final and not task.submitted and not task.row then return end
  local records, params = row_of(client, task)
  if not records then return end
  params.account, params.status = task.key.account, task.status
  if not final then return records:note("status", params) end
  local problem = task.status == "failed" and task.error
  params.state, params.media = task.status, task.media and #task.media or 0
  params.credits, params.created_at, params.completed_at, params.seconds =
    task.credits, task.created_at, task.completed_at, task.duration
  params.error, params.message = problem and problem.code, problem and core.clean(problem.message or "", 500)
  records:note("finish", params)
end

---Notes a file of a task's result, with its SHA-256; waits until that is on disk.
---@param client omni.Client
---@param task omni.Task
---@param number integer  which of its media, from 1
---@param path string
---@return true|nil
---@return omni.Error|nil
local function note_file(client, task, number, path)
  local records, params = row_of(client, task)
  if not records then return true end
  local found, problem = digest.file(path)
  if not found then return nil, problem end
  params.number, params.path, params.sha256, params.size = number, core.real_path(path) or path, found.sha256, found.size
  local rows
  rows, problem = records:ask("remember_file", params)
  if rows then return true end
  problem.task_id, problem.message = task.id, ("%s is there, but could not be written down: %s"):format(path, problem.message)
  return nil, problem
end

return { balance = balance, open = open, note_file = note_file, note_state = note_state }
