-- SPDX-License-Identifier: MIT
-- Requests the price of a submit from the service.

local err = require "omni.error"
local retry = require "omni.client.retry"
local prepare_input = require "omni.client.prepare_input"

local function number_in(data, name)
  local value = type(data) == "table" and data[name]
  if type(value) ~= "number" or value - value ~= 0 then return nil end -- neither NaN nor infinite
  return math.tointeger(value) or value
end

---Returns what a submit of this input would cost. Uploads nothing.
---@param client omni.Client
---@param input table
---@param opts { model?: string }
---@return omni.Estimate|nil
---@return table|nil failure
local function ask(client, input, opts)
  local request, problem = prepare_input(client, input, opts, { no_upload = true })
  if not request then return nil, problem end
  local function call(path)
    return retry.call(client, "POST", path, request.body, true)
  end
  local data, failure = call("/api/v1/client/job/EstimateTask")
  if failure and failure.code == "not_found" then data, failure = call("/api/v1/client/job/estimate-credits") end -- an older endpoint
  if failure then return nil, failure end
  local credits = number_in(data, "estimated_credits") or number_in(data, "credits")
  if not credits or credits < 0 then
    return nil, err.new { code = "bad_answer", message = "the response contains no valid estimate" }
  end
  if #client.all_keys > 1 then return { credits = credits } end -- the response contains only one key's balance
  local affordable = data.affordable
  return { credits = credits, balance = number_in(data, "balance"), affordable = type(affordable) == "boolean" and affordable or nil }
end

return { ask = ask }
