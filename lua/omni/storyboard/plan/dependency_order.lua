-- SPDX-License-Identifier: MIT
-- Sorts scenes so that each scene comes after the scenes that it builds on. Scenes stay in the order in which they were declared, unless a
-- dependency requires another order.

-- Returns the names of the scenes in a dependency cycle: 'dawn → storm → dawn'.
local function circle_of(scenes, path, index)
  local names, inside = {}, false
  for _, step in ipairs(path) do
    inside = inside or step == index
    if inside then names[#names + 1] = scenes[step].name end
  end
  names[#names + 1] = scenes[index].name
  return table.concat(names, " → ")
end

---@param scenes omni.ResolvedScene[]  including every scene that one of them builds on
---@return integer[] order                            indexes into `scenes`
---@return { index: integer, names: string }[] circles  for each cycle: one of its scenes, and the names of all its scenes in order
local function order(scenes)
  local indexes = {}
  for index, scene in ipairs(scenes) do indexes[scene.name] = index end

  local result, circles = {}, {}
  local state = {} -- index → "open" while its scenes are being visited, then "done"
  local path = {}
  -- Uses a stack instead of recursion, since a long chain of scenes would exceed Lua's C stack.
  for start in ipairs(scenes) do
    local stack = state[start] == nil and { { index = start, next = 1 } } or {}
    while #stack > 0 do
      local frame = stack[#stack]
      local index = frame.index
      if not state[index] then
        state[index] = "open"
        path[#path + 1] = index
      end
      local name = scenes[index].builds_on[frame.next]
      frame.next = frame.next + 1
      local below = name and indexes[name]
      if not name then
        state[index] = "done"
        path[#path], stack[#stack] = nil, nil
        result[#result + 1] = index
      elseif state[below] == "open" then
        circles[#circles + 1] = { index = below, names = circle_of(scenes, path, below) }
      elseif not state[below] then
        stack[#stack + 1] = { index = below, next = 1 }
      end
    end
  end
  return result, circles
end

return { order = order }
