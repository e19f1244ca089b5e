-- SPDX-License-Identifier: MIT
-- Lists and describes the service's models, and checks inputs against the models' schemas.

local core = require "omni.core"
local err = require "omni.error"
local input_rules = require "omni.models.input_rules"
local loop = require "omni.loop"
local percent = require "omni.http.percent_encoding"
local schema = require "omni.models.schema"
local messages = require "omni.models.schema.messages"
local modalities = require "omni.models.modality"
local placeholder = require "omni.client.placeholder"

local PATH <const> = "/api/v1/client/job/Models" -- docs/service.md, "Other endpoints"
local MAX_NAME_BYTES <const> = 200
local SCHEMA_TIMEOUT <const> = 10 -- seconds to wait for a schema; without a schema, only omni's own rules apply
local FRESH_FOR <const> = 3600    -- seconds for which a model's description is cached
local RETRY_AFTER <const> = 60    -- seconds to wait after a failed request before omni requests a model's description again

-- --- reading answers

-- Returns whether a string can be a model's name and is safe in a URL's path.
local function is_name(name)
  return type(name) == "string" and name ~= "" and #name <= MAX_NAME_BYTES and core.clean(name) == name
    and not ("/" .. name .. "/"):find "/%.?/" and not name:find("..", 1, true) and not name:lower():find("createtask", 1, true)
end

local function check_name(name)
  if is_name(name) then return name end
  return nil, err.new {
    code = "invalid_input", field = "model",
    message = ("model: must be a model's name, such as 'google/gemini-omni', not %s"):format(
      type(name) == "string" and ("'%s'"):format((core.clean(name, 60))) or "a " .. type(name)),
  }
end

local function path_of(name)
  return PATH .. "/" .. percent.encode(name)
end

