-- SPDX-License-Identifier: MIT
-- A scene that the service once called a success is never submitted again by itself, whatever happens later.

local fickle = require "helper.fickle"
local omni = require "omni"
local records = require "omni.ledger"

local function actions(plan)
  local list = {}
  for index, scene in ipairs(plan.scenes) do list[index] = scene.action end
  return list
end

local function statuses(summary)
  local list = {}
  for index, scene in ipairs(summary.scenes) do list[index] = scene.status end
  return list
end

-- The submits of a ledger's board: credits, estimated, given_up.
local function spent(service)
  local ledger <close> = assert(records.open(service.ledger))
  local sum = { credits = 0, estimated = 0, given_up = 0 }
  for _, row in ipairs(ledger:ask("spent", {})) do
    for name in pairs(sum) do sum[name] = sum[name] + row[name] end
  end
  return sum
end

-- Runs a board, and stops as soon as a submit has its task, which is still running then.
local function leave_in_flight(service, board, more)
  local client <close> = service:client()
  local given = { client = client, directory = service.directory, budget = 1e6 }
  for name, value in pairs(more or {}) do given[name] = value end
  local known = #service.submits
  service.on_query = function(data) data.status, data.result, data.credits = "running", nil, nil end
  local fiber = omni.spawn(omni.run_storyboard, board, given)
  while #service.submits == known do omni.sleep(0.01) end
  while not service:sql("SELECT state FROM submit ORDER BY id DESC LIMIT 1"):find "accepted" do omni.sleep(0.01) end
  fiber:cancel()
  service.on_query = nil
end

local function verb(service, name, params)
  local ledger <close> = assert(records.open(service.ledger))
  return assert(ledger:ask(name, params))
end

