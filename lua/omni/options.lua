-- SPDX-License-Identifier: MIT
-- Checks tables of options. The error for an unknown option suggests the most similar known option.

---Returns the edit distance between two words. An edit inserts, deletes or replaces a letter, or swaps two adjacent letters.
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

---Returns the known name that is most similar to `name`, or nil if none is similar.
---@param name string
---@param known table<string, any>  the known names are its keys
---@return string|nil
local function nearest(name, known)
  name = name:lower()
  local best, best_distance = nil, math.max(2, #name // 3) + 1
  for _, candidate in ipairs(sorted_names(known)) do
    if math.abs(#name - #candidate) < best_distance then -- the difference in length is a lower bound on the edit distance
      local d = distance(name, candidate:lower())
      if d < best_distance then best, best_distance = candidate, d end
    end
  end
  return best
end

---Returns the end of an error message about an unknown name: the most similar known name, or all known names.
---@param name any
---@param known table<string, any>
---@return string
local function unknown(name, known)
  local near = type(name) == "string" and nearest(name, known)
  if near then return ("did you mean '%s'?"):format(near) end
  return "known are: " .. table.concat(sorted_names(known), ", ")
end

-- Returns whether a value can be a path. A path must not contain a NUL, because the system would end the path at the NUL and open a
-- different file.
local function is_path(value)
  return type(value) == "string" and value ~= "" and not value:find("\0", 1, true)
end

-- Describes a value that isn't a path.
local function no_path(value)
  if type(value) ~= "string" then return value == nil and "nil" or "a " .. type(value) end
  return value == "" and "an empty string" or "a string with a NUL"
end

---Returns whether a value is a short, human-readable string, such as a tag.
---@param value any
---@return boolean
local function is_label(value)
  return type(value) == "string" and #value > 0 and #value <= 256 and utf8.len(value) ~= nil and not value:find "%c"
end

-- Predicates for kinds of values that aren't Lua types. A predicate's key is the name of its kind.
local rules = {
  client = function(value)
    local mt = getmetatable(value)
    return type(mt) == "table" and mt.__name == "omni.client"
  end,
  label = is_label,
  path = is_path,
  any = function() return true end,
  integer = function(value) return math.type(value) == "integer" end,
  seconds = function(value) return type(value) == "number" and value >= 0 end,
  timeout = function(value) return type(value) == "number" and value > 0 end,
  count = function(value) return math.type(value) == "integer" and value >= 1 end,
}
local descriptions = {
  seconds = "a number of seconds, 0 or more", timeout = "a number of seconds above 0", count = "a whole number, 1 or more",
  integer = "a whole number", path = "a path", client = "a client, from omni.client",
  label = "a string of 1 to 256 bytes without control characters",
}

-- Returns whether a value is of the given kind, which is a Lua type or a key of `rules`.
local function fits(value, kind)
  local rule = rules[kind]
  if rule then return rule(value) end
  return type(value) == kind
end

-- Describes a kind for an error message, such as "a string" or "a path".
local function wanted(kind)
  return descriptions[kind] or "a " .. kind
end

-- Describes a value of the wrong kind. Doesn't show a string's contents, since the string may be an API key that was passed as the wrong
-- argument.
local function got(value, kind)
  if kind == "path" then return no_path(value) end
  if kind == "label" and type(value) == "string" then return "this one" end
  if type(value) == "number" then return require("omni.core").format("%s", value) end
  return value == nil and "nil" or "a " .. type(value)
end

---Raises an error if `given` has a key that isn't in `known`, or a value of the wrong kind. By default, the error names the line of the
---caller's caller.
---@param given table|nil
---@param known table<string, string>  option → its kind: a Lua type, or a key of `rules`, such as "seconds" or "path"
---@param what string                   the function's name, for the message
---@param level? integer                as for Lua's `error`, counted from the caller of `check` (default 2: the caller's caller)
---@return table given                  an empty table if it was nil
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
    if not fits(value, kind) then
      error(("%s: option '%s' must be %s, not %s"):format(what, name, wanted(kind), got(value, kind)), level)
    end
  end
  return given
end

---Raises an error if an argument is of the wrong kind. The error names the line of the caller's caller.
---@generic T
---@param value T
---@param kind string    as for `check`
---@param what string    the function's name, for the message: "task:save"
---@param level? integer  as for `check`
---@return T value
local function argument(value, kind, what, level)
  if fits(value, kind) then return value end
  error(("%s: expected %s, got %s"):format(what, wanted(kind), got(value, kind)), (level or 2) + 1)
end

---Raises an error if an argument isn't a path. The error names the line of the caller's caller.
---@param value any
---@param what string
---@param level? integer
---@return string path
local function path(value, what, level)
  return argument(value, "path", what, level) -- a tail call, so that the caller's caller stays the same
end

---Makes a class's methods raise an error, at the line of their caller, if the first argument isn't an object of the class. A call with a
---dot instead of a colon passes a wrong first argument.
---@param methods table<string, function>
---@param mt table  the class's metatable
---@param name string  what messages call an object: "client"
local function guard(methods, mt, name)
  for method, fn in pairs(methods) do
    methods[method] = function(self, ...)
      if getmetatable(self) == mt then return fn(self, ...) end
      error(("%s:%s: expected a %s before the colon, got %s; with a dot instead of a colon, the call gets no %s"):format(name, method, name,
        got(self, "table"), name), 2)
    end
  end
end

return {
  argument = argument, check = check, guard = guard, is_label = is_label, is_path = is_path, distance = distance, nearest = nearest,
  path = path, unknown = unknown,
}
