-- SPDX-License-Identifier: MIT
-- `omni estimate`: what a submit would cost. Uploads nothing, submits nothing, costs nothing.

local call = require "omni.cli.service_command"
local input = require "omni.cli.input_options"

local command = { summary = "Say what a submit would cost." }

function command.define(parser)
  input.define(parser)
  call.define(parser, true)
end

---@param given table  what argparse found
---@return integer exit code
function command.run(given)
  local wanted, model = input.read(given)
  if not wanted then return 2 end
  return call.run(given, function(called)
    local price, problem = called:price(model, wanted)
    if not price then return called:fail(problem) end
    local text = require "omni.cli.view.text"
    called:event("estimate", { model = model, credits = price.credits, balance = price.balance, affordable = price.affordable })
    called:print(require("omni.cli.view.table").list({
      { "model", model },
      { "cost", "about " .. text.credits(price.credits, called.client.is_sandbox) },
      { "balance", price.balance and text.credits(price.balance, called.client.is_sandbox) },
      { "affordable", price.affordable },
    }, called.manner))
    return 0
  end)
end

return command
