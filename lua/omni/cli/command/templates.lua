-- SPDX-License-Identifier: MIT
-- `omni templates --platform NAME`: the effect templates that a platform's models take.

local call = require "omni.cli.service_command"
local common = require "omni.cli.common"

local command = { summary = "List a platform's effect templates." }

local usual_limit <const> = 100
local most_a_page <const> = 50 -- docs/service.md, "Other endpoints"

function command.define(parser)
  parser:option("--platform", "kling, vidu or bytedance."):argname("NAME"):choices { "kling", "vidu", "bytedance" }:count(1)
  parser:option("--id", "Only the template of this name or id."):argname("ID")
  common.count(parser:option("--limit", "N templates at most (default: 100)."):argname("N"))
  call.define(parser, true)
end

-- The first ones, up to the limit, each told of as it comes; and whether there are more.
local function gather(called, limit)
  local given, list = called.given, {}
  for template in called.client:templates { platform = given.platform, template_id = given.id, page_size = math.min(limit, most_a_page) } do
    if #list == limit then return list, true end
    list[#list + 1] = template
    called:event("template", { platform = given.platform, template = template })
  end
  return list, false
end

local function said(value)
  if type(value) == "number" then return require("omni.core").format("%.14g", value) end
  return type(value) == "string" and value or nil
end

-- What people see of one: platforms call its id differently.
local function row_of(template)
  if type(template) ~= "table" then return { said(template) } end
  return {
    said(template.template_id) or said(template.template) or said(template.id),
    said(template.name) or said(template.title) or said(template.template_name), said(template.description),
  }
end

local columns = { { title = "id" }, { title = "name" }, { title = "description", wrap = true } }

local function show(called)
  local err = require "omni.error"
  local limit = called.given.limit or usual_limit
  local fine, list, more = pcall(gather, called, limit)
  if not fine then
    if not err.is(list) then error(list, 0) end
    return called:fail(list)
  end
  local rows = {}
  for i, template in ipairs(list) do rows[i] = row_of(template) end
  if #rows > 0 then called:print(require("omni.cli.view.table").lines(columns, rows, called.manner)) end
  if #rows == 0 then called:note "there is no such template" end
  if more then called:note(("these are the first %d; there are more: --limit N"):format(limit)) end
  return 0
end

---@param given table  what argparse found
---@return integer exit code
function command.run(given)
  return call.run(given, show)
end

return command
