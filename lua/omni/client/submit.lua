-- SPDX-License-Identifier: MIT
-- Submits a task: all steps from the input to the task id. Submitting costs money, so omni sends each submit request at most once
-- (docs/internals/at-most-once.md). Read this file from top to bottom: each function calls the next one.

local core = require "omni.core"
local err = require "omni.error"
local idempotency = require "omni.client.idempotency"
local loop = require "omni.loop"
local refused_intent = require "omni.client.refused_intent"
local retry = require "omni.client.retry"
local prepare_input = require "omni.client.prepare_input"
local tasks = require "omni.client.task"
local upload = require "omni.client.upload"

local BALANCE_TIMEOUT <const> = 10 -- seconds to wait for the balance, which omni records if it is available

---@class omni.Submit
---@field client omni.Client
---@field body string              JSON
---@field ledger omni.Ledger|nil   nil: nothing is recorded
---@field row integer|nil          the number of the submit's row, once there is one
---@field params table             the parameters of the row (csrc/ledger/verbs.h, `intend`)
---@field stop omni.Stop           lets the owner prevent further attempts
---@field key omni.Key|nil         the key of the current attempt
---@field recording boolean|nil    a background fiber tries to record the outcome
local Submit_methods = {}
local Submit_mt = { __name = "omni.submit", __index = Submit_methods }

local new_callback_token, open, verb_for, abandoned -- defined below

---Submits a task: checks the input, uploads its files, and sends the submit. Runs in a fiber. If the service refuses an input with files
---that were uploaded earlier, those uploads may have expired. A refusal costs nothing, so omni uploads the files again and repeats the
---submit once.
---@param client omni.Client
---@param input table
---@param opts { model?: string, callback_url?: string, tag?: string, idempotency_key?: string, about?: table, stop?: omni.Stop }
---@return omni.Task|nil
---@return omni.Error|nil
local function submit_task(client, input, opts)
  local upload_again, keyed = false, nil
  if opts.idempotency_key and type(input) == "table" then
    local why
    keyed, why = idempotency.new(client, opts.idempotency_key, opts.model, input)
    if not keyed then return nil, why end
  end
  while true do
    if keyed then
      local earlier, why = keyed:earlier(opts.stop)
      if earlier or why then return earlier, why end
    end
    local token <close> = new_callback_token(client, opts.callback_url)
    local request, task, problem
    request, problem = prepare_input(client, input, { model = opts.model, callback_url = token.url },
      { upload_again = upload_again, stop = opts.stop })
    if request then
      local self <close>, why = open(client, request, opts, token.hash, keyed and keyed.form)
      if self then task, problem = self:send(request) else problem = why end
    end
    token:settle(task, problem)
    local may_be_gone = request and request.reused and problem and problem.code == "invalid_request"
    local key_taken = keyed and problem and problem.code == "already_submitted" -- another submit has used the idempotency key
    if task or not key_taken and (upload_again or not may_be_gone) then return task, problem end
    if not key_taken then
      upload_again = true
      client:warn(upload.GONE:format(problem.message))
    end
  end
end

---Sends the submit, with retries, until the service accepts it or a failure is final.
---@param request omni.PreparedInput
---@return omni.Task|nil
---@return omni.Error|nil
function Submit_methods:send(request)
  local kind = self.client.durations:kind(request.model, request.input)
  local id, failure, slot = self:try_until_settled()
  if not id then return nil, err.public(failure) end
  local task = tasks.new(slot.key.client, id, slot.key, kind, self.ledger, self.row)
  slot:keep(task)
  self.stop.sending = false
  self.client:report_task(task)
  return task
end

---Each attempt uses one of a key's slots. omni retries a submit that was certainly not sent for `retry_for` seconds, and a submit that the
---service temporarily refused (429, 455) for `pause_for` seconds. After a refusal that disables a key, omni tries another key. After any
---other outcome, such as a task id or an unknown outcome, omni makes no further attempt.
---@return string|nil task_id
---@return table|nil failure
---@return table|nil slot  the task's slot, which the caller must keep
function Submit_methods:try_until_settled()
  local client, stop, tries, last = self.client, self.stop, retry.begin(), nil
  while true do
    stop.sending = false
    local slot, none = client.all_keys:reserve(self.ledger)
    if not slot then return nil, last or none end
    local id, failure
    do
      local reserved <close> = slot -- at the end of the block, releases the slot unless `kept` is set
      id, failure = self:try_once(reserved.key, tries.since + client.pause_for - core.now())
      if id then
        reserved.kept = true -- `send` will pass the slot to the task
        return id, nil, reserved
      end
      if failure.code == "submit_unknown" then reserved:keep_unknown(self.ledger, self.row) end
    end
    stop.sending = false
    if failure.stopped then return nil, last or failure end
    if failure.unrecorded then return nil, failure end
    last = failure
    if failure.no_slot then -- other programs' tasks occupy all of the key's slots
      slot.key:count_rows(self.ledger)
      loop.sleep(1)
    elseif #client.all_keys > 1 and slot.key.is_unusable(failure) then
      slot.key:disable(failure)
    elseif not retry.may_retry(client, tries, failure, stop) then
      return nil, failure
    end
  end
