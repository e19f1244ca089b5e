-- SPDX-License-Identifier: MIT
-- A ledger in PostgreSQL behind PgBouncer in transaction mode, which runs each transaction of a program on any of a few connections.
local asked = require "helper.ledger"
local postgresql = require "helper.postgresql"

local missing = not postgresql.is_there and "PostgreSQL isn't installed" or postgresql.no_pooler
if missing then
  return describe("a ledger behind PgBouncer", function() it("wasn't tried", function() pending(missing) end) end)
end

local env = require "helper.env"
local ledgers = require "omni.ledger"
local loop = require "omni.loop"
local omni = require "omni"
local relays = require "helper.postgresql_relay"
local studio = require "helper.studio"

local ask, intend, ledger, once = asked.ask, asked.intend, asked.ledger, asked.once

local direct, pooler, address

setup(function()
  postgresql.database() -- starts the server
  pooler = postgresql.pooler "transaction"
end)
teardown(function() getmetatable(pooler).__close(pooler) end)

before_each(function()
  direct = postgresql.database()
  address = postgresql.behind(direct, pooler)
end)

local function state(handle, id) return ask(handle, "row", { id = id })[1].state end

-- Makes a session's lease end in the ledger, as if a minute had passed.
local function let_lease_end(number) postgresql.sql(direct, "UPDATE omni.session SET alive_until = 0 WHERE number = " .. number) end

local function own_session(handle)
  for _, row in ipairs(ask(handle, "sessions")) do
    if row.own == 1 then return row end
  end
end

