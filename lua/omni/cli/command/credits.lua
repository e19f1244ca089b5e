-- SPDX-License-Identifier: MIT
-- `omni credits`: what the account has; with several keys what each has, and the sum.

local call = require "omni.cli.service_command"

local command = { summary = "Show what credits the account has." }

function command.define(parser)
  call.define(parser, true)
end

local function row_of(one, play)
  local text = require "omni.cli.view.text"
  return { one.key, one.balance and text.credits(one.balance, play) or text.problem(one.error) }
end

local function show(called)
  local key_shape = require("omni.json").shape { "key", "balance?", "error?" }
  local text, play, problem_of = require "omni.cli.view.text", called.client.is_sandbox, require("omni.cli.view.run_progress").problem_of
  local keys = called.client:balances()
  local sum, failed, listed = 0, false, {}
  for i, one in ipairs(keys) do
    sum, failed = sum + (one.balance or 0), failed or one.error ~= nil
    listed[i] = key_shape { key = one.key, balance = one.balance, error = one.error and problem_of(one.error) }
  end
  if #keys == 1 and failed then return called:fail(keys[1].error) end
  called:event("balance", { balance = not failed and sum or nil, keys = listed })
  local fields = {}
  for i, one in ipairs(#keys > 1 and keys or {}) do fields[i] = row_of(one, play) end
  fields[#fields + 1] = { #keys == 1 and "balance" or "sum", text.credits(sum, play) }
  called:print(require("omni.cli.view.table").list(fields, called.manner))
  return failed and 1 or 0
end

---@param given table  what argparse found
---@return integer exit code
function command.run(given)
  return call.run(given, show)
end

return command
