-- SPDX-License-Identifier: MIT
-- `omni models [NAME]`: the service's models; of one of them the fields of its input.

local call = require "omni.cli.service_command"
local common = require "omni.cli.common"

local command = { summary = "List the service's models, or show what one takes." }

function command.define(parser)
  parser:argument("name", "Show what this model takes."):argname("NAME"):args("?")
  parser:option("--modality", "Only models that make this, as video is."):argname("NAME")
  parser:option("--operation", "Only models that do this, as text-to-video is."):argname("NAME")
  parser:flag("--schema", "The JSON Schema of the model's input, and nothing else.")
  call.define(parser, true)
end

-- Says what is wrong with the options, or nil.
local function misuse(given)
  if given.schema and given.json then return "--schema and --json exclude each other" end
  if given.schema and not given.name then return "--schema: which model's? Add its NAME" end
  for _, option in ipairs { "modality", "operation" } do
    if given.name and given[option] then return ("--%s is for the list; leave NAME out"):format(option) end
  end
end

local function said(value)
  return type(value) == "string" and value or nil
end

-- "text-to-video, image-to-video"
local function listed(value)
  local words = {}
  for _, word in ipairs(type(value) == "table" and value or {}) do words[#words + 1] = said(word) end
  return #words > 0 and table.concat(words, ", ") or nil
end

local arrays = { required = true, enum = true, examples = true, allOf = true, anyOf = true, oneOf = true, prefixItems = true }
local values = { default = true, const = true }

-- What is empty in a schema is told as what it is there, [] or {}: as tables they are the same.
local function mark_empty(node)
  local json = require "omni.json"
  for keyword, value in pairs(type(node) == "table" and node or {}) do
    if type(value) ~= "table" then goto next end
    if next(value) ~= nil then
      mark_empty(value)
    elseif arrays[keyword] or values[keyword] and node.type == "array" then
      json.array(value)
    else
      json.object(value)
    end
    ::next::
  end
end

local function show_list(called)
  local models, problem = called.client:models { modality = called.given.modality, operation = called.given.operation }
  if not models then return called:fail(problem) end
  called:event("models", { models = models })
  if #models == 0 then
    called:note "there is no such model"
    return 0
  end
  local rows = {}
  for i, model in ipairs(models) do rows[i] = { said(model.model), said(model.modality), listed(model.operations) } end
  called:print(require("omni.cli.view.table").lines(
    { { title = "model" }, { title = "modality" }, { title = "operations", wrap = true } }, rows, called.manner))
  return 0
end

local columns = {
  { title = "field" }, { title = "type" }, { title = "required" }, { title = "default" },
  { title = "allowed, and what it means", wrap = true },
}

local function show_one(called)
  local model, problem = called.client:model(called.given.name)
  if not model then return called:fail(problem) end
  local schema = model.input_schema
  mark_empty(schema)
  called:event("model", { model = model })
  if called.given.schema then
    if schema then
      io.stdout:write(require("omni.json").printed(schema), "\n")
      return 0
    end
    called:say "the service tells no schema of this model"
    return 1
  end
  local table_of = require "omni.cli.view.table"
  called:print(table_of.list({
    { "model", said(model.model) or called.given.name },
    { "modality", said(model.modality) },
    { "operations", listed(model.operations) },
    { "about", said(model.description) },
  }, called.manner))
  local rows = require("omni.cli.view.model_fields").rows_of(schema, model.required_input_fields)
  if #rows == 0 then
    called:note "the service tells nothing of its fields"
    return 0
  end
  called:print { "", table.unpack(table_of.lines(columns, rows, called.manner)) }
  return 0
end

---@param given table  what argparse found
---@return integer exit code
function command.run(given)
  local wrong = misuse(given)
  if wrong then return common.say(wrong) or 2 end
  return call.run(given, given.name and show_one or show_list)
end

return command
