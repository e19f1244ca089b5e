-- SPDX-License-Identifier: MIT
-- Rewords error hints for a person at a shell. The library's hints name functions and options; the reworded hints name commands.

local words <const> = {
  ["client:models() lists the models"] = "omni models lists the models",
  ["client:upload(path) returns a URL"] = "omni upload FILE prints a URL",
  ["give a budget, or yes = true"] = "give --budget N, or --yes",
  ["make a new plan, and ask again"] = "give the command again",
}

---Returns an error's hint.
---@param problem omni.Error
---@return string|nil
local function of(problem)
  return problem.hint and (words[problem.hint] or problem.hint)
end

return { of = of }
