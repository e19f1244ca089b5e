-- SPDX-License-Identifier: MIT
-- A ledger in PostgreSQL: what it refuses, who may use it, and what it waits for. What every backend promises is in verbs_spec.lua and
-- sessions_spec.lua.
local asked = require "helper.ledger"
local postgresql = require "helper.postgresql"

if not postgresql.is_there then
  return describe("PostgreSQL", function() it("isn't installed", function() pending "nothing was tried" end) end)
end

local core = require "omni.core"
local env = require "helper.env"
local ledgers = require "omni.ledger"
local loop = require "omni.loop"

local once, ask, intend, ledger = asked.once, asked.ask, asked.intend, asked.ledger

-- Checks that the ledger is refused for this reason.
local function refused(address, reason)
  local rows, message = once(address)
  assert.is_nil(rows)
  assert.equal(("the ledger %s %s"):format(address, reason), message)
end

describe("a database", function()
  it("gets a schema `omni` at the first verb, and keeps everything else as it is", function()
    local address = postgresql.database()
    postgresql.sql(address, "CREATE TABLE public.submit (x int); INSERT INTO public.submit VALUES (7)")
    assert.is_number(once(address)[1].version)
    assert.equal("7", postgresql.sql(address, "SELECT x FROM public.submit"))
    assert.equal("10", postgresql.sql(address, "SELECT count(*) FROM pg_tables WHERE schemaname = 'omni'"))
  end)

  it("isn't used when another program or a newer omni made the schema", function()
    local address = postgresql.database()
    postgresql.sql(address, "CREATE SCHEMA omni; CREATE TABLE omni.theirs (x int)")
    refused(address, "is not a ledger: the schema omni has another program's tables")
    address = postgresql.database()
    local known = once(address)[1].version
    postgresql.sql(address, ("UPDATE omni.ledger SET version = %d"):format(known + 1))
    refused(address, ("was made by a newer omni: its version is %d, this omni knows versions up to %d"):format(known + 1, known))
  end)

  it("isn't used when it can't hold all letters", function()
    refused(postgresql.database "ENCODING 'SQL_ASCII' TEMPLATE template0", "can't be opened: the database's encoding must be UTF8")
  end)

  it("that isn't there, or that refuses the user, is reported at once", function()
    local address = postgresql.database()
    local _, message = once((address:gsub("/ledger", "/nowhere")))
    assert.matches('can\'t be reached: .*FATAL: *database "nowhere', message)
    _, message = once((address:gsub("omni@", "nobody@")))
    assert.matches('can\'t be reached: .*FATAL: *role "nobody" does not exist', message)
  end)

  it("that nobody serves is reported after a short while", function()
    local _, message = once "postgresql://omni@/x?host=/nonexistent"
    assert.matches("^the ledger postgresql://omni@/x%?host=/nonexistent can't be reached: connection to server on socket ", message)
    assert.is_nil(message:find "\n")
  end)
end)

describe("an address", function()
  it("must not contain a password, which no message repeats", function()
    for _, address in ipairs { "postgresql://user:secret@host/x", "postgres://:secret@/x", "postgresql://host/x?password=secret",
      "postgresql://host/x?a=b&p%61ssword=secret", "postgresql:///x?sslpassword=secret", "postgresql://us%20er:se%63ret@host" } do
      local opened, problem = ledgers.open(address)
      assert.is_nil(opened)
      assert.equal("ledger_failed", problem.code)
      assert.matches("^the ledger's address must not contain a password, .* PGPASSFILE names$", problem.message)
      assert.is_nil(problem.message:find("secret", 1, true))
    end
  end)

  it("with a typing error is never repeated, since a part of it may be a password", function()
    for _, address in ipairs { "postgresql://user:sec/ret@host/x", "postgresql://user:sec?ret@host/x", "postgresql://host:secret/x",
      "postgresql://user@ho@st/secret", "postgresql://a,b:secret/x" } do
      local opened, problem = ledgers.open(address)
      assert.is_nil(opened, address)
      assert.is_nil(problem.message:find "sec", problem.message)
    end
  end)

  it("of an ordinary form is accepted", function()
    for _, address in ipairs { "postgresql://", "postgres:///x", "postgresql://user@host/x", "postgresql://user:@host:5432/x",
      "postgresql://a:1,b:2/x?target_session_attrs=read-write", "postgresql://[::1]:5432/x", "postgresql:///x?host=/run/p&passfile=/f" } do
      assert.is_nil(ledgers.address_problem(address), address)
    end
  end)

  it("alone loads libpq", function()
    local directory <close> = env.directory()
    local code = [[
      local path, address = ...
      local ledgers = require "omni.ledger"
      local function loads() return (io.open("/proc/self/maps"):read("a"):find("libpq", 1, true)) ~= nil end
      local one <close> = ledgers.open(path)
      one:row "version"
      print(loads())
      local two <close> = ledgers.open(address)
      print(two:row("version").version, loads())
    ]]
    local version = once(postgresql.database())[1].version
    assert.equal(("false\n%d\ttrue\n"):format(version), asked.run(code, { directory:file "l.db", postgresql.database() }))
  end)
end)

