-- SPDX-License-Identifier: MIT
-- A ledger is copied into another one, completely or not at all.
local asked = require "helper.ledger"
local env = require "helper.env"
local postgresql = require "helper.postgresql"
local copy = require "omni.ledger.copy"
local ledgers = require "omni.ledger"
local loop = require "omni.loop"

local ask, intend, ledger = asked.ask, asked.intend, asked.ledger

-- Fills a ledger with rows in every state, files, uploads, films, and a scene to make again. Its program ends afterwards.
local function fill(name)
  local handle <close> = ledger.open(name)
  local function verb(which, params) return assert(ask(handle, which, params))[1] end
  local states <const> = { "intended", "unknown", "refused", "accepted", "success", "failed", "gone", "forgotten" }
  for i, state in ipairs(states) do
    local id = intend(handle, "scene " .. i, {
      service = "https://s", board = "/b", scene = "s" .. i, take = i, base = "base" .. i,
      estimate = 1.5, budget = 1000, balance_before = 10, token = "token" .. i, tag = "tag\xff", idempotency_key = "key" .. i, form = "{}",
    })
    if state == "unknown" then verb("mark_unknown", { id = id, error = "e", message = "m", balance_after = 3.25 }) end
    if state == "refused" then verb("refuse", { id = id, error = "e", message = "m" }) end
    if i > 3 then verb("accept", { id = id, task_id = "task" .. i }) end
    if state == "success" or state == "gone" then
      verb("finish", { id = id, state = "success", credits = 7, media = 2, created_at = 1, completed_at = 2, seconds = 0.5 })
      for number = 1, 2 do
        verb("remember_file", { id = id, number = number, path = "/f" .. i .. number, sha256 = "s", size = number })
      end
    end
    if state == "failed" then verb("finish", { id = id, state = "failed", error = "e" }) end
    if state == "gone" then verb("expire", { id = id }) end
    if state == "forgotten" then verb("forget", { id = id }) end
  end
  -- A person has replaced a submit with an unknown outcome, and its row is still live.
  intend(handle, "scene 2", { service = "https://s", instead_of = 2 })
  verb("remember_upload", { account = "a", sha256 = "s", url = "u" })
  verb("remember_film", { path = "/film", identity = "i", sha256 = "s" })
  verb("begin_redo", { board = "/b", base = "base1" })
  for number = 1, 3 do
    verb("add_job", { service = "https://s", board = "b.lua", title = "T", manifest = "{}", budget = 1.5, scenes = number })
  end
  verb("take_job", { service = "https://s", worker = "w" })
  verb("end_job", { id = 1, state = "done", film = "film.mp4", result = "[]", finished = 1 })
  verb("take_job", { service = "https://s", worker = "w" }) -- its worker ends
end

