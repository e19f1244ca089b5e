-- SPDX-License-Identifier: MIT
-- Claims to tasks: which session queries a task, and what happens when that session has ended or stalls.
local asked = require "helper.ledger"
local env = require "helper.env"

local ask, intend, ledger = asked.ask, asked.intend, asked.ledger

local SERVICE <const> = "https://service"

-- A row with a task that isn't over.
local function accepted(handle, task_id, service)
  local id = intend(handle, nil, { service = service or SERVICE })
  ask(handle, "accept", { id = id, task_id = task_id })
  return id
end

local function claim(handle, ...)
  local others = {}
  for i, row in ipairs(assert(ask(handle, "claim", { service = SERVICE, task_ids = table.concat({ ... }, "\n") }))) do
    others[i] = row.task_id
  end
  table.sort(others)
  return others
end

local function release(handle, ...)
  return ask(handle, "release", { service = SERVICE, task_ids = table.concat({ ... }, "\n") })
end

local function orphans(handle)
  local found = {}
  for i, row in ipairs(assert(ask(handle, "orphaned", { service = SERVICE, after = 0 }))) do found[i] = row.task_id end
  return found
end

-- The ledger may take a moment to notice the end of a session.
local become <const> = env.become

for _, backend in ipairs(asked.backends) do describe("in " .. backend.name .. ":", function()

if backend.missing then return it("nothing was tried", function() pending(backend.missing) end) end

local directory, name, one, other

before_each(function()
  directory = env.directory()
  name = backend.new(directory)
  one, other = ledger.open(name), ledger.open(name)
end)
after_each(function()
  one:close()
  other:close()
  directory:close()
end)

it("a task is orphaned once its program has ended, and not before; other services' tasks aren't", function()
  accepted(one, "a")
  accepted(one, "b", "https://another")
  accepted(other, "c")
  local over = accepted(one, "d")
  ask(one, "finish", { id = over, state = "success", media = 1 })
  assert.same({}, orphans(other))
  one:close()
  become(function() return #orphans(other) > 0 end)
  assert.same({ "a" }, orphans(other))
end)

if backend.name == "SQLite" then
  it("no task is another program's: each one queries its tasks", function()
    accepted(one, "a")
    assert.same({}, claim(one, "a"))
    assert.same({}, claim(other, "a"))
    assert.same({}, release(other, "a"))
  end)
  return
end

local function stall(seconds)
  backend.sql(name, ("UPDATE session SET claims_until = claims_until - %d WHERE number = (SELECT waiter FROM submit WHERE task_id = 'a')")
    :format(seconds))
end

it("a task that one session has claimed is another's for all others, with its status", function()
  local id = accepted(one, "a")
  accepted(one, "b")
  assert.same({}, claim(one, "a"))
  ask(one, "status", { id = id, status = "running" })
  assert.same({ { task_id = "a", status = "running" } }, ask(other, "claim", { service = SERVICE, task_ids = "b\na" }))
  assert.same({ "b" }, claim(one, "a", "b"))
  assert.same({}, claim(one, "a"))
end)

it("what isn't in the ledger, is over, or belongs to another service is nobody's", function()
  accepted(one, "elsewhere", "https://another")
  local over = accepted(one, "over")
  claim(one, "elsewhere", "over", "nowhere", "")
  ask(one, "finish", { id = over, state = "failed" })
  assert.same({}, claim(other, "elsewhere", "over", "nowhere", ""))
  assert.same({}, claim(other))
end)

it("a claim that is given up is free at once, but only its owner can give it up", function()
  accepted(one, "a")
  claim(one, "a")
  assert.same({}, release(other, "a"))
  assert.same({ "a" }, claim(other, "a"))
  release(one, "a")
  assert.same({}, claim(other, "a"))
  assert.same({ "a" }, claim(one, "a"))
end)

it("a claim ends with its session, and a killed program's claims do so as well", function()
  accepted(one, "a")
  claim(one, "a")
  one:close()
  assert.same({}, claim(other, "a"))
  other:close()

  local child = asked.start([[
    local handle = ledger.open((...))
    local rows = asked.ask(handle, "claim", { service = "https://service", task_ids = "a" })
    print(#rows)
    core.poll_set():wait(nil, {})
  ]], { name })
  become(function() return child:line() == "0" end)
  other = ledger.open(name)
  assert.same({ "a" }, claim(other, "a"))
  assert.same({}, orphans(other))
  child:kill()
  become(function() return #claim(other, "a") == 0 end)
end)

it("a claim ends when its session hasn't claimed anything for a minute, and its former owner finds that out", function()
  accepted(one, "a")
  claim(one, "a")
  stall(50)
  assert.same({ "a" }, claim(other, "a"))
  claim(one) -- renews the lease
  stall(50)
  assert.same({ "a" }, claim(other, "a"))
  assert.same({}, orphans(other))
  stall(11)
  assert.same({ "a" }, orphans(other))
  assert.same({}, claim(other, "a"))
  assert.same({}, orphans(other))
  assert.same({ "a" }, claim(one, "a"))
end)

it("of sessions that claim the same tasks at the same moment, one gets them all", function()
  local ids, handles, sum = {}, {}, 0
  for i = 1, 60 do
    ids[i] = "t" .. i
    accepted(one, ids[i])
  end
  for i = 1, 4 do
    handles[i] = ledger.open(name)
    ask(handles[i], "version")
  end
  for _, handle in ipairs(handles) do handle:start("claim", "claim", { service = SERVICE, task_ids = table.concat(ids, "\n") }) end
  for _, handle in ipairs(handles) do sum = sum + #select(2, asked.take(handle)) end
  for _, handle in ipairs(handles) do handle:close() end
  assert.equal(3 * 60, sum)
end)

end) end
