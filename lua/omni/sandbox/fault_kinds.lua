-- SPDX-License-Identifier: MIT
-- Lists the faults that the sandbox can simulate (docs/sandbox.md), one per row.

local http_date = require("omni.sandbox.response").http_date
local payload = require "omni.sandbox.task_payload"

-- Returns an effect that replaces the response with an error response that has the given code. `status` is the HTTP status, which is either
-- the same as the code or 200.
local function answering(status, code, message)
  return function(response, fault)
    local wait = fault.retry_after
    response.status, response.code, response.message = status, code, message
    response.data, response.errors, response.body = nil, nil, nil
    response.headers = { ["Retry-After"] = wait and (wait.seconds or http_date(os.time() + wait.ahead)) or nil }
  end
end

local function hang_up(response, fault)
  response.drop, response.reset = true, fault.reset
end

local function cut(response, fault)
  response.cut, response.reset = true, fault.reset
end

-- Serves only the first half of a file, with a Content-Length that matches this half.
local function shorten(response)
  if type(response.body) == "table" then response.body.length = response.body.length // 2 end
end

local function note(plan, fault)
  plan.notes[#plan.notes + 1] = fault.row.name
end

local function with_body(context) return context.method ~= "HEAD" end
local function from_start(context)
  return with_body(context) and (not context.range or context.range:find "^bytes=0%-" ~= nil)
end

local function whole(context) return with_body(context) and not context.range end

---@class omni.sandbox.FaultRow
---@field name string
---@field about string
---@field when "task"|"callback"|"before"|"after"  changes a task, its callbacks, or a request before or after the endpoint runs
---@field on? table<string, boolean>    the kinds of requests, if they are fixed; the fault then has no `on` key
---@field keys? string[]                keys in addition to those of every fault
---@field only? fun(context: table): boolean
---@field effect fun(subject: table, fault: table)  changes the task's outcome, the plan of its callbacks, or the response

---@type omni.sandbox.FaultRow[]
local rows = {
  { name = "fail", when = "task", on = { task = true }, keys = { "reason" }, about = "the task fails (its result has code 501)",
    effect = function(fate, fault)
      fate.ends, fate.reason = "failed", fault.reason or "the sandbox was asked to let this task fail"
    end },
  { name = "no-media", when = "task", on = { task = true }, about = "the task succeeds, but without a media URL",
    effect = function(fate) fate.no_media = true end },
  { name = "never", when = "task", on = { task = true }, about = "the task runs and never ends",
    effect = function(fate) fate.never = true end },
  { name = "drop-before", when = "before", keys = { "reset" }, effect = hang_up,
    about = "the connection is closed before the request is handled; nothing is charged" },
  { name = "drop-after", when = "after", keys = { "reset" }, effect = hang_up,
    about = "the request is handled and charged; then the connection is closed without a response" },
  { name = "cut", when = "after", keys = { "reset" }, effect = cut, only = with_body,
    about = "the response ends in the middle" },
  { name = "garbage", when = "after", about = "the response is an HTML page with HTTP status 200",
    effect = function(response)
      response.status, response.headers = 200, { ["Content-Type"] = "text/html" }
      response.body = payload.garbage
    end },
  { name = "slow", when = "after", keys = { "delay" }, about = "the request is handled, and the response is late (delay=2)",
    effect = function(response, fault) response.delay = (response.delay or 0) + (fault.delay or 2) end },
  { name = "media-cut", when = "after", on = { media = true }, keys = { "reset" }, effect = cut, only = from_start,
    about = "a download from a clip's beginning ends in the middle; a download that continues (Range) doesn't" },
  { name = "media-short", when = "after", on = { media = true }, effect = shorten, only = whole,
    about = "a download of a whole clip gets only its first half, with a Content-Length that matches" },
  { name = "media-expired", when = "before", on = { media = true }, about = "a clip no longer exists: HTTP status 403",
    effect = answering(403, 403, "this file has expired") },
  { name = "upload-expired", when = "before", on = { upload = true }, about = "the presigned URL of an upload has expired: HTTP status 403",
    effect = answering(403, 403, "the presigned URL has expired") },
}

-- Faults in callbacks (callbacks.lua).
local callback_rows = {
  { name = "callback-late", keys = { "delay" }, about = "the callback is sent some time after its task's end (delay=2)",
    effect = function(plan, fault)
      plan.delay = plan.delay + (fault.delay or 2)
      note(plan, fault)
    end },
  { name = "callback-early", about = "the callback is sent before the response to the submit, which is held back until then",
    effect = function(plan, fault)
      plan.early = true
      note(plan, fault)
    end },
  { name = "callback-wrapped", about = "the callback's body has a response's envelope",
    effect = function(plan, fault)
      plan.wrapped = true
      note(plan, fault)
    end },
  { name = "callback-twice", keys = { "delay" }, about = "the callback is sent a second time, at once or later (delay=0)",
    effect = function(plan, fault) plan.twice = fault.delay or 0 end },
  { name = "callback-never", about = "the callback isn't sent", effect = function(plan) plan.never = true end },
  { name = "callback-forged", keys = { "kind" }, about = "while the task runs, a forged callback is sent (kind=status)",
    effect = function(plan, fault) plan.forged[#plan.forged + 1] = fault.kind or "status" end },
  { name = "callback-stale", keys = { "delay" }, about = "a callback that says \"running\" follows, at once or later (delay=0)",
    effect = function(plan, fault) plan.stale = fault.delay or 0 end },
}
for _, row in ipairs(callback_rows) do
  row.when, row.on = "callback", { callback = true }
  rows[#rows + 1] = row
end

local codes = {
  { 401, "this key isn't valid" }, { 402, "not enough credits" }, { 403, "this key is disabled" }, { 404, "no such resource" },
  { 429, "rate limited" }, { 455, "under maintenance" }, { 500, "unexpected server error" },
  { 503, "temporarily unavailable" }, { 505, "this feature is disabled" },
}
for _, row in ipairs(codes) do
  local code, message = row[1], row[2]
  rows[#rows + 1] = { name = "status-" .. code, when = "before", keys = { "retry_after", "when" },
    about = ("HTTP status %d: %s"):format(code, message), effect = answering(code, code, message) }
  rows[#rows + 1] = { name = "envelope-" .. code, when = "before", keys = { "retry_after", "when" },
    about = ("HTTP status 200 with code %d in the envelope"):format(code), effect = answering(200, code, message) }
end

return rows
