-- SPDX-License-Identifier: MIT
-- What a board would cost, asked of the service scene by scene. Costs nothing, submits nothing.

local loop = require "omni.loop"

---@param board omni.Storyboard
---@param client omni.Client
---@param jobs? integer  questions at a time (4)
---@return { scenes: { scene: string, credits?: number, error?: omni.Error }[], by_scene: table<string, number>, credits: number, complete: boolean, balance?: number, error?: omni.Error }
---`credits`: the sum of what is known · `complete`: every price is known · `error`: why the first unknown one isn't
local function price(board, client, jobs)
  return loop.drive(function()
    local result = { scenes = {}, by_scene = {}, credits = 0, complete = true }
    local next_index = 1
    local function ask()
      while board.scenes[next_index] do
        local index = next_index
        local scene = board.scenes[index]
        next_index = index + 1
        local estimate, problem = client:estimate(scene.input, { model = scene.model })
        result.scenes[index] = { scene = scene.name, credits = estimate and estimate.credits, error = problem }
        if estimate and estimate.balance then result.balance = estimate.balance end
      end
    end
    local fibers = {}
    for index = 1, math.min(jobs or 4, #board.scenes) do fibers[index] = loop.spawn(ask) end
    loop.join(table.unpack(fibers))

    for _, scene in ipairs(result.scenes) do
      if scene.credits then
        result.credits = result.credits + scene.credits
        result.by_scene[scene.scene] = scene.credits
      else
        result.complete = false
        result.error = result.error or scene.error
      end
    end
    if not result.balance then result.balance = client:balance() end
    return result
  end)
end

return { price = price }
