-- SPDX-License-Identifier: MIT
-- Finds the line of each field in a board file's call to `storyboard`. Lua doesn't know the fields' lines at run time, since `return
-- storyboard {...}` is a tail call.

local MAX_BYTES <const> = 1024 * 1024 -- maximum size in bytes of a board's file in which omni looks for the fields' lines
local MAX_DEPTH <const> = 100

-- Returns the position after a quoted string that begins at `at`.
local function after_quoted(text, at)
  local quote = text:sub(at, at)
  repeat
    at = text:find("[\\\n" .. quote .. "]", at + 1)
    if not at then return #text + 1 end
    local stop = text:sub(at, at)
    if stop == "\\" then at = at + 1 end
  until stop == quote or stop == "\n"
  return at + 1
end

-- Returns an iterator over the tokens of a Lua program: the text and the line of each name, string and symbol. Skips comments.
local function tokens(text)
  local at, line, counted = 1, 1, 1
  return function()
    while true do
      at = text:find("%S", at)
      if not at then return nil end
      local level = text:match("^%-%-%[(=*)%[", at)
      if level then
        at = (select(2, text:find("]" .. level .. "]", at, true)) or #text) + 1
      elseif text:find("^%-%-", at) then
        at = text:find("\n", at, true) or #text + 1
      else
        break
      end
    end
    for _ in text:sub(counted, at - 1):gmatch "\n" do line = line + 1 end
    local level = text:match("^%[(=*)%[", at)
    local stop
    if level then
      stop = (select(2, text:find("]" .. level .. "]", at, true)) or #text) + 1
    elseif text:find("^[\"']", at) then
      stop = after_quoted(text, at)
    else
      stop = text:match("^[%a_][%w_]*()", at) or text:match("^[=~<>]=()", at) or at + 1
    end
    local token = text:sub(at, stop - 1)
    counted, at = at, stop
    return token, line
  end
end

local closing <const> = { ["}"] = true, [")"] = true, ["]"] = true }

-- Reads one token. `open` contains the table constructors around the token; the last one is the innermost. Parentheses and brackets count
-- as tables without fields.
local function read(open, token, line, before)
  local node = open[#open]
  if closing[token] then
    open[#open] = nil
    return
  end
  if token == "=" and node.name and before == node.name then
    node.items = node.items - 1
    node.fields[node.name] = node.fields[node.name] or { line = node.start, fields = {}, items = 0 }
    node.value = node.fields[node.name]
  elseif node.begins and token ~= "," and token ~= ";" then -- the token begins a field or an item of a table
    node.items = node.items + 1
    node.name, node.start = token, line
    node.value = { line = line, fields = {}, items = 0 }
    node.fields[node.items] = node.value
  end
  node.begins = (token == "," or token == ";") and node.braces
  if token == "{" then
    local inner = (before == "=" or node.start == line and node.name == token) and node.value or { fields = {}, items = 0 }
    inner.braces, inner.begins = true, true
    open[#open + 1] = inner
  elseif token == "(" or token == "[" then
    open[#open + 1] = { fields = {}, items = 0 }
  end
end

-- Returns the table constructor that the program passes to `storyboard`, or nil.
local function find_board(text)
  local board, open, before, waits = nil, {}, nil, false
  for token, line in tokens(text) do
    if #open > 0 then
      if #open > MAX_DEPTH then return nil end
      read(open, token, line, before)
    elseif before == "storyboard" and (token == "{" or token == "(") then
      board = { line = line, fields = {}, items = 0, braces = true, begins = true }
      open[1] = token == "{" and board or nil
    elseif board and waits and token == "{" then
      open[1] = board
    end
    waits, before = before == "storyboard" and token == "(", token
  end
  return board
end

---Returns a function that finds the line of a board's field, such as "cut", "cut.transition", "defaults.style" or "references.keeper". A
---number in a field's name is an item's position: "cut.2" is the second item of `cut`. For a field that the board doesn't have, the
---returned function returns the line of the enclosing table.
---@param text string  the content of the board's file
---@return fun(field?: string): integer|nil
local function of(text)
  local board, known
  return function(field)
    if not known and #text <= MAX_BYTES then board = find_board(text) end
    known = true
    local node = board
    for name in (field or ""):gmatch "[^.]+" do
      local below = node and node.fields[math.tointeger(tonumber(name)) or name]
      if not below then break end
      node = below
    end
    return node and node.line
  end
end

return { of = of }