describe("text", function()
  it("of any bytes is stored and found again, in every column that a verb compares", function()
    local handle <close> = ledger.open(postgresql.database())
    local texts <const> = { "plain", "\xff", "\xf4\x8f\xbe\x80", "\xf4\x8f\xbf\xbf", "\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\x80",
      "日本", "'; DROP TABLE submit; --", "\\", "$1", ":id", "%s", ("long/"):rep(4000) }
    for i, text in ipairs(texts) do
      local id = intend(handle, nil, { board = text, scene = text, tag = text:sub(1, 256), account = text, service = text })
      assert.equal(i, id)
      assert.equal(1, #ask(handle, "accept", { id = id, task_id = text }))
      ask(handle, "remember_digest", { path = text, stamp = text, sha256 = "d", size = i })
      ask(handle, "remember_digest", { path = text, stamp = text, sha256 = "e", size = i })
      ask(handle, "remember_film", { path = text, identity = text, sha256 = "d" })
      ask(handle, "begin_redo", { board = text, base = "b" })
      ask(handle, "begin_redo", { board = text, base = "b" })
    end
    for i, text in ipairs(texts) do
      local row = ask(handle, "last_of_scene", { board = text, scene = text, service = text })[1]
      assert.same({ i, text, text }, { row.id, row.scene, row.task_id })
      assert.equal(i, ask(handle, "by_tag", { tag = text:sub(1, 256), after = 0 })[1].id)
      assert.equal(i, ask(handle, "by_task", { service = text, task_id = text })[1].id)
      assert.same({ { stamp = text, sha256 = "e", size = i } },
        (function(rows) rows[1].at = nil return rows end)(ask(handle, "digest", { path = text })))
      assert.equal(text, ask(handle, "film", { path = text })[1].identity)
      ask(handle, "end_redo", { board = text })
    end
  end)
end)

describe("what concerns money", function()
  it("is on disk before its result comes; other changes don't wait for the disk", function()
    local address = postgresql.database()
    local handle <close> = ledger.open(address)
    ask(handle, "version")
    local psql <close> = postgresql.session(address)
    -- A change and its commit take more than 100 bytes of the log. The server itself may add a page's header or a short record.
    local function has_unwritten() return tonumber(psql:sql "SELECT pg_current_wal_insert_lsn() - pg_current_wal_flush_lsn()") > 100 end
    psql:sql "ALTER SYSTEM SET wal_writer_delay = '10s'; ALTER SYSTEM SET autovacuum = off"
    psql:sql "SELECT pg_reload_conf()"
    local lazy = 0
    for i = 1, 20 do
      local id = intend(handle)
      assert.is_false(has_unwritten())
      ask(handle, "accept", { id = id, task_id = "t" })
      assert.is_false(has_unwritten())
      ask(handle, "remember_digest", { path = "p", stamp = tostring(i), sha256 = "d", size = 1 })
      if has_unwritten() then lazy = lazy + 1 end
    end
    assert.is_true(lazy > 10, lazy)
  end)

  it("waits for the disk even if the server's settings say otherwise", function()
    local address = postgresql.database()
    postgresql.sql(address, ("ALTER DATABASE %s SET synchronous_commit = off"):format(address:match "/(ledger[%w_]+)"))
    local handle <close> = ledger.open(address)
    ask(handle, "version")
    local psql <close> = postgresql.session(address)
    for _ = 1, 20 do
      intend(handle)
      assert.equal("0", psql:sql "SELECT pg_current_wal_insert_lsn() - pg_current_wal_flush_lsn()")
    end
  end)
end)

describe("a user who doesn't own the ledger", function()
  it("needs no more than the documented grants", function()
    local address = postgresql.database()
    once(address)
    local grants = env.read("docs/internals/ledger.md"):match("```sql\n(.-)```")
    local user = "user" .. address:match "/ledger(%w+)"
    postgresql.sql(address, ("CREATE USER %s; %s"):format(user, (grants:gsub("renderer", user))))
    local theirs = address:gsub("omni@", user .. "@")
    local handle <close> = ledger.open(theirs)
    for _, step in ipairs {
      { "intend", { account = "a", model = "m", input = "{}", identity = "x", budget = 5, in_flight = 3, board = "b" } },
      { "accept", { id = 1, task_id = "t" } }, { "status", { id = 1, status = "s" } }, { "finish", { id = 1, state = "success" } },
      { "remember_file", { id = 1, number = 1, path = "p", sha256 = "s", size = 1 } }, { "files", { submit = 1 } },
      { "remember_digest", { path = "p", stamp = "s", sha256 = "d", size = 1 } },
      { "remember_film", { path = "p", identity = "i", sha256 = "s" } },
      { "remember_upload", { account = "a", sha256 = "s", url = "u" } }, { "begin_redo", { board = "b", base = "c" } },
      { "end_redo", { board = "b" } }, { "spent" }, { "forget", { id = 1 } }, { "open" },
      { "reserve_start", { account = "a", interval = 1 } }, { "pause_account", { account = "a", seconds = 1 } },
      { "disable_account", { account = "a", error = "e" } }, { "account", { account = "a" } },
      { "claim", { task_ids = "t" } }, { "release", { task_ids = "t" } }, { "orphaned", { after = 0 } },
      { "add_job", { service = "s", board = "b", manifest = "{}", budget = 1 } }, { "take_job", { service = "s" } },
      { "keep_job", { id = 1, finished = 0 } }, { "end_job", { id = 1, state = "done" } }, { "cancel_job", { id = 1 } },
      { "jobs", { after = 0 } },
    } do
      local rows, failure = ask(handle, step[1], step[2])
      assert.truthy(rows, failure and failure.message)
    end
    local denied = postgresql.fails(theirs, "DELETE FROM omni.submit")
    assert.matches("permission denied for table submit", denied, 1, true)
    assert.matches("must be owner of table submit", postgresql.fails(theirs, "DROP TABLE omni.submit"), 1, true)
  end)

  it("and lacks a grant is told which, and no schema is made for one who may not", function()
    local address = postgresql.database()
    once(address)
    local user = "poor" .. address:match "/ledger(%w+)"
    postgresql.sql(address, (("CREATE USER USER1; GRANT USAGE ON SCHEMA omni TO USER1; GRANT SELECT ON omni.ledger TO USER1")
      :gsub("USER1", user)))
    local theirs = address:gsub("omni@", user .. "@")
    refused(theirs, "can't be opened: permission denied for table session")
    local empty = postgresql.database()
    local name = empty:match "/(ledger[%w_]+)"
    refused((empty:gsub("omni@", user .. "@")), "can't be opened: permission denied for database " .. name)
  end)
end)

describe("a notification", function()
  -- Waits for a notification. Returns it, and all that follow it at once.
  local function heard(handle)
    local ready <const> = core.poll_set()
    ready:add(handle:pollfd())
    local deadline, texts = core.now() + env.seconds(30), {}
    while #texts == 0 do
      assert(core.now() < deadline, "no notification")
      ready:wait(1, {})
      handle:step()
      for text in handle.notified, handle do texts[#texts + 1] = text end
    end
    ready:close()
    return texts
  end

  it("reaches the other programs that listen: when a task is over, once, and when an account's row changes", function()
    local address = postgresql.database()
    local handle <close> = ledger.open(address)
    local other <close> = ledger.open(address)
    for _, one in ipairs { handle, other } do
      ask(one, "version")
      one:listen(true)
    end
    local id = intend(other)
    ask(other, "accept", { id = id, task_id = "first" })
    ask(other, "status", { id = id, status = "running" })
    for _ = 1, 2 do ask(other, "finish", { id = id, state = "success", media = 1 }) end
    ask(other, "disable_account", { account = "a", error = "e" })
    local texts = heard(handle)
    while #texts < 2 do table.insert(texts, heard(handle)[1]) end
    assert.same({ "task first", "account" }, texts)
    ask(handle, "pause_account", { account = "a", seconds = 1 })
    assert.same({ "account" }, heard(other))
    assert.is_nil(other:notified())
    assert.is_nil(handle:notified()) -- not its own
  end)

  it("is dropped while nobody listens, and comes again after a lost connection", function()
    local address = postgresql.database()
    local handle <close> = ledger.open(address)
    local other <close> = ledger.open(address)
    ask(handle, "version")
    ask(other, "pause_account", { account = "a", seconds = 1 })
    for _ = 1, 2 do ask(handle, "version") end -- the second, since the ledger's thread drops notifications after it has returned a result
    handle:listen(true)
    postgresql.sql(address, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
      .. " AND pid <> pg_backend_pid()")
    ask(handle, "version")
    assert.is_nil(handle:notified())
    ask(other, "disable_account", { account = "a", error = "e" })
    assert.same({ "account" }, heard(handle))
  end)
end)

describe("a ledger in PostgreSQL, for fibers,", function()
  it("reports once that results wait, and remembers files' digests for each machine apart", function()
    local directory <close> = env.directory()
    local address = postgresql.database()
    local path = env.write(directory:file "a", "text")
    env.output("touch -d '1 hour ago' " .. env.quote(path))
    loop.run(function()
      local one <close> = assert(ledgers.open(address))
      assert(one:digest(path))
      one:row "version"
      local host = env.read("/proc/sys/kernel/hostname"):gsub("\n", "")
      assert.equal(host .. ":" .. path, postgresql.sql(address, "SELECT path FROM omni.digest"))
    end)
  end)
end)
