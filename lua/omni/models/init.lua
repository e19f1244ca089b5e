-- SPDX-License-Identifier: MIT
-- The service's models: which there are, what each accepts; and inputs checked against that, as far as the service tells it.

local asset = require "omni.client.placeholder"
local core = require "omni.core"
local err = require "omni.error"
local input_rules = require "omni.models.input_rules"
local loop = require "omni.loop"
local percent = require "omni.http.percent_encoding"
local schema = require "omni.models.schema"
local words = require "omni.models.schema.messages"

local path <const> = "/api/v1/client/job/Models" -- docs/service.md, "Other endpoints"
local longest_name <const> = 200 -- bytes
local patience <const> = 10      -- seconds for a schema, which is good to know and no more
local fresh <const> = 3600       -- seconds that what the service told is taken for true
local doubtful <const> = 60      -- seconds until it is asked again after it told nothing

-- --- what the service says

-- Whether a text can be a model's name, and nothing else when it stands in a path.
local function is_name(name)
  return type(name) == "string" and name ~= "" and #name <= longest_name and core.clean(name) == name
    and not ("/" .. name .. "/"):find "/%.?/" and not name:find("..", 1, true) and not name:lower():find("createtask", 1, true)
end

local function check_name(name)
  if is_name(name) then return name end
  return nil, err.new {
    code = "invalid_input", field = "model",
    message = ("model: must be the name of a model, as 'google/gemini-omni' is, not %s"):format(
      type(name) == "string" and ("'%s'"):format((core.clean(name, 60))) or "a " .. type(name)),
  }
end

local function path_of(name)
  return path .. "/" .. percent.encode(name)
end

local function texts(value)
  local found = {}
  for _, text in ipairs(type(value) == "table" and value or { value }) do
    if type(text) == "string" then found[#found + 1] = text end
  end
  return found
end

-- A model as the service describes it, each field of the kind that is due; or nil.
local function described(data, name)
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

-- The models of an answer; or nil when it isn't one.
local function described_all(data)
  local list = type(data) == "table" and (data.models or data)
  if type(list) ~= "table" or #list == 0 and next(list) ~= nil then return nil end
  local models = {}
  for i, item in ipairs(list) do
    models[i] = described(item)
    if not models[i] then return nil end
  end
  return models
end

local function broken(what)
  return err.new { code = "bad_answer", message = "the answer holds no valid " .. what }
end

-- "no such model", with the name that is meant, if one is near.
local function no_such(start, name, models)
  local names = {}
  for i, model in ipairs(models) do names[i] = model.model end
  local _, near = words.nearest(name, names)
  return ("%s'%s'%s"):format(start, name, near and ("; did you mean '%s'?"):format(near) or "")
end

local function has(models, name)
  for _, model in ipairs(models) do
    if model.model == name then return true end
  end
  return false
end

-- --- asking

---The models that there are.
---@param client omni.Client
---@param opts? { modality?: string, operation?: string }  only those: "video", "text-to-video"
---@return table[]|nil models  each { model, modality?, operations, ... }: the service's own fields
---@return omni.Error|nil
local function list(client, opts)
  local data, problem = client:call("GET", path .. percent.query({ "modality", "operation" }, opts or {}))
  if problem then return nil, problem end
  local models = described_all(data)
  if not models then return nil, broken "list of models" end
  return models
end

---A model, with what it accepts.
---@param client omni.Client
---@param name string  "google/gemini-omni"
---@return table|nil model  { model, modality?, operations, input_schema?, required_input_fields?, ... }: the service's own fields
---@return omni.Error|nil  code "not_found": the message names the model that is meant most likely
local function get(client, name)
  local checked, wrong = check_name(name)
  if not checked then return nil, wrong end
  local data, problem = client:call("GET", path_of(name))
  if not problem then
    local model = described(data, name)
    if not model then return nil, broken "model" end
    return model
  end
  if problem.code ~= "not_found" then return nil, problem end
  local models = list(client) or {}
  problem.field, problem.hint = "model", "client:models() lists what there is"
  problem.message = has(models, name) and ("the service lists the model '%s', and doesn't describe it"):format(name)
    or no_such("no such model ", name, models)
  return nil, problem
end

-- --- what is known, for checks

-- One try that takes no longer than `patience`: a submit waits for it.
local function ask(client, where)
  local key, none = client.all_keys:any()
  if not key then return nil, none end
  return key.transport:perform(nil, patience, "call", "GET", where)
end

-- What the model's input must fit: its schema, and the fields that are required beside it.
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
  add(model.required_input_fields or {}, properties) -- a name that the schema doesn't know would shut everybody out
  return copy
end

-- What the service says of a model just now: its schema; that there is none; or that there is no such model, but those.
local function learn(client, name)
  local data, failure = ask(client, path_of(name))
  local model = not failure and described(data, name)
  local known = { till = core.now() + (model and fresh or doubtful), schema = model and schema_of(model) or nil }
  if failure and failure.code == "not_found" then
    local models
    data, failure = ask(client, path)
    models = not failure and described_all(data)
    if models and #models > 0 and not has(models, name) then known.instead = models end
  end
  return known
end

-- The same, asked once however many want to know.
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

---Checks an input against what the model accepts: the schema that the service tells (asked once an hour), and what is known here
---beyond it. Where the service tells none, or can't be asked, what is known here serves, and the input of a model that isn't known here is
---taken as it is: nothing is kept from being sent because the service can't say what it accepts. With the client's option
---`schemas = false` it isn't asked.
---@param client omni.Client
---@param name? string   the model's, "google/gemini-omni" when nil
---@param input table
---@param with_assets? boolean  assets may stand where URLs are due; the copy isn't ready to be sent then
---@return table|nil     a copy, ready to be sent
---@return omni.Error|nil  code "invalid_input", with `field`: of the input, or "model" when the service doesn't have it
local function check(client, name, input, with_assets)
  local checked, wrong = check_name(name or input_rules.default_model)
  if not checked then return nil, wrong end
  name = checked
  if client.schemas == false or type(input) ~= "table" or asset.is(input) then return input_rules.check(name, input, with_assets) end
  local known = known_of(client, name)
  if known.instead then
    return nil, err.new {
      code = "invalid_input", field = "model", message = no_such("model: the service has no ", name, known.instead),
      hint = "client:models() lists what there is",
    }
  end
  if not known.schema then return input_rules.check(name, input, with_assets) end
  local copy, problem, why = schema.check(known.schema, input_rules.without_empty(name, input), { assets = with_assets })
  if why then
    client:warn(("inputs for %s aren't checked against the service's schema: %s"):format(name, why))
    return input_rules.check(name, input, with_assets)
  end
  local properties = known.schema.properties
  problem = problem or input_rules.unrelated(name, copy, type(properties) == "table" and properties or nil)
  if problem then return nil, problem end
  return copy
end

return { check = check, get = get, list = list }
