-- SPDX-License-Identifier: MIT
-- The sandbox's lists: models and effect templates. Each: (service, request) → response.

local catalogue = require "omni.sandbox.catalogue"
local effects = require "omni.sandbox.effect_templates"
local json = require "omni.json"
local reply = require "omni.sandbox.response"

local most_of_page <const>, usual_of_page <const> = 50, 20

local models_object = json.shape { "total", "models" }
local summary_object = json.shape { "model", "modality", "operations", "description" }
local model_object = json.shape { "model", "modality", "operations", "description", "required_input_fields", "input_schema" }
local page_object = json.shape { "total", "page", "page_size", "templates" }

local listings = {}

local function filter(request, name)
  local value = reply.parameter(request.query, name)
  return value ~= "" and value or nil
end

function listings.models(_, request)
  local found = catalogue.list(filter(request, "modality"), filter(request, "operation"))
  local models = {}
  for i, row in ipairs(found) do
    models[i] = summary_object { model = row.model, modality = row.modality, operations = row.operations, description = row.description }
  end
  return reply.success(models_object { total = #models, models = models })
end

function listings.model(_, request)
  local row = catalogue.find(reply.decoded(request.name))
  if not row then return reply.refuse(404, "no such model") end
  return reply.success(model_object {
    model = row.model, modality = row.modality, operations = row.operations, description = row.description,
    required_input_fields = row.input_schema.required or {}, input_schema = row.input_schema,
  })
end

-- A number of the query, or nil and what is wrong with it.
local function number(request, name, usual, most)
  local text = reply.parameter(request.query, name)
  if not text then return usual end
  local value = text:find "^%d+$" and #text <= 9 and math.tointeger(tonumber(text))
  if value and value >= 1 and value <= (most or value) then return value end
  return nil, ("%s: must be a whole number, %s"):format(name, most and "1 to " .. most or "1 or more")
end

function listings.templates(_, request)
  local page, wrong = number(request, "page", 1)
  local size
  if page then size, wrong = number(request, "page_size", usual_of_page, most_of_page) end
  if wrong then return reply.refuse(422, wrong) end
  local platform = effects[request.name]
  local all = platform.list(filter(request, platform.named))
  local first = (page - 1) * size
  return reply.success(page_object {
    total = #all, page = page, page_size = size, templates = table.move(all, first + 1, math.min(#all, first + size), 1, {}),
  })
end

return listings
