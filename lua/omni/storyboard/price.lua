-- SPDX-License-Identifier: MIT
-- What a board would cost, asked of the service scene by scene. Costs nothing, submits nothing.

local loop = require "omni.loop"

-- Failures that would meet every other question, and every submit, too.
local unavailable = { unauthorized = true, network = true, rate_limited = true, maintenance = true }

---@class omni.Plan
---@field scenes { scene: string, credits?: number, error?: omni.Error }[]
---@field by_scene table<string, number>
---@field credits number            the sum of what is known
---@field complete boolean          every price is known
---@field balance? number           what the account has
---@field error? omni.Error         why the first unknown price isn't known
---@field unavailable? omni.Error   the service can't be used now at all

---@param board omni.Storyboard
---@param client omni.Client
---@param jobs? integer  questions at a time (4)
---@param on_retry? fun(failure: table)  told of each try that failed and is made again
---@return omni.Plan
local function price(board, client, jobs, on_retry)
  return loop.drive(function()
    local asking = setmetatable({
      pause_after = function(_, failure, attempt)
        local wait = client:pause_after(failure, attempt)
        if wait and on_retry then on_retry(failure) end
        return wait
      end,
    }, { __index = client })
    local result = { scenes = {}, by_scene = {}, credits = 0, complete = true }
    local next_index = 1
    local function ask()
      while board.scenes[next_index] and not result.unavailable do
        local index = next_index
        local scene = board.scenes[index]
        next_index = index + 1
        local estimate, problem = asking:estimate(scene.input, { model = scene.model })
        result.scenes[index] = { scene = scene.name, credits = estimate and estimate.credits, error = problem }
        if estimate and estimate.balance then result.balance = estimate.balance end
        if problem and unavailable[problem.code] then result.unavailable = problem end
      end
    end
    local fibers = {}
    for index = 1, math.min(jobs or 4, #board.scenes) do fibers[index] = loop.spawn(ask) end
    loop.join(table.unpack(fibers))

    for index, declared in ipairs(board.scenes) do
      local scene = result.scenes[index] or { scene = declared.name, error = result.unavailable }
      result.scenes[index] = scene
      if scene.credits then
        result.credits = result.credits + scene.credits
        result.by_scene[scene.scene] = scene.credits
      else
        result.complete = false
        result.error = result.error or scene.error
      end
    end
    if not result.balance and not result.unavailable then result.balance = asking:balance() end
    return result
  end)
end

return { price = price }
