-- SPDX-License-Identifier: MIT
-- `omni upload FILE...`: uploads files so that the service can fetch them. Costs nothing.

local options = require "omni.cli.options"
local service_command = require "omni.cli.service_command"

local command = { summary = "Upload files so that the service can fetch them." }

function command.define(parser)
  options.path(parser:argument("files", "Images, videos or sound."):argname("FILE"):args("+"))
  parser:option("--content-type", "The files' media type, such as image/png (default: detected from their first bytes)."):argname("TYPE")
    :convert(function(given)
      if given:find "^[%w!#$&^_.+-]+/[%w!#$&^_.+-]+$" then return given end
      return nil, ("--content-type: expected a media type, for example image/png, got '%s'"):format(given)
    end)
  service_command.define(parser)
end

local function fields_of(path, sent)
  local text = require "omni.cli.view.text"
  return {
    { "file", text.path(path) },
    { "url", sent.url },
    { "size", sent.bytes < 1000 and text.bytes(sent.bytes) or ("%s (%d bytes)"):format(text.bytes(sent.bytes), sent.bytes) },
    { "type", sent.content_type },
    { "sha256", sent.sha256 },
    { "note", sent.reused and "it was uploaded before" or nil },
  }
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  return service_command.run(given, function(called)
    local code = 0
    for _, path in ipairs(given.files) do
      local sent, problem = called:upload(path, given.content_type)
      if sent then
        called:print_block(require("omni.cli.view.table").list(fields_of(path, sent), called.format))
      else
        code = math.max(code, called:fail(problem, path))
      end
    end
    return code
  end)
end

return command
