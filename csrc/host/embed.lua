-- SPDX-License-Identifier: MIT
-- Writes a C file to stdout that contains omni's Lua files, compiled but with all names and lines, and its C modules as data, for
-- csrc/host/main.c. Compiling them at each start would take most of the time of a short command.
-- Usage: embedder embed.lua DIRECTORY_OF_THE_MODULES LUA_FILE...   (DIRECTORY/omni/core.so, lua/omni/cli/command/run.lua, ...)

local modules = { "omni.core", "omni.listener", "omni.ledger_sqlite" }

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return assert(file:read("a"))
end

-- Returns the part of a path below lua/: "lua/omni/cli/command/run.lua" → "omni/cli/command/run.lua".
local function below_lua(path)
  return path:match("^lua/(.+)$") or path:match("/lua/(.+)$") or error("not below lua/: " .. path)
end

-- Returns one line of a string literal; string literals compile many times faster than lists of numbers. Escapes `?`, which could start a
-- trigraph.
local function escape(data)
  return (data:gsub('[%c"\\?\x7F-\xFF]', function(byte) return ("\\%03o"):format(byte:byte()) end))
end

local entries = {}

local function add(name, chunk, data)
  local index = #entries
  io.write(("static const unsigned char data_%d[] ="):format(index))
  for from = 1, #data, 64 do io.write('\n  "', escape(data:sub(from, from + 63)), '"') end
  io.write(data == "" and ' "";\n' or ";\n")
  entries[index + 1] = ('  {"%s", "%s", data_%d, sizeof data_%d - 1},\n'):format(name, chunk, index, index)
end

local directory = assert(arg[1], "usage: embed.lua DIRECTORY LUA_FILE...")
io.write("#include <stddef.h>\n\n")
for index = 2, #arg do
  local file = below_lua(arg[index])
  local name = file:gsub("%.lua$", ""):gsub("%.d$", ""):gsub("/init$", ""):gsub("/", ".")
  local source = read(arg[index])
  if file:find("%.d%.lua$") then source = ("return [====[\n%s]====]"):format(source) end -- `omni init --editor` writes it
  assert(load(source, "@" .. arg[index], "t")) -- the message of a syntax error names the file as it is on disk
  add(name, "@" .. file, string.dump(load(source, "@" .. file, "t")))
end
for _, name in ipairs(modules) do
  add(name, "", read(directory .. "/" .. name:gsub("%.", "/") .. ".so"))
end
local built = io.open(directory .. "/omni/ledger_postgresql.so") -- only where libpq is
if built then
  built:close()
  add("omni.ledger_postgresql", "", read(directory .. "/omni/ledger_postgresql.so"))
end
io.write([[

// The same as in csrc/host/main.c.
struct embedded {
  const char *name, *chunk;
  const unsigned char *data;
  size_t size;
};
extern const struct embedded embedded[];
const struct embedded embedded[] = {
]], table.concat(entries), "  {0, 0, 0, 0},\n};\n")
