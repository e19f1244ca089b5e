-- SPDX-License-Identifier: MIT
-- Reads the LuaLS annotations of Lua files: functions, methods and classes, each with its description, parameters, results and fields.

---@class build.Block           what stands above a function or belongs to a class
---@field text string           the description, as one paragraph a line
---@field params build.Tag[]
---@field returns build.Tag[]
---@field fields build.Tag[]
---@field internal build.Tag[]  the fields for omni's own modules
---@field source string         the lines as they were written
---@field class? string
---@field parent? string
---@field hidden boolean        for omni's own modules

---@class build.Tag
---@field name? string
---@field optional? boolean
---@field type string
---@field text string

-- Separates a type from the text after it. Brackets and "fun(...): a, b" belong to the type.
local function split_type(text)
  local at, depth = 1, 0
  while at <= #text do
    local char = text:sub(at, at)
    if char:find "[%(%[{<]" then depth = depth + 1 end
    if char:find "[%)%]}>]" then depth = depth - 1 end
    if char == " " and depth == 0 and not text:sub(at - 1, at - 1):find "[:,|]" then break end
    at = at + 1
  end
  return text:sub(1, at - 1), text:sub(at)
end

local function param(text)
  local name, rest = text:match "^([%w_.]+%??)%s+(.*)$"
  local kind, about = split_type(rest)
  return { name = name:gsub("%?$", ""), optional = name:find "%?$" ~= nil, type = kind, text = about:match "^%s*(.-)%s*$" }
end

local function field(text)
  local name, rest = text:match "^(%b[])%s+(.*)$"
  if not name then return param(text) end
  local kind, about = split_type(rest)
  return { name = name, type = kind, text = about:match "^%s*(.-)%s*$" }
end

local function result(text)
  local kind, rest = split_type(text)
  local name, about = rest:match "^ ([%w_.]+)%s*(.*)$"
  if not name then about = rest:match "^%s*(.*)$" end
  return { name = name, type = kind, text = about }
end

-- Makes a block from the lines of one comment, without the leading "---".
local function read_block(lines)
  local block = { text = "", params = {}, returns = {}, fields = {}, internal = {}, hidden = false, source = table.concat(lines, "\n") }
  local tags, text = {}, {}
  for _, line in ipairs(lines) do
    local tag = line:match "^@(.*)$"
    if tag then
      tags[#tags + 1] = tag
    elseif #tags > 0 then
      tags[#tags] = tags[#tags] .. " " .. line:match "^%s*(.-)%s*$"
    else
      text[#text + 1] = line:match "^%s?(.-)%s*$"
    end
  end
  block.text = table.concat(text, " "):gsub("%s%s+", "\n\n")
  for _, tag in ipairs(tags) do
    local kind, rest = tag:match "^(%a+)%s*(.*)$"
    if kind == "param" then block.params[#block.params + 1] = param(rest) end
    if kind == "return" then block.returns[#block.returns + 1] = result(rest) end
    local internal = kind == "field" and (rest:match "^private (.*)$" or rest:match "^package (.*)$")
    if internal then
      block.internal[#block.internal + 1] = field(internal)
    elseif kind == "field" then
      block.fields[#block.fields + 1] = field(rest)
    end
    if kind == "class" then
      local about
      block.class, about = rest:match "^([%w_.]+)%s*(.*)$"
      block.parent = about:match "^:%s*([%w_.]+)"
      if block.text == "" and not block.parent then block.text = about end
    end
    if kind == "alias" then
      block.alias, block.values = rest:match "^[%w_.]+", {}
      for value, meaning in rest:gmatch '| (%b"")%s+([^|]+)' do
        block.values[#block.values + 1] = { name = value:gsub('"', ""), text = meaning:match "^%s*(.-)%s*$" }
      end
    end
    if kind == "private" or kind == "package" then block.hidden = true end
  end
  block.hidden = block.hidden or block.text:find("omni's own modules", 1, true) ~= nil
  return block
end

local function arguments_of(line)
  return line:match "%((.-)%)" or ""
end

---Reads one file.
---@param path string
---@return { functions: table<integer, build.Block>, classes: table<string, build.Block>, methods: table<string, build.Block[]>,
---  aliases: table<string, build.Tag[]> }  functions: by line; classes, methods, aliases: by name
local function read(path)
  local found = { functions = {}, classes = {}, methods = {}, aliases = {} }
  local tables, comment, class, number = {}, {}, nil, 0 -- tables: variable → the class whose methods it has
  for line in io.lines(path) do
    number = number + 1
    local doc = line:match "^%-%-%-(.*)$"
    if doc then
      if #comment > 0 and doc:find "^@class" and comment.has_class then -- two classes in one comment
        local block = read_block(comment)
        found.classes[block.class], comment = block, {}
      end
      comment[#comment + 1] = doc
      comment.has_class = comment.has_class or doc:find "^@class" ~= nil
    else
      local block = #comment > 0 and read_block(comment) or nil
      if block and block.alias then found.aliases[block.alias] = block end
      if block and block.class then
        found.classes[block.class], class = block, block.class
      end
      local variable = line:match "^local ([%w_]+) = [^\"]"
      if variable and class then
        tables[variable], class = class, nil
      end
      local owner, separator, name = line:match "^function ([%w_]+)([.:])([%w_]+)%("
      local plain = line:match "^local function ([%w_]+)%(" or line:match "^function ([%w_]+)%("
      if (owner or plain) and block then
        block.name, block.arguments, block.line = name or plain, arguments_of(line), number
        found.functions[number] = block
        if owner and tables[owner] then
          block.separator = separator
          local list = found.methods[tables[owner]] or {}
          found.methods[tables[owner]] = list
          list[#list + 1] = block
        end
      end
      if line == "" and variable == nil then class = nil end
      comment = {}
    end
  end
  local last = read_block(comment)
  if last.class then found.classes[last.class] = last end
  return found
end

return { read = read }
