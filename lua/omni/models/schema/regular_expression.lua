-- SPDX-License-Identifier: MIT
-- The regular expressions of JSON Schema (ECMA's), as far as they say which texts are meant and no more. All ways through an expression
-- are followed at once, so that the time it takes grows with text and expression, and never with the power of one.
--
-- Not understood, and so passed over: look-ahead and look-behind, references back, \p{...}, flags.

local most_text <const> = 1000    -- bytes of an expression
local most_depth <const> = 50     -- of groups in groups
local most_program <const> = 1500 -- instructions; counted repetitions are written out
local last_point <const> = 0x10FFFF

-- Sets of code points: first, last, first, last, ... in ascending order.
local digits <const> = { 48, 57 }
local letters <const> = { 48, 57, 65, 90, 95, 95, 97, 122 }
local blanks <const> = { 9, 13, 32, 32, 160, 160, 5760, 5760, 8192, 8202, 8232, 8233, 8239, 8239, 8287, 8287, 12288, 12288, 65279, 65279 }
local line_ends <const> = { 10, 10, 13, 13, 8232, 8233 }

local function inverse(set)
  local other, from = {}, 0
  for i = 1, #set, 2 do
    if set[i] > from then table.move({ from, set[i] - 1 }, 1, 2, #other + 1, other) end
    from = math.max(from, set[i + 1] + 1)
  end
  if from <= last_point then table.move({ from, last_point }, 1, 2, #other + 1, other) end
  return other
end

-- As a class collects them, out of order: by their beginnings, and without seams.
local function ordered(set)
  local ranges, sorted = {}, {}
  for i = 1, #set, 2 do ranges[#ranges + 1] = { set[i], set[i + 1] } end
  table.sort(ranges, function(x, y) return x[1] < y[1] end)
  for _, range in ipairs(ranges) do
    local last = sorted[#sorted]
    if last and range[1] <= last + 1 then
      sorted[#sorted] = math.max(last, range[2])
    else
      table.move(range, 1, 2, #sorted + 1, sorted)
    end
  end
  return sorted
end

local function has(set, point)
  for i = 1, #set, 2 do
    if point >= set[i] and point <= set[i + 1] then return true end
  end
  return false
end

local classes <const> = {
  d = digits, w = letters, s = blanks, D = inverse(digits), W = inverse(letters), S = inverse(blanks),
}
local controls <const> = { t = 9, n = 10, v = 11, f = 12, r = 13, ["0"] = 0 }
local hex_digits <const> = { x = "^%x%x", u = "^%x%x%x%x" }

-- --- reading an expression into a tree. What isn't understood raises `beyond`.

local beyond <const> = {}

local Reader_methods = {}
local Reader_mt = { __index = Reader_methods }

function Reader_methods:peek(count) return self.text:sub(self.at, self.at + (count or 1) - 1) end

function Reader_methods:take(pattern)
  local found = self.text:match(pattern, self.at)
  if found then self.at = self.at + #found end
  return found
end

-- One code point, as it stands.
function Reader_methods:point()
  local point = utf8.codepoint(self.text, self.at)
  self.at = self.at + #utf8.char(point)
  return point
end

-- What follows a backslash: a code point, or a set.
function Reader_methods:escape()
  local letter = self:take "^%a" or self:take "^0%f[%D]"
  if not letter then
    if self.at > #self.text or self:peek():find "%d" then error(beyond, 0) end
    return self:point()
  end
  if classes[letter] then return nil, classes[letter] end
  if controls[letter] then return controls[letter] end
  local hex = letter == "u" and self:take "^{%x+}" or hex_digits[letter] and self:take(hex_digits[letter])
  local point = hex and tonumber(hex:match "%x+", 16)
  if not point or point > last_point or point >= 0xD800 and point <= 0xDFFF then error(beyond, 0) end
  return point
end

-- A member of a class: a code point, or a set.
function Reader_methods:member()
  if self.at > #self.text then error(beyond, 0) end
  if not self:take "^\\" then return self:point() end
  if self:take "^b" then return 8 end
  return self:escape()
end

-- [...], from behind its bracket.
function Reader_methods:class()
  local set, negated = {}, self:take "^%^"
  while not self:take "^%]" do
    local first, inner = self:member()
    if inner then
      table.move(inner, 1, #inner, #set + 1, set)
    else
      local last = first
      if self:peek() == "-" and self:peek(2) ~= "-]" then
        self.at = self.at + 1
        last = self:member()
        if not last or last < first then error(beyond, 0) end
      end
      table.move({ first, last }, 1, 2, #set + 1, set)
    end
  end
  set = ordered(set)
  return { set = negated and inverse(set) or set }
end

function Reader_methods:group()
  if self:peek() == "?" and not self:take "^%?:" and not self:take "^%?<%a[%w_]*>" then error(beyond, 0) end
  local inner = self:alternatives()
  if not self:take "^%)" then error(beyond, 0) end
  return inner
end

function Reader_methods:atom()
  if self:take "^%(" then return self:group() end
  if self:take "^%[" then return self:class() end
  if self:take "^%." then return { set = inverse(line_ends) } end
  if self:take "^%^" then return { look = "first" } end
  if self:take "^%$" then return { look = "last" } end
  if self:take "^\\b" then return { look = "edge" } end
  if self:take "^\\B" then return { look = "inside" } end
  if self:peek():find "[*+?]" then error(beyond, 0) end
  local point, set
  if self:take "^\\" then point, set = self:escape() else point = self:point() end
  return { set = set or { point, point } }
end

local counts <const> = { ["*"] = { 0, math.huge }, ["+"] = { 1, math.huge }, ["?"] = { 0, 1 } }

-- An atom with what says how often it stands; that it is lazy doesn't change which texts are meant.
function Reader_methods:piece()
  local atom = self:atom()
  local sign = self:take "^[*+?]"
  local least, most
  if sign then
    least, most = counts[sign][1], counts[sign][2]
  else
    local counted = self:take "^{%d+,?%d*}"
    if not counted then return atom end
    local from, comma, to = counted:match "(%d+)(,?)(%d*)"
    least = math.tointeger(from) or math.huge
    most = comma == "" and least or to == "" and math.huge or math.tointeger(to) or math.huge
    if least > most_program or most < least then error(beyond, 0) end
  end
  self:take "^%?"
  if atom.look or self:peek():find "[*+?]" then error(beyond, 0) end
  return { inner = atom, least = least, most = most }
end

function Reader_methods:alternatives()
  self.depth = self.depth + 1
  if self.depth > most_depth then error(beyond, 0) end
  local branches, sequence = {}, {}
  while true do
    local next_char = self:peek()
    if next_char == "" or next_char == ")" or next_char == "|" then
      branches[#branches + 1] = { sequence = sequence }
      if next_char ~= "|" then break end
      self.at, sequence = self.at + 1, {}
    else
      sequence[#sequence + 1] = self:piece()
    end
  end
  self.depth = self.depth - 1
  return { branches = branches }
end

-- --- a tree as a program: { set } takes a code point, { look } is there or not, { to = { ... } } goes on at several places

local function emit(program, instruction)
  if #program >= most_program then error(beyond, 0) end
  program[#program + 1] = instruction
  return instruction
end

local write

local function write_times(node, program)
  for _ = 1, node.least do write(node.inner, program) end
  if node.most == math.huge then
    local fork = emit(program, { to = {} })
    local again = #program
    write(node.inner, program)
    emit(program, { to = { again } })
    fork.to = { again + 1, #program + 1 }
    return
  end
  local forks = {}
  for _ = node.least + 1, node.most do
    forks[#forks + 1] = emit(program, { to = { #program + 2 } })
    write(node.inner, program)
  end
  for _, fork in ipairs(forks) do fork.to[2] = #program + 1 end
end

function write(node, program)
  if node.inner then return write_times(node, program) end
  if node.sequence then
    for _, piece in ipairs(node.sequence) do write(piece, program) end
  elseif node.branches then
    local fork, leaps = emit(program, { to = {} }), {}
    for index, branch in ipairs(node.branches) do
      fork.to[index] = #program + 1
      write(branch, program)
      leaps[index] = emit(program, { to = {} })
    end
    for _, leap in ipairs(leaps) do leap.to[1] = #program + 1 end
  else
    emit(program, node)
  end
end

-- --- going through a text

local function is_word(point) return point ~= nil and has(letters, point) end

local looks <const> = {
  first = function(before) return before == nil end,
  last = function(_, after) return after == nil end,
  edge = function(before, after) return is_word(before) ~= is_word(after) end,
  inside = function(before, after) return is_word(before) == is_word(after) end,
}

local function no_states() return { seen = {} } end

-- Adds to `states` each place that takes a code point and is reached from `pc` without taking one. True when the end is.
local function reach(program, pc, before, after, states, spend)
  local open, top = { pc }, 1
  while top > 0 do
    pc, top = open[top], top - 1
    if pc > #program then return true end
    if not states.seen[pc] then
      states.seen[pc] = true
      spend(1)
      local instruction = program[pc]
      if instruction.set then
        states[#states + 1] = pc
      elseif instruction.to then
        for _, to in ipairs(instruction.to) do
          top = top + 1
          open[top] = to
        end
      elseif looks[instruction.look](before, after) then
        top = top + 1
        open[top] = pc + 1
      end
    end
  end
  return false
end

---@class omni.schema.Pattern
local Pattern_methods = {}
local Pattern_mt = { __index = Pattern_methods }

---Whether the expression is found somewhere in the text.
---@param text string                  valid UTF-8
---@param spend fun(steps: integer)    told of the work as it is done; may raise
---@return boolean
function Pattern_methods:is_in(text, spend)
  local program, states, before = self.program, no_states(), nil
  local points, count = {}, 0
  for _, point in utf8.codes(text) do
    count = count + 1
    points[count] = point
  end
  for at = 1, count + 1 do
    local after = points[at]
    if reach(program, 1, before, after, states, spend) then return true end
    if not after then return false end
    local following = no_states()
    for i = 1, #states do
      local set = program[states[i]].set
      spend(1 + #set // 8)
      if has(set, after) and reach(program, states[i] + 1, after, points[at + 1], following, spend) then return true end
    end
    states, before = following, after
  end
  return false
end

---Reads an expression.
---@param text string
---@return omni.schema.Pattern|nil  nil for one that isn't understood
local function compile(text)
  if #text > most_text or not utf8.len(text) then return nil end
  local reader = setmetatable({ text = text, at = 1, depth = 0 }, Reader_mt)
  local fine, program = pcall(function()
    local tree = reader:alternatives()
    if reader.at <= #text then error(beyond, 0) end
    local instructions = {}
    write(tree, instructions)
    return instructions
  end)
  if fine then return setmetatable({ program = program }, Pattern_mt) end
  if program ~= beyond then error(program, 0) end
  return nil
end

return { compile = compile }
