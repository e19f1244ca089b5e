-- SPDX-License-Identifier: MIT
-- Prints which part of omni's code the tests have run, as a table by file, after `make coverage`:
--
--   lua5.4 coverage_report.lua OBJECTS RECORD MISSED LUA_FILE...
--
-- OBJECTS is the folder that contains the C objects and gcov's counters. RECORD is the folder in which coverage.h has recorded the lines of
-- Lua. MISSED is the file that gets the lines that no test has run. The files come in order, the least covered file first. A file whose
-- coverage is below 90 % has a mark.

local objects, record, missed_path = arg[1], arg[2], arg[3]
local AIM <const> = 90

local function output(command)
  local pipe <close> = assert(io.popen(command))
  return pipe:read "a"
end

-- Each row has the fields file, lines, run, branches (C only), taken (C only) and missed (a list of line numbers).
local rows = {}

-- --- Lua

-- Returns the numbers of the lines with code, in order, from the compiler's list of instructions. Lua doesn't call the hook for three
-- kinds of instructions, so this function ignores them: a vararg function's first instruction, the return that follows a tail call, and the
-- return that the compiler adds at the end of each function.
local function lines_with_code(path)
  local has, list, last, before = {}, {}, nil, nil
  for line in output(("luac5.4 -l -p '%s'"):format(path)):gmatch "[^\n]*" do
    local number, name = line:match "^\t%d+\t%[(%d+)%]\t(%u+)"
    if name then
      if last then has[last] = true end
      last = name ~= "VARARGPREP" and not (name == "RETURN" and before == "TAILCALL") and tonumber(number) or nil
      before = name
    elseif line == "" then
      last = nil -- the end of a function, whose last instruction is that return
    end
  end
  for line in pairs(has) do list[#list + 1] = line end
  table.sort(list)
  return list
end

local function bytes_of(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a" or ""
end

for i = 4, #arg do
  local path = arg[i]
  local hits = bytes_of(("%s/%s"):format(record, path:gsub("^lua/", ""):gsub("/", "+")))
  local row = { file = path, lines = 0, run = 0, missed = {} }
  for _, line in ipairs(lines_with_code(path)) do
    row.lines = row.lines + 1
    if hits:byte(line + 1) == 1 then row.run = row.run + 1 else row.missed[#row.missed + 1] = line end
  end
  if row.lines > 0 then rows[#rows + 1] = row end
end

-- --- C

for counters in output(("find '%s' -name '*.gcda' | sort"):format(objects)):gmatch "[^\n]+" do
  local text = output(("gcov -b -c -t '%s' 2>/dev/null"):format(counters))
  local row
  for line in text:gmatch "[^\n]+" do
    local source = line:match "^%s*%-:%s*0:Source:(.+)$"
    if source then
      row = source:match "^csrc/.*%.c$" and { file = source, lines = 0, run = 0, branches = 0, taken = 0, missed = {} } or nil
      rows[#rows + 1] = row
    elseif row then
      local count, number = line:match "^%s*([%d#=]+)%*?:%s*(%d+):"
      if count then
        row.lines = row.lines + 1
        if count:find "^%d" then row.run = row.run + 1 else row.missed[#row.missed + 1] = tonumber(number) end
      elseif line:find "^branch" then
        row.branches = row.branches + 1
        local times = line:match "taken (%d+)"
        if times and times ~= "0" then row.taken = row.taken + 1 end
      end
    end
  end
end

-- --- the table

local function percent(part, whole) return whole == 0 and 100 or 100 * part / whole end

local function ranges(list)
  local parts, first, last = {}, nil, nil
  for _, line in ipairs(list) do
    if last and line == last + 1 then
      last = line
    else
      if first then parts[#parts + 1] = first == last and first or first .. "-" .. last end
      first, last = line, line
    end
  end
  if first then parts[#parts + 1] = first == last and first or first .. "-" .. last end
  return table.concat(parts, " ")
end

table.sort(rows, function(a, b)
  local left, right = percent(a.run, a.lines), percent(b.run, b.lines)
  if left ~= right then return left < right end
  return a.file < b.file
end)

local sums = { C = { lines = 0, run = 0, branches = 0, taken = 0 }, Lua = { lines = 0, run = 0, branches = 0, taken = 0 } }
local missed, below = assert(io.open(missed_path, "w")), 0
print(" lines      of  branches      of")
for _, row in ipairs(rows) do
  local share, sum = percent(row.run, row.lines), sums[row.branches and "C" or "Lua"]
  for name in pairs(sum) do sum[name] = sum[name] + (row[name] or 0) end
  if share < AIM then below = below + 1 end
  print(("%5.1f %% %6d  %s  %s%s"):format(share, row.lines,
    row.branches and ("%6.1f %% %6d"):format(percent(row.taken, row.branches), row.branches) or (" "):rep(15),
    row.file, share < AIM and "  <" or ""))
  if #row.missed > 0 then missed:write(row.file, ": ", ranges(row.missed), "\n") end
end
missed:close()
for _, name in ipairs { "C", "Lua" } do
  local sum = sums[name]
  print(("%5.1f %% %6d  %s  all of %s"):format(percent(sum.run, sum.lines), sum.lines,
    sum.branches > 0 and ("%6.1f %% %6d"):format(percent(sum.taken, sum.branches), sum.branches) or (" "):rep(15), name))
end
print(("%d of %d files below %d %% of their lines; the lines that no test runs are in %s"):format(below, #rows, AIM, missed_path))
