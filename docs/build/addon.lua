-- SPDX-License-Identifier: MIT
-- Prints library/omni.lua, a part of the addon for the Lua language server: the public functions and classes of `require "omni"`. Takes
-- them from the annotations in lua/omni and from the sections of docs/reference.md.

local omni = require "omni"
local sections = require "sections"
local source = require "source"

local out, defined, wanted = {}, {}, {}
local function put(text, ...) out[#out + 1] = select("#", ...) > 0 and text:format(...) or text end

-- Records the classes that a type refers to.
local function want(kind)
  for name in kind:gmatch "omni%.[%w_.]+" do
    if not defined[name] then wanted[#wanted + 1] = name end
  end
end

local function put_comment(text)
  if text ~= "" then put("---%s", (text:gsub("\n\n", "\n---\n---"))) end
end

local function put_tags(block)
  for _, param in ipairs(block.params) do
    put("---@param %s%s %s%s", param.name, param.optional and "?" or "", param.type, param.text ~= "" and "  " .. param.text or "")
    want(param.type)
  end
  for _, result in ipairs(block.returns) do
    put("---@return %s%s%s", result.type, result.name and " " .. result.name or "", result.text ~= "" and "  " .. result.text or "")
    want(result.type)
  end
end

local function put_function(block, name)
  put_comment(block.text)
  put_tags(block)
  put("function %s(%s) end\n", name, block.arguments)
end

-- The public methods of each class.
local public = {}
for _, section in ipairs(sections) do
  for _, part in ipairs(section) do
    if part.methods then public[part.methods] = part.names or true end
  end
end

local function is_public(class, method)
  local names = public[class]
  if names == true or names == nil then return not method.hidden end
  for _, name in ipairs(names) do
    if name == method.name then return true end
  end
  return false
end

local function put_class(name)
  defined[name] = true
  local alias, class = source.aliases[name], source.classes[name]
  if alias then
    put("%s\n", "---" .. alias.source:gsub("\n", "\n---"))
    return want(alias.source:gsub("@alias omni%.[%w_.]+", ""))
  end
  assert(class, name .. " is used by an annotation, and isn't a class")
  put_comment(class.text)
  put("---@class %s%s", name, class.parent and ": " .. class.parent or "")
  want(class.parent or "")
  for _, field in ipairs(class.fields) do
    put("---@field %s%s %s%s", field.name, field.optional and "?" or "", field.type, field.text ~= "" and "  " .. field.text or "")
    want(field.type)
  end
  local variable = name:gsub("[%W]", "_")
  put("local %s = {}\n", variable)
  for _, method in ipairs(source.methods[name] or {}) do
    if is_public(name, method) then put_function(method, variable .. (method.separator or ":") .. method.name) end
  end
end

put("---@meta omni")
put("-- Written by docs/build/addon.lua, out of omni's sources.\n")
put("---@class omni\n---@field version string\n---@field null any  JSON's null\nlocal omni = {}\n")
local words = {}
for _, block in pairs(source.files["lua/omni/types/board.d.lua"].functions) do words[block.name] = block end
local names = {}
for name, value in pairs(omni) do
  if type(value) == "function" then names[#names + 1] = name end
end
table.sort(names)
for _, name in ipairs(names) do put_function(words[name] or assert(source.block_of(omni[name]), name), "omni." .. name) end

put("---@class omni.Loop\nomni.loop = {}\n")
put("---@return integer descriptor  readable when `step` has work\nfunction omni.loop:pollfd() end\n")
put("---@return number|nil seconds  until `step` must be called anyway\nfunction omni.loop:timeout() end\n")
put("---Does the work that is ready. Never waits.\nfunction omni.loop:step() end\n")
put("---@return boolean  whether every fiber has ended\nfunction omni.loop:empty() end\n")

local at = 1
while wanted[at] do
  if not defined[wanted[at]] then put_class(wanted[at]) end
  at = at + 1
end
put("return omni")
print(table.concat(out, "\n"))
