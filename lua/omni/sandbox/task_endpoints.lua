-- SPDX-License-Identifier: MIT
-- The sandbox's endpoints for tasks: submit, estimate, query. Each endpoint is a function (service, request) → response.

local catalogue = require "omni.sandbox.catalogue"
local core = require "omni.core"
local faults = require "omni.sandbox.faults"
local files = require "omni.sandbox.served_files"
local inputs = require "omni.models.input_rules"
local json = require "omni.json"
local price = require "omni.sandbox.price"
local response = require "omni.sandbox.response"

local accepted_object = json.shape { "task_id" }
local estimate_object = json.shape { "estimated_credits", "balance", "affordable" }
local balance_object = json.shape { "balance" }
local older_object = json.shape { "credits", "estimated" }

local endpoints = {}

-- --- the body of a submit or an estimate

---Reads a request's body as JSON. If the body isn't valid JSON, the result's field `wrong` contains the error message, for endpoints that
---need the body.
---@param text string
---@return { fields: table, texts?: table<string, string>, wrong?: string }  texts: each field's JSON text, unchanged
function endpoints.read_body(text)
  local value, message = json.decode(text)
  if value == nil then return { wrong = "the body isn't JSON: " .. message, fields = {} } end
  if not text:find "^%s*{" then return { wrong = "the body must be a JSON object", fields = {} } end
  return { fields = value, texts = json.members(text) }
end

local function without_nulls(input)
  local fields = {}
  for name, value in pairs(input) do
    if value ~= json.null then fields[name] = value end
  end
  return fields
end

-- Checks a submit's body in the same way as the service. Returns the argument for `tasks:accept`, or nil and an error message that names
-- the field.
local function check(body)
  if body.wrong then return nil, body.wrong end
  local name, input, callback_url = body.fields.model, body.fields.input, body.fields.callback_url
  if type(name) ~= "string" or name == "" then return nil, "model: a string is required" end
  if type(input) ~= "table" or not body.texts.input:find "^{" then return nil, "input: an object is required" end
  if callback_url == json.null then callback_url = nil end
  if callback_url then
    local usable, failure = inputs.url(callback_url, "callback_url")
    if not usable then return nil, failure.message end
  end
  local model = catalogue.find(name)
  if not model then return nil, ("model: there is no '%s'; %s"):format(core.clean(name, 60), catalogue.unknown(core.clean(name, 60))) end
  local checked, message = catalogue.check(model, without_nulls(input))
  if not checked then return nil, message end
  local clip, credits = price.of(model, checked)
  local prompt = type(checked.prompt) == "string" and checked.prompt or nil
  clip.prompt = prompt or name
  return {
    model = name, input = body.texts.input, given = checked, prompt = prompt, callback_url = callback_url, credits = credits, clip = clip,
  }
end

-- --- the endpoints

-- Schedules the task's callbacks. If the response to the submit must wait for the callbacks, returns a function that waits for them.
local function announce(service, task)
  if not task.callback_url or not service.callbacks then return nil end
  local plan = service.callbacks:plan {
    task = task, tasks = service.tasks, media_urls = files.media_urls(service, task), forged_url = files.forged_url(service),
  }
  faults.apply(service.faults:strike("callback", { prompt = task.prompt, key = task.account.number }), "callback", plan)
  return service.callbacks:schedule(plan)
end

-- Returns an error response if an account can't submit this task, and nil if it can.
local function objection(service, account, wanted)
  if wanted.credits > account.balance then
    return response.refuse(402, ("not enough credits: this task costs %s, the balance is %s"):format(
      json.text(wanted.credits), json.text(account.balance)), nil, balance_object { balance = account.balance })
  end
  if account.in_flight and service.accounts:count(account, service.tasks) >= account.in_flight then
    return response.refuse(500, "Internal Error") -- the real service's error message is just as unspecific
  end
end

function endpoints.submit(service, request)
  local wanted, wrong = check(request.read)
  wrong = wrong or files.lost_reference(service, wanted.given)
  if wrong then return response.refuse(422, wrong) end
  local account = request.account
  local refused = objection(service, account, wanted)
  if refused then return refused end
  wanted.account, wanted.fate = account, { ends = "success" }
  faults.apply(service.faults:strike("task", { prompt = wanted.prompt, key = account.number }), "task", wanted.fate)
  local task = service.tasks:accept(wanted)
  local accepted = response.success(accepted_object { task_id = task.id })
  accepted.wait = announce(service, task)
  return accepted
end

function endpoints.estimate(_, request)
  local wanted, wrong = check(request.read)
  if not wanted then return response.refuse(422, wrong) end
  local balance = request.account.balance
  return response.success(estimate_object {
    estimated_credits = wanted.credits, balance = balance, affordable = wanted.credits <= balance,
  })
end

function endpoints.older_estimate(_, request)
  local wanted, wrong = check(request.read)
  if not wanted then return response.refuse(422, wrong) end
  return response.success(older_object { credits = wanted.credits, estimated = true })
end

function endpoints.query(service, request)
  if not request.task_id or request.task_id == "" then return response.refuse(422, "task_id: this query parameter is required") end
  local task = request.task
  if not task or task.account ~= request.account then return response.refuse(404, "no such task") end
  return response.success(service.tasks:describe(task, files.media_urls(service, task)))
end

return endpoints
