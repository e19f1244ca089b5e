-- SPDX-License-Identifier: MIT
-- Deadlines of any function, and of the calls that take one.
local asked = require "helper.ledger"
local env = require "helper.env"
local hostile = require "helper.hostile"
local answers = require "helper.answers"
local omni = require "omni"

describe("omni.timeout", function()
  it("returns all that the function returns in time, inside and outside of a fiber", function()
    local function work(a, b)
      omni.sleep(0)
      return a, nil, b
    end
    assert.same({ 1, nil, 2 }, { omni.timeout(10, work, 1, 2) })
    assert.same({ 1, nil, 2 }, { omni.run(omni.timeout, 10, work, 1, 2) })
  end)

  it("cancels what takes longer, closes what it holds, and returns an error", function()
    local closed = false
    local value, problem = omni.timeout(0.01, function()
      local held <close> = setmetatable({}, { __close = function() closed = true end }) -- luacheck: ignore 211
      omni.sleep(3600)
    end)
    assert.is_nil(value)
    assert.same({ "timeout", true }, { problem.code, closed })
  end)

  it("raises what the function raises, as it is", function()
    local mine = {}
    local _, problem = pcall(omni.timeout, 10, function() error(mine) end)
    assert.equal(mine, problem)
    assert.error_matches(function() omni.timeout(10, function() error("mine", 0) end) end, "^mine$")
  end)

  it("is cancelled together with the fiber that waits in it", function()
    omni.run(function()
      local went_on = false
      local fiber = omni.spawn(omni.timeout, 3600, function()
        omni.sleep(0.02)
        went_on = true
      end)
      omni.sleep(0)
      omni.sleep(0)
      fiber:cancel()
      omni.sleep(0.05)
      assert.is_false(went_on)
    end)
  end)

  it("raises for what can't be a timeout or a function", function()
    for _, seconds in ipairs { 0, -1, 0 / 0, "1", false } do
      local _, problem = pcall(function() omni.timeout(seconds, print) end)
      assert.matches("^spec/loop/timeout_spec%.lua:%d+: omni%.timeout: expected a number of seconds above 0", problem)
    end
    assert.error_matches(function() omni.timeout(1, "print") end, "expected a function, got string")
  end)
end)

describe("a call with a timeout", function()
  local server, client
  after_each(function()
    if client then client:close() end
    if server then server:close() end
    client, server = nil, nil
  end)

  -- A client of a server that never answers requests of this method.
  local function open(method, options)
    server = hostile.start()
    server:script { [method] = { { hostile.hang() } } }
    client = assert(answers.client(server.url, options))
  end

  it("gives up a query, a balance, an estimate and any other call in time", function()
    open("GET", { timeout = 3600 })
    local function late(value, problem)
      assert.is_nil(value)
      assert.equal("timeout", problem.code)
      return problem
    end
    assert.equal(answers.ID, late(client:query(answers.ID, { timeout = 0.05 })).task_id)
    late(client:balance { timeout = 0.05 })
    late(omni.timeout(0.05, client.models, client))
    assert.error_matches(function() client:query(answers.ID, { timeout = 0 }) end,
      "client:query: option 'timeout' must be a number of seconds above 0, not 0")
  end)

  it("says of a submit that was not sent yet that it wasn't", function()
    open("POST", { timeout = 3600, ledger = false })
    local _, problem = client:submit({ prompt = "x" }, { timeout = 1e-9 })
    assert.same({ "timeout", "no" }, { problem.code, problem.sent })
    assert.equal(0, server:posts())
    assert.same({}, client:unknown_submits())
  end)

  it("says of a submit that may have been sent that its outcome is unknown, and which row of the ledger it has", function()
    local files <close> = env.directory()
    local path = files:file "ledger.db"
    open("POST", { timeout = 3600, ledger = path })
    local _, problem = client:submit({ prompt = "x" }, { timeout = env.seconds(0.3) })
    assert.same({ "submit_unknown", "maybe", 1, "timeout" }, { problem.code, problem.sent, problem.row, problem.cause.code })
    client:close()
    assert.equal("unknown", asked.once(path, "row", { id = 1 })[1].state)
    assert.equal(1, server:posts())
  end)

  it("says of a submit that was answered, but isn't recorded yet, which task it has", function()
    local files <close> = env.directory()
    server = hostile.start()
    server:script { POST = { { answers.accepted() } } }
    client = assert(answers.client(server.url, { ledger = files:file "ledger.db" }))
    local ledger = assert(client:ledger())
    local ask = ledger.ask
    function ledger:ask(verb, ...)
      if verb == "accept" then omni.sleep(3600) end
      return ask(self, verb, ...)
    end
    local _, problem = client:submit({ prompt = "x" }, { timeout = env.seconds(0.5) })
    assert.same({ "timeout", "answered", answers.ID }, { problem.code, problem.sent, problem.task_id })
    assert.equal(1, server:posts())
  end)

  it("keeps a submit that may have been sent in the client's own list where there is no ledger", function()
    open("POST", { timeout = 3600, ledger = false })
    local _, problem = client:submit({ prompt = "x" }, { timeout = env.seconds(0.3) })
    assert.same({ "submit_unknown", "maybe" }, { problem.code, problem.sent })
    local unknown = client:unknown_submits()
    assert.same({ 1, "x", "google/gemini-omni" }, { #unknown, unknown[1].input.prompt, unknown[1].model })
  end)
end)