describe("a ledger behind PgBouncer", function()
  for _, path in ipairs { "spec/ledger/verbs_spec.lua", "spec/ledger/jobs_spec.lua", "spec/ledger/copy_spec.lua" } do
    it("keeps the promises of " .. path, function()
      local output = env.output(("OMNI_TEST_POOLER=1 %s spec/helper/busted.lua %s --filter=PostgreSQL -o TAP 2>&1; true")
        :format(env.lua, path))
      local _, passed = output:gsub("%f[^\n\0]ok %d", "")
      assert.is_nil(output:find "%f[^\n\0]not ok", output)
      assert.is_true(passed > 0, output)
    end)
  end

  it("shows a submit of an open session as intended, and of a closed one as unknown", function()
    local one <close> = ledger.open(address)
    local other <close> = ledger.open(direct)
    local id = intend(one)
    assert.same({ "intended", "intended" }, { state(one, id), state(other, id) })
    local theirs = intend(other)
    assert.equal("intended", state(one, theirs))
    one:close()
    assert.equal("unknown", state(other, id))
  end)

  it("notices a killed program when its lease ends, at the latest a minute later", function()
    local child = asked.start([[
      local handle = ledger.open((...))
      asked.intend(handle)
      for _, row in ipairs(asked.ask(handle, "sessions")) do if row.own == 1 then print(("%d"):format(row.number)) end end
      core.poll_set():wait(nil, {})
    ]], { address })
    local session = child:line()
    child:kill()
    local handle <close> = ledger.open(address)
    local left = postgresql.sql(direct, "SELECT alive_until - extract(epoch FROM now()) FROM omni.session WHERE number = " .. session)
    assert.is_true(tonumber(left) <= 60)
    assert.equal("intended", state(handle, 1))
    let_lease_end(session)
    assert.equal("unknown", state(handle, 1))
  end)

  it("lets the owner of a submit record its outcome, although its session looked dead in the meantime", function()
    local one <close> = ledger.open(address)
    local other <close> = ledger.open(address)
    local id = intend(one, "scene")
    let_lease_end(own_session(one).number)
    assert.equal("unknown", state(other, id))
    assert.is_nil(intend(other, "scene")) -- nothing is submitted again
    assert.equal(1, #ask(one, "accept", { id = id, task_id = "t" }))
    assert.same({ "accepted", "accepted" }, { state(one, id), state(other, id) })
  end)

  it("adds a session again whose row was deleted", function()
    local one <close> = ledger.open(address)
    local number = own_session(one).number
    postgresql.sql(direct, "DELETE FROM omni.session")
    local id = intend(one)
    assert.equal(number, own_session(one).number)
    local other <close> = ledger.open(address)
    assert.equal("intended", state(other, id))
  end)

  it("leaves no trace in the connections that other programs get", function()
    local handles = {}
    for i = 1, 6 do
      handles[i] = ledger.open(address)
      handles[i]:start("intend", "intend", { account = "a", model = "m", input = "{}" })
    end
    for _, handle in ipairs(handles) do
      asked.take(handle)
      ask(handle, "claim", { service = "s", task_ids = "t" })
      handle:close()
    end
    local settings = "SELECT current_setting('search_path'), current_setting('lock_timeout'), current_setting('statement_timeout'),"
      .. " current_setting('synchronous_commit'), (SELECT count(*) FROM pg_listening_channels()),"
      .. " (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')"
    local sessions = {}
    for i = 1, 3 do -- each holds one of the pooler's connections
      sessions[i] = postgresql.session(address)
      sessions[i]:sql "BEGIN"
    end
    for i = 1, 3 do
      assert.equal('"$user", public|0|0|on|0|0|0', sessions[i]:sql(settings))
      sessions[i]:close()
    end
  end)

  it("is refused if a transaction would be isolated in another way", function()
    local name = direct:match "/(ledger[%w_]+)"
    postgresql.sql(direct, ("ALTER DATABASE %s SET default_transaction_isolation = 'repeatable read'"):format(name))
    assert.matches("can't be opened: behind a pooler, transactions must be 'read committed'", select(2, once(address)), 1, true)
    assert.is_number(once(direct)[1].version)
  end)

  it("works behind a pooler in session mode as well", function()
    local another <close> = postgresql.pooler("session", 6433)
    local handle <close> = ledger.open(postgresql.behind(direct, another))
    local other <close> = ledger.open(address)
    assert.equal("intended", state(other, intend(handle)))
  end)
end)

describe("a lost connection to PgBouncer", function()
  it("makes no verb happen twice, and none get lost", function()
    loop.run(function()
      local relay <close> = relays.open(5470, pooler.port)
      local handle <close> = assert(ledgers.open(relay:address(direct, 20)))
      for i = 1, 30 do
        if i % 3 == 0 then relay:lose_answers() elseif i % 3 == 1 then relay:drop() end
        local row = assert(handle:row("intend", { account = "a", model = "m", input = "{}" }))
        assert(handle:row("accept", { id = row.id, task_id = "t" .. i }))
      end
      assert.equal("30|30", postgresql.sql(direct, "SELECT count(*), count(DISTINCT task_id) FROM omni.submit WHERE state = 'accepted'"))
      assert.equal("30", postgresql.sql(direct, "SELECT count(*) FROM omni.submit"))
    end)
  end)

  it("while a transaction waits: the next connection waits for its end, and doesn't repeat it", function()
    loop.run(function()
      local relay <close> = relays.open(5471, pooler.port)
      local handle <close> = assert(ledgers.open(relay:address(direct, 20)))
      assert(handle:row "version")
      local psql <close> = postgresql.session(direct)
      psql:sql "BEGIN; LOCK TABLE omni.submit IN EXCLUSIVE MODE"
      local row
      local fiber = loop.spawn(function() row = handle:row("intend", { account = "a", model = "m", input = "{}" }) end)
      local function waiting(count)
        return psql:sql(("SELECT count(*) >= %d FROM pg_locks WHERE NOT granted"):format(count)) == "t"
      end
      studio.become(function() return waiting(1) end)
      relay:drop()
      studio.become(function() return waiting(2) end) -- the new connection waits for the row of the session
      psql:sql "COMMIT"
      fiber:join()
      assert.equal("1", postgresql.sql(direct, "SELECT count(*) FROM omni.submit"))
      assert.equal(1, row.id)
    end)
  end)

  it("before a transaction began: it fails, once the next connection is there", function()
    local one <close> = ledger.open(address)
    intend(one)
    postgresql.sql(direct, "UPDATE omni.session SET connection = connection + 1")
    -- what the former connection would send now
    local check = "SELECT 1 / count(*) FROM (SELECT FROM omni.session WHERE connection = 0 FOR UPDATE) AS own"
    assert.matches("division by zero", postgresql.fails(direct, "BEGIN; " .. check .. "; DELETE FROM omni.submit"), 1, true)
    assert.equal(2, intend(one)) -- its own check fails in the same way, so it connects again
    assert.equal("2", postgresql.sql(direct, "SELECT count(*) FROM omni.submit"))
  end)
end)

describe("programs behind PgBouncer", function()
  it("query each other's tasks no more than others do, and learn their ends without notifications", function()
    studio.open({ seconds = 1000 }, function(s)
      local queries = { 0, 0 }
      local function client(i)
        return s:new_client { ledger = address, on_event = function(event)
          if event.event == "request_begun" and event.kind == "query" then queries[i] = queries[i] + 1 end
        end }
      end
      local one <close> = client(1)
      local task = assert(one:submit { prompt = "p", duration = 4 })
      local mine = omni.spawn(function() return assert(task:await()) end)
      studio.become(function() return queries[1] > 0 end)
      local other <close> = client(2)
      local theirs = omni.spawn(function() return assert(other:task(task.id):await()) end)
      studio.become(function() return other.ledger_watch.claims.others[task.id] end)
      local before = queries[1]
      studio.become(function() return queries[1] > before + 10 end)
      assert.equal(0, queries[2])
      s.sandbox:advance(2000)
      assert.equal("success", mine:join().status)
      assert.equal("success", theirs:join().status)
      assert.equal(1, queries[2])
      assert.equal(1, s:submits())
    end)
  end)
end)
