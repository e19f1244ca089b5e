-- SPDX-License-Identifier: MIT
-- Prepares the input of a submit or an estimate request: checks it against the model's rules, uploads the local files in it, and encodes it
-- as JSON.

local placeholder = require "omni.client.placeholder"
local core = require "omni.core"
local err = require "omni.error"
local input_rules = require "omni.models.input_rules"
local json = require "omni.json"
local models = require "omni.models"

local FRESH <const> = 60 -- for this many seconds after an upload, the service certainly has the uploaded file

---@class omni.PreparedInput
---@field model string
---@field input table        the checked input, ready to be sent
---@field input_text string  JSON
---@field body string        JSON
---@field reused boolean     whether the input contains a file that was uploaded before this call and may have expired

-- Returns the URL that replaces a placeholder in the request. For an estimate request, returns an invented URL.
local function url_of(client, file, place, how)
  if how.no_upload then return placeholder.example_url(file) end
  if file.kind ~= "file" then
    return nil, err.new { code = "invalid_input", field = place,
      message = ("%s: has no URL yet (%s); only a storyboard can resolve it"):format(place, tostring(file)) }
  end
  local sent, problem = client:upload(file.path, { again = how.upload_again })
  if not sent then
    problem.field, problem.message = place, place .. ": " .. problem.message
    return nil, problem
  end
  how.reused = how.reused or sent.reused and sent.age > FRESH
  return sent.url
end

---Prepares an input, and creates the request's body. Uploads the input's local files, which costs nothing.
---@param client omni.Client
---@param given table  the input
---@param opts { model?: string, callback_url?: string }
---@param how { no_upload?: boolean, upload_again?: boolean }  no_upload: for an estimate; upload_again: don't reuse earlier uploads
---@return omni.PreparedInput|nil
---@return omni.Error|nil
local function prepare(client, given, opts, how)
  local model = opts.model or input_rules.default_model
  if model == "" or not utf8.len(model) then
    return nil, err.new { code = "invalid_input", field = "model", message = "model: must be the name of a model" }
  end
  local callback_url, wrong
  if opts.callback_url then callback_url, wrong = core.normalize_url(opts.callback_url) end
  if wrong then return nil, err.new { code = "invalid_input", field = "callback_url", message = "callback_url: " .. wrong } end
  local input, problem = models.check(client, model, given, true)
  if not input then return nil, problem end
  input, problem = placeholder.map(input, function(file, place) return url_of(client, file, place, how) end)
  if problem then return nil, problem end
  local request = { model = model, input = input, reused = how.reused == true }
  request.input_text, problem = json.encode(input, "input")
  if problem then return nil, problem end
  request.body, problem = json.encode({ model = model, input = input, callback_url = callback_url }, "input")
  if problem then return nil, problem end
  return request
end

return prepare