end

-- Returns the failure for an attempt that sent nothing.
local function not_sent(code, message, stopped)
  return nil, { code = code, message = message, retry = false, sent = "no", stopped = stopped }
end

---Makes one attempt: waits for the key's rate limiter, records the intent, sends the POST request, and records the outcome.
---@param key omni.Key
---@param timeout number  seconds to wait during a pause of the key
---@return string|nil task_id
---@return table|nil failure  `stopped`: the owner didn't want another attempt; `no_slot`: according to the ledger, the key has no free slot
function Submit_methods:try_once(key, timeout)
  local stop, params = self.stop, self.params
  if key ~= self.key then params.balance_before = nil end -- the known balance is another key's balance
  self.key = key
  if self.ledger and params.identity and not params.balance_before then params.balance_before = key:balance(BALANCE_TIMEOUT) end

  local turn <close> = key.transport.limiter:reserve(timeout)
  if not turn then
    if not key.transport.http then return not_sent("closed", "the client was closed") end
    return not_sent("rate_limited", core.format("the service asked omni to wait for longer than %g seconds", self.client.pause_for))
  end
  if stop.requested then
    stop.prevented = true
    return not_sent("cancelled", "not submitted: it was stopped before that", true)
  end
  stop.sending = true

  if not self.ledger then
    local request <close> = key.transport:observe "submit"
    turn:use()
    local id, failure = key.transport:submit(self.body, turn.number, function(...) self:remember_abandoned(...) end, request)
    self:note_outcome(id, failure)
    if failure and failure.code == "submit_unknown" then self:remember_abandoned() end
    return id, failure
  end
  params.account, params.in_flight = key.account, key.limit
  local intended, problem = self:record_intent()
  if not intended then
    problem.retry, problem.sent = problem.retry == true, "no" -- omni can retry if only a pause forbids the attempt
    return nil, problem
  end
  local request <close> = key.transport:observe "submit" -- stays open until the outcome is on disk; closing it reports the request's end
  turn:use()
  stop.row = self.row
  key:own_row(self.ledger, self.row, true)
  self.owns_row, self.begun, self.answered, self.recorded, self.id, self.failure = true, false, false, false, nil, nil
  local id, failure = key.transport:submit(self.body, turn.number, function(...) self:record_abandoned(...) end, request, self)
  self.id, self.failure = id, failure
  self.answered = true
  self:note_outcome(id, failure)
  id, failure = self:record_outcome(id, failure)
  self.owns_row = false
  if id or failure.code ~= "submit_unknown" then key:own_row(self.ledger, self.row, nil) end -- now the slot is the task's or free
  return id, failure
end

---Stores the outcome in the owner's `stop` immediately, since the owner's fiber may be cancelled while the outcome is being recorded.
---@param id string|nil
---@param failure table|nil
function Submit_methods:note_outcome(id, failure)
  self.stop.task_id, self.stop.unknown = id, failure ~= nil and failure.code == "submit_unknown" or nil
end

-- The parameters of a submit that the ledger checks and rewrites on each attempt to send the submit.
local CHECKED <const> = {
  "account", "service", "in_flight", "balance_before", "identity", "board", "budget", "estimate", "instead_of", "idempotency_key",
}

---Writes the submit's ledger row, unless the ledger forbids this submit. One statement checks the identity, the idempotency key, the
---board's budget and the API key's slots.
---@return true|nil
---@return table|nil failure
function Submit_methods:record_intent()
  local verb, params = "intend", self.params
  if self.row then
    verb, params = "retry", { id = self.row }
    for _, name in ipairs(CHECKED) do params[name] = self.params[name] end
  end
  local rows, problem = self.ledger:ask(verb, params, function(late) -- called if the fiber is cancelled before it receives the row
    if late and late[1] then
      self.ledger:note("refuse", { id = late[1].id, error = "cancelled", message = "given up before it was sent" })
    end
  end)
  if not rows then return nil, problem end
  if not rows[1] then return nil, refused_intent.reason(self) end
  self.row = rows[1].id
  self.ledger.sending[self.row] = self
  return true
end

-- The pauses in seconds before each new attempt to record a task id. The disk may be full, or memory short, only for a moment.
local RECORD_AGAIN <const> = { 0.05, 0.2, 1, 2 }

