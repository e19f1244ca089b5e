-- SPDX-License-Identifier: MIT
-- Two programs with one ledger and the same keys: what one of them learns about a key holds for the other. Both are clients in this
-- process, each with its own handle of the ledger.

local answers = require "helper.answers"
local asked = require "helper.ledger"
local core = require "omni.core"
local env = require "helper.env"
local omni = require "omni"
local scripted = require "helper.scripted"
local studio = require "helper.studio"

local become = studio.become

for _, backend in ipairs(asked.backends) do describe("in " .. backend.name .. ": two programs with one ledger", function()

if backend.missing then return it("nothing was tried", function() pending(backend.missing) end) end

-- Two clients of a scripted service, with a new ledger.
local function open(tell, options, body)
  local directory <close> = env.directory()
  local name = backend.new(directory)
  local given = { ledger = name, pause_for = 60, retry_for = 60, schemas = true }
  for key, value in pairs(options) do given[key] = value end
  scripted.open(tell, function(one, _, server)
    local other <close> = assert(answers.client(server.url, given))
    body(one, other)
  end, given)
end

local INPUT <const> = { prompt = "p", duration = 4 }

it("submit nothing while one of them pauses after a 429, and both continue", function()
  local submits = 0
  local function tell(target)
    if not target:find "CreateTask" then return nil end
    submits = submits + 1
    if submits == 1 then return nil, 429 end
    return { task_id = answers.ID }
  end
  open(tell, { retry_min = 1.5, retry_max = 1.5 }, function(one, other)
    local first = omni.spawn(function() return assert(one:submit(INPUT)) end)
    become(function() return one:keys()[1].paused > 0 end)
    local left = one:keys()[1].paused
    local begun = core.now()
    become(function() return #assert(one:ledger()):ask("account", { account = one.all_keys[1].account }) == 1 end)
    assert(other:submit(INPUT))
    assert.is_true(core.now() - begun > left - 0.3)
    first:join()
    assert.equal(3, submits) -- the refused submit again, and the other one
  end)
end)

it("stop their queries as well: a program in use reads the row each second", function()
  open(function() return { balance = 1 } end, {}, function(one, other)
    assert(one:ledger():ask("pause_account", { account = one.all_keys[1].account, seconds = 100 }))
    assert(other:ledger())
    local fiber <close> = omni.background(function() -- luacheck: ignore 211
      while true do other:balance { timeout = 1 } end
    end)
    become(function() return other:keys()[1].paused > 0 end)
    assert.is_true(other:keys()[1].paused > 90)
  end)
end)

it("share a key's rate", function()
  open(function() return { balance = 1 } end, { rate = 20 }, function(one, other)
    for _, client in ipairs { one, other } do assert(client:ledger():ask "version") end
    local begun, fibers = core.now(), {}
    for i = 1, 20 do
      fibers[i] = omni.spawn(function() return assert((i % 2 == 0 and one or other):balance()) end)
    end
    omni.join(table.unpack(fibers))
    assert.is_true(core.now() - begun > 18 / 20) -- 20 starts, and so 19 intervals; each program alone would take half the time
  end)
end)

it("keep the rate of each when the ledger fails", function()
  open(function() return { balance = 1 } end, { rate = 20 }, function(one)
    assert(one:ledger():ask "version")
    one:ledger():close()
    local begun = core.now()
    for _ = 1, 5 do assert(one:balance()) end
    assert.is_true(core.now() - begun > 3 / 20)
  end)
end)

it("stop using a key that the service refuses, but a program that begins later tries it", function()
  studio.open({ keys = { {}, {} }, seconds = 0 }, function(s)
    local directory <close> = env.directory()
    local given = { keys = s.sandbox.keys, ledger = backend.new(directory) }
    local one <close> = s:new_client(given)
    local other <close> = s:new_client(given)
    assert(other:submit(INPUT))
    s.sandbox:set_credits(s.sandbox.keys[1].key, 0)
    for _ = 1, 2 do assert(one:submit(INPUT)) end
    assert.equal("insufficient_credits", one:keys()[1].disabled)
    become(function()
      assert(other:balance())
      return other:keys()[1].disabled ~= nil
    end)
    assert.equal("insufficient_credits", other:keys()[1].disabled)
    assert.is_nil(other:keys()[2].disabled)

    s.sandbox:set_credits(s.sandbox.keys[1].key, 1000)
    local late <close> = s:new_client(given)
    late.all_keys[1].row:read((assert(late:ledger())))
    assert.is_nil(late:keys()[1].disabled)
  end)
end)

end) end
