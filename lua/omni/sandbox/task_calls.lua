-- SPDX-License-Identifier: MIT
-- The sandbox's calls that make and tell of tasks. Each: (service, request) → response.

local faults = require "omni.sandbox.faults"
local json = require "omni.json"
local reply = require "omni.sandbox.response"
local stored = require "omni.sandbox.stored_files"
local wanted_of = require "omni.sandbox.submit_body"

local accepted_object = json.shape { "task_id" }
local estimate_object = json.shape { "estimated_credits", "balance", "affordable" }
local balance_object = json.shape { "balance" }
local older_object = json.shape { "credits", "estimated" }

local jobs = {}

-- Has the task's callbacks sent. Returns what its submit's answer must wait for, if anything.
local function announce(self, task)
  if not task.callback_url or not self.callbacks then return nil end
  local plan = self.callbacks:plan {
    task = task, tasks = self.tasks, media_urls = stored.media_urls(self, task), forged_url = stored.forged_url(self),
  }
  faults.apply(self.faults:strike("callback", { prompt = task.prompt, key = task.account.number }), "callback", plan)
  return self.callbacks:expect(plan)
end

-- Why an account can't have this task, or nil.
local function objection(self, account, wanted)
  if wanted.credits > account.balance then
    return reply.refuse(402, ("not enough credits: this task costs %s, the balance is %s"):format(
      json.text(wanted.credits), json.text(account.balance)), nil, balance_object { balance = account.balance })
  end
  if account.in_flight and self.accounts:count(account, self.tasks) >= account.in_flight then
    return reply.refuse(500, "Internal Error") -- all that the service is known to say of it
  end
end

function jobs.create(self, request)
  local wanted, wrong = wanted_of.check(request.read)
  wrong = wrong or stored.lost_reference(self, wanted.given)
  if wrong then return reply.refuse(422, wrong) end
  local account = request.account
  local refused = objection(self, account, wanted)
  if refused then return refused end
  wanted.account, wanted.fate = account, { ends = "success" }
  faults.apply(self.faults:strike("task", { prompt = wanted.prompt, key = account.number }), "task", wanted.fate)
  local task = self.tasks:accept(wanted)
  local response = reply.success(accepted_object { task_id = task.id })
  response.wait = announce(self, task)
  return response
end

function jobs.estimate(_, request)
  local wanted, wrong = wanted_of.check(request.read)
  if not wanted then return reply.refuse(422, wrong) end
  local balance = request.account.balance
  return reply.success(estimate_object {
    estimated_credits = wanted.credits, balance = balance, affordable = wanted.credits <= balance,
  })
end

function jobs.older_estimate(_, request)
  local wanted, wrong = wanted_of.check(request.read)
  if not wanted then return reply.refuse(422, wrong) end
  return reply.success(older_object { credits = wanted.credits, estimated = true })
end

function jobs.query(self, request)
  if not request.task_id or request.task_id == "" then return reply.refuse(422, "task_id: this query parameter is required") end
  local task = request.task
  if not task or task.account ~= request.account then return reply.refuse(404, "no such task") end
  return reply.success(self.tasks:describe(task, stored.media_urls(self, task)))
end

return jobs