local RECORD_LATER <const>, LATEST <const> = 4, 60 -- in seconds: first and longest pause between background attempts to record an outcome

---Tries to record the last outcome again in the background, until recording succeeds or the client is closed.
---@param verb string
---@param params table
function Submit_methods:record_later(verb, params)
  local ledger <const>, delay = self.ledger, RECORD_LATER
  self.recording, ledger.sending[self.row] = true, self
  loop.background(function()
    repeat
      loop.sleep(delay)
      local fine, rows = pcall(ledger.ask, ledger, verb, params)
      delay = math.min(2 * delay, LATEST)
    until fine and rows or not ledger.handle or not self.key.transport.http
    ledger.sending[self.row] = nil
  end)
end

---Starts recording an outcome, and doesn't wait for the disk. If recording fails, tries again in the background.
---@param verb string
---@param params table
function Submit_methods:note_verb(verb, params)
  self.ledger:note(verb, params, function(rows)
    if not rows and self.key.transport.http then self:record_later(verb, params) end
  end)
end

---Records an outcome. If the ledger fails or memory runs out, tries to record the outcome again: first a few times within seconds, then in
---the background.
---@param verb string
---@param params table
---@return table|nil row
---@return omni.Error|nil problem  nil: the row is gone
function Submit_methods:record(verb, params)
  local function try()
    -- this function is called if the fiber is cancelled while the ledger can't be reached
    local rows, problem = self.ledger:ask(verb, params, function(late)
      if params.task_id and not (late and late[1]) then
        self.client:warn(("the task %s was accepted, but its id could not be recorded: keep it"):format(core.clean(params.task_id)))
      end
    end)
    return rows and rows[1], problem
  end
  local tries = 0
  while true do
    local fine, row, problem = pcall(try)
    if not fine then row, problem = nil, err.new { code = "ledger_failed", message = tostring(row) } end
    tries = tries + 1
    if not problem or not self.key.transport.http then return row, problem end
    if not RECORD_AGAIN[tries] then
      self:record_later(verb, params)
      return nil, problem
    end
    loop.sleep(RECORD_AGAIN[tries])
  end
end

---Writes a submit's outcome into its ledger row.
---@param id string|nil
---@param failure table|nil
---@return string|nil task_id
---@return table|nil failure  `unrecorded`: the row doesn't allow another attempt, since the ledger failed
function Submit_methods:record_outcome(id, failure)
  if self.recorded then return id, failure end -- the client was closed, and record_abandoned has recorded the outcome
  local verb, params = verb_for(self, id, failure)
  self:replace_unknown(verb)
  local row, problem = self:record(verb, params)
  if id and row then return id end
  if id then
    return nil, { code = "ledger_failed", task_id = id, sent = "answered",
      message = "the task was accepted, but its id could not be recorded: " .. (problem and problem.message or "its row is gone"),
      hint = "keep the task id: omni tries to record it only until this program ends; assign it to a scene with"
        .. " omni run BOARD --adopt SCENE TASK_ID" }
  end
  failure.unrecorded = problem ~= nil or nil
  if verb == "mark_unknown" then
    failure.row = self.row
    if not problem then
      params.balance_after = self.key:balance(BALANCE_TIMEOUT)
      self.ledger:note(verb, params)
    end
  end
  return nil, failure
end

---Records the outcome without waiting. `record_abandoned` is called when the submit's own fiber can't record the outcome, because the fiber
---was cancelled or the client is being closed.
---@param id string|nil
---@param failure table|nil  if both are nil, the outcome is unknown
function Submit_methods:record_abandoned(id, failure)
  self.recorded = true
  self.stop.unknown, self.stop.task_id = not id and not failure or nil, id
  local verb, params = verb_for(self, id, failure or not id and abandoned or nil)
  if not id and not failure then params.error = "cancelled" end
  self:replace_unknown(verb)
  self:note_verb(verb, params)
  if self.key.limit and self.key.transport.http then -- from now on, the row counts as another program's row
    loop.background(self.key.count_rows, self.key, self.ledger)
  end
end

