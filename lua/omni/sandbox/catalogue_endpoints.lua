-- SPDX-License-Identifier: MIT
-- The sandbox's endpoints for models and effect templates. Each endpoint is a function (service, request) → response.

local catalogue = require "omni.sandbox.catalogue"
local effect_templates = require "omni.sandbox.effect_templates"
local json = require "omni.json"
local response = require "omni.sandbox.response"

local most_on_page <const>, usual_on_page <const> = 50, 20

local models_object = json.shape { "total", "models" }
local summary_object = json.shape { "model", "modality", "operations", "description" }
local model_object = json.shape { "model", "modality", "operations", "description", "required_input_fields", "input_schema" }
local page_object = json.shape { "total", "page", "page_size", "templates" }

local endpoints = {}

local function filter(request, name)
  local value = response.parameter(request.query, name)
  return value ~= "" and value or nil
end

function endpoints.models(_, request)
  local found = catalogue.list(filter(request, "modality"), filter(request, "operation"))
  local models = {}
  for i, row in ipairs(found) do
    models[i] = summary_object { model = row.model, modality = row.modality, operations = row.operations, description = row.description }
  end
  return response.success(models_object { total = #models, models = models })
end

function endpoints.model(_, request)
  local row = catalogue.find(response.decoded(request.name))
  if not row then return response.refuse(404, "no such model") end
  return response.success(model_object {
    model = row.model, modality = row.modality, operations = row.operations, description = row.description,
    required_input_fields = row.input_schema.required or {}, input_schema = row.input_schema,
  })
end

-- Returns a query parameter's value as a number, or nil and an error message.
local function number(request, name, usual, most)
  local text = response.parameter(request.query, name)
  if not text then return usual end
  local value = text:find "^%d+$" and #text <= 9 and math.tointeger(tonumber(text))
  if value and value >= 1 and value <= (most or value) then return value end
  return nil, ("%s: must be a whole number, %s"):format(name, most and "1 to " .. most or "1 or more")
end

function endpoints.templates(_, request)
  local page, wrong = number(request, "page", 1)
  local size
  if page then size, wrong = number(request, "page_size", usual_on_page, most_on_page) end
  if wrong then return response.refuse(422, wrong) end
  local platform = effect_templates[request.name]
  local all = platform.list(filter(request, platform.named))
  local first = (page - 1) * size
  return response.success(page_object {
    total = #all, page = page, page_size = size, templates = table.move(all, first + 1, math.min(#all, first + size), 1, {}),
  })
end

return endpoints
