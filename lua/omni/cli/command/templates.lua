-- SPDX-License-Identifier: MIT
-- `omni templates --platform NAME`: lists the effect templates for a platform's models.

local options = require "omni.cli.options"
local service_command = require "omni.cli.service_command"

local command = { summary = "List a platform's effect templates." }

local default_limit <const> = 100
local most_per_page <const> = 50 -- docs/service.md, "Other endpoints"

function command.define(parser)
  parser:option("--platform", "kling, vidu or bytedance."):argname("NAME"):choices { "kling", "vidu", "bytedance" }:count(1)
  parser:option("--id", "List only the template with this name or id."):argname("ID")
  options.count(parser:option("--limit", "List at most N templates (default: 100)."):argname("N"))
  service_command.define(parser, true)
end

-- Returns at most `limit` templates, and whether the service has more. With --json, writes an event for each template.
local function list_of(called, limit)
  local given, list = called.given, {}
  for template in called.client:templates {
    platform = given.platform, template_id = given.id, page_size = math.min(limit, most_per_page),
  } do
    if #list == limit then return list, true end
    list[#list + 1] = template
    called:event("template", { platform = given.platform, template = template })
  end
  return list, false
end

local function shown(value)
  if type(value) == "number" then return require("omni.core").format("%.14g", value) end
  return type(value) == "string" and value or nil
end

-- Returns the table row for a template. The platform determines the name of the field that contains a template's id.
local function row_of(template)
  if type(template) ~= "table" then return { shown(template) } end
  return {
    shown(template.template_id) or shown(template.template) or shown(template.id),
    shown(template.name) or shown(template.title) or shown(template.template_name), shown(template.description),
  }
end

local columns = { { title = "id" }, { title = "name" }, { title = "description", wrap = true } }

local function show(called)
  local err = require "omni.error"
  local limit = called.given.limit or default_limit
  local fine, list, more = pcall(list_of, called, limit)
  if not fine then
    if not err.is(list) then error(list, 0) end
    return called:fail(list)
  end
  local rows = {}
  for i, template in ipairs(list) do rows[i] = row_of(template) end
  if #rows > 0 then called:print(require("omni.cli.view.table").lines(columns, rows, called.format)) end
  if #rows == 0 then called:note "there is no such template" end
  if more then called:note(("these are the first %d; there are more: --limit N"):format(limit)) end
  return 0
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  return service_command.run(given, show)
end

return command
