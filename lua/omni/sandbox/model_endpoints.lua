-- SPDX-License-Identifier: MIT
-- The sandbox's endpoints for models. Each endpoint is a function (service, request) → response.

local catalogue = require "omni.sandbox.catalogue"
local json = require "omni.json"
local response = require "omni.sandbox.response"

local models_object = json.shape { "total", "models" }
local summary_object = json.shape { "model", "modality", "operations", "description" }
local model_object = json.shape { "model", "modality", "operations", "description", "required_input_fields", "input_schema" }

local endpoints = {}

function endpoints.models(_, request)
  local found = catalogue.list(response.filter(request, "modality"), response.filter(request, "operation"))
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

return endpoints
