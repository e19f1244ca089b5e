-- SPDX-License-Identifier: MIT
-- Prints docs/reference.md, out of the annotations of lua/omni, the sections below and the examples in docs/build/examples.lua.
--
--   LUA_PATH="lua/?.lua;lua/?/init.lua;docs/build/?.lua;;" LUA_CPATH="build/lib/?.so;;" lua5.4 docs/build/reference.lua > docs/reference.md

local examples = require "examples"
local omni = require "omni"
local source = require "source"

local aliases, block_of, classes, files, methods = source.aliases, source.block_of, source.classes, source.files, source.methods

-- --- Markdown

local function cell(text)
  return (text:gsub("|", "\\|"):gsub("\n+", " "))
end

local function code(text)
  return text == "" and "" or "`" .. text .. "`"
end

local sections -- below
local linked = {} -- class → the heading that describes it

local function type_text(kind)
  local plain = kind:gsub("%?$", "")
  local class = plain:gsub("|nil$", ""):gsub("%[%]$", "")
  if linked[class] then return ("[%s](#%s)"):format(code(cell(plain)), linked[class]) end
  return code(cell(plain))
end

local function default_of(text)
  local before, default = text:match "^(.-)%s*%(default:? (.-)%)$"
  if not default then return text, "" end
  return before, default:find "^[%d\"tf][%w_.\"/:-]*$" and code(default) or default
end

