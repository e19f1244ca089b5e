-- SPDX-License-Identifier: MIT
-- Implements idempotency keys: if the ledger already contains a submit's key, the submit sends nothing and returns the outcome of the first
-- submit with that key. The SQL statement that records a submit's intent decides whether a key is unused (csrc/ledger/verbs.h,
-- KEY_IS_FREE); this module only reports the decision.

local core = require "omni.core"
local err = require "omni.error"
local input_difference = require "omni.client.input_difference"
local input_rules = require "omni.models.input_rules"
local json = require "omni.json"
local ledger_search = require "omni.client.ledger_search"
local loop = require "omni.loop"
local placeholder = require "omni.client.placeholder"

local FIRST_WAIT <const>, LONGEST_WAIT <const> = 0.02, 1 -- first and longest pause between two checks of a running submit
local PATIENCE <const> = 60 -- number of seconds, in addition to a call's timeout, for which omni waits for another submit with the same key

---@class omni.IdempotentSubmit
---@field client omni.Client
---@field ledger omni.Ledger
---@field key string
---@field form string  the model and the input as canonical JSON, with digests in place of files. Submits with equal forms are equal
local Submit_methods = {}
local Submit_mt = { __name = "omni.idempotent_submit", __index = Submit_methods }

-- Returns the error for an idempotency key that was already used with another input.
local function conflict(self, row)
  local first, this = json.decode(row.form or "{}"), json.decode(self.form)
  local found = input_difference.list(this, first, { one = "this submit", other = ("number %d"):format(row.id) })
  return err.new {
    code = "idempotency_conflict", field = "idempotency_key", row = row.id, task_id = row.task_id, sent = "no",
    message = ('not submitted: the idempotency key "%s" belongs to another input, number %d in the ledger: %s'):format(
      core.clean(self.key), row.id, #found > 0 and table.concat(found, "; ") or "they differ in empty fields"),
    hint = "a new order needs a new key; the same key always means the same model and input",
  }
end

-- Returns the error for an idempotency key that was already used with another service.
local function elsewhere(self, row)
  return err.new {
    code = "already_submitted", row = row.id, task_id = row.task_id, sent = "no",
    message = ('not submitted: the idempotency key "%s" belongs to number %d in the ledger, which was submitted to %s'):format(
      core.clean(self.key), row.id, core.clean(row.service or "another service", 200)),
    hint = "use a client for that service, or another ledger",
  }
end

---Returns the outcome of the earlier submit with this idempotency key: its task, even if the task has failed, or an error. If that submit
---is still in progress in this or another program, waits for it. Returns nothing if the key is unused.
---@param stop omni.Stop|nil
---@return omni.Task|nil
---@return omni.Error|nil
function Submit_methods:earlier(stop)
  local wait, deadline = FIRST_WAIT, nil
  while true do
    local row, problem = self.ledger:row("live_with_key", { idempotency_key = self.key })
    if problem then return nil, problem end
    if row then row, problem = self.ledger:settle_abandoned(row) end
    if not row then return nil, problem end
    if row.form ~= self.form then return nil, conflict(self, row) end
    if row.service ~= self.client.service then return nil, elsewhere(self, row) end
    if row.state == "unknown" then return nil, ledger_search.unknown_error(row) end
    if row.state ~= "intended" then return ledger_search.task_of(self.client, self.ledger, row) end

    deadline = deadline or core.now() + self.client.timeout + PATIENCE
    if core.now() >= deadline then
      row.message = "the first submit with its idempotency key has no response yet"
      return nil, ledger_search.unknown_error(row)
    end
    if stop and stop.requested then
      return nil, err.new { code = "cancelled", sent = "no", message = "not submitted: it was stopped before that" }
    end
    loop.sleep(wait)
    wait = math.min(1.5 * wait, LONGEST_WAIT)
  end
end

-- Returns a model and an input as canonical JSON.
local function form_of(ledger, model, input)
  local plain, problem = placeholder.map(input, function(file, place)
    -- the submit will return an error, since only a storyboard can resolve this kind of placeholder
    if file.kind ~= "file" then return tostring(file) end
    local sha256, why = ledger:digest(file.path)
    if not sha256 then
      why.field, why.message = place, place .. ": " .. why.message
      return nil, why
    end
    return { sha256 = sha256 }
  end)
  if not plain then return nil, problem end
  local text
  text, problem = json.encode(plain, "input") -- checks what `canonical` expects
  if not text then return nil, problem end
  return json.canonical { model = model, input = plain }
end

---Prepares a submit with an idempotency key.
---@param client omni.Client  a client with a ledger
---@param key string
---@param model string|nil
---@param input table
---@return omni.IdempotentSubmit|nil
---@return omni.Error|nil  codes: invalid_input, io, ledger_failed
local function new(client, key, model, input)
  local ledger, problem = client:ledger()
  if not ledger then return nil, problem end
  local form
  form, problem = form_of(ledger, model or input_rules.default_model, input)
  if not form then return nil, problem end
  return setmetatable({ client = client, ledger = ledger, key = key, form = form }, Submit_mt)
end

return { new = new }
