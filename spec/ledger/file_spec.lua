-- SPDX-License-Identifier: MIT
-- A ledger's file: its owner, its version, a full disk, damage.
local asked = require "helper.ledger"
local core = require "omni.core"
local env = require "helper.env"
local ledger = require "omni.ledger_sqlite"

local once, ask, intend, sqlite3 = asked.once, asked.ask, asked.intend, asked.sqlite3
local private <const> = tonumber("600", 8)
local application <const> = 0x6F6D6E69

-- Creates a file that only its owner can read.
local function write_private(path, text)
  env.write(path, text)
  env.output("chmod 600 " .. env.quote(path))
  return path
end

local function database(path, sql)
  write_private(path, "")
  sqlite3(path, sql)
  return path
end

-- Checks that the ledger is refused for this reason, and its bytes stay unchanged.
local function refused(path, reason)
  local before = env.read(path)
  local rows, message = once(path)
  assert.is_nil(rows)
  assert.equal("the ledger " .. path .. " " .. reason, message)
  assert.is_true(before == env.read(path), "it was written to")
end

describe("a new ledger", function()
  it("and its other files are private to their owner, whatever the umask", function()
    for _, umask in ipairs { "000", "022", "777" } do
      local directory <close> = env.directory()
      local path = directory:file "l.db"
      local said = env.output("umask " .. umask .. "; " .. asked.command([[
        local path = ...
        local handle <close> = ledger.open(path)
        assert(asked.intend(handle) == 1)
        for _, name in ipairs { "", "-wal", "-shm", "-alive" } do print(core.stat(path .. name).mode) end
      ]], { path }))
      assert.equal((private .. "\n"):rep(4), said)
    end
  end)

  it("is created at its first verb, not before", function()
    local directory <close> = env.directory()
    do
      local handle <close> = ledger.open(directory:file "l.db")
      assert.equal(0, handle:busy())
    end
    assert.same({}, directory:names())
    once(directory:file "l.db")
    assert.same({ "l.db", "l.db-alive" }, directory:names())
  end)

  it("may start as an empty file, and may have any name", function()
    local directory <close> = env.directory()
    assert.truthy(once(write_private(directory:file "empty", "")))
    assert.truthy(once(directory:file "?mode=memory#%41 日本"))
    local code = [[
      for _, path in ipairs { ":memory:", "file:x?mode=memory", "-x" } do
        local handle <close> = ledger.open(path)
        assert(asked.intend(handle) == 1)
        assert(core.stat(path).kind == "file")
      end
    ]]
    local inside = ("cd %s && LUA_PATH=%s LUA_CPATH=%s "):format(env.quote(directory.path),
      env.quote(os.getenv("LUA_PATH"):gsub("%f[^;\0]", core.real_path(".") .. "/"):gsub("//", "/")),
      env.quote(os.getenv("LUA_CPATH"):gsub("^([^/])", core.real_path(".") .. "/%1")))
    env.output(inside .. "sh -c " .. env.quote(asked.command(code)))
  end)

  it("is a WAL database with omni's application id", function()
    local directory <close> = env.directory()
    local path = directory:file "l.db"
    once(path)
    assert.equal(("wal\n%d"):format(application), sqlite3(path, "PRAGMA journal_mode; PRAGMA application_id"))
  end)
end)