local function fields_table(fields, with_defaults)
  local rows = { with_defaults and "| option | type | default | meaning |" or "| field | type | meaning |",
    with_defaults and "| --- | --- | --- | --- |" or "| --- | --- | --- |" }
  for _, field in ipairs(fields) do
    local text, default = field.text, nil
    if with_defaults then text, default = default_of(text) end
    local name = field.name:find "^%[" and "1, 2, 3 ..." or field.name
    if field.name == "[string]" then name = "any other" end
    local cells = { field.name:find "^%[" and name or code(name), type_text(field.type), cell(text) }
    if with_defaults then
      if not field.optional and not field.name:find "^%[" then default = "required" end
      table.insert(cells, 3, cell(default))
    end
    rows[#rows + 1] = ("| %s |"):format(table.concat(cells, " | "))
  end
  return table.concat(rows, "\n")
end

local out = {}
local function put(text, ...)
  if select("#", ...) > 0 then text = text:format(...) end
  out[#out + 1] = text
end

local used_examples = {}
local function put_example(name)
  local example = examples[name]
  if not example then return end
  used_examples[name] = true
  put("```lua\n%s```", example:gsub("^\n", ""))
end

-- Fields of the options class of a parameter; also those that it inherits.
local function options_of(class)
  local fields = {}
  while class and classes[class] do
    table.move(classes[class].fields, 1, #classes[class].fields, #fields + 1, fields)
    class = classes[class].parent
  end
  return fields
end

local function is_options(class)
  return class:find "Options$" or class:find "%.Board" or class:find "%.Cut" or class:find "%.SceneFields"
end

local function put_function(name, block)
  local result_says = block and block.returns[1] and block.returns[1].name
  assert(block and (block.text ~= "" or result_says), name .. " has no description")
  put("### %s(%s)", name, block.arguments)
  if block.text ~= "" then put("%s", block.text) end
  local list = {}
  for _, param in ipairs(block.params) do
    local class = param.type:gsub("%?$", "")
    param.optional = param.optional or param.type:find "|nil$" ~= nil
    if not (is_options(class) and classes[class]) then
      list[#list + 1] = ("* `%s` (%s%s)%s"):format(param.name, type_text(param.type), param.optional and ", optional" or "",
        param.text ~= "" and ": " .. param.text or "")
    end
  end
  if #list > 0 then put("%s", table.concat(list, "\n")) end
  for _, param in ipairs(block.params) do
    local class = param.type:gsub("%?$", "")
    if is_options(class) and classes[class] then
      put("Fields of `%s`%s:", param.name, param.optional and " (optional)" or "")
      put("%s", fields_table(options_of(class), true))
    end
  end
  local results, failure = {}, nil
  for _, result in ipairs(block.returns) do
    local kind, or_error = result.type:gsub("|nil$", ""), result.type:find "|omni%.Error$"
    if or_error then -- the second of two values: a result, or the error
      results[#results + 1] = ("%s %s"):format(type_text(kind:gsub("|omni%.Error$", "")), code(result.name))
      kind, failure = "omni.Error", result
    end
    if kind == "omni.Error" then
      failure = result
    elseif not or_error then
      results[#results + 1] = ("%s%s%s"):format(type_text(kind), result.name and " " .. code(result.name) or "",
        result.text ~= "" and ": " .. result.text or "")
    end
  end
  local facts = {}
  for i, result in ipairs(results) do
    facts[i] = ("* **%s** %s"):format(#results == 1 and "Returns" or "Result " .. i .. ":", result)
  end
  if failure then
    local label, text = failure.text:match "^(codes?):? (.*)"
    label = label and "Error " .. label or "Error"
    facts[#facts + 1] = ("* **%s**%s"):format(label, failure.text ~= "" and ": " .. (text or failure.text) or "")
  end
  if #facts > 0 then put("%s", table.concat(facts, "\n")) end
  put_example(name)
end

local shown = {}

local function put_class(class)
  local block = assert(classes[class], class)
  local word = class:match "([%w_]+)$"
  if #block.fields > 0 then
    put("### Fields of %s", linked.titles[class] or word)
    if block.text ~= "" then put("%s", block.text) end
    put("%s", fields_table(block.fields))
  end
end

-- All methods of a class, or those that are named; a class that omni's own modules extend names its public ones.
local function put_methods(class, variable, names)
  local known = {}
  for _, method in ipairs(methods[class] or {}) do
    known[method.name] = method
    if not names and not method.hidden then put_function(variable .. ":" .. method.name, method) end
  end
  for _, name in ipairs(names or {}) do put_function(variable .. ":" .. name, known[name]) end
end

sections = require "sections"

for _, section in ipairs(sections) do
  for _, part in ipairs(section) do
    if part.class then
      linked[part.class] = ("fields-of-" .. part.title):gsub("[^%w%s_-]", ""):gsub(" ", "-"):lower()
      linked.titles = linked.titles or {}
      linked.titles[part.class] = part.title
    end
  end
end

put("# Reference")
put("%s", sections.introduction)
for _, section in ipairs(sections) do
  put("## %s", section.title)
  put("%s", section.text)
  for _, part in ipairs(section) do
    if part.fn then
      shown[part.fn] = true
      put_function("omni." .. part.fn, block_of(omni[part.fn]))
    elseif part.words then
      for _, block in ipairs(part.words) do
        shown[block] = true
        for _, one in pairs(files["lua/omni/types/board.d.lua"].functions) do
          if one.name == block then put_function(block, one) end
        end
      end
    elseif part.values then
      for name, text in pairs(part.values) do shown[name] = text end
      for _, name in ipairs(part.order) do put("### omni.%s\n\n%s", name, part.values[name]) end
    elseif part.methods then
      put_methods(part.methods, part.as, part.names)
    elseif part.class then
      put_class(part.class)
    elseif part.alias then
      put("### %s", part.title)
      local rows = { "| value | meaning |", "| --- | --- |" }
      for _, value in ipairs(assert(aliases[part.alias], part.alias).values) do
        rows[#rows + 1] = ("| `%s` | %s |"):format(value.name, cell(value.text))
      end
      put("%s", table.concat(rows, "\n"))
    end
  end
end

for name in pairs(omni) do
  if not shown[name] then error(("omni.%s stands in no section of docs/build/sections.lua"):format(name)) end
end
for name in pairs(examples) do
  if not used_examples[name] then error(("the example of %s belongs to no function"):format(name)) end
end
print(table.concat(out, "\n\n"))
