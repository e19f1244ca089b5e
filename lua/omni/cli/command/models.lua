-- SPDX-License-Identifier: MIT
-- `omni models [NAME]`: lists the service's models, or the input fields of one model.

local message = require "omni.cli.view.message"
local service_command = require "omni.cli.service_command"

local command = { summary = "List the service's models, or the input fields of one model." }

function command.define(parser)
  parser:argument("name", "Show the input fields of this model."):argname("NAME"):args("?")
  parser:option("--modality", "List only models that make this, for example video."):argname("NAME")
  parser:option("--operation", "List only models that do this, for example text-to-video."):argname("NAME")
  parser:flag("--schema", "Print only the JSON Schema of the model's input.")
  service_command.define(parser, true)
end

-- Returns why the given options can't be combined, or nil if they can.
local function misuse(given)
  if given.schema and given.json then return "--schema and --json exclude each other" end
  if given.schema and not given.name then return "--schema needs the NAME of a model" end
  for _, option in ipairs { "modality", "operation" } do
    if given.name and given[option] then return ("--%s selects from the list; leave NAME out"):format(option) end
  end
end

local function text_of(value)
  return type(value) == "string" and value or nil
end

-- Joins words with commas: "text-to-video, image-to-video".
local function listed(value)
  local words = {}
  for _, word in ipairs(type(value) == "table" and value or {}) do words[#words + 1] = text_of(word) end
  return #words > 0 and table.concat(words, ", ") or nil
end

local arrays = { required = true, enum = true, examples = true, allOf = true, anyOf = true, oneOf = true, prefixItems = true }
local values = { default = true, const = true }

-- Marks each empty table in a JSON Schema as an array ([]) or an object ({}), depending on the schema keyword that contains it.
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

-- Prints all models.
local function show_list(called)
  local models, problem = called.client:models { modality = called.given.modality, operation = called.given.operation }
  if not models then return called:fail(problem) end
  called:event("models", { models = models })
  if #models == 0 then
    called:note "there is no such model"
    return 0
  end
  local rows = {}
  for i, model in ipairs(models) do rows[i] = { text_of(model.model), text_of(model.modality), listed(model.operations) } end
  called:print(require("omni.cli.view.table").lines(
    { { title = "model" }, { title = "modality" }, { title = "operations", wrap = true } }, rows, called.format))
  return 0
end

local columns = {
  { title = "field" }, { title = "type" }, { title = "required" }, { title = "default" },
  { title = "allowed values, and meaning", wrap = true },
}

-- Prints a description of one model and a table of its input fields.
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
    called:message "the service has no schema of this model"
    return 1
  end
  local table_of = require "omni.cli.view.table"
  called:print(table_of.list({
    { "model", text_of(model.model) or called.given.name },
    { "modality", text_of(model.modality) },
    { "operations", listed(model.operations) },
    { "about", text_of(model.description) },
  }, called.format))
  local rows = require("omni.cli.view.model_fields").rows_of(schema, model.required_input_fields)
  if #rows == 0 then
    called:note "the service doesn't describe its fields"
    return 0
  end
  called:print { "", table.unpack(table_of.lines(columns, rows, called.format)) }
  return 0
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  local wrong = misuse(given)
  if wrong then return message.exit(2, wrong) end
  return service_command.run(given, given.name and show_one or show_list)
end

return command