-- All rows of a ledger, as one text.
local function content(name)
  local lines = {}
  local opened <close> = assert(ledgers.open(name))
  copy.read(opened, function(kind, row)
    local parts = {}
    for key, value in pairs(row) do parts[#parts + 1] = ("%s=%s"):format(key, value) end
    table.sort(parts)
    lines[#lines + 1] = kind .. ": " .. table.concat(parts, " ")
  end)
  return table.concat(lines, "\n")
end

-- Copies a ledger: what was copied, or nil and the message.
local function run(source, target)
  local from <close> = assert(ledgers.open(source))
  local to <close> = assert(ledgers.open(target))
  local counts, problem = copy.run(from, to)
  return counts, problem and problem.message
end

for _, source in ipairs(asked.backends) do
  for _, target in ipairs(asked.backends) do
    describe(("a ledger in %s, copied into one in %s,"):format(source.name, target.name), function()
      if source.missing or target.missing then
        return it("wasn't tried", function() pending(source.missing or target.missing) end)
      end

      local one, two, from, to
      before_each(function()
        one, two = env.directory(), env.directory()
        from, to = source.new(one), target.new(two)
      end)
      after_each(function()
        one:close()
        two:close()
      end)

      it("has the same rows with the same numbers; a second copy copies nothing", function()
        fill(from)
        loop.run(function()
          assert.same({ submit = 9, file = 4, upload = 1, film = 1, redo = 1, job = 3 }, run(from, to))
          local before = content(from)
          assert.matches("state=unknown", before, 1, true)
          assert.equal(before, content(to))
          assert.same({ submit = 0, file = 0 }, run(from, to))
          assert.equal(before, content(to))
        end)
      end)

      it("is copied once if it has jobs, but no submits yet", function()
        asked.once(from, "add_job", { service = "https://s", board = "b.lua", manifest = "{}", budget = 1 })
        loop.run(function()
          assert.same({ submit = 0, file = 0, job = 1 }, run(from, to))
          assert.same({ submit = 0, file = 0 }, run(from, to))
        end)
        asked.once(to, "add_job", { service = "https://s", board = "c.lua", manifest = "{}", budget = 1 })
        loop.run(function() assert.is_nil(run(from, to)) end)
      end)

      it("goes on with the next number, and still knows what is live", function()
        fill(from)
        loop.run(function() assert(run(from, to)) end)
        local handle <close> = ledger.open(to)
        for i, live in ipairs { true, true, false, true, true, false, true, false } do
          local got = intend(handle, "scene " .. i, { service = "https://s" })
          assert.equal(live, got == nil, "scene " .. i)
          assert.is_true(got == nil or got >= 10)
        end
        assert.same({ { id = 4 } }, ask(handle, "add_job", { service = "https://s", board = "b.lua", manifest = "{}", budget = 1 }))
        assert.is_nil(intend(handle, nil, { idempotency_key = "key5" }))
        assert.is_nil(intend(handle, nil, { board = "/b", estimate = 5, budget = 20 }))
      end)

      it("stays as it was if the other one has submits of its own, or a program is submitting", function()
        fill(from)
        do
          local handle <close> = ledger.open(to)
          intend(handle, "another")
        end
        loop.run(function()
          local before = content(to)
          local counts, why = run(from, to)
          assert.is_nil(counts)
          assert.equal(("nothing was copied: the ledger %s has other submits or jobs already"):format(to), why)
          assert.equal(before, content(to))
        end)
        local busy <close> = ledger.open(from)
        local now = intend(busy, "now")
        loop.run(function()
          local counts, why = run(from, to)
          assert.is_nil(counts)
          assert.equal(("nothing was copied: a program is submitting with the ledger %s"):format(from), why)
        end)
        ask(busy, "refuse", { id = now })
        ask(busy, "take_job", { service = "https://s" })
        loop.run(function()
          local counts, why = run(from, to)
          assert.is_nil(counts)
          assert.equal(("nothing was copied: a worker is running job:3 with the ledger %s"):format(from), why)
        end)
      end)

      it("is copied completely or not at all", function()
        fill(from)
        asked.once(to)
        target.sql(to, "DROP TABLE redo") -- which is copied almost last
        loop.run(function()
          local counts, why = run(from, to)
          assert.is_nil(counts)
          assert.matches("redo", why)
          assert.equal("0", target.sql(to, "SELECT count(*) FROM submit"))
        end)
      end)
    end)
  end
end

describe("a copy into PostgreSQL", function()
  it("whose connection is lost leaves nothing, and a second one copies everything", function()
    if not postgresql.is_there then return pending "PostgreSQL isn't installed" end
    local directory <close> = env.directory()
    local path, address = directory:file "l.db", postgresql.database()
    do
      local handle <close> = ledger.open(path)
      for i = 1, 600 do intend(handle, "scene " .. i) end
    end
    loop.run(function()
      do
        local from <close> = assert(ledgers.open(path))
        local to <close> = assert(ledgers.open(address))
        to:row "version"
        local rows = 0
        local given = from.ask
        function from:ask(...) -- after the first page, the server ends the connection
          rows = rows + 1
          if rows == 7 then
            postgresql.sql(address, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
              .. " AND usename = 'omni' AND datname = current_database()")
          end
          return given(self, ...)
        end
        local counts, problem = copy.run(from, to)
        assert.is_nil(counts)
        assert.matches("the connection was lost", problem.message, 1, true)
      end
      assert.equal("0", postgresql.sql(address, "SELECT count(*) FROM omni.submit"))
      assert.equal(600, run(path, address).submit)
      assert.equal("600", postgresql.sql(address, "SELECT count(*) FROM omni.submit"))
    end)
  end)
end)