describe("a scene that is paid for", function()
  for name, media in pairs {
    ["403"] = 403, ["404"] = 404, ["410"] = 410, ["500"] = 500, ["a login page"] = "<!DOCTYPE html><p>Log in", ["nothing"] = "",
    ["an XML error"] = "<?xml version='1.0'?><Error/>",
  } do
    it("stays to be fetched while its media gives " .. name, function()
      fickle.open({}, function(service)
        local board = fickle.board({}, "one", "two")
        service.media = media
        for _ = 1, 4 do assert.same({ "failed", "failed" }, statuses(assert(service:run(board)))) end
        if media == 404 then
          assert.matches("media URLs expire .*; it is paid for", assert(service:run(board)).scenes[1].error.hint)
        end
        assert.equal(2, #service.submits)
        local plan = service:plan(board)
        assert.same({ "fetch", "fetch" }, actions(plan))
        assert.matches("the service keeps it until about %d%d%d%d%-%d%d%-%d%d", plan.scenes[1].why)
        assert.equal(0, plan.credits)
        service.media = 200
        local summary = assert(service:run(board))
        assert.same({ "fetched", "fetched" }, statuses(summary))
        assert.equal(0, summary.credits) -- an earlier run paid
        assert.equal(2, #service.submits)
      end)
    end)
  end

  it("is queried again if its success comes before its media", function()
    fickle.open({}, function(service)
      local asked = 0
      service.on_query = function(data)
        asked = asked + 1
        if asked < 4 then data.result = { media_urls = {} } end
      end
      assert.same({ "fetched" }, statuses(assert(service:run(fickle.board({}, "one"), nil, { media_wait = 60 }))))
      assert.equal(1, #service.submits)
    end)
  end)

  it("remains to be fetched while its media is missing, and is fetched once the media comes", function()
    fickle.open({}, function(service)
      local board, empty = fickle.board({}, "one"), true
      service.on_query = function(data) if empty then data.result = nil end end
      for _ = 1, 3 do
        local summary = assert(service:run(board))
        assert.same({ "failed", "broken_result" }, { summary.scenes[1].status, summary.scenes[1].error.code })
        assert.matches("it is paid for", summary.scenes[1].error.hint)
      end
      assert.same({ "fetch" }, actions(service:plan(board)))
      empty = false
      assert.same({ "fetched" }, statuses(assert(service:run(board))))
      assert.equal(1, #service.submits)
    end)
  end)

  it("stays a success if the service later calls its task failed, running or unknown, in whatever way omni learns it", function()
    fickle.open({}, function(service)
      local board = fickle.board({}, "one")
      assert(service:run(board))
      local id = service.submits[1].id
      for _, said in ipairs { "failed", "running", "success", 404, 403 } do
        service.on_query = function(data)
          if math.type(said) then return nil, said end
          data.status, data.result, data.credits = said, nil, said == "success" and 1 or nil
        end
        local client <close> = service:client()
        client:query(id)
        local task = client:task(id)
        task:refresh()
        client:close()
        assert.same({ "reuse" }, actions(service:plan(board)))
        assert(service:run(board))
      end
      assert.equal(1, #service.submits)
      assert.same({ credits = fickle.price, estimated = 0, given_up = 0 }, spent(service))
    end)
  end)

  it("also keeps its final state in a task's handle", function()
    fickle.open({}, function(service)
      local client <close> = service:client()
      local task = assert(client:submit { prompt = "one" })
      assert(task:await())
      local media = task.media
      service.on_query = function(data) data.status, data.result, data.credits = "failed", nil, 1 end
      assert(task:refresh())
      assert.same({ "success", media, fickle.price }, { task.status, task.media, task.credits })
      assert.is_nil(task.error)
      service.on_query = function(data) data.credits = 90 end -- more may have been charged than was said first
      assert(task:refresh())
      assert.equal(90, task.credits)
      client:close()
      assert.equal(90, spent(service).credits)
    end)
  end)

  it("expires after its 14 days, and is made again only if a person says so", function()
    fickle.open({}, function(service)
      local board = fickle.board({}, "one", "two")
      service.media = 404
      assert(service:run(board))
      service:sql("UPDATE submit SET intended_at = intended_at - 1728000, ended_at = ended_at - 1728000, "
        .. "completed_at = completed_at - 1728000")
      assert.same({ "fetch", "fetch" }, actions(service:plan(board)))
      assert.same({ "failed", "failed" }, statuses(assert(service:run(board)))) -- asked for once more, and gone
      local plan = service:plan(board)
      assert.same({ "expired", "expired" }, actions(plan))
      service.media = 200
      for _ = 1, 2 do
        local summary = assert(service:run(board))
        assert.same({ "failed", "media_gone" }, { summary.scenes[1].status, summary.scenes[1].error.code })
      end
      assert.equal(2, #service.submits)
      assert.same({ "fetched", "failed" }, statuses(assert(service:run(board, { redo = { "one" } }))))
      verb(service, "forget", { id = 2 })
      assert.same({ "reused", "fetched" }, statuses(assert(service:run(board))))
      assert.equal(4, #service.submits)
    end)
  end)

  it("is queried again if the service doesn't know its accepted task for a while", function()
    fickle.open({}, function(service)
      local board, known = fickle.board({}, "one"), false
      leave_in_flight(service, board)
      service.on_query = function() if not known then return nil, 404 end end
      for _ = 1, 2 do assert.same({ "failed" }, statuses(assert(service:run(board)))) end
      service:sql "UPDATE submit SET intended_at = intended_at - 1728000"
      assert.same({ "failed" }, statuses(assert(service:run(board))))
      assert.same({ "resume" }, actions(service:plan(board)))
      known = true
      assert.same({ "fetched" }, statuses(assert(service:run(board))))
      assert.equal(1, #service.submits)
    end)
  end)
end)

describe("a row of the ledger", function()
  local other_key = "ak_" .. ("abcdef"):rep(5) .. "99"

  it("is found after the key was replaced, in flight or to be fetched", function()
    fickle.open({}, function(service)
      local board = fickle.board({}, "one")
      service.media = 403
      assert(service:run(board))
      service.media = 200
      assert.same({ "fetched" }, statuses(assert(service:run(board, nil, { api_key = other_key }))))
      assert.same({ "reused" }, statuses(assert(service:run(board))))
      assert.equal("1|success", service:sql "SELECT count(*), max(state) FROM submit")
      assert.equal("1", service:sql "SELECT count(*) FROM file")
      assert.equal(1, #service.submits)
    end)
  end)

  it("is found by several keys of which none made it", function()
    fickle.open({}, function(service)
      local board = fickle.board({}, "one")
      service.media = 403
      assert(service:run(board))
      service.media = 200
      local client <close> = assert(omni.client {
        base_url = service.url, keys = { { key = other_key }, { key = other_key:reverse() } }, ledger = service.ledger, schemas = false,
      })
      local summary = assert(omni.run_storyboard(board, { client = client, directory = service.directory, budget = 100 }))
      assert.same({ "fetched" }, statuses(summary))
      assert.equal(1, #service.submits)
    end)
  end)

  it("is found whatever the spelling of the base URL", function()
    fickle.open({}, function(service)
      local board = fickle.board({}, "one")
      assert(service:run(board))
      for _, spelt in ipairs { service.url .. "/", service.url .. "//", (service.url:gsub("http", "HTTP")) } do
        assert.same({ "reuse" }, actions(service:plan(board, nil, { base_url = spelt })), spelt)
        assert(service:run(board, nil, { base_url = spelt }))
      end
      assert.equal(1, #service.submits)
    end)
  end)

  it("of another service doesn't count for a scene of this one", function()
    fickle.open({}, function(service)
      local board = fickle.board({}, "one")
      local server <close> = assert(omni.serve({}, function() return 404, {}, "" end))
      assert(service:run(board))
      assert.same({ "submit" }, actions(service:plan(board, { prices = false }, { base_url = server.url })))
      assert.same({ "reuse" }, actions(service:plan(board)))
    end)
  end)

  it("always counts once it may have been charged, given up or not", function()
    fickle.open({}, function(service)
      local board = fickle.board({ budget = 100 }, "one")
      leave_in_flight(service, board)
      verb(service, "forget", { id = 1 })
      assert.same({ credits = 0, estimated = 40, given_up = 40 }, spent(service))
      assert.same({ "fetched" }, statuses(assert(service:run(board))))
      verb(service, "forget", { id = 2 }) -- now 80 of the board's 100 are gone
      local summary, problem = service:run(board)
      assert.same({ nil, "over_budget" }, { summary, problem.code })
      assert.equal(2, #service.submits)
      assert.same({ credits = 40, estimated = 40, given_up = 80 }, spent(service))
      local again <close> = service:client()
      assert(again:query(service.submits[1].id)) -- the cost of a given-up task is recorded when omni learns it
      again:close()
      assert.same({ credits = 80, estimated = 0, given_up = 80 }, spent(service))
    end)
  end)

  it("with an unknown outcome is replaced by --resubmit once the new submit has left, and counts", function()
    fickle.open({}, function(service)
      local board = fickle.board({ budget = 130 }, "one")
      service.lose = function() return true end
      assert.same({ "unknown" }, statuses(assert(service:run(board))))
      service.on_submit = function() return 402 end
      assert(service:run(board, { resubmit = { "one" } })) -- refused: the old one stays unknown
      assert.same({ "unknown" }, actions(service:plan(board)))
      service.on_submit = nil
      for _ = 1, 2 do assert.same({ "unknown" }, statuses(assert(service:run(board, { resubmit = { "one" } })))) end
      assert.equal("forgotten|refused|forgotten|unknown",
        (service:sql("SELECT state FROM submit ORDER BY id"):gsub("\n", "|")))
      local _, problem = service:run(board, { resubmit = { "one" } })
      assert.equal("over_budget", problem.code)
      assert.equal(3, #service.submits)
      assert.same({ credits = 0, estimated = 120, given_up = 80 }, spent(service))
    end)
  end)

  it("that is tried again after a 429 must again fit the budget, the slots of the key, and have no equal live row", function()
    fickle.open({}, function(service)
      local ledger <close> = assert(records.open(service.ledger))
      local function intend(more)
        local params = {
          account = "https://x 1", service = "https://x", board = "b", scene = "s", identity = "i", budget = 50, estimate = 40,
          in_flight = 1, model = "m", input = "{}",
        }
        for name, value in pairs(more or {}) do params[name] = value end
        local verb_ = params.id and "retry" or "intend"
        if params.id then params.scene, params.model, params.input = nil, nil, nil end
        return assert(ledger:ask(verb_, params))[1]
      end
      local first = intend()
      assert(ledger:row("refuse", { id = first.id, error = "rate_limited" }))
      local other = assert(intend { identity = "j" })
      assert.is_nil(intend { id = first.id, in_flight = 2 })                                 -- the budget
      assert.is_nil(intend { id = first.id, budget = 100 })                                  -- the slots
      assert(ledger:row("refuse", { id = other.id, error = "rate_limited" }))
      local equal = assert(intend { board = "other board" })
      assert.is_nil(intend { id = first.id, in_flight = 9 })                                 -- the equal scene
      assert(ledger:row("refuse", { id = equal.id, error = "rate_limited" }))
      assert.equal(first.id, intend({ id = first.id }).id)
    end)
  end)
end)

describe("a take that a person requested", function()
  it("is made once, whatever the clock does in the meantime", function()
    fickle.open({}, function(service)
      local board = fickle.board({}, "one")
      assert(service:run(board))
      leave_in_flight(service, board, { redo = { "one" } }) -- the redo isn't over, and so the same command goes on with it
      service:sql "UPDATE submit SET intended_at = intended_at - 86400, answered_at = answered_at - 86400"
      assert.same({ "fetched" }, statuses(assert(service:run(board, { redo = { "one" } }))))
      assert.equal(2, #service.submits)
    end)
  end)
end)

describe("a client without a ledger of its own", function()
  it("keeps a ledger in the output folder of each board that it runs", function()
    omni.run(function()
      local env = require "helper.env"
      local folder <close> = env.directory()
      local sandbox <close> = assert(omni.sandbox { seconds = 0.02, clips = "builtin" })
      local client <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, poll_min = 0.02, poll_max = 0.05 })
      local first, second = fickle.board({}, "one"), fickle.board({}, "two")
      for _, pair in ipairs { { "a", first }, { "b", second }, { "a", first } } do
        assert(omni.run_storyboard(pair[2], { client = client, directory = folder:file(pair[1]) }))
      end
      client:close()
      for name, scene in pairs { a = "one", b = "two" } do
        local ledger <close> = assert(records.open(folder:file(name) .. "/ledger.db"))
        local rows = ledger:ask("find", { id = 1 })
        assert.same({ scene, "success" }, { rows[1].scene, rows[1].state })
        assert.same({}, ledger:ask("find", { id = 2 }))
      end
      assert.equal(2, sandbox:ledger().submits)
    end)
  end)
end)

describe("a task that two scenes claim at once", function()
  it("goes to one of them, in the same SQL statement that checks the claim", function()
    fickle.open({}, function(service)
      local ledger <close> = assert(records.open(service.ledger))
      local ids = {}
      for n = 1, 2 do
        local params = { account = "https://x 1", service = "https://x", identity = "i" .. n, model = "m", input = "{}" }
        ids[n] = assert(ledger:row("intend", params)).id
        assert(ledger:row("mark_unknown", { id = ids[n] }))
      end
      assert.is_truthy(ledger:row("adopt", { id = ids[1], task_id = "t" }))
      assert.is_nil(ledger:row("adopt", { id = ids[2], task_id = "t" }))
      assert(ledger:row("forget", { id = ids[1] }))
      assert.is_truthy(ledger:row("adopt", { id = ids[2], task_id = "t" }))
    end)
  end)
end)
