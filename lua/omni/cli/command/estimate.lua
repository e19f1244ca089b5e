-- SPDX-License-Identifier: MIT
-- `omni estimate`: prints what a submit would cost. `omni estimate` uploads nothing, submits nothing and costs nothing.

local input_options = require "omni.cli.input_options"
local service_command = require "omni.cli.service_command"

local command = { summary = "Show what a submit would cost." }

function command.define(parser)
  input_options.define(parser)
  service_command.define(parser, true)
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  local input, model = input_options.read(given)
  if not input then return 2 end
  return service_command.run(given, function(called)
    local price, problem = called:price(model, input)
    if not price then return called:fail(problem) end
    local text, sandbox = require "omni.cli.view.text", called.client.is_sandbox
    called:event("estimate", { model = model, credits = price.credits, balance = price.balance, affordable = price.affordable })
    called:print(require("omni.cli.view.table").list({
      { "model", model },
      { "cost", "about " .. text.credits(price.credits, sandbox) },
      { "balance", price.balance and text.credits(price.balance, sandbox) },
      { "affordable", price.affordable },
    }, called.format))
    return 0
  end)
end

return command
