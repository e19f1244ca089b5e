-- SPDX-License-Identifier: MIT
-- Makes task objects. A task object is the data in the response to a query, and also the body of a callback.

local json = require "omni.json"

local task_object = json.shape {
  "task_id", "provider", "model_version", "status", "param", "create_at", "complete_at", "duration_s", "credits", "result", "source",
}
local param_object = json.shape { "model", "callback_url", "input" }
local result_object = json.shape { "code", "message", "media_urls", "media_info", "usage" }
local media_object = json.shape { "type", "format", "duration?", "aspect_ratio", "resolution?" }
local usage_object = json.shape { "credits" }
local envelope = json.shape { "code", "message", "data" }
local invalid = json.shape { "code", "message", "errors" } -- the response to an invalid request has no field `data`

---@class omni.sandbox.TaskValues  the values of a task object
---@field id string
---@field model string
---@field input string            JSON text
---@field callback_url string|nil
---@field status string
---@field created integer         Unix seconds
---@field completed integer|nil   Unix seconds; for a final task
---@field took integer|nil        seconds; for a final task
---@field credits number
---@field clip table              its output (price.lua)
---@field media string[]          URLs; for a success
---@field reason string|nil       for a failure

local results = {}

function results.success(values)
  local clip = values.clip
  return result_object {
    code = 200, message = "success", media_urls = values.media,
    media_info = media_object {
      type = clip.image and "image" or "video", format = clip.image or "mp4", duration = clip.seconds,
      aspect_ratio = clip.aspect_ratio, resolution = not clip.image and clip.resolution or nil,
    },
    usage = usage_object { credits = values.credits },
  }
end

function results.failed(values)
  return result_object { code = 501, message = values.reason, media_urls = {} }
end

---Returns a task object that json.text can convert to JSON.
---@param values omni.sandbox.TaskValues
---@return table
local function task(values)
  local vendor, version = values.model:match "^([^/]+)/(.+)$"
  local provider = (vendor or "sandbox"):gsub("^%l", string.upper)
  local result = results[values.status]
  return task_object {
    task_id = values.id,
    provider = provider,
    model_version = version or values.model,
    status = values.status,
    param = param_object { model = values.model, callback_url = values.callback_url, input = json.raw(values.input) },
    create_at = values.created, complete_at = values.completed, duration_s = values.took, credits = values.credits,
    result = result and result(values) or nil,
    source = "api",
  }
end

-- A page like one that a proxy sends with HTTP status 200 when the service behind the proxy is down.
local garbage <const> = "<!DOCTYPE html>\n<html><body><h1>We'll be back soon</h1></body></html>\n"

return { envelope = envelope, garbage = garbage, invalid = invalid, task = task }
