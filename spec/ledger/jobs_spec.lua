-- SPDX-License-Identifier: MIT
-- The ledger's table of jobs: each job belongs to one worker at a time, and only while that worker lives.
local asked = require "helper.ledger"
local core = require "omni.core"
local env = require "helper.env"

local ask, ledger = asked.ask, asked.ledger

local function add(handle, service)
  local params <const> = { service = service or "s", board = "film.lua", title = "Film", manifest = "{}", budget = 12.5, scenes = 3 }
  return ask(handle, "add_job", params)[1].id
end

local function take(handle, service)
  local rows = assert(ask(handle, "take_job", { service = service or "s", worker = "w" }))
  return rows[1] and rows[1].id
end

local function job(handle, id) return ask(handle, "job", { id = id })[1] end

-- A program that takes a job and then waits.
local holds <const> = [[
  local handle = ledger.open((...))
  print(asked.ask(handle, "take_job", { service = "s", worker = "child" })[1].id)
  core.poll_set():wait(nil, {})
]]

for _, backend in ipairs(asked.backends) do describe("a job in " .. backend.name, function()

if backend.missing then return it("wasn't tried", function() pending(backend.missing) end) end

local directory, path, handle
before_each(function()
  directory = env.directory()
  path = backend.new(directory)
  handle = ledger.open(path)
end)
after_each(function()
  handle:close()
  directory:close()
end)

it("is taken once, in order, by a worker of its service", function()
  local another <close> = ledger.open(path)
  assert.same({ 1, 2, 3 }, { add(handle), add(handle, "other"), add(handle) })
  assert.same({ "waiting", "film.lua", "Film", 12.5, 3 }, { job(handle, 1).state, job(handle, 1).board, job(handle, 1).title,
    job(handle, 1).budget, job(handle, 1).scenes })
  assert.same({ 1, 3 }, { take(handle), take(another) })
  assert.is_nil(take(handle))
  assert.is_nil(take(another))
  assert.equal(2, take(another, "other"))
  assert.same({ "running", "w" }, { job(handle, 3).state, job(handle, 3).worker })
end)

it("is changed only by the worker that has it, and ends once", function()
  local another <close> = ledger.open(path)
  add(handle)
  take(handle)
  assert.same({}, ask(another, "keep_job", { id = 1, finished = 2, scenes = 3 }))
  assert.same({ { id = 1 } }, ask(handle, "keep_job", { id = 1, finished = 2, scenes = 3 }))
  assert.same({}, ask(another, "end_job", { id = 1, state = "failed" }))
  assert.same({ { id = 1 } }, ask(handle, "end_job", { id = 1, state = "done", film = "film.mp4", result = "[]" }))
  assert.same({}, ask(handle, "end_job", { id = 1, state = "failed" }))
  assert.same({}, ask(handle, "cancel_job", { id = 1 }))
  local row = job(another, 1)
  assert.same({ "done", 2, "film.mp4", "[]" }, { row.state, row.finished, row.film, row.result })
  assert.truthy(row.ended_at)
  assert.is_nil(take(another))
end)

it("that was put back waits behind the others, with its reason", function()
  add(handle)
  add(handle)
  take(handle)
  assert.same({ { id = 1 } }, ask(handle, "end_job", { id = 1, state = "waiting", error = "network", message = "m" }))
  local row = job(handle, 1)
  assert.same({ "waiting", "network", "m" }, { row.state, row.error, row.message })
  assert.is_nil(row.ended_at)
  assert.same({ 2, 1 }, { take(handle), take(handle) })
end)

it("that was cancelled is taken by nobody, and its worker learns of it", function()
  add(handle)
  add(handle)
  take(handle)
  for id = 1, 2 do assert.same({ { id = id } }, ask(handle, "cancel_job", { id = id })) end
  assert.same({}, ask(handle, "cancel_job", { id = 1 }))
  assert.same({}, ask(handle, "keep_job", { id = 1 }))
  assert.same({}, ask(handle, "end_job", { id = 1, state = "done" }))
  assert.is_nil(take(handle))
  assert.equal("cancelled", job(handle, 2).state)
end)

it("is taken over once its worker has been killed, and not before", function()
  add(handle)
  local child = asked.start(holds, { path })
  assert.equal("1", child:line())
  assert.same({ "running", "child" }, { job(handle, 1).state, job(handle, 1).worker })
  assert.is_nil(take(handle))
  child:kill()
  local deadline = core.now() + env.seconds(20)
  local taken
  repeat
    assert(core.now() < deadline, "nobody can take the job over")
    taken = take(handle)
  until taken
  assert.same({ 1, "running", "w" }, { taken, job(handle, 1).state, job(handle, 1).worker })
end)

it("is taken over once its worker has stalled for a minute, and not before; that worker can't change it any more", function()
  local another <close> = ledger.open(path)
  add(handle)
  take(handle)
  local first = job(handle, 1)
  local function lease() return tonumber(backend.sql(path, "SELECT kept_until - taken_at FROM job")) end
  assert.is_true(math.abs(lease() - 60) < 0.01, lease())
  backend.sql(path, "UPDATE job SET kept_until = kept_until - 59")
  assert.same({ { id = 1 } }, ask(handle, "keep_job", { id = 1, taken_at = first.taken_at }))
  assert.is_true(lease() >= 60, lease())
  assert.is_nil(take(another))
  for _, next_owner in ipairs { another, another } do -- the second time, a worker of the same session takes it over
    local before = job(another, 1)
    backend.sql(path, "UPDATE job SET kept_until = 0")
    assert.equal("waiting", job(another, 1).state)
    assert.equal(1, take(next_owner))
    assert.same({}, ask(handle, "keep_job", { id = 1, taken_at = before.taken_at }))
    assert.same({}, ask(another, "keep_job", { id = 1, taken_at = before.taken_at }))
    assert.same({}, ask(another, "end_job", { id = 1, taken_at = before.taken_at, state = "done" }))
    assert.equal("running", job(another, 1).state)
  end
  assert.same({ { id = 1 } }, ask(another, "end_job", { id = 1, taken_at = job(another, 1).taken_at, state = "done" }))
end)

it("that its worker has kept continues to belong to it after a stall, if nobody has taken it over", function()
  add(handle)
  take(handle)
  backend.sql(path, "UPDATE job SET kept_until = 0")
  assert.same({ { id = 1 } }, ask(handle, "keep_job", { id = 1, taken_at = job(handle, 1).taken_at }))
  assert.is_nil(take(handle))
end)

it("is listed in pages", function()
  for _ = 1, 101 do add(handle) end
  local first = ask(handle, "jobs", { after = 0 })
  assert.same({ 100, 1, 100 }, { #first, first[1].id, first[100].id })
  assert.same({ 101 }, { ask(handle, "jobs", { after = 100 })[1].id })
  assert.is_nil(first[1].manifest)
end)

it("goes to one of several workers that want it at the same moment", function()
  for _ = 1, 20 do add(handle) end
  local said = asked.race(4, [[
    local handle = ledger.open((...))
    asked.ask(handle, "version")
    go()
    local taken = {}
    while true do
      local rows = assert(asked.ask(handle, "take_job", { service = "s" }))
      if not rows[1] then break end
      taken[#taken + 1] = rows[1].id
      asked.ask(handle, "end_job", { id = rows[1].id, state = "done" })
    end
    print(table.concat(taken, " "))
  ]], { path })
  local seen, count = {}, 0
  for _, line in ipairs(said) do
    for id in line:gmatch "%d+" do
      assert.is_nil(seen[id], "job " .. id .. " was taken twice")
      seen[id], count = true, count + 1
    end
  end
  assert.equal(20, count)
end)

end) end