describe("a ledger isn't opened", function()
  it("when other users can read it", function()
    local directory <close> = env.directory()
    local path = directory:file "l.db"
    once(path)
    for _, mode in ipairs { "640", "604", "660", "644", "610" } do
      env.output(("chmod %s %s"):format(mode, env.quote(path)))
      refused(path, "is readable by others; chmod 600 it")
    end
    env.output("chmod 600 " .. env.quote(path))
    assert.truthy(once(path))
    env.output("chmod 644 " .. env.quote(path .. "-alive"))
    assert.truthy(select(2, once(path)):find("session file", 1, true))
  end)

  it("when it isn't a file", function()
    local directory <close> = env.directory()
    local function message(path) return select(2, once(path)) end
    assert.equal(("the ledger %s can't be opened: it is not a file"):format(directory.path), message(directory.path))
    assert.equal("the ledger /dev/null can't be opened: it is not a file", message "/dev/null")
    env.output("mkfifo " .. env.quote(directory:file "pipe"))
    assert.truthy(message(directory:file "pipe"):find("it is not a file", 1, true))
    env.output(("ln -s nowhere %s"):format(env.quote(directory:file "link")))
    assert.truthy(message(directory:file "link"):find("a link to a file that isn't there", 1, true))
    assert.truthy(message(directory:file "a/b"):find("can't be opened: No such file or directory", 1, true))
    assert.equal("the ledger /dev/full?/?x can't be opened: No such file or directory", message "/dev/full\27/\nx")
  end)

  it("when its path is invalid", function()
    assert.error_matches(function() ledger.open "" end, "must be a file's path")
    assert.error_matches(function() ledger.open "a\0b" end, "must not contain a NUL")
    assert.has_error(function() ledger.open() end)
  end)

  it("when it is another program's database, which stays unchanged", function()
    local directory <close> = env.directory()
    local foreign <const> = "is not a ledger: it is another program's database"
    refused(database(directory:file "a", "CREATE TABLE t (x); INSERT INTO t VALUES (1)"), foreign)
    refused(database(directory:file "b", "PRAGMA application_id = 77; PRAGMA user_version = 1; CREATE TABLE t (x)"), foreign)
    refused(database(directory:file "c", "PRAGMA journal_mode = WAL; CREATE TABLE submit (id)"), foreign)
    refused(database(directory:file "d", ("PRAGMA application_id = %d; PRAGMA user_version = -1"):format(application)), foreign)
    assert.same({ "a", "b", "c", "d" }, directory:names())
  end)

  it("when a newer omni made it, which stays unchanged", function()
    local directory <close> = env.directory()
    local path = directory:file "l.db"
    local known = once(path)[1].version
    sqlite3(path, ("PRAGMA user_version = %d"):format(known + 1))
    refused(path, ("was made by a newer omni: its version is %d, this omni knows versions up to %d"):format(known + 1, known))
  end)

  it("when it isn't a database", function()
    local directory <close> = env.directory()
    local path = write_private(directory:file "l.db", ("This is a letter. "):rep(100))
    refused(path, "can't be opened: it is damaged, or something else")
  end)
end)

