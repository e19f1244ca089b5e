-- SPDX-License-Identifier: MIT
-- `omni upload FILE...`: brings files to where the service can fetch them. Costs nothing.

local call = require "omni.cli.service_command"
local common = require "omni.cli.common"

local command = { summary = "Upload files, so that the service can fetch them." }

function command.define(parser)
  common.path(parser:argument("files", "Images, films or sound."):argname("FILE"):args("+"))
  parser:option("--content-type", "What they are, as image/png is (default: what their first bytes say)."):argname("TYPE")
    :convert(function(given)
      if given:find "^[%w!#$&^_.+-]+/[%w!#$&^_.+-]+$" then return given end
      return nil, ("--content-type: '%s' should be a media type, as image/png is"):format(given)
    end)
  call.define(parser)
end

local function shown(path, sent)
  local text = require "omni.cli.view.text"
  return {
    { "file", text.path(path) },
    { "url", sent.url },
    { "size", sent.bytes < 1000 and text.bytes(sent.bytes) or ("%s (%d bytes)"):format(text.bytes(sent.bytes), sent.bytes) },
    { "type", sent.content_type },
    { "sha256", sent.sha256 },
    { "note", sent.reused and "it was there already" or nil },
  }
end

---@param given table  what argparse found
---@return integer exit code
function command.run(given)
  return call.run(given, function(called)
    local code = 0
    for _, path in ipairs(given.files) do
      local sent, problem = called:upload(path, given.content_type)
      if sent then
        called:print_block(require("omni.cli.view.table").list(shown(path, sent), called.manner))
      else
        code = math.max(code, called:fail(problem, path))
      end
    end
    return code
  end)
end

return command
