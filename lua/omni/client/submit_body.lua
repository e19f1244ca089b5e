-- SPDX-License-Identifier: MIT
-- What is sent with a submit or an estimate: the input, checked against what the model accepts, with its local files uploaded, as JSON.

local asset = require "omni.client.placeholder"
local core = require "omni.core"
local err = require "omni.error"
local input_rules = require "omni.models.input_rules"
local json = require "omni.json"
local models = require "omni.models"

local fresh <const> = 60 -- seconds for which an upload is surely there

---@class omni.Request
---@field model string
---@field input table        checked, ready to be sent
---@field input_text string  JSON
---@field body string        JSON
---@field reused boolean     a file in it was uploaded before this call, and may be gone by now

-- An asset's URL; one that could be, where only a price is asked.
local function url_of(client, file, place, how)
  if how.stand_in then return asset.stand_in(file) end
  if file.kind ~= "file" then
    return nil, err.new { code = "invalid_input", field = place,
      message = ("%s: has no URL yet (%s); it stands for a scene of a storyboard"):format(place, tostring(file)) }
  end
  local sent, problem = client:upload(file.path, { again = how.again })
  if not sent then
    problem.field, problem.message = place, place .. ": " .. problem.message
    return nil, problem
  end
  how.reused = how.reused or sent.reused and sent.age > fresh
  return sent.url
end

---Makes a request. Files are uploaded, which costs nothing.
---@param client omni.Client
---@param given table
---@param opts { model?: string, callback_url?: string }
---@param how { stand_in?: boolean, again?: boolean }  stand_in: nothing is uploaded, as only a price is asked; again: files are uploaded
---  though they were before
---@return omni.Request|nil
---@return omni.Error|nil
local function make(client, given, opts, how)
  local model = opts.model or input_rules.default_model
  if model == "" or not utf8.len(model) then
    return nil, err.new { code = "invalid_input", field = "model", message = "model: must be the name of a model" }
  end
  local callback_url, wrong
  if opts.callback_url then callback_url, wrong = core.normalize_url(opts.callback_url) end
  if wrong then return nil, err.new { code = "invalid_input", field = "callback_url", message = "callback_url: " .. wrong } end
  local input, problem = models.check(client, model, given, true)
  if not input then return nil, problem end
  input, problem = asset.map(input, function(file, place) return url_of(client, file, place, how) end)
  if problem then return nil, problem end
  local request = { model = model, input = input, reused = how.reused == true }
  request.input_text, problem = json.encode(input, "input")
  if problem then return nil, problem end
  request.body, problem = json.encode({ model = model, input = input, callback_url = callback_url }, "input")
  if problem then return nil, problem end
  return request
end

return { make = make }