describe("a ledger that was damaged", function()
  it("is reported, or still answers, but never harms the program", function()
    local directory <close> = env.directory()
    local path = directory:file "l.db"
    do
      local handle <close> = ledger.open(path)
      for i = 1, 60 do
        intend(handle, "identity " .. i, { input = ("i"):rep(500), board = "b", scene = "s" .. i })
        ask(handle, "remember_digest", { path = "p" .. i, stamp = "s", sha256 = "d", size = i })
      end
    end
    local whole, random = env.read(path), math.random
    math.randomseed(20260101)
    local function try(bytes)
      for _, extra in ipairs { "-wal", "-shm", "-alive" } do os.remove(path .. extra) end
      write_private(path, bytes)
      local handle <close> = ledger.open(path)
      for _, verb in ipairs { "open", "spent", "intend", "remember_digest", "files" } do
        local rows, failure = ask(handle, verb, verb == "intend" and { account = "a", model = "m", input = "{}" }
          or verb == "remember_digest" and { path = "new", stamp = "s", sha256 = "d", size = 1 } or nil)
        assert.truthy(rows or failure.code == "ledger_failed" and failure.message:find(path, 1, true))
      end
    end
    for _ = 1, 40 do
      local bytes = whole
      for _ = 1, random(1, 40) do
        local at = random(#bytes)
        bytes = bytes:sub(1, at - 1) .. string.char(random(0, 255)) .. bytes:sub(at + 1)
      end
      try(bytes)
    end
    for _ = 1, 20 do try(whole:sub(1, random(#whole))) end
    for _ = 1, 10 do -- a page of one place in another
      local from, to = random(0, #whole // 4096 - 1) * 4096, random(0, #whole // 4096 - 1) * 4096
      try(whole:sub(1, to) .. whole:sub(from + 1, from + 4096) .. whole:sub(to + 4097))
    end
  end)
end)

describe("a ledger that is moved or removed while it is open", function()
  it("accepts nothing more, since nobody would find it again", function()
    local directory <close> = env.directory()
    local path = directory:file "l.db"
    local handle <close> = ledger.open(path)
    assert.equal(1, intend(handle))
    assert(os.rename(path, path .. ".old"))
    local rows, failure = ask(handle, "intend", { account = "a", model = "m", input = "{}" })
    assert.is_nil(rows)
    assert.equal("the ledger " .. path .. " can't be used: it was moved or removed since it was opened", failure.message)
    assert.same({ "l.db-alive", "l.db-shm", "l.db-wal", "l.db.old" }, directory:names())
    assert(os.rename(path .. ".old", path))
    assert.equal(2, intend(handle))
  end)
end)

describe("a ledger's main file", function()
  -- Reads the file without its write-ahead log.
  local function identities(directory, path)
    local copy = directory:file "copy.db"
    env.output(("cp %s %s && chmod 600 %s"):format(env.quote(path), env.quote(copy), env.quote(copy)))
    local found = sqlite3(copy, "SELECT group_concat(identity) FROM submit")
    env.output("rm -f " .. env.quote(copy) .. "*")
    return found
  end

  it("contains every change soon afterwards, while the ledger stays open", function()
    local directory <close> = env.directory()
    local path = directory:file "l.db"
    local child = asked.start([[
      local handle = ledger.open((...))
      asked.intend(handle, "a")
      asked.intend(handle, "b")
      print "written"
      core.poll_set():wait(600, {}) -- until it is killed
    ]], { path })
    assert.equal("written", child:line())
    local deadline = core.now() + env.seconds(30)
    repeat
      local fine, found = pcall(identities, directory, path) -- there may be no table yet
      local over = fine and found == "a,b"
    until over or core.now() > deadline
    child:kill()
    assert.equal("a,b", identities(directory, path))
  end)

  it("contains every change after closing, even while another program has it open", function()
    local directory <close> = env.directory()
    local path = directory:file "l.db"
    local other <close> = ledger.open(path)
    ask(other, "version")
    local handle <close> = ledger.open(path)
    asked.intend(handle, "a")
    asked.intend(handle, "b")
    handle:close()
    assert.equal("a,b", identities(directory, path))
    assert.is_truthy(core.stat(path .. "-wal"))
  end)
end)

describe("a disk that is full", function()
  -- Fills the ledger's disk and empties it again. Prints the result of a verb each time.
  local code <const> = [[
    local path, filler = ...
    local handle <close> = ledger.open(path)
    local function try()
      local rows, failure = asked.ask(handle, "intend", { account = "a", model = "m", input = ("x"):rep(20000) })
      print(rows and "written" or failure.message)
      return rows
    end
    try()
    local file = assert(io.open(filler, "w"))
    file:setvbuf("no")
    while file:write(("x"):rep(4096)) do end
    file:close()
    while try() do end
    try()
    print(#asked.ask(handle, "open") > 0)
    os.remove(filler)
    try()
    print(#asked.ask(handle, "open"))
  ]]

  it("is reported; existing data stays intact, and the ledger works again when there is space", function()
    local directory <close> = env.directory()
    local inside = directory:file "disk"
    local command = asked.command(code, { inside .. "/l.db", inside .. "/filler" }) ..
      ("; sqlite3 %s/l.db 'PRAGMA integrity_check; SELECT count(*) FROM submit'"):format(inside)
    local mount = ("mkdir %s && mount -t tmpfs -o size=1m none %s"):format(inside, inside)
    if not os.execute(("unshare -rm sh -c %s 2>/dev/null"):format(env.quote(mount))) then
      return pending "no small disk can be mounted here: nothing was tried on a full one"
    end
    os.remove(inside)
    local said = env.output(("unshare -rm sh -c %s"):format(env.quote(mount .. " && " .. command)))
    local full = ("the ledger %s/l.db can't be written: the disk is full"):format(inside)
    local written, count = said:gsub("written\n", "")
    assert.equal(("%s\n%s\ntrue\n%d\nok\n%d\n"):format(full, full, count, count), written)
    assert.is_true(count >= 2)
  end)

  it("or a limit on the file's size is reported in the same way", function()
    local directory <close> = env.directory()
    local path = directory:file "l.db"
    local said = env.output("ulimit -S -f 600; " .. asked.command([[
      local path = ...
      local handle <close> = ledger.open(path)
      local count = 0
      local function try()
        local rows, failure = asked.ask(handle, "intend", { account = "a", model = "m", input = ("x"):rep(20000) })
        count = count + (rows and 1 or 0)
        return not rows and failure.message
      end
      local message
      repeat message = try() until message
      print(message)
      print(try() == message, #asked.ask(handle, "open") == count)
      os.execute("prlimit --fsize=unlimited --pid=$PPID")
      print(try(), #asked.ask(handle, "open") == count)
    ]], { path }))
    assert.equal(("the ledger %s can't be written: disk I/O error\ntrue\ttrue\nfalse\ttrue\n"):format(path), said)
    assert.equal("ok", sqlite3(path, "PRAGMA integrity_check"))
  end)

  it("can't hold a new ledger until there is space", function()
    local directory <close> = env.directory()
    local path = directory:file "l.db"
    local said = env.output("ulimit -S -f 2; " .. asked.command([[
      local handle <close> = ledger.open(...)
      local rows, failure = asked.ask(handle, "version")
      print(rows or failure.message)
      os.execute("prlimit --fsize=unlimited --pid=$PPID")
      print(#asked.ask(handle, "version"), asked.intend(handle))
    ]], { path }))
    assert.equal(("the ledger %s can't be opened: disk I/O error\n1\t1\n"):format(path), said)
  end)
end)
