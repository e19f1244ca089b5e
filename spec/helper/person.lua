-- SPDX-License-Identifier: MIT
-- Does what a person does about submits with an unknown outcome: looks into the account, and adopts the tasks that are there.

local omni = require "omni"

local person = {}

---Returns the ids of the tasks of a sandbox with this prompt.
---@param tasks table[]  of the sandbox's ledger
function person.charged(tasks, prompt)
  local found = {}
  for _, task in ipairs(tasks) do
    if task.input.prompt == prompt then found[#found + 1] = task.task_id end
  end
  return found
end

---Returns the words for `omni run` that settle a board's unknown outcomes, and the number of these.
---@param board string  path
---@param given { client: omni.Client, directory: string }
---@param charged fun(scene: string): string[]
function person.settle(board, given, charged)
  local words, seen = {}, 0
  local plan = assert(omni.plan_storyboard(assert(omni.load_storyboard(board)), given))
  for _, scene in ipairs(plan.scenes) do
    if scene.action == "unknown" then
      seen = seen + 1
      local tasks = charged(scene.scene)
      assert(#tasks <= 1, "an unknown submit was sent twice")
      if tasks[1] then
        table.move({ "--adopt", scene.scene, tasks[1] }, 1, 3, #words + 1, words)
      else
        table.move({ "--resubmit", scene.scene }, 1, 2, #words + 1, words)
      end
    end
  end
  return words, seen
end

return person
