-- SPDX-License-Identifier: MIT
-- `omni credits`: prints the account's balance. With several keys, `omni credits` prints each key's balance and the total.

local service_command = require "omni.cli.service_command"

local command = { summary = "Show the account's credits." }

function command.define(parser)
  service_command.define(parser, true)
end

local function show(called)
  local text, sandbox = require "omni.cli.view.text", called.client.is_sandbox
  local keys = called.client:balances()
  local sum, failed, fields = 0, false, {}
  for _, one in ipairs(keys) do
    sum, failed = sum + (one.balance or 0), failed or one.error ~= nil
    if #keys > 1 then fields[#fields + 1] = { one.key, one.balance and text.credits(one.balance, sandbox) or text.problem(one.error) } end
  end
  if #keys == 1 and failed then return called:fail(keys[1].error) end
  called:event("balance", { balance = not failed and sum or nil, keys = keys })
  fields[#fields + 1] = { #keys == 1 and "balance" or "sum", text.credits(sum, sandbox) }
  called:print(require("omni.cli.view.table").list(fields, called.format))
  return failed and 1 or 0
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  return service_command.run(given, show)
end

return command
