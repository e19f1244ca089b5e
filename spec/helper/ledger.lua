-- SPDX-License-Identifier: MIT
-- Runs verbs on a ledger's handle without the loop, and starts programs that run verbs.

local core = require "omni.core"
local env = require "helper.env"
local postgresql = require "helper.postgresql"

local asked = {}

---Opens a ledger's handle with the backend of its name: a path or an address.
asked.ledger = {
  open = function(name)
    return require(name:find "^postgresql://" and "omni.ledger_postgresql" or "omni.ledger_sqlite").open(name)
  end,
}
local ledger = asked.ledger

---@class spec.Backend
---@field name string
---@field module string
---@field new fun(directory: table): string  the name of a ledger that doesn't exist yet
---@field sql fun(name: string, sql: string): string  columns separated by "|"
---@field schema string  the file with the steps of its schema
---@field schema_macro string
---@field includes_schema string  the C file that includes it
---@field missing? string  why its specs can't run

---@type spec.Backend[]
asked.backends = {
  { name = "SQLite", module = "ledger_sqlite", schema = "csrc/ledger_sqlite/schema.h", schema_macro = "LEDGER_SCHEMA",
    includes_schema = "ledger_sqlite/database",
    new = function(directory) return directory:file "l.db" end,
    sql = function(name, sql) return asked.sqlite3(name, sql) end },
  { name = "PostgreSQL", missing = not postgresql.is_there and "PostgreSQL isn't installed" or nil,
    module = "ledger_postgresql", schema = "csrc/ledger_postgresql/schema.h", schema_macro = "LEDGER_POSTGRESQL_SCHEMA",
    includes_schema = "ledger_postgresql/connection",
    new = function() return postgresql.database() end,
    sql = function(name, sql) return postgresql.sql(name, "SET search_path = omni; " .. sql) end },
}

local chosen = os.getenv "OMNI_TEST_BACKEND" -- set by spec/ledger/money_spec.lua, which runs specs of other folders
for _, backend in ipairs(asked.backends) do
  if backend.name == (chosen or "SQLite") then asked.backend = backend end
end

---The name of a new ledger for a spec that runs once for each backend.
---@param path string  of the file, in SQLite
function asked.new(path)
  if asked.backend.name == "SQLite" then return path end
  return asked.backend.new()
end

---Takes the next result, waiting by nothing but what a pollable offers: owner, rows, failure.
function asked.take(handle)
  local ready <const> = core.poll_set()
  ready:add(handle:pollfd())
  local deadline = core.now() + env.seconds(30)
  while true do
    handle:step()
    local owner, rows, failure = handle:finished()
    if owner ~= nil then
      ready:close()
      return owner, rows, failure
    end
    assert(core.now() < deadline, "the ledger doesn't answer")
    ready:wait(handle:timeout() or env.seconds(30), {})
  end
end

---Carries out one verb: rows, or nil and the failure.
function asked.ask(handle, verb, params)
  handle:start(verb, verb, params)
  local owner, rows, failure = asked.take(handle)
  assert(owner == verb, "another verb's answer came first")
  return rows, failure
end

---Opens a ledger for one verb: its rows, or nil and the failure's message.
function asked.once(path, verb, params)
  local handle <close> = ledger.open(path)
  local rows, failure = asked.ask(handle, verb or "version", params)
  return rows, failure and failure.message
end

---An intended submit's id, or nil when there is one like it.
function asked.intend(handle, identity, more)
  local params = { account = "a", model = "m", input = "{}", identity = identity }
  for name, value in pairs(more or {}) do params[name] = value end
  local rows = assert(asked.ask(handle, "intend", params))
  return rows[1] and rows[1].id
end

---The shell command that runs Lua code in a program of its own; `asked`, `ledger` and `core` are known to it, its arguments are `...`.
---@param code string
---@param arguments? string[]
---@param cpath? string  where it finds another ledger.so
function asked.command(code, arguments, cpath)
  local given = {}
  for i, argument in ipairs(arguments or {}) do given[i] = ("%q"):format(argument) end
  local whole = ([[
    local asked, core = require "helper.ledger", require "omni.core"
    local ledger = asked.ledger
    local function main(...) %s end
    main(%s)]]):format(code, table.concat(given, ","))
  local modules = (cpath and cpath .. "/?.so;" or "") .. os.getenv("LUA_CPATH")
  return ("env LUA_CPATH=%s %s -e %s"):format(env.quote(modules), env.lua, env.quote(whole))
end

local Child_methods = {}
local Child_mt = { __name = "spec.ledger.child", __index = Child_methods }

function Child_methods:line() return self.pipe:read("l") end

function Child_methods:kill()
  assert(os.execute("kill -9 " .. self.pid))
  self:finish()
end

---All that it still says, once it has ended.
function Child_methods:finish()
  local rest = self.pipe:read("a")
  self.pipe:close()
  return rest
end

function Child_mt:__gc()
  if io.type(self.pipe) == "file" then os.execute("kill -9 " .. self.pid) end
end

---Starts Lua code in a program of its own, as `command` does.
function asked.start(code, arguments, cpath)
  local before = 'io.stdout:setvbuf("line") print(io.open("/proc/self/stat"):read("n")) '
  local pipe = assert(io.popen("exec " .. asked.command(before .. code, arguments, cpath)))
  return setmetatable({ pipe = pipe, pid = assert(pipe:read("l")) }, Child_mt)
end

---Runs Lua code to its end: what it wrote.
function asked.run(...) return env.output(asked.command(...)) end

---Programs that run the same code, let go at the same moment, once all of them got as far as calling `go()`.
---@param count integer
---@param code string
---@param arguments string[]
---@return string[] said  by each
function asked.race(count, code, arguments, cpath)
  local directory <close> = env.directory()
  local gate = directory:file "gate"
  env.output("mkfifo " .. env.quote(gate))
  code = ('local function go() print "here" io.open(%q):close() end '):format(gate) .. code
  local children, said = {}, {}
  for i = 1, count do children[i] = asked.start(code, arguments, cpath) end
  for _, child in ipairs(children) do assert(child:line() == "here") end
  local opened <close> = assert(io.open(gate, "w")) -- luacheck: ignore
  for i, child in ipairs(children) do said[i] = child:finish() end
  return said
end

---What the program sqlite3 says to SQL.
function asked.sqlite3(path, sql)
  return (env.output(("sqlite3 -batch -bail -cmd '.timeout 5000' %s %s"):format(env.quote(path), env.quote(sql))):gsub("\n$", ""))
end

return asked
