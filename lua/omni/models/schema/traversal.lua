-- SPDX-License-Identifier: MIT
-- Traverses a value together with its schema. Limits the amount of work, decides whether empty tables are arrays or objects, and follows
-- references.

local json = require "omni.json"
local placeholder = require "omni.client.placeholder"
local composition = require "omni.models.schema.composition"
local fields = require "omni.models.schema.object_fields"
local keywords = require "omni.models.schema.value_keywords"

-- Schemas come from the network, so a check must limit its work. With these limits, a check takes at most about a second.
local MAX_STEPS <const> = 300000
local MAX_DEPTH <const> = 400 -- maximum nesting depth of schemas, including references

local given_up <const> = {} -- the error value that is raised when a limit is exceeded

-- The order of the checks determines which of several problems is reported. A message that lists the allowed choices is more helpful than a
-- message about a value's type.
local checks <const> = {
  composition.reference, keywords.choice, keywords.kind, keywords.text, keywords.range, keywords.list, fields.check,
  composition.combined,
}

---@class omni.schema.Problem
---@field place string   "img_urls[2]"; "" for the input itself
---@field text string    "must be a string"
---@field value? any     the wrong value
---@field near? string   the most similar of many choices
---@field hint? string
---@field unknown? boolean  the schema has no field with this name
---@field kind? "kind"|"choice"|"required"  problems of alternatives can be joined if they have one of these kinds
---@field list? any[]    what the alternatives expect: types in words, choices, or field names
---@field at? string     the place of the schema that reports the problem

---@class omni.schema.Traversal
---@field root table                   the whole schema
---@field kinds table<table, string>   the input's tables: "array" or "object"; nil for an empty one that can be either
---@field urls table<string, true>     the places of values that are URLs according to the schema
---@field decided table[]              the empty tables whose kind the schema decided, oldest first
local Traversal_methods = {}
local Traversal_mt = { __index = Traversal_methods }

---Adds `steps` to the number of steps that the check has used. Raises `given_up` when the check exceeds its limit.
---@param steps integer
function Traversal_methods:spend(steps)
  self.left = self.left - steps
  if self.left < 0 then error(given_up, 0) end
end

---Checks a value against a schema. Returns the first problem that the check finds, or nil.
---@param node any         a schema: a table or a boolean; anything else allows every value
---@param value any
---@param place string
---@param inner? boolean   the schema is a part of another schema for the same value
---@return omni.schema.Problem|nil
function Traversal_methods:apply(node, value, place, inner)
  if node == false then return { place = place, text = "must not be given" } end
  if type(node) ~= "table" or value == json.null and node.nullable == true then return nil end
  self:spend(1)
  self.depth = self.depth + 1
  if self.depth > MAX_DEPTH then error(given_up, 0) end
  local problem
  for _, check in ipairs(checks) do
    problem = check(self, node, value, place, inner)
    if problem then break end
  end
  self.depth = self.depth - 1
  return problem
end

---Works like `apply` with `inner` set to true. If the value doesn't match, discards the schema's decisions about which empty tables are
---arrays and which are objects.
---@return omni.schema.Problem|nil
function Traversal_methods:try(node, value, place)
  local count, problem = #self.decided, self:apply(node, value, place, true)
  if problem then
    for i = #self.decided, count + 1, -1 do
      self.kinds[self.decided[i]] = nil
      self.decided[i] = nil
    end
  end
  return problem
end

local ARRAY_KEYWORDS <const> = { "items", "prefixItems", "minItems", "maxItems", "uniqueItems" }
local OBJECT_KEYWORDS <const> = {
  "properties", "required", "additionalProperties", "patternProperties", "minProperties", "maxProperties",
}

local function has_any(node, names)
  for _, name in ipairs(names) do
    if node[name] ~= nil then return true end
  end
  return false
end

-- Returns whether an empty table is an array or an object, judging by the schema's type or, failing that, by its keywords. Returns nil if
-- the table can be either an array or an object.
local function kind_of_empty(node)
  local may = {}
  for _, kind in ipairs(type(node.type) == "table" and node.type or { node.type }) do may[kind] = true end
  if may.array ~= may.object then return may.array and "array" or "object" end
  if next(may) and not may.array then return nil end
  local array, object = has_any(node, ARRAY_KEYWORDS), has_any(node, OBJECT_KEYWORDS)
  return array ~= object and (array and "array" or "object") or nil
end

---Returns a value's kind: a JSON type or "placeholder". The schema determines the kind of an empty table.
---@param value any
---@param node table  the schema
---@return string|nil
function Traversal_methods:kind(value, node)
  if value == json.null then return "null" end
  if type(value) ~= "table" then return type(value) end
  if placeholder.is(value) then return "placeholder" end
  local kind = self.kinds[value]
  if not kind then
    kind = kind_of_empty(node)
    if kind then
      self.kinds[value] = kind
      self.decided[#self.decided + 1] = value
    end
  end
  return kind
end

---Returns whether two JSON values are equal.
---@return boolean
function Traversal_methods:equal(a, b)
  self:spend(1)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" or placeholder.is(a) or placeholder.is(b) then return false end
  for key, item in pairs(a) do
    if b[key] == nil or not self:equal(item, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

---Resolves a local reference, such as "#/$defs/image", to a part of the schema.
---@param reference any
---@return any  nil if there is no such part, or if the reference names another document
function Traversal_methods:find(reference)
  if type(reference) ~= "string" or not reference:find "^#" or reference:find "^#[^/]" then return nil end
  local node = self.root
  for part in reference:sub(2):gmatch "/([^/]*)" do
    self:spend(1)
    local name = part:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end):gsub("~1", "/"):gsub("~0", "~")
    local index = name:find "^%d+$" and #name < 10 and math.tointeger(tonumber(name)) + 1
    if type(node) ~= "table" then return nil end
    if node[name] ~= nil then node = node[name] else node = index and node[index] end
  end
  return node
end

local LISTS <const> = { "allOf", "anyOf", "oneOf" }
local CONDITIONAL <const> = { "if", "then", "else" }

local function collect_names(self, node, names, seen)
  if type(node) ~= "table" or seen[node] then return end
  self:spend(1)
  seen[node] = true
  for name in pairs(type(node.properties) == "table" and node.properties or {}) do
    self:spend(1)
    if type(name) == "string" then names[name] = true end
  end
  collect_names(self, self:find(node["$ref"]), names, seen)
  for _, keyword in ipairs(CONDITIONAL) do collect_names(self, node[keyword], names, seen) end
  for _, keyword in ipairs(LISTS) do
    for _, part in ipairs(type(node[keyword]) == "table" and node[keyword] or {}) do collect_names(self, part, names, seen) end
  end
  for _, part in pairs(type(node.dependentSchemas) == "table" and node.dependentSchemas or {}) do
    collect_names(self, part, names, seen)
  end
end

---Returns the names of all fields that a schema mentions, including those in its alternatives and references.
---@param node table
---@return table<string, true>
function Traversal_methods:names(node)
  local names = self.names_of[node]
  if not names then
    names = {}
    collect_names(self, node, names, {})
    self.names_of[node] = names
  end
  return names
end

---@param root table
---@param kinds table<table, string>
---@return omni.schema.Traversal
local function new(root, kinds)
  return setmetatable({
    root = root, kinds = kinds, decided = {}, urls = {}, names_of = {}, left = MAX_STEPS, depth = 0,
  }, Traversal_mt)
end

return { given_up = given_up, new = new }
