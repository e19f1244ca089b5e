-- SPDX-License-Identifier: MIT
-- What the service says of a task: in the answer to a query, and in a callback.

local json = require "omni.json"

local task_object = json.shape {
  "task_id", "provider", "model_version", "status", "param", "create_at", "complete_at", "duration_s", "credits", "result", "source",
}
local param_object = json.shape { "model", "callback_url", "input" }
local result_object = json.shape { "code", "message", "media_urls", "media_info", "usage" }
local media_object = json.shape { "type", "format", "duration?", "aspect_ratio", "resolution?" }
local usage_object = json.shape { "credits" }
local envelope = json.shape { "code", "message", "data" }
local invalid = json.shape { "code", "message", "errors" } -- of a request that isn't valid: no `data`

---@class omni.sandbox.Said  what is to be said of a task
---@field id string
---@field model string
---@field input string            JSON text
---@field callback_url string|nil
---@field status string
---@field created integer         Unix seconds
---@field completed integer|nil   Unix seconds; of a final one
---@field took integer|nil        seconds; of a final one
---@field credits number
---@field clip table              what it made (price.lua)
---@field media string[]          URLs; of a success
---@field reason string|nil       of a failure

local results = {}

function results.success(said)
  local clip = said.clip
  return result_object {
    code = 200, message = "success", media_urls = said.media,
    media_info = media_object {
      type = clip.image and "image" or "video", format = clip.image or "mp4", duration = clip.seconds,
      aspect_ratio = clip.aspect_ratio, resolution = not clip.image and clip.resolution or nil,
    },
    usage = usage_object { credits = said.credits },
  }
end

function results.failed(said)
  return result_object { code = 501, message = said.reason, media_urls = {} }
end

---The task object of the contract, to be encoded.
---@param said omni.sandbox.Said
---@return table
local function task(said)
  local vendor, version = said.model:match "^([^/]+)/(.+)$"
  local provider = (vendor or "sandbox"):gsub("^%l", string.upper)
  local result = results[said.status]
  return task_object {
    task_id = said.id,
    provider = provider,
    model_version = version or said.model,
    status = said.status,
    param = param_object { model = said.model, callback_url = said.callback_url, input = json.raw(said.input) },
    create_at = said.created, complete_at = said.completed, duration_s = said.took, credits = said.credits,
    result = result and result(said) or nil,
    source = "api",
  }
end

-- What a proxy says under HTTP 200 when the service behind it is down.
local garbage <const> = "<!DOCTYPE html>\n<html><body><h1>We'll be back soon</h1></body></html>\n"

return { envelope = envelope, garbage = garbage, invalid = invalid, task = task }