local function texts(value)
  local found = {}
  for _, text in ipairs(type(value) == "table" and value or { value }) do
    if type(text) == "string" then found[#found + 1] = text end
  end
  return found
end

-- Returns the data if it is a model's description in which the fields that omni reads have the expected types. Returns nil if the data
-- isn't a valid description.
local function read_model(data, name)
  if type(data) ~= "table" then return nil end
  local model = {}
  for field, value in pairs(data) do model[field] = value end
  model.model = type(data.model) == "string" and data.model or name
  if not is_name(model.model) then return nil end
  model.modality = type(data.modality) == "string" and data.modality or nil
  model.operations = texts(data.operations)
  model.required_input_fields = data.required_input_fields ~= nil and texts(data.required_input_fields) or nil
  model.input_schema = type(data.input_schema) == "table" and next(data.input_schema) ~= nil and data.input_schema or nil
  return model
end

-- Returns the models in a response, or nil if the response isn't a list of models.
local function read_models(data)
  local list = type(data) == "table" and (data.models or data)
  if type(list) ~= "table" or #list == 0 and next(list) ~= nil then return nil end
  local models = {}
  for i, item in ipairs(list) do
    models[i] = read_model(item)
    if not models[i] then return nil end
  end
  return models
end

local function bad_answer(what)
  return err.new { code = "bad_answer", message = "the response contains no valid " .. what }
end

-- Returns the error message for an unknown model, which suggests the most similar name.
local function no_such(start, name, models)
  local names = {}
  for i, model in ipairs(models) do names[i] = model.model end
  local _, near = messages.nearest(name, names)
  return ("%s'%s'%s"):format(start, name, near and ("; did you mean '%s'?"):format(near) or "")
end

local function has(models, name)
  for _, model in ipairs(models) do
    if model.model == name then return true end
  end
  return false
end

-- --- requests

---Returns the service's models.
---@param client omni.Client
---@param opts? { modality?: string, operation?: string }  which models to list: modality "video", operation "text-to-video"
---@return table[]|nil models  each { model, modality?, operations, ... }, with all fields of the service's response
---@return omni.Error|nil
local function list(client, opts)
  local data, problem = client:call("GET", PATH .. percent.query({ "modality", "operation" }, opts or {}))
  if problem then return nil, problem end
  local models = read_models(data)
  if not models then return nil, bad_answer "list of models" end
  return models
end

---Returns a model's description, including its input schema.
---@param client omni.Client
---@param name string  "google/gemini-omni"
---@return table|nil model  { model, modality?, operations, input_schema?, required_input_fields?, ... }, with the service's other fields
---@return omni.Error|nil  code "not_found": the message names the most similar model
local function get(client, name)
  local checked, wrong = check_name(name)
  if not checked then return nil, wrong end
  local data, problem = client:call("GET", path_of(name))
  if not problem then
    local model = read_model(data, name)
    if not model then return nil, bad_answer "model" end
    return model
  end
  if problem.code ~= "not_found" then return nil, problem end
  local models = list(client) or {}
  problem.field, problem.hint = "model", "client:models() lists the models"
  problem.message = has(models, name) and ("the service lists the model '%s', but doesn't describe it"):format(name)
    or no_such("no such model ", name, models)
  return nil, problem
end

-- --- the cache of descriptions

-- Sends one request to the service, with a short time limit, because a submit waits for the response.
local function ask(client, where)
  local key, none = client.all_keys:any()
  if not key then return nil, none end
  return key.transport:perform(nil, SCHEMA_TIMEOUT, "call", "GET", where)
end

-- Returns a model's input schema, with the model's `required_input_fields` added to `required`.
local function schema_of(model)
  local root = model.input_schema
  if not root then return nil end
  local properties = type(root.properties) == "table" and root.properties or nil
  local copy, seen = {}, {}
  for keyword, value in pairs(root) do copy[keyword] = value end
  copy.required = {}
  local function add(names, known)
    for _, name in ipairs(names) do
      if not seen[name] and (not known or known[name] ~= nil) then
        seen[name] = true
        copy.required[#copy.required + 1] = name
      end
    end
  end
  add(texts(root.required))
  add(model.required_input_fields or {}, properties) -- skips fields that the schema lacks, since no input with them would be valid
  return copy
end

-- Requests a model's description from the service. The result's `schema` field is the model's schema, if there is one. If the service has
-- no model with this name, the result's `instead` field lists all models.
local function learn(client, name)
  local data, failure = ask(client, path_of(name))
  local model = not failure and read_model(data, name)
  local known = { till = core.now() + (model and FRESH_FOR or RETRY_AFTER), schema = model and schema_of(model) or nil,
    modality = model and model.modality }
  if failure and failure.code == "not_found" then
    local models
    data, failure = ask(client, PATH)
    models = not failure and read_models(data)
    if models and #models > 0 and not has(models, name) then known.instead = models end
  end
  return known
end

-- Returns the result of `learn`, from the cache if the cached result is recent enough. Concurrent callers share one request.
local function known_of(client, name)
  client.known_models = client.known_models or {}
  local cache = client.known_models
  local known = cache[name]
  if known and known.till and core.now() < known.till then return known end
  if not known or known.till or known.asking:done() then
    known = { asking = loop.background(function()
      cache[name] = learn(client, name)
      return cache[name]
    end) }
    cache[name] = known
  end
  return known.asking:join()
end

local kinds <const> = { video = "video", image = "image", audio = "audio" }

---Looks up the kind of media that a model makes, in the service's catalogue or, if that isn't available, in omni's own list.
---@param client omni.Client
---@param name string
---@return omni.Modality
local function modality(client, name)
  local known = client.schemas ~= false and is_name(name) and known_of(client, name)
  return known and kinds[known.modality] or modalities.of(name)
end

---Before an input is sent, checks it against the schema that the service publishes and against omni's own rules. Each schema is requested
---at most once an hour. If the service publishes no schema or can't be reached, only omni's own rules apply. If neither the service nor
---omni has rules for the model, omni accepts any input. With the client option `schemas = false`, omni doesn't request schemas.
---@param client omni.Client
---@param name? string   the model's name (default: "google/gemini-omni")
---@param input table
---@param with_placeholders? boolean  whether placeholders may replace URLs; if so, the copy isn't ready to send
---@return table|nil     a copy, ready to send
---@return omni.Error|nil  code "invalid_input", with `field`: a field of the input, or "model" if the service doesn't have the model
local function check(client, name, input, with_placeholders)
  local checked, wrong = check_name(name or input_rules.default_model)
  if not checked then return nil, wrong end
  name = checked
  if client.schemas == false or type(input) ~= "table" or placeholder.is(input) then
    return input_rules.check(name, input, with_placeholders)
  end
  local known = known_of(client, name)
  if known.instead then
    return nil, err.new {
      code = "invalid_input", field = "model", message = no_such("model: the service has no ", name, known.instead),
      hint = "client:models() lists the models",
    }
  end
  if not known.schema then return input_rules.check(name, input, with_placeholders) end
  local copy, problem, why = schema.check(known.schema, input_rules.without_empty(name, input), { placeholders = with_placeholders })
  if why then
    client:warn(("inputs of %s aren't checked against the service's schema: %s"):format(name, why))
    return input_rules.check(name, input, with_placeholders)
  end
  local properties = known.schema.properties
  problem = problem or input_rules.check_relations(name, copy, type(properties) == "table" and properties or nil)
  if problem then return nil, problem end
  return copy
end

return { check = check, get = get, list = list, modality = modality }
