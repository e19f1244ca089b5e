-- SPDX-License-Identifier: MIT
local asked = require "helper.ledger"
local core = require "omni.core"
local env = require "helper.env"
local preloaded = require "helper.preloaded"
local loop = require "omni.loop"

local postgresql = require "helper.postgresql"

local ask, intend, ledger = asked.ask, asked.intend, asked.ledger

-- Starts another program that locks the ledger until the returned pipe is closed.
local function holder(path, directory)
  local told = directory:file "told"
  env.output("mkfifo " .. env.quote(told))
  local pipe
  if path:find "^postgresql:" then
    pipe = assert(io.popen(postgresql.psql(path), "w"))
    pipe:write("BEGIN; LOCK TABLE omni.submit;\n\\! echo held > ", told, "\n")
  else
    pipe = assert(io.popen("sqlite3 -batch " .. env.quote(path), "w"))
    pipe:write("BEGIN IMMEDIATE;\n.shell echo held > ", env.quote(told), "\n")
  end
  pipe:flush()
  assert(env.read(told) == "held\n")
  return pipe
end

for _, backend in ipairs(asked.backends) do describe("in " .. backend.name .. ":", function()

if backend.missing then return it("nothing was tried", function() pending(backend.missing) end) end

local function open(directory)
  local name = backend.new(directory)
  return ledger.open(name), name
end

describe("a verb", function()
  it("returns what was stored: whole numbers, fractions, any text; missing values stay absent", function()
    local directory <close> = env.directory()
    local handle <close> = open(directory)
    for _, value in ipairs { "", "plain", "日本 😀", "\xff\xfe'\"\\\n", ("long "):rep(200000) } do
      local id = intend(handle, nil, { input = value })
      assert.is_true(value == ask(handle, "row", { id = id })[1].input)
    end
    for _, value in ipairs { 0, -1, math.maxinteger, math.mininteger } do
      local row = ask(handle, "row", { id = intend(handle, nil, { take = value }) })[1]
      assert.equal(value, row.take)
      assert.equal("integer", math.type(row.take))
    end
    for _, value in ipairs { 0.5, -1e300, 1e-300, math.huge, 3 } do
      local row = ask(handle, "row", { id = intend(handle, nil, { estimate = value }) })[1]
      assert.equal(value, row.estimate)
      assert.equal("float", math.type(row.estimate))
    end
    local row = ask(handle, "row", { id = intend(handle) })[1]
    assert.is_nil(row.estimate)
    assert.is_nil(row.scene)
    assert.is_true(math.abs(row.intended_at - os.time()) < env.seconds(5))
  end)

  it("stores a boolean as 0 or 1", function()
    local directory <close> = env.directory()
    local handle <close> = open(directory)
    assert.equal(1, ask(handle, "row", { id = intend(handle, nil, { take = true }) })[1].take)
    assert.equal(0, ask(handle, "row", { id = intend(handle, nil, { take = false }) })[1].take)
  end)

  it("raises at once for an unknown verb, an unknown parameter, or a value that can't be stored", function()
    local directory <close> = env.directory()
    local handle <close> = open(directory)
    local function misuse(message, ...)
      local given = table.pack(...)
      local fine, problem = pcall(function() handle:start(table.unpack(given, 1, given.n)) end)
      assert.is_false(fine)
      assert.truthy(problem:find("^spec/ledger/verbs_spec.lua:%d+: ") and problem:find(message, 1, true), problem)
    end
    misuse("unknown verb 'rows'", "me", "rows")
    misuse("ledger: row has no parameter 'ID'", "me", "row", { ID = 1 })
    misuse("ledger: row: the names of parameters must be strings", "me", "row", { 7 })
    misuse("ledger: row: 'id' must be a string, a number or a boolean, not a table", "me", "row", { id = {} })
    misuse("ledger: row: 'id' must not contain a NUL", "me", "row", { id = "a\0b" })
    misuse("ledger: row: 'id' must be a number, not NaN", "me", "row", { id = 0 / 0 })
    misuse("expected an owner, got nil", nil, "row")
    misuse("table expected, got string", "me", "row", "id")
    misuse("string expected, got no value", "me")
    misuse("too many or too large values", "me", "row", { id = ("x"):rep((64 << 20) + 1) })
    assert.equal(0, handle:busy())
  end)

  it("that the ledger refuses reports why, without any of its values", function()
    local directory <close> = env.directory()
    local handle <close>, path = open(directory)
    local reasons <const> = {
      SQLite = { "NOT NULL constraint failed: submit.account",
        "cannot store TEXT value in INTEGER column submit.take", "string or blob too big" },
      PostgreSQL = { 'null value in column "account" of relation "submit" violates not-null constraint',
        "cannot store TEXT value in INTEGER column", "string or blob too big" },
    }
    local function refused(verb, params)
      local rows, failure = ask(handle, verb, params)
      assert.is_nil(rows)
      assert.equal("ledger_failed", failure.code)
      assert.is_nil(failure.message:find("secret", 1, true))
      return failure.message
    end
    for i, params in ipairs { { model = "secret", input = "secret" },
      { account = "secret", model = "secret", input = "secret", take = "secret" },
      { account = "a", model = "m", input = ("secret"):rep(3 << 20) } } do
      local message = refused("intend", params)
      assert.equal(("the ledger %s can't be written: "):format(path), message:match "^.-written: ")
      assert.equal(reasons[backend.name][i], message:match "written: (.*)")
    end
    assert.truthy(intend(handle))
  end)

  it("of csrc/ledger/verbs.h is one statement that fits the schema", function()
    local directory <close> = env.directory()
    local handle <close> = open(directory)
    local text, count = env.read("csrc/ledger/verbs.h"):gsub("//[^\n]*", ""):gsub("/%*.-%*/", ""), 0
    assert.is_nil(text:find(";", 1, true))
    for verb in text:gmatch("\n  X%((%l[%l_]*), %u+,") do
      local rows, failure = {}, nil
      if verb ~= "begin_copy" and verb ~= "end_copy" then rows, failure = ask(handle, verb) end -- copy_spec.lua tests a whole copy
      assert.truthy(rows or failure.message:lower():find("not.null constraint"), verb .. ": " .. (rows and "" or failure.message))
      count = count + 1
    end
    assert.equal(select(2, text:gsub("X%(%l", "")), count)
  end)
end)

describe("the verb accept", function()
  it("may be repeated with the same task id, and never changes a task id", function()
    local directory <close> = env.directory()
    local handle <close> = open(directory)
    local id = intend(handle)
    assert.same({ { id = id } }, ask(handle, "accept", { id = id, task_id = "a" }))
    assert.same({ { id = id } }, ask(handle, "accept", { id = id, task_id = "a" }))
    assert.same({}, ask(handle, "accept", { id = id, task_id = "b" }))
    assert.equal("a", ask(handle, "row", { id = id })[1].task_id)
    ask(handle, "finish", { id = id, state = "success", status = "success" })
    assert.same({}, ask(handle, "accept", { id = id, task_id = "a" }))
    assert.equal("success", ask(handle, "row", { id = id })[1].state)
  end)
end)

describe("answers", function()
  it("come in the order of their verbs, each once, with any kind of owner", function()
    local directory <close> = env.directory()
    local handle <close> = open(directory)
    local owners = { "text", 7, 1.5, true, {}, print, handle, coroutine.create(print), false }
    for i, owner in ipairs(owners) do handle:start(owner, "intend", { account = "a", model = "m", input = tostring(i) }) end
    for i, owner in ipairs(owners) do
      assert.equal(#owners + 1 - i, handle:busy())
      local got, rows = asked.take(handle)
      assert.equal(owner, got)
      assert.same({ { id = i } }, rows)
    end
    assert.equal(0, handle:busy())
    assert.equal(0, select("#", handle:finished()))
    assert.is_nil(handle:timeout())
  end)

  it("keep their owner alive until they are taken, and no longer", function()
    local directory <close> = env.directory()
    local handle <close> = open(directory)
    local known = setmetatable({}, { __mode = "k" })
    known[asked] = true -- something that stays
    do
      local owner = {}
      known[owner] = true
      handle:start(owner, "version")
    end
    collectgarbage()
    do
      local owner = asked.take(handle)
      assert.is_true(known[owner])
    end
    collectgarbage()
    collectgarbage()
    local left = 0
    for _ in pairs(known) do left = left + 1 end
    assert.equal(1, left)
  end)

  it("wake the loop, which never waits for the disk or for another program", function()
    local directory <close> = env.directory()
    local handle <close>, name = open(directory)
    assert.equal(1, intend(handle, "x"))
    local other = holder(name, directory)
    local turns, rows, let_go = 0, nil, nil
    loop.run(function()
      local fiber = loop.current()
      loop.add { pollfd = function() return handle:pollfd() end, events = function() return "r" end,
        timeout = function() return handle:timeout() end,
        step = function(self)
          handle:step()
          local owner, got = handle:finished()
          if owner then
            loop.remove(self)
            rows = got
            loop.wake(fiber)
          end
        end }
      handle:start("me", "intend", { account = "a", model = "m", input = "{}" })
      loop.spawn(function()
        for _ = 1, 20 do
          loop.sleep(0.005)
          turns = turns + 1
          assert.is_nil(rows)
        end
        let_go = other:close()
      end)
      loop.park()
    end)
    assert.same({ 20, true, { { id = 2 } } }, { turns, let_go, rows })
  end)
end)

describe("closing a ledger", function()
  it("finishes the queued verbs, whose results can still be taken", function()
    local directory <close> = env.directory()
    local handle, name = open(directory)
    for i = 1, 50 do handle:start(i, "intend", { account = "a", model = "m", input = "{}" }) end
    handle:close()
    for i = 1, 50 do
      local owner, rows = handle:finished()
      assert.same({ i, { { id = i } } }, { owner, rows })
    end
    assert.is_nil((handle:finished()))
    assert.same({ { id = 51 } }, asked.once(name, "intend", { account = "a", model = "m", input = "{}" }))
  end)

  it("may happen twice, by `<close>` and by collection, and leaves no descriptor and no thread", function()
    local directory <close> = env.directory()
    local function held() return env.output "ls /proc/$PPID/fd /proc/$PPID/task | wc -l" end
    local before = held()
    local function is_gone() -- a thread that has ended may be seen a moment longer
      local deadline = core.now() + env.seconds(5)
      while held() ~= before do assert(core.now() < deadline, "something stays") end
    end
    for how = 1, 3 do
      local handle = open(directory)
      intend(handle)
      assert.not_equal(before, held())
      if how == 1 then
        handle:close()
        handle:close()
      elseif how == 2 then
        local closed <close> = handle -- luacheck: ignore
      end
      handle = nil -- luacheck: ignore
      collectgarbage()
      is_gone()
    end
  end)

  it("makes every later call raise", function()
    local directory <close> = env.directory()
    local handle = open(directory)
    handle:close()
    for _, name in ipairs { "start", "step", "pollfd", "timeout" } do
      assert.error_matches(function() handle[name](handle, "me", "version") end, "the ledger is closed")
    end
  end)
end)

describe("the tasks whose end was recorded lately", function()
  it("are those whose first final state was recorded within so many seconds", function()
    local directory <close> = env.directory()
    local handle <close>, name = open(directory)
    for i, state in ipairs { "success", "failed", "success" } do
      local id = intend(handle)
      ask(handle, "accept", { id = id, task_id = "task " .. i })
      if i < 3 then ask(handle, "finish", { id = id, state = state }) end
    end
    local found = {}
    for _, row in ipairs(ask(handle, "ended", { seconds = 60 })) do found[row.task_id] = true end
    assert.same({ ["task 1"] = true, ["task 2"] = true }, found)
    backend.sql(name, "UPDATE submit SET ended_at = ended_at - 100 WHERE id = 1")
    ask(handle, "finish", { id = 1, state = "success", media = 2 })
    assert.same({ { task_id = "task 2" } }, ask(handle, "ended", { seconds = 60 }))
  end)
end)

describe("an account's row", function()
  it("forbids intents while the key is paused, and joins a later end of the pause, never an earlier one", function()
    local directory <close> = env.directory()
    local handle <close>, name = open(directory)
    local id = intend(handle)
    ask(handle, "refuse", { id = id, error = "rate_limited" })
    assert.is_true(ask(handle, "pause_account", { account = "a", seconds = 100 })[1].pause == 100)
    assert.is_true(ask(handle, "pause_account", { account = "a", seconds = 10 })[1].pause > 90)
    assert.is_nil(intend(handle))
    assert.same({}, ask(handle, "retry", { id = id, account = "a" }))
    assert.is_number(intend(handle, nil, { account = "b" }))
    assert.is_true(ask(handle, "account", { account = "a" })[1].pause > 90)
    backend.sql(name, "UPDATE account SET paused_at = paused_at - 100") -- the pause has ended
    assert.is_number(intend(handle))
    assert.is_true(ask(handle, "account", { account = "a" })[1].pause <= 0)
  end)

  it("reserves the starts of requests one after the other, for all programs", function()
    local directory <close> = env.directory()
    local handle <close>, name = open(directory)
    local other <close> = ledger.open(name)
    local last = 0
    for i = 1, 10 do
      local wait = ask(i % 2 == 0 and handle or other, "reserve_start", { account = "a", interval = 50 })[1].wait
      assert.is_true(i == 1 and wait == 0 or wait > last)
      assert.is_true(wait > 50 * (i - 1) - env.seconds(5) and wait <= 50 * (i - 1) + 0.01)
      last = wait
    end
    assert.equal(0, ask(handle, "reserve_start", { account = "b", interval = 50 })[1].wait)
  end)

  it("is ignored where it is from the future, because a clock has jumped", function()
    local directory <close> = env.directory()
    local handle <close>, name = open(directory)
    ask(handle, "pause_account", { account = "a", seconds = 100 })
    ask(handle, "reserve_start", { account = "a", interval = 0.1 })
    backend.sql(name, "UPDATE account SET paused_at = paused_at + 5000, next_at = next_at + 5000")
    assert.is_number(intend(handle))
    assert.equal(0, ask(handle, "reserve_start", { account = "a", interval = 0.1 })[1].wait)
    assert.equal(1, ask(handle, "pause_account", { account = "a", seconds = 1 })[1].pause)
  end)

  it("tells why and since when the service refuses the key", function()
    local directory <close> = env.directory()
    local handle <close> = open(directory)
    ask(handle, "disable_account", { account = "a", error = "unauthorized", message = "no" })
    local row = ask(handle, "account", { account = "a" })[1]
    assert.same({ "unauthorized", "no" }, { row.disabled, row.message })
    assert.is_true(row.disabled_for >= 0 and row.disabled_for < env.seconds(5))
    assert.is_number(intend(handle)) -- a refusal costs nothing, so each program decides for itself
  end)
end)

end) end

describe("what concerns money, in SQLite,", function()
  -- Counts a program's calls of fsync and fdatasync, as bytes of the file SYNCS.
  local shim <const> = [[
    #include <dlfcn.h>
    #include <fcntl.h>
    #include <stdlib.h>
    #include <unistd.h>
    static void count(void) {
      int fd = open(getenv("SYNCS"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
      if (fd < 0 || write(fd, "x", 1) != 1) abort();
      close(fd);
    }
    int fsync(int fd) { count(); return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd); }
    int fdatasync(int fd) { count(); return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd); }
  ]]

  it("is on disk before its result comes; other changes don't wait for the disk", function()
    local directory <close> = env.directory()
    local syncs = directory:file "syncs"
    env.write(syncs, "")
    local command = asked.command([[
      local path, syncs = ...
      local handle <close> = ledger.open(path)
      asked.ask(handle, "version")
      local function syncs_of(verb, params)
        local before = core.stat(syncs).size
        assert(asked.ask(handle, verb, params))
        return core.stat(syncs).size - before
      end
      local note = { path = "p", stamp = "s", sha256 = "d", size = 1 }
      for id = 1, 2 do
        print(syncs_of("intend", { account = "a", model = "m", input = "{}" }), syncs_of("remember_digest", note),
          syncs_of("accept", { id = id, task_id = "t" }), syncs_of("row", { id = id }))
      end
    ]], { directory:file "l.db", syncs })
    local said = preloaded.output(shim, command, "SYNCS=" .. env.quote(syncs))
    for intended, noted, accepted, read in said:gmatch "(%d+)\t(%d+)\t(%d+)\t(%d+)" do
      assert.is_true(tonumber(intended) >= 1, said)
      assert.is_true(tonumber(accepted) >= 1, said)
      assert.same({ "0", "0" }, { noted, read })
    end
    assert.equal(2, select(2, said:gsub("\n", "")), said)
  end)
end)
