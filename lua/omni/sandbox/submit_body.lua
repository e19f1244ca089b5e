-- SPDX-License-Identifier: MIT
-- The body of a submit or an estimate, read and checked: what a task is made of.
--
-- Takes omni.input by name: a URL that the library refuses is none for the service, either.

local catalogue = require "omni.sandbox.catalogue"
local core = require "omni.core"
local inputs = require "omni.models.input_rules"
local json = require "omni.json"
local price = require "omni.sandbox.price"

---Reads a body: its members decoded, and their texts. What is wrong with it is kept for later.
---@param text string
---@return { fields: table, texts?: table<string, string>, wrong?: string }
local function read(text)
  local value, message = json.decode(text)
  if value == nil then return { wrong = "the body isn't JSON: " .. message, fields = {} } end
  if not text:find "^%s*{" then return { wrong = "the body must be a JSON object", fields = {} } end
  return { fields = value, texts = json.members(text) }
end

-- A field that is null isn't given.
local function given(input)
  local fields = {}
  for name, value in pairs(input) do
    if value ~= json.null then fields[name] = value end
  end
  return fields
end

---Checks a body as the service checks it.
---@param body table  from `read`
---@return table|nil wanted   for tasks:accept
---@return string|nil message  the field named
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
  local checked, message = catalogue.check(model, given(input))
  if not checked then return nil, message end
  local clip, credits = price.of(model, checked)
  local prompt = type(checked.prompt) == "string" and checked.prompt or nil
  clip.prompt = prompt or name
  return {
    model = name, input = body.texts.input, given = checked, prompt = prompt, callback_url = callback_url, credits = credits, clip = clip,
  }
end

return { read = read, check = check }
