-- SPDX-License-Identifier: MIT
-- One way of a value through a schema: how far it may go, what its empty tables are, where references lead.

local asset = require "omni.client.placeholder"
local combining = require "omni.models.schema.composition"
local json = require "omni.json"
local keywords = require "omni.models.schema.value_keywords"
local pattern = require "omni.models.schema.regular_expression"

-- A schema comes from the network: what would keep the loop for longer than about a second isn't followed.
local most_steps <const> = 300000
local most_depth <const> = 400          -- of schemas within schemas, references among them
local most_of_pattern <const> = 1000000 -- a pattern's steps in one text, which are small
local small <const> = 16                -- of them in one of a walk's steps

local given_up <const> = {} -- raised when a limit is passed

-- In this order: of several wrong things always the same one is told. Choices come first, as they say more than a type does.
local checks <const> = {
  combining.reference, keywords.choice, keywords.kind, keywords.text, keywords.range, keywords.list, keywords.fields, combining.combined,
}

---@class omni.schema.Problem
---@field place string   "img_urls[2]"; "" for the input itself
---@field text string    "must be a string"
---@field value? any     what was given instead
---@field near? string    the nearest of many choices
---@field hint? string
---@field kind? "kind"|"choice"|"required"  what alternatives can be told together
---@field list? any[]    of these: the kinds in words, the choices, the names
---@field at? string     the place of the schema that says so

---@class omni.schema.Walk
---@field root table                   the whole schema
---@field kinds table<table, string>   the input's tables: "array", "object"; nil for an empty one that can be either
---@field urls table<string, true>     the places where the schema wants a URL and there is one
---@field trail table[]                the empty tables that were found to be one of them, in the order of finding
local Walk_methods = {}
local Walk_mt = { __index = Walk_methods }

---Counts work that was done. Raises when it was too much.
---@param steps integer
function Walk_methods:spend(steps)
  self.left = self.left - steps
  if self.left < 0 then error(given_up, 0) end
end

---Checks a value against a schema.
---@param node any         a schema: a table or a boolean; anything else says nothing
---@param value any
---@param place string
---@param inner? boolean   a part of another schema for the same value
---@return omni.schema.Problem|nil
function Walk_methods:apply(node, value, place, inner)
  if node == false then return { place = place, text = "must not be given" } end
  if type(node) ~= "table" or value == json.null and node.nullable == true then return nil end
  self:spend(1)
  self.depth = self.depth + 1
  if self.depth > most_depth then error(given_up, 0) end
  local problem
  for _, check in ipairs(checks) do
    problem = check(self, node, value, place, inner)
    if problem then break end
  end
  self.depth = self.depth - 1
  return problem
end

---The same, and what it found empty tables to be is forgotten when the value doesn't fit.
---@return omni.schema.Problem|nil
function Walk_methods:try(node, value, place)
  local known, problem = #self.trail, self:apply(node, value, place, true)
  if problem then self:forget(known) end
  return problem
end

---How many empty tables are known by now.
---@return integer
function Walk_methods:known()
  return #self.trail
end

---Forgets all but the first `known` empty tables.
---@param known integer
function Walk_methods:forget(known)
  for i = #self.trail, known + 1, -1 do
    self.kinds[self.trail[i]] = nil
    self.trail[i] = nil
  end
end

local of_arrays <const> = { "items", "prefixItems", "minItems", "maxItems", "uniqueItems" }
local of_objects <const> = { "properties", "required", "additionalProperties", "patternProperties", "minProperties", "maxProperties" }

local function says(node, names)
  for _, name in ipairs(names) do
    if node[name] ~= nil then return true end
  end
  return false
end

-- What an empty table is to this schema: what its type or else its keywords say.
local function guess(node)
  local may = {}
  for _, kind in ipairs(type(node.type) == "table" and node.type or { node.type }) do may[kind] = true end
  if may.array ~= may.object then return may.array and "array" or "object" end
  if next(may) and not may.array then return nil end
  local array, object = says(node, of_arrays), says(node, of_objects)
  return array ~= object and (array and "array" or "object") or nil
end

---What a value is: one of JSON's kinds, or "asset". Of an empty table what this schema takes it for, from now on.
---@param value any
---@param node table  the schema
---@return string|nil
function Walk_methods:kind(value, node)
  if value == json.null then return "null" end
  if type(value) ~= "table" then return type(value) end
  if asset.is(value) then return "asset" end
  local kind = self.kinds[value]
  if not kind then
    kind = guess(node)
    if kind then
      self.kinds[value] = kind
      self.trail[#self.trail + 1] = value
    end
  end
  return kind
end

---Whether two JSON values are equal.
---@return boolean
function Walk_methods:equal(a, b)
  self:spend(1)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" or asset.is(a) or asset.is(b) then return false end
  for key, item in pairs(a) do
    if b[key] == nil or not self:equal(item, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

---An expression, read once.
---@param text any
---@return omni.schema.Pattern|nil  nil for what isn't understood
function Walk_methods:pattern(text)
  if type(text) ~= "string" then return nil end
  local known = self.patterns[text]
  if known == nil then
    self:spend(1 + #text // small)
    known = pattern.compile(text) or false
    self.patterns[text] = known
  end
  return known or nil
end

---Whether an expression is found in a text; nil when it isn't understood, or would take too long.
---@param expression any
---@param text string
---@return boolean|nil
function Walk_methods:matches(expression, text)
  local found = self:pattern(expression)
  if not found then return nil end
  local left = most_of_pattern
  local fine, is_in = pcall(found.is_in, found, text, function(steps)
    left = left - steps
    if left < 0 then error(given_up, 0) end
  end)
  self:spend((most_of_pattern - left) // small)
  if fine then return is_in end
  if is_in ~= given_up then error(is_in, 0) end
  return nil
end

---Where a local reference leads: "#/$defs/image".
---@param reference any
---@return any  nil when it leads nowhere, or out of the schema
function Walk_methods:find(reference)
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

local combined <const> = { "allOf", "anyOf", "oneOf" }
local conditional <const> = { "if", "then", "else" }

local function collect(walk, node, names, seen)
  if type(node) ~= "table" or seen[node] then return end
  walk:spend(1)
  seen[node] = true
  for name in pairs(type(node.properties) == "table" and node.properties or {}) do
    walk:spend(1)
    if type(name) == "string" then names[name] = true end
  end
  collect(walk, walk:find(node["$ref"]), names, seen)
  for _, keyword in ipairs(conditional) do collect(walk, node[keyword], names, seen) end
  for _, keyword in ipairs(combined) do
    for _, part in ipairs(type(node[keyword]) == "table" and node[keyword] or {}) do collect(walk, part, names, seen) end
  end
  for _, part in pairs(type(node.dependentSchemas) == "table" and node.dependentSchemas or {}) do collect(walk, part, names, seen) end
end

---The names of all fields that a schema knows, in its alternatives and wherever it refers to, too.
---@param node table
---@return table<string, true>
function Walk_methods:names(node)
  local names = self.names_of[node]
  if not names then
    names = {}
    collect(self, node, names, {})
    self.names_of[node] = names
  end
  return names
end

---@param root table
---@param kinds table<table, string>
---@return omni.schema.Walk
local function new(root, kinds)
  return setmetatable({
    root = root, kinds = kinds, trail = {}, urls = {}, patterns = {}, names_of = {}, left = most_steps, depth = 0,
  }, Walk_mt)
end

return { given_up = given_up, new = new }