---Stores the outcome of an abandoned submit request in memory, for a client without a ledger.
---@param id? string
---@param failure? table
function Submit_methods:remember_abandoned(id, failure)
  if failure and failure.code ~= "submit_unknown" then return end
  local stop, unknown = self.stop, self.client.unknown
  stop.unknown, stop.task_id = not id or nil, id
  unknown[#unknown + 1] = { model = self.model, input = self.input, at = os.time(), task_id = id }
end

abandoned = { code = "submit_unknown", message = "omni gave up waiting for the response to the submit" }

-- Returns the ledger's verb for an outcome, and the verb's parameters.
function verb_for(self, id, failure)
  if id then return "accept", { id = self.row, task_id = id } end
  local verb = failure.code == "submit_unknown" and "mark_unknown" or "refuse"
  return verb, { id = self.row, error = failure.code, message = core.clean(failure.message or "", 500) }
end

---If this submit replaces an older submit with an unknown outcome, abandons the older submit once the new one has been sent.
---@param verb string
function Submit_methods:replace_unknown(verb)
  local params = self.params
  if not params.instead_of or verb == "refuse" then return end
  self.ledger:note("replace", { instead_of = params.instead_of, identity = params.identity, service = params.service })
end

-- Ends a submit. Runs when a submit request ends. If the submit still owns its row, then the fiber was cancelled or memory ran out, either
-- before the POST request began or before the outcome was recorded.
function Submit_mt:__close()
  if self.row and not self.recording then self.ledger.sending[self.row] = nil end -- `settle_abandoned` runs after the verbs queued below
  if not self.owns_row then return end
  self.key:own_row(self.ledger, self.row, nil)
  if self.recorded then return end
  if self.answered or self.begun then
    self:record_abandoned(self.id, self.failure)
    if self.answered then self:note_outcome(self.id, self.failure) end
  else
    self:note_verb("refuse", { id = self.row, error = "cancelled", message = "given up before it was sent" })
  end
end

-- --- the start of a submit

local ABOUT <const> = { "board", "scene", "identity", "base", "take", "form", "estimate", "budget", "instead_of" }

-- Creates the object for one submit request. Doesn't write to the ledger.
function open(client, request, opts, token_hash, form)
  local about = opts.about or {}
  local ledger, problem = about.ledger, nil
  if not ledger then ledger, problem = client:ledger() end
  if problem then return nil, problem end
  local params = {
    service = client.service, sandbox = client.is_sandbox, model = request.model, input = request.input_text, token = token_hash,
    tag = opts.tag, idempotency_key = opts.idempotency_key, form = form,
  }
  for _, name in ipairs(ABOUT) do params[name] = about[name] or params[name] end
  return setmetatable({
    client = client, body = request.body, ledger = ledger, params = params, stop = opts.stop or {},
    model = request.model, input = request.input,
  }, Submit_mt)
end

-- Represents the token in a submit's callback URL, if the client has a receiver. If the submit's fiber is cancelled, the receiver reads the
-- submit's outcome from the ledger.
local Token_methods = {}
local Token_mt = { __index = Token_methods }

function new_callback_token(client, callback_url)
  local token = setmetatable({ receiver = not callback_url and client.receiver or nil, url = callback_url }, Token_mt)
  if token.receiver then token.url, token.hash = token.receiver:issue() end
  return token
end

function Token_methods:settle(task, problem)
  local receiver = self.receiver
  self.receiver = nil
  if receiver then receiver:submit_ended(self.hash, task, problem) end
end

function Token_mt:__close()
  if self.receiver then self.receiver.tokens:forget(self.hash) end
end

---Returns the error for a submit request that omni cancelled at its deadline. The error states whatever omni knows about the outcome.
---@param stop omni.Stop         the submit's `stop`
---@param problem omni.Error     the timeout error
---@return omni.Error
local function timeout_error(stop, problem)
  if stop.task_id then
    problem.sent, problem.task_id = "answered", stop.task_id
    problem.message = problem.message .. ", but the task was accepted"
    problem.hint = "the task goes on; await it with client:task(task_id):await()"
    return problem
  elseif not stop.unknown then
    problem.sent, problem.message = "no", "not submitted: " .. problem.message
    return problem
  end
  return err.new {
    code = "submit_unknown", sent = "maybe", row = stop.row, cause = problem,
    message = "the outcome of this submit is unknown: no response arrived before the deadline: " .. problem.message,
    hint = stop.row and ("it may have been accepted and charged; it is number %d in the ledger"):format(stop.row)
      or "it may have been accepted and charged; client:unknown_submits() lists it",
  }
end

-- --- the hook for programs that run scripts

local around

---Sets a hook that wraps every submit in this Lua state: `hook(stop, run)` calls `run()` and returns its results. `omni lua` uses the hook
---to stop a script's submits without losing a task id.
---@param hook fun(stop: omni.Stop, run: fun(): omni.Task|nil, omni.Error|nil): omni.Task|nil, omni.Error|nil
local function set_around(hook)
  around = hook
end

---Submits a task; see `submit_task`.
---@param client omni.Client
---@param input table
---@param opts table
---@return omni.Task|nil
---@return omni.Error|nil
local function submit(client, input, opts)
  if not around then return submit_task(client, input, opts) end
  local stop, copy = opts.stop or {}, {}
  for name, value in pairs(opts) do copy[name] = value end
  copy.stop = stop
  return around(stop, function() return submit_task(client, input, copy) end)
end

return { set_around = set_around, submit = submit, timeout_error = timeout_error }
