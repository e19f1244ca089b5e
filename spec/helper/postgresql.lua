-- SPDX-License-Identifier: MIT
-- A PostgreSQL server for specs, in a temporary folder, reached by a Unix socket. The first database of a spec file starts it.

local lfs = require "lfs"

local core = require "omni.core"
local env = require "helper.env"

local postgresql = {}

-- PostgreSQL refuses to run as root. Root gives its files to the user nobody, in a folder outside of TMPDIR, which nobody can't enter.
local is_root = (env.read "/proc/self/status" or ""):find "\nUid:%s+0%s" ~= nil
local as_user = is_root and "setpriv --reuid=65534 --regid=65534 --clear-groups " or ""

local function first_line(command)
  local pipe = assert(io.popen(command .. " 2>/dev/null"))
  local line = pipe:read("l")
  pipe:close()
  return line
end

-- Returns the folder of the newest PostgreSQL's programs, or nil. Starts no program: every child process of a spec loads this file.
local function find_programs()
  local base, newest = "/usr/lib/postgresql/", 0
  if not lfs.attributes(base) then return nil end
  for version in lfs.dir(base) do
    if lfs.attributes(base .. version .. "/bin/postgres") then newest = math.max(newest, math.tointeger(version) or 0) end
  end
  return newest > 0 and base .. newest .. "/bin" or nil
end

local programs = find_programs()

---Whether there is a PostgreSQL server, and the module for it was built.
postgresql.is_there = programs ~= nil and package.searchpath("omni.ledger_postgresql", package.cpath) ~= nil

local server -- { folder, guard }
local databases = 0

local function run(command)
  return env.output(("cd / && %s 2>&1"):format(as_user .. command))
end

---The server's folder: its socket is in it.
function postgresql.folder() return server.folder end

---Starts the server, which was stopped.
function postgresql.start()
  -- It belongs to the spec's session, so that it ends with the spec.
  local folder = server.folder
  local line = ("cd / && exec %s %s/postgres -D %s/data >>%s/log 2>&1 </dev/null & echo $!"):format(as_user, programs, folder, folder)
  first_line(("sh -c %s"):format(env.quote(line)))
  local deadline = core.now() + env.seconds(30)
  while not os.execute(("%s/pg_isready -q -h %s"):format(programs, server.folder)) do
    assert(core.now() < deadline, "PostgreSQL doesn't start")
    core.poll_set():wait(0.02, {})
  end
end

---Stops the server, and waits until it has ended.
---@param how "immediate"|"fast"
function postgresql.stop(how)
  run(("%s/pg_ctl -D %s/data -m %s -w -s stop"):format(programs, server.folder, how))
end

local function start_first()
  -- In memory, if there is room. No spec cuts the power, so nothing need reach the disk.
  local base = first_line "[ -w /dev/shm ] && [ $(df --output=avail -k /dev/shm | tail -n 1) -gt 500000 ] && echo /dev/shm" or "/tmp"
  local folder = first_line(as_user .. ("mktemp -d %s/omni-pg.XXXXXX"):format(base))
  -- A shell stops the server and removes the folder when the spec has ended, however that ends.
  local farewell = ("cat; cd / && cat %s/pooler*.pid 2>/dev/null | xargs -r kill; %s %s/pg_ctl -D %s/data -m immediate -w -s stop; "
    .. "rm -rf %s"):format(folder, as_user, programs, folder, folder)
  server = { folder = folder, guard = io.popen(("sh -c %s >/dev/null 2>&1"):format(env.quote(farewell)), "w") }
  run(("%s/initdb -D %s/data -N -U omni -A trust -E UTF8 --locale=C --no-instructions"):format(programs, folder))
  local settings = ("unix_socket_directories = '%s'\nlisten_addresses = ''\nfsync = off\nshared_buffers = 32MB\nmax_connections = 60\n")
    :format(folder)
  run(("sh -c %s"):format(env.quote(("printf %%s %s >> %s/data/postgresql.conf"):format(env.quote(settings), folder))))
  postgresql.start()
end

---The shell command of psql on a database.
---@param address string
function postgresql.psql(address)
  return ("%s/psql -X -q -A -t -v ON_ERROR_STOP=1 -d %s"):format(programs, env.quote(address))
end

