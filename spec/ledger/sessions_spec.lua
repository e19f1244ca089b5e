-- SPDX-License-Identifier: MIT
-- A ledger that several programs use at once; some of them die.
local asked = require "helper.ledger"
local core = require "omni.core"
local env = require "helper.env"
local ledger = require "omni.ledger_sqlite"

local once, ask, intend, sqlite3 = asked.once, asked.ask, asked.intend, asked.sqlite3

local function state(handle, id) return ask(handle, "row", { id = id })[1].state end

-- A program that intends a submit and then waits.
local holds <const> = [[
  local handle = ledger.open((...))
  print(asked.intend(handle))
  core.poll_set():wait(nil, {})
]]

describe("a submit that was intended", function()
  it("is unknown once its program has been killed, and not before", function()
    local directory <close> = env.directory()
    local path = directory:file "l.db"
    local child = asked.start(holds, { path })
    assert.equal("1", child:line())
    local handle <close> = ledger.open(path)
    assert.equal("intended", state(handle, 1))
    assert.equal("intended", ask(handle, "open")[1].state)
    child:kill()
    assert.equal("unknown", state(handle, 1))
    assert.equal("unknown", ask(handle, "open")[1].state)
  end)

  it("is unknown once its handle was closed or its program has ended, also within one program", function()
    local directory <close> = env.directory()
    local path = directory:file "l.db"
    asked.run("asked.intend(ledger.open((...)))", { path })
    local handle <close> = ledger.open(path)
    local another = ledger.open(path)
    assert.equal("unknown", state(handle, 1))
    local ours, theirs = intend(handle), intend(another)
    assert.same({ "intended", "intended" }, { state(handle, ours), state(handle, theirs) })
    assert.same({ "intended", "intended" }, { state(another, ours), state(another, theirs) })
    another:close()
    assert.same({ "intended", "unknown" }, { state(handle, ours), state(handle, theirs) })
  end)

  it("is unknown when its session number is invalid", function()
    local directory <close> = env.directory()
    local path = directory:file "l.db"
    local handle <close> = ledger.open(path)
    local id = intend(handle)
    for _, number in ipairs { 0, -1, 1 << 41, math.maxinteger, math.mininteger } do
      sqlite3(path, ("UPDATE submit SET session = %d"):format(number))
      assert.equal("unknown", state(handle, id))
    end
  end)

  it("stays intended for programs that use another path to the ledger", function()
    local directory <close> = env.directory()
    local path, link = directory:file "l.db", directory:file "link"
    local handle <close> = ledger.open(path)
    local id = intend(handle)
    env.output(("ln -s l.db %s"):format(env.quote(link)))
    local other <close> = ledger.open(link)
    assert.equal("intended", state(other, id))
    assert.same({ "l.db", "l.db-alive", "l.db-shm", "l.db-wal", "link" }, directory:names())
  end)

  it("isn't kept alive by child processes of its program", function()
    local directory <close> = env.directory()
    local path = directory:file "l.db"
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
    local deadline = core.now() + env.seconds(5) -- its end may take a moment, as nobody waits for it here
    while state(handle, 1) ~= "unknown" do assert(core.now() < deadline) end
    assert(os.execute("kill -9 " .. grandchild))
    child:finish()
  end)
end)

describe("several programs", function()
  it("that create a ledger at the same moment share it", function()
    for _ = 1, 5 do
      local directory <close> = env.directory()
      local path = directory:file "l.db"
      local said = asked.race(8, [[
        go()
        local handle <close> = ledger.open((...))
        local rows, failure = asked.ask(handle, "intend", { account = "a", model = "m", input = "{}" })
        print(rows and rows[1].id or failure.message)
      ]], { path })
      table.sort(said)
      assert.same({ "1\n", "2\n", "3\n", "4\n", "5\n", "6\n", "7\n", "8\n" }, said)
      assert.equal("ok", sqlite3(path, "PRAGMA integrity_check"))
    end
  end)

  it("never intend the same scene twice, at any moment", function()
    local directory <close> = env.directory()
    local path = directory:file "l.db"
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
    assert.equal("60|60", sqlite3(path, "SELECT count(*), count(DISTINCT identity) FROM submit"))
  end)

  it("keep each other's locks when they open and close a second handle", function()
    local directory <close> = env.directory()
    local path = directory:file "l.db"
    local handle <close> = ledger.open(path)
    assert.equal(1, intend(handle))
    assert.truthy(once(path))
    -- A program can leave WAL mode only when no other has the file open.
    local said = env.output(("sqlite3 -batch %s 'PRAGMA journal_mode = DELETE' 2>&1 || true"):format(env.quote(path)))
    assert.truthy(said:find("locked", 1, true), said)
    assert.equal(2, intend(handle))
  end)
end)

