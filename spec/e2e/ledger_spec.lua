-- SPDX-License-Identifier: MIT
-- `omni ledger`: describes, copies and exports ledgers. spec/ledger/copy_spec.lua tests what a copy keeps.
local asked = require "helper.ledger"
local env = require "helper.env"
local json = require "omni.json"
local postgresql = require "helper.postgresql"
local program = require "helper.program"

describe("omni ledger", function()
  local files
  before_each(function() files = env.directory() end)
  after_each(function() files:close() end)

  local function omni(...) return program.run({ "ledger", ... }, { environment = {}, directory = files.path }) end

  it("status names the backend, the version of the schema, and how many programs have the ledger open", function()
    local handle <close> = asked.ledger.open(files:file "l.db")
    local version = asked.ask(handle, "version")[1].version
    local result = omni("status", "--ledger", files:file "l.db")
    assert.same({ 0, "" }, { result.code, result.err })
    assert.matches(("^ledger %%S+/l.db\nSQLite 3[%%d.]+, version %d\nopen: 1 program, besides this command$"):format(version), result.out)
  end)

  it("status lists the sessions and locks of a database", function()
    if not postgresql.is_there then return pending "PostgreSQL isn't installed" end
    local address = postgresql.database()
    local handle <close> = asked.ledger.open(address)
    asked.ask(handle, "version")
    local result = omni("status", "--ledger", address)
    assert.same({ 0, "" }, { result.code, result.err })
    assert.matches("\nPostgreSQL %d+.-, version %d+\nopen: 1 program, besides this command\n  %S+, process %d+, since .-\n"
      .. "locks: 0 held, 0 waited for$", result.out)
  end)

  it("export writes each row as a line of JSON", function()
    local handle <close> = asked.ledger.open(files:file "l.db")
    asked.intend(handle, "x", { scene = "dusk", estimate = 2.5 })
    asked.ask(handle, "remember_film", { path = "/film", identity = "i", sha256 = "s" })
    local result = omni("export", "--ledger", files:file "l.db")
    assert.same({ 0, "", 2 }, { result.code, result.err, #result.lines })
    local submit, film = json.decode(result.lines[1]), json.decode(result.lines[2])
    assert.same({ "submit", 1, "dusk", 2.5, "intended" }, { submit.table, submit.id, submit.scene, submit.estimate, submit.state })
    assert.same({ "film", "/film" }, { film.table, film.path })
  end)

  it("copy copies a ledger, and says which one to use from then on", function()
    do
      local handle <close> = asked.ledger.open(files:file "l.db")
      asked.intend(handle, "x")
      asked.intend(handle, "y")
    end
    local result = omni("copy", "l.db", "new/copy.db")
    assert.same({ 0, "" }, { result.code, result.err })
    assert.equal("copied 2 submits and 0 files\nfrom now on use only this ledger: new/copy.db", result.out)
    assert.equal("copied 0 submits and 0 files", omni("copy", "l.db", "new/copy.db").lines[1])
    assert.equal(omni("export", "--ledger", "l.db").out, omni("export", "--ledger", "new/copy.db").out)
  end)

  it("refuses what can't be meant, and never repeats a password", function()
    local result = omni("copy", "none.db", "b.db")
    assert.same({ 2, "omni: there is no ledger at none.db\n" }, { result.code, result.err })
    assert.matches("name both ledgers", omni("copy", "a.db").err, 1, true)
    assert.matches("takes no argument", omni("status", "a.db").err, 1, true)
    assert.matches("there is no ledger at", omni("export", "--ledger", "none.db").err, 1, true)
    env.output("touch " .. env.quote(files:file "a.db"))
    assert.matches("the same ledger", omni("copy", "a.db", files:file "a.db").err, 1, true)
    for _, words in ipairs { { "copy", "a.db", "postgresql://u:secret@h/d" }, { "status", "--ledger", "postgresql://u:secret@h/d" } } do
      result = omni(table.unpack(words))
      assert.equal(2, result.code)
      assert.matches("must not contain a password", result.err, 1, true)
      assert.is_nil(result.err:find("secret", 1, true))
    end
  end)
end)
