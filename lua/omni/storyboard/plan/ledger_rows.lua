-- SPDX-License-Identifier: MIT
-- The ledger rows that a plan needs. Reads many scenes' ledger rows in one query, and keeps the rows in memory.

---@class omni.PlanRows
---@field package ledger omni.Records
---@field package client omni.Client
---@field package board_key string
---@field package known table<string, table>  verb → first parameter → rows
local Rows_methods = {}
local Rows_mt = { __index = Rows_methods }

---Runs a verb. Raises the error if the ledger fails.
---@param verb string
---@param params table
---@return table[]
function Rows_methods:ask(verb, params)
  local rows, problem = self.ledger:ask(verb, params)
  if not rows then error(problem, 0) end
  return rows
end

-- The ledger verbs that a plan needs for each scene, with each verb's parameters. A verb's first parameter differs between scenes; its
-- other parameters don't.
local scene_verbs <const> = {
  latest_take = { "base", "service" }, by_identity = { "identity", "service" }, files = { "submit" },
  last_of_scene = { "scene", "board", "service" },
}

local function parameters(self, verb, value)
  local names = scene_verbs[verb]
  local params = { [names[1]] = value }
  for i = 2, #names do params[names[i]] = names[i] == "board" and self.board_key or self.client.service end
  return params
end

---Runs a verb of `scene_verbs` for several values of the verb's first parameter, in a single ledger query. Afterwards, `get` returns the
---results without querying the ledger.
---@param verb string
---@param values any[]  the verb's first parameters
function Rows_methods:prepare(verb, values)
  local list, known = {}, self.known[verb] or {}
  for i, value in ipairs(values) do list[i] = parameters(self, verb, value) end
  local found, problem = self.ledger:ask_each(verb, list)
  if not found then error(problem, 0) end
  self.known[verb] = known
  for i, value in ipairs(values) do known[value] = found[i] end
end

---Returns the ledger rows that a verb of `scene_verbs` finds for one value of the verb's first parameter.
---@param verb string
---@param value any
---@return table[]
function Rows_methods:get(verb, value)
  local known = self.known[verb]
  return known and known[value] or self:ask(verb, parameters(self, verb, value))
end

---Returns the ledger row of a scene's submit. If an earlier submit failed or was lost, stores that submit's row in `planned.before`.
---@param planned { identity: string, before?: table }
---@return table|nil
function Rows_methods:of_submit(planned)
  local row, dead = nil, { gone = self.client.is_sandbox, failed = true, refused = true, forgotten = true }
  for _, candidate in ipairs(self:get("by_identity", planned.identity)) do
    local foreign = self.client.is_sandbox and not self.client:serves(candidate) and candidate.state ~= "success"
    if not foreign and not dead[candidate.state] then -- skips a closed sandbox's tasks, which no longer exist
      row = candidate
      break
    end
    if not row and candidate.state ~= "refused" and candidate.state ~= "forgotten" then planned.before = planned.before or candidate end
  end
  return row
end

---@param ledger omni.Records
---@param client omni.Client
---@param board_key string
---@return omni.PlanRows
local function new(ledger, client, board_key)
  return setmetatable({ ledger = ledger, client = client, board_key = board_key, known = {} }, Rows_mt)
end

return { new = new }
