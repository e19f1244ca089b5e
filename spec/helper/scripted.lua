-- SPDX-License-Identifier: MIT
-- A service within the loop, over real sockets, that gives the answers of a spec's script and records the requests.
--
--   scripted.open(function(target) return { balance = 5 } end, function(client, asked) ... end)

local answers = require "helper.answers"
local json = require "omni.json"
local omni = require "omni"

local scripted = {}

local headers <const> = { ["Content-Type"] = "application/json" }

local function body_of(status, data)
  return assert(json.write({ code = status, message = status == 200 and "success" or "no", data = data }, { empty = "array" }))
end

---Calls `body(client, asked, server)` in the loop; `asked` lists the requests: "GET /path?query".
---@param tell fun(target: string, number: integer): any, integer|nil  what an answer's data is, and its code (200): nil for 404, a string
---  for a whole body
---@param body fun(client: omni.Client, asked: string[], server: omni.Server)
---@param options? table  of the client
function scripted.open(tell, body, options)
  omni.run(function()
    local asked = {}
    local server <close> = assert(omni.serve({}, function(request)
      local query = request:query()
      local target = request:path() .. (query and "?" .. query or "")
      asked[#asked + 1] = request:method() .. " " .. target
      local data, status = tell(target, #asked)
      status = status or data == nil and 404 or 200
      return status, headers, type(data) == "string" and data or body_of(status, data)
    end))
    local all = { schemas = true }
    for name, value in pairs(options or {}) do all[name] = value end
    local client <close> = assert(answers.client(server.url, all))
    body(client, asked, server)
  end)
end

return scripted
