-- SPDX-License-Identifier: MIT
-- Checks tables of options: an unknown key names the nearest known one, a wrong type says what is allowed.

---Edits (insert, delete, replace, swap of neighbours) between two words.
---@param a string
---@param b string
---@return integer
local function distance(a, b)
  local before, last = nil, {}
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      row[j] = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same and 0 or 1))
      if before and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], before[j - 2] + 1)
      end
    end
    before, last = last, row
  end
  return last[#b]
end

local function sorted_names(known)
  local names = {}
  for name in pairs(known) do
    if type(name) == "string" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

---The known name that is nearest to `name`, or nil when none is near.
---@param name string
---@param known table<string, any>  the known names are its keys
---@return string|nil
local function nearest(name, known)
  name = name:lower()
  local best, best_distance = nil, math.max(2, #name // 3) + 1
  for _, candidate in ipairs(sorted_names(known)) do
    if math.abs(#name - #candidate) < best_distance then -- it is at least that far
      local d = distance(name, candidate:lower())
      if d < best_distance then best, best_distance = candidate, d end
    end
  end
  return best
end

---What to say of a name that isn't known.
---@param name any
---@param known table<string, any>
---@return string
local function unknown(name, known)
  local near = type(name) == "string" and nearest(name, known)
  if near then return ("did you mean '%s'?"):format(near) end
  return "known are: " .. table.concat(sorted_names(known), ", ")
end

-- The system takes a NUL for a path's end, and would open another file.
local function is_path(value)
  return type(value) == "string" and value ~= "" and not value:find("\0", 1, true)
end

-- What a value is instead of a path.
local function no_path(value)
  if type(value) ~= "string" then return value == nil and "nil" or "a " .. type(value) end
  return value == "" and "an empty text" or "a text with a NUL"
end

-- "string", "number", "integer", "seconds" (a number >= 0), "count" (an integer >= 1), "path", "boolean", "table", "function", "any"
local rules = {
  path = is_path,
  any = function() return true end,
  integer = function(value) return math.type(value) == "integer" end,
  seconds = function(value) return type(value) == "number" and value >= 0 end,
  count = function(value) return math.type(value) == "integer" and value >= 1 end,
}
local said = { seconds = "a number of seconds, 0 or more", count = "a whole number, 1 or more", integer = "a whole number",
  path = "a path" }

---Raises, at the level of the caller's caller by default, when `given` has a key that isn't in `known` or a value of the wrong type.
---@param given table|nil
---@param known table<string, string>  option → its type: a Lua type, or "integer", "seconds", "count", "path", "any"
---@param what string                   the function's name, for the message
---@param level? integer                as for `error`, counted from the caller of `check` (default 2: its caller)
---@return table given                  an empty table when it was nil
local function check(given, known, what, level)
  level = (level or 2) + 1
  if given == nil then return {} end
  if type(given) ~= "table" then
    error(("%s: options must be a table, not a %s"):format(what, type(given)), level)
  end
  for name, value in pairs(given) do
    local kind = known[name]
    if not kind then
      error(("%s: unknown option '%s'; %s"):format(what, tostring(name), unknown(name, known)), level)
    end
    local rule = rules[kind]
    if rule and not rule(value) or not rule and type(value) ~= kind then
      local got = kind == "path" and no_path(value) or type(value) == "number" and require("omni.core").format("%s", value)
        or "a " .. type(value)
      error(("%s: option '%s' must be %s, not %s"):format(what, name, said[kind] or "a " .. kind, got), level)
    end
  end
  return given
end

---Raises at the level of the caller's caller when a value isn't a path.
---@param value any
---@param what string    for the message: "task:save"
---@param level? integer  as for `check`
---@return string path
local function path(value, what, level)
  if is_path(value) then return value end
  error(("%s: expected a path, got %s"):format(what, no_path(value)), (level or 2) + 1)
end

return {
  check = check, is_path = is_path, distance = distance, nearest = nearest, path = path, unknown = unknown,
}