describe("a program that is killed while it writes", function()
  it("loses nothing that was reported as written, and leaves the ledger intact", function()
    local directory <close> = env.directory()
    local path = directory:file "l.db"
    math.randomseed(20260102)
    local acknowledged = 0
    for _ = 1, 10 do
      local child = asked.start([[
        local handle = ledger.open((...))
        while true do print(asked.intend(handle, nil, { input = ("x"):rep(3000) })) end
      ]], { path })
      for _ = 1, math.random(60) do acknowledged = math.tointeger(tonumber(child:line())) end
      assert(os.execute("kill -9 " .. child.pid))
      for id in child:finish():gmatch("(%d+)\n") do acknowledged = math.tointeger(tonumber(id)) end
      local handle <close> = ledger.open(path)
      local rows = ask(handle, "open")
      assert.is_true(#rows >= acknowledged)
      assert.equal(#rows, rows[#rows].id)
      for _, row in ipairs(rows) do assert.equal("unknown", row.state) end
    end
    assert.equal("ok", sqlite3(path, "PRAGMA integrity_check"))
  end)
end)

describe("a ledger of an earlier version", function()
  local directory, known, latest, broken

  -- Builds the module with further migrations. Returns its folder.
  local function variant(name, steps)
    local header, build = directory:file(name .. ".h"), directory:file(name)
    env.write(header, env.read("csrc/ledger/schema.h"):gsub("%s*$", "") .. " \\\n" .. steps .. "\n")
    env.output(("env -i PATH=%s make -s B=%s CFLAGS=-O0 CPPFLAGS=%s %s/lib/omni/ledger_sqlite.so"):format(env.quote(os.getenv("PATH")),
      env.quote(build), env.quote(("'-DLEDGER_SCHEMA=\"%s\"'"):format(header)), env.quote(build)))
    return build .. "/lib"
  end

  setup(function()
    directory = env.directory()
    known = once(directory:file "known.db")[1].version
    latest = variant("latest", [[
      X("ALTER TABLE submit ADD COLUMN colour TEXT") \
      X("UPDATE submit SET colour = 'red'; CREATE TABLE late (x INTEGER) STRICT; INSERT INTO late VALUES (7)")]])
    broken = variant("broken", [[
      X("ALTER TABLE submit ADD COLUMN colour TEXT") X("INSERT INTO nowhere VALUES (1)")]])
  end)

  teardown(function() directory:close() end)

  it("is migrated once, with all its data, by the first program that opens it", function()
    local path = directory:file "old.db"
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
    assert.equal("100|1", sqlite3(path, "SELECT count(*), (SELECT count(*) FROM late) FROM submit WHERE colour = 'red'"))
    assert.truthy(select(2, once(path)):find("was made by a newer omni", 1, true))
  end)

  it("stays unchanged when the migration fails", function()
    local path = directory:file "kept.db"
    local handle <close> = ledger.open(path)
    assert.equal(1, intend(handle))
    assert.equal(("the ledger %s can't be opened: no such table: nowhere\n"):format(path), asked.run([[
      local handle <close> = ledger.open((...))
      local rows, failure = asked.ask(handle, "version")
      print(rows or failure.message)
    ]], { path }, broken))
    assert.equal(tostring(known), sqlite3(path, "PRAGMA user_version"))
    assert.is_nil(sqlite3(path, ".schema submit"):find("colour"))
    assert.equal(2, intend(handle))
  end)
end)
