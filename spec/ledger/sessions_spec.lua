-- SPDX-License-Identifier: MIT
-- A ledger that several programs use at once; some of them die.
local asked = require "helper.ledger"
local core = require "omni.core"
local env = require "helper.env"

local once, ask, intend, sqlite3, ledger = asked.once, asked.ask, asked.intend, asked.sqlite3, asked.ledger

local function state(handle, id) return ask(handle, "row", { id = id })[1].state end

-- Waits until a row is unknown: the end of a program that nobody waits for, or of a server's connection, may take a moment.
local function becomes_unknown(handle, id)
  local deadline = core.now() + env.seconds(5)
  while state(handle, id) ~= "unknown" do assert(core.now() < deadline, "the row isn't unknown") end
end

-- A program that intends a submit and then waits.
local holds <const> = [[
  local handle = ledger.open((...))
  print(asked.intend(handle))
  core.poll_set():wait(nil, {})
]]

for _, backend in ipairs(asked.backends) do describe("in " .. backend.name .. ":", function()

if backend.missing then return it("nothing was tried", function() pending(backend.missing) end) end

local is_sqlite <const> = backend.name == "SQLite"

describe("a submit that was intended", function()
  it("is unknown once its program has been killed, and not before", function()
    local directory <close> = env.directory()
    local path = backend.new(directory)
    local child = asked.start(holds, { path })
    assert.equal("1", child:line())
    local handle <close> = ledger.open(path)
    assert.equal("intended", state(handle, 1))
    assert.equal("intended", ask(handle, "open")[1].state)
    child:kill()
    if not is_sqlite then becomes_unknown(handle, 1) end
    assert.equal("unknown", state(handle, 1))
    assert.equal("unknown", ask(handle, "open")[1].state)
  end)

  it("is unknown once its handle was closed or its program has ended, also within one program", function()
    local directory <close> = env.directory()
    local path = backend.new(directory)
    asked.run("asked.intend(ledger.open((...)))", { path })
    local handle <close> = ledger.open(path)
    local another = ledger.open(path)
    if not is_sqlite then becomes_unknown(handle, 1) end
    assert.equal("unknown", state(handle, 1))
    local ours, theirs = intend(handle), intend(another)
    assert.same({ "intended", "intended" }, { state(handle, ours), state(handle, theirs) })
    assert.same({ "intended", "intended" }, { state(another, ours), state(another, theirs) })
    another:close()
    if not is_sqlite then becomes_unknown(handle, theirs) end
    assert.same({ "intended", "unknown" }, { state(handle, ours), state(handle, theirs) })
  end)

  it("becomes unknown by `abandon` of its own handle only", function()
    local directory <close> = env.directory()
    local path = backend.new(directory)
    local handle <close> = ledger.open(path)
    local another <close> = ledger.open(path)
    local id = intend(handle)
    assert.same({}, ask(another, "abandon", { id = id, message = "m" }))
    assert.equal("intended", state(another, id))
    assert.same({ { id = id } }, ask(handle, "abandon", { id = id, message = "m" }))
    assert.equal("unknown", state(another, id))
    local accepted = intend(handle)
    ask(handle, "accept", { id = accepted, task_id = "t" })
    assert.same({}, ask(handle, "abandon", { id = accepted, message = "m" }))
    assert.equal("accepted", state(handle, accepted))
  end)

  it("is unknown when its session number is invalid", function()
    local directory <close> = env.directory()
    local path = backend.new(directory)
    local handle <close> = ledger.open(path)
    local id = intend(handle)
    for _, number in ipairs { 0, -1, 1 << 41, math.maxinteger, math.mininteger + 1 } do
      backend.sql(path, ("UPDATE submit SET session = %d"):format(number))
      assert.equal("unknown", state(handle, id))
    end
  end)

  if is_sqlite then it("stays intended for programs that use another path to the ledger", function()
    local directory <close> = env.directory()
    local path, link = directory:file "l.db", directory:file "link"
    local handle <close> = ledger.open(path)
    local id = intend(handle)
    env.output(("ln -s l.db %s"):format(env.quote(link)))
    local other <close> = ledger.open(link)
    assert.equal("intended", state(other, id))
    assert.same({ "l.db", "l.db-alive", "l.db-shm", "l.db-wal", "link" }, directory:names())
  end) end

  it("isn't kept alive by child processes of its program", function()
    local directory <close> = env.directory()
    local path = backend.new(directory)
    local child = asked.start([[
      local handle = ledger.open((...))
      local id = asked.intend(handle)
      local pipe = io.popen("exec sleep 1000", "r")
      print(id, io.open("/proc/self/task/" .. io.open("/proc/self/stat"):read("n") .. "/children"):read("n"))
      core.poll_set():wait(nil, {})
    ]], { path })
    local grandchild = child:line():match("%d+\t(%d+)")
    local handle <close> = ledger.open(path)
    os.execute("kill -9 " .. child.pid)
    becomes_unknown(handle, 1)
    assert(os.execute("kill -9 " .. grandchild))
    child:finish()
  end)
end)

describe("several programs", function()
  it("that create a ledger at the same moment share it", function()
    for _ = 1, is_sqlite and 5 or 2 do
      local directory <close> = env.directory()
      local path = backend.new(directory)
      local said = asked.race(8, [[
        go()
        local handle <close> = ledger.open((...))
        local rows, failure = asked.ask(handle, "intend", { account = "a", model = "m", input = "{}" })
        print(rows and rows[1].id or failure.message)
      ]], { path })
      table.sort(said)
      assert.same({ "1\n", "2\n", "3\n", "4\n", "5\n", "6\n", "7\n", "8\n" }, said)
      if is_sqlite then assert.equal("ok", sqlite3(path, "PRAGMA integrity_check")) end
    end
  end)

  it("never intend the same scene twice, at any moment", function()
    local directory <close> = env.directory()
    local path = backend.new(directory)
    once(path)
    local said = asked.race(6, [[
      local handle <close> = ledger.open((...))
      asked.ask(handle, "version")
      go()
      local won = 0
      for i = 1, 60 do won = won + (asked.intend(handle, "scene " .. i) and 1 or 0) end
      print(won)
    ]], { path })
    local sum = 0
    for _, won in ipairs(said) do sum = sum + math.tointeger(tonumber(won)) end
    assert.equal(60, sum)
    assert.equal("60|60", backend.sql(path, "SELECT count(*), count(DISTINCT identity) FROM submit"))
  end)

  if is_sqlite then it("keep each other's locks when they open and close a second handle", function()
    local directory <close> = env.directory()
    local path = backend.new(directory)
    local handle <close> = ledger.open(path)
    assert.equal(1, intend(handle))
    assert.truthy(once(path))
    -- A program can leave WAL mode only when no other has the file open.
    local said = env.output(("sqlite3 -batch %s 'PRAGMA journal_mode = DELETE' 2>&1 || true"):format(env.quote(path)))
    assert.truthy(said:find("locked", 1, true), said)
    assert.equal(2, intend(handle))
  end) end
end)

describe("a program that is killed while it writes", function()
  it("loses nothing that was reported as written, and leaves the ledger intact", function()
    local directory <close> = env.directory()
    local path = backend.new(directory)
    math.randomseed(20260102)
    local acknowledged = {}
    for _ = 1, is_sqlite and 10 or 4 do
      local child = asked.start([[
        local handle = ledger.open((...))
        while true do print(asked.intend(handle, nil, { input = ("x"):rep(3000) })) end
      ]], { path })
      for _ = 1, math.random(60) do acknowledged[math.tointeger(tonumber(child:line()))] = true end
      assert(os.execute("kill -9 " .. child.pid))
      for id in child:finish():gmatch("(%d+)\n") do acknowledged[math.tointeger(tonumber(id))] = true end
      local handle <close> = ledger.open(path)
      local rows = ask(handle, "open")
      if is_sqlite then assert.equal(#rows, rows[#rows].id) else becomes_unknown(handle, rows[#rows].id) end
      local missing = 0
      for _ in pairs(acknowledged) do missing = missing + 1 end
      for _, row in ipairs(ask(handle, "open")) do
        if acknowledged[row.id] then missing = missing - 1 end
        assert.equal("unknown", row.state)
      end
      assert.equal(0, missing)
    end
    if is_sqlite then assert.equal("ok", sqlite3(path, "PRAGMA integrity_check")) end
  end)
end)

describe("a ledger of an earlier version", function()
  local directory, known, latest, broken

  -- Builds the module with further migrations. Returns its folder. Only the file that includes the schema is compiled anew.
  local function variant(name, steps)
    local header, build = directory:file(name .. ".h"), directory:file(name)
    env.write(header, env.read(backend.schema):gsub("%s*$", "") .. " \\\n" .. steps .. "\n")
    if core.stat "build/obj" then env.output(("mkdir %s && cp -a build/obj %s"):format(build, build)) end
    os.remove(("%s/obj/%s.o"):format(build, backend.includes_schema))
    env.output(("env -i PATH=%s make -s B=%s CFLAGS=-O0 CPPFLAGS=%s %s/lib/omni/%s.so"):format(env.quote(os.getenv("PATH")),
      env.quote(build), env.quote(("'-D%s=\"%s\"'"):format(backend.schema_macro, header)), env.quote(build), backend.module))
    return build .. "/lib"
  end

  setup(function()
    directory = env.directory()
    known = once(backend.new(directory))[1].version
    latest = variant("latest", [[
      X("ALTER TABLE submit ADD COLUMN colour TEXT") \
      X("UPDATE submit SET colour = 'red'; CREATE TABLE late (x INTEGER); INSERT INTO late VALUES (7)")]])
    broken = variant("broken", [[
      X("ALTER TABLE submit ADD COLUMN colour TEXT") X("INSERT INTO nowhere VALUES (1)")]])
  end)

  teardown(function() directory:close() end)

  it("is migrated once, with all its data, by the first program that opens it", function()
    local own <close> = env.directory()
    local path = backend.new(own)
    do
      local handle <close> = ledger.open(path)
      for i = 1, 100 do intend(handle, "scene " .. i) end
    end
    local said = asked.race(6, [[
      go()
      local handle <close> = ledger.open((...))
      local rows, failure = asked.ask(handle, "version")
      print(rows and rows[1].version or failure.message)
      assert(#asked.ask(handle, "open") == 100)
    ]], { path }, latest)
    for _, version in ipairs(said) do assert.equal(known + 2 .. "\n", version) end
    assert.equal("100|1", backend.sql(path, "SELECT count(*), (SELECT count(*) FROM late) FROM submit WHERE colour = 'red'"))
    assert.truthy(select(2, once(path)):find("was made by a newer omni", 1, true))
  end)

  it("stays unchanged when the migration fails", function()
    local own <close> = env.directory()
    local path = backend.new(own)
    local handle <close> = ledger.open(path)
    assert.equal(1, intend(handle))
    local reason = is_sqlite and "no such table: nowhere" or 'relation "nowhere" does not exist'
    assert.equal(("the ledger %s can't be opened: %s\n"):format(path, reason), asked.run([[
      local handle <close> = ledger.open((...))
      local rows, failure = asked.ask(handle, "version")
      print(rows or failure.message)
    ]], { path }, broken))
    assert.equal(known, once(path)[1].version)
    local columns = is_sqlite and "pragma_table_info('submit')" or "information_schema.columns WHERE table_name = 'submit'"
    assert.is_nil(backend.sql(path, "SELECT * FROM " .. columns):find("colour"))
    assert.equal(2, intend(handle))
  end)
end)

end) end