---Runs SQL on a direct connection: what psql prints, columns separated by "|".
---@param database string  an address, or a database's name
---@param sql string
function postgresql.sql(database, sql)
  database = database:gsub("&port=%d+", "")
  if not database:find "^postgresql://" then database = postgresql.address(database) end
  return (env.output(("%s -c %s"):format(postgresql.psql(database), env.quote(sql))):gsub("\n$", ""))
end

---Runs SQL that fails: what psql prints.
function postgresql.fails(address, sql)
  return env.output(("! %s -c %s 2>&1"):format(postgresql.psql(address), env.quote(sql)))
end

---Why there can be no PgBouncer, or nil.
postgresql.no_pooler = not (lfs.attributes "/usr/sbin/pgbouncer" or lfs.attributes "/usr/bin/pgbouncer")
  and "pgbouncer isn't installed (Debian: apt-get install pgbouncer; `make deps` does it)" or nil

---Starts a PgBouncer in front of the server, with few connections, so that its clients share them. Its socket is in the same folder.
---@param mode "transaction"|"session"
---@param port? integer
function postgresql.pooler(mode, port)
  local folder = server.folder
  port = port or 6432
  local name = ("%s/pooler%d"):format(folder, port)
  local settings = ("[databases]\n* = host=%s user=omni\n[pgbouncer]\nlisten_port = %d\nunix_socket_dir = %s\nauth_type = any\n"
    .. "pool_mode = %s\ndefault_pool_size = %d\npidfile = %s.pid\nlogfile = %s.log\n")
    :format(folder, port, folder, mode, mode == "transaction" and 3 or 20, name, name)
  run(("sh -c %s"):format(env.quote(("printf %%s %s > %s.ini"):format(env.quote(settings), name))))
  first_line(("sh -c %s"):format(env.quote(("cd / && %s pgbouncer -d %s.ini"):format(as_user, name))))
  local deadline = core.now() + env.seconds(30)
  while not core.stat(("%s/.s.PGSQL.%d"):format(folder, port)) do
    assert(core.now() < deadline, "PgBouncer doesn't start")
    core.poll_set():wait(0.02, {})
  end
  return setmetatable({ port = port, pid = env.read(name .. ".pid"):match "%d+" }, { __close = function(self)
    os.execute("kill " .. self.pid)
  end })
end

---The address of a database behind a pooler.
---@param direct string
---@param pooler { port: integer }
function postgresql.behind(direct, pooler) return ("%s&port=%d"):format(direct, pooler.port) end

local Session_methods = {}
local Session_mt = { __name = "spec.psql", __index = Session_methods }

---Runs SQL: its output.
function Session_methods:sql(sql)
  self.input:write(sql, ";\n\\echo END\n")
  self.input:flush()
  local lines = {}
  for line in self.output:lines() do
    if line == "END" then break end
    lines[#lines + 1] = line
  end
  return table.concat(lines, "\n")
end

function Session_methods:close()
  self.input:close()
  self.output:close()
end

Session_mt.__close = Session_methods.close

---A psql that stays connected.
function postgresql.session(address)
  local directory <close> = env.directory()
  local pipe = directory:file "pipe"
  env.output("mkfifo " .. env.quote(pipe))
  local input = assert(io.popen(("%s >%s"):format(postgresql.psql(address), env.quote(pipe)), "w"))
  return setmetatable({ input = input, output = assert(io.open(pipe)) }, Session_mt)
end

---The address of a database.
---@param name string
---@param user? string
function postgresql.address(name, user)
  return ("postgresql://%s@/%s?host=%s"):format(user or "omni", name, server.folder)
end

---A new, empty database: its address.
---@param options? string  of CREATE DATABASE
function postgresql.database(options)
  if not server then start_first() end
  databases = databases + 1
  local name = ("ledger%d_%s"):format(databases, core.token(4):lower():gsub("%W", "x"))
  postgresql.sql("postgres", ("CREATE DATABASE %s %s"):format(name, options or ""))
  if not os.getenv "OMNI_TEST_POOLER" then return postgresql.address(name) end -- set by spec/ledger/pooler_spec.lua
  server.pooler = server.pooler or postgresql.pooler "transaction"
  return postgresql.behind(postgresql.address(name), server.pooler)
end

return postgresql
