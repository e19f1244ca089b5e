-- SPDX-License-Identifier: MIT
-- Jobs and their workers: a job costs at most its budget, a scene is paid for once, and whatever goes wrong with a job is recorded.

local asked = require "helper.ledger"
local env = require "helper.env"
local omni = require "omni"
local studio = require "helper.studio"

---@class spec.Room  A sandbox, a ledger, a store, and boards.
local Room_methods = {}
local Room_mt = { __index = Room_methods }

-- A client of another machine.
function Room_methods:client(more)
  local given = { ledger = self.ledger, store = self.store, on_event = function(event) self.events[#self.events + 1] = event end }
  for name, value in pairs(more or {}) do given[name] = value end
  return self.studio:new_client(given)
end

function Room_methods:write(name, text) return env.write(self.folder .. "/" .. name, text) end

function Room_methods:submit(text, budget, more)
  local given = { client = self.studio_client, budget = budget or 1000 }
  for name, value in pairs(more or {}) do given[name] = value end
  self.boards = self.boards + 1
  return omni.submit_storyboard(self:write(("board%d.lua"):format(self.boards), text), given)
end

function Room_methods:work(more)
  local given = { client = self.studio_client, directory = self.folder .. "/worker", once = true }
  for name, value in pairs(more or {}) do given[name] = value end
  return omni.work(given)
end

function Room_methods:job(name)
  for _, job in ipairs(assert(omni.jobs { client = self.studio_client })) do
    if job.job == name then return job end
  end
end

-- Calls `body(room)` in the loop; `given` goes to the sandbox.
local function open(given, body)
  local folder <close> = env.directory()
  studio.open(given, function(s)
    local room = setmetatable({ studio = s, folder = folder.path, store = folder:file "store", ledger = asked.new(folder:file "l.db"),
      boards = 0, events = {} }, Room_mt)
    env.output("mkdir " .. env.quote(room.store))
    local client <close> = room:client()
    room.studio_client = client
    body(room)
  end)
end

local function board_text(...)
  local lines = { 'return storyboard { title = "Film", defaults = { duration = 4 },' }
  for _, name in ipairs { ... } do lines[#lines + 1] = ('scene "%s" { prompt = "%s" },'):format(name, name) end
  return table.concat(lines, "\n") .. "}"
end

describe("a job", function()
  it("is made once, with its film, its report and its clips where all reach them", function()
    open({}, function(room)
      local job = assert(room:submit(board_text("a", "b"), 100))
      assert.same({ "job:1", "waiting", "board1.lua", "Film", 100, 2 },
        { job.job, job.state, job.board, job.title, job.budget, job.scenes })
      assert.equal(0, room.studio:submits())
      local events = {}
      assert.is_true(room:work { on_event = function(event) events[#events + 1] = { event.event, event.job, event.state } end })
      assert.same({ { "job", "job:1", "running" }, { "job", "job:1", "done" } }, { events[1], events[#events] })
      job = room:job "job:1"
      assert.same({ "done", 2, 80, 0, "film.mp4" }, { job.state, job.finished, job.spent.credits, job.spent.estimated, job.film })
      assert.truthy(job.ended_at >= job.taken_at and job.taken_at >= job.submitted_at)
      assert.is_true(room:work())
      assert.equal(2, room.studio:submits())

      local client <close> = room:client() -- a machine that has nothing but the ledger and the store
      local fetched = assert(omni.fetch_job("job:1", { client = client, directory = room.folder .. "/elsewhere" }))
      assert.same({ "done", 4 }, { fetched.state, #fetched.files })
      for _, name in ipairs { "film.mp4", "report.html" } do
        assert.equal(env.read(env.lines(("ls %s/worker/*/out/%s"):format(room.folder, name))[1]),
          env.read(room.folder .. "/elsewhere/" .. name))
      end
    end)
  end)

  it("has one identity for all workers: equal scenes of other jobs are reused on another machine", function()
    open({}, function(room)
      assert(room:submit(board_text("a", "b")))
      assert.is_true(room:work())
      assert(room:submit(board_text("a", "b", "c")))
      local client <close> = room:client()
      assert.is_true(omni.work { client = client, directory = room.folder .. "/other", once = true })
      assert.equal(3, room.studio:submits())
      local job = room:job "job:2"
      assert.same({ "done", 3, 40 }, { job.state, job.finished, job.spent.credits })
    end)
  end)

  it("gets the values of its os.getenv, and the modules beside its board", function()
    open({}, function(room)
      room:write("words.lua", "return os.getenv 'WHO'")
      assert(room:submit('return storyboard { scene "a" { prompt = require "words", duration = 4 } }', 40, { set = { WHO = "a cat" } }))
      assert.is_true(room:work())
      assert.equal("done", room:job("job:1").state)
      assert.equal("a cat", room.studio.sandbox:ledger().tasks[1].input.prompt)
    end)
  end)

  it("isn't accepted if its plan costs more than its budget, or if its board isn't valid", function()
    open({}, function(room)
      local shown
      local job, problem = room:submit(board_text("a", "b"), 79, { on_plan = function(plan, why) shown = { plan.credits, why.code } end })
      assert.is_nil(job)
      assert.same({ "over_budget", 80, "over_budget" }, { problem.code, table.unpack(shown) })
      job, problem = room:submit "return storyboard { scene 'a' { promt = 'x' } }"
      assert.is_nil(job)
      assert.equal("invalid_board", problem.code)
      job, problem = room:submit(board_text("a"), 100, { on_plan = function() return false end })
      assert.is_nil(job)
      assert.equal("no_consent", problem.code)
      assert.same({}, omni.jobs { client = room.studio_client })
      assert.has_error(function() omni.submit_storyboard("x", { client = room.studio_client }) end)
      assert.has_error(function() omni.submit_storyboard("x", { client = room.studio_client, budget = 0 / 0 }) end)
    end)
  end)

  it("needs a ledger and a store", function()
    open({}, function(room)
      for missing, more in pairs { ledger = { store = room.store }, store = { ledger = room.ledger } } do
        local client <close> = room.studio:new_client(more)
        for _, problem in ipairs {
          select(2, omni.submit_storyboard(room:write("x.lua", board_text "a"), { client = client, budget = 1 })),
          select(2, omni.work { client = client, directory = room.folder, once = true }),
        } do
          assert.same({ "invalid_input", missing }, { problem.code, problem.field })
        end
      end
    end)
  end)

  it("never costs more than its budget, over several workers", function()
    open({ faults = { "fail:match=a" } }, function(room)
      assert(room:submit(board_text("a", "b"), 80))
      assert.is_true(room:work())
      local job = room:job "job:1"
      assert.equal("failed", job.state)
      local charged = room.studio.sandbox:ledger().charged
      local rows = assert(room.studio_client:ledger():ask("job", { id = 1 }))
      assert.equal(1, #rows)
      asked.backend.sql(room.ledger, "UPDATE job SET state = 'waiting'") -- as if its worker had died at this moment
      room.studio.sandbox:ledger()
      assert.is_true(room:work())
      assert.is_true(room.studio.sandbox:ledger().charged <= math.max(80, charged))
      assert.is_true(room:job("job:1").spent.credits <= 80)
    end)
  end)

  it("that fails is recorded with its reason, and the worker goes on", function()
    open({ faults = { "fail:match=bad" } }, function(room)
      assert(room:submit(board_text("bad", "good")))
      assert(room:submit(board_text "fine"))
      local states = {}
      assert.is_true(room:work { on_event = function(event)
        if event.event == "job" then states[#states + 1] = event.job .. " " .. event.state end
      end })
      assert.same({ "job:1 running", "job:1 failed", "job:2 running", "job:2 done" }, states)
      local job = room:job "job:1"
      assert.same({ "failed", 1 }, { job.state, job.finished })
      assert.matches('scene "bad": ', job.error.message, 1, true)
      local fetched = assert(omni.fetch_job("job:1", { client = room.studio_client, directory = room.folder .. "/out" }))
      assert.equal("failed", fetched.state)
      assert.equal(2, #fetched.files) -- the report, and the clip that is paid for
    end)
  end)

  it("with an unknown outcome blocks that scene, whoever runs the board next", function()
    open({ faults = { "drop-after:on=submit,first=1" } }, function(room)
      assert(room:submit(board_text "a"))
      assert.is_true(room:work())
      assert.same({ "failed", "submit_unknown" }, { room:job("job:1").state, room:job("job:1").error.code })
      assert(room:submit(board_text "a"))
      assert.is_true(room:work())
      assert.same({ "failed", "submit_unknown" }, { room:job("job:2").state, room:job("job:2").error.code })
      assert.equal(1, room.studio:submits())
    end)
  end)

  it("whose row was made by somebody else fails, and nothing is written outside of its folder", function()
    open({}, function(room)
      local ledger = assert(room.studio_client:ledger())
      local sha256 = ("a"):rep(64)
      local manifests <const> = {
        "", "{", '{"board":"../x.lua","set":{},"files":[{"path":"../x.lua","sha256":"' .. sha256 .. '","size":1}]}',
        '{"board":"x.lua","set":{},"files":[{"path":"x.lua","sha256":"../../etc/passwd","size":1}]}',
      }
      for _, manifest in ipairs(manifests) do
        assert(ledger:ask("add_job", { service = room.studio_client.service, board = "x.lua", manifest = manifest, budget = 100 }))
      end
      assert.is_true(room:work())
      for i = 1, #manifests do
        assert.same({ "failed", "invalid_board" }, { room:job("job:" .. i).state, room:job("job:" .. i).error.code })
      end
      -- a result that leads out of the folder
      asked.backend.sql(room.ledger, ([[UPDATE job SET result = '[{"path":"../evil","sha256":"%s","size":1}]']]):format(sha256))
      local fetched = assert(omni.fetch_job("job:1", { client = room.studio_client, directory = room.folder .. "/out" }))
      assert.same({}, fetched.files)
    end)
  end)

  it("whose file is missing in the store is put back with the reason", function()
    open({}, function(room)
      assert(room:submit(board_text "a"))
      env.output(("find %s -type f -delete"):format(env.quote(room.store)))
      local fine, problem = room:work()
      assert.is_nil(fine)
      assert.equal("store_failed", problem.code)
      local job = room:job "job:1"
      assert.same({ "waiting", "store_failed" }, { job.state, job.error.code })
      assert.matches("doesn't have the file board1.lua", job.error.message, 1, true)
      assert.equal(0, room.studio:submits())
    end)
  end)
end)

describe("a worker", function()
  it("that is stopped puts its job back, and the next one finishes it without paying again", function()
    open({ seconds = 1000 }, function(room)
      assert(room:submit(board_text("a", "b")))
      local stopped
      assert.is_true(room:work { once = false, on_start = function(worker)
        stopped = worker
      end, on_event = function(event)
        if event.event == "pending" and room.studio:submits() == 2 then stopped:stop() end
      end })
      assert.same({ "waiting", 2 }, { room:job("job:1").state, room.studio:submits() })
      local hurry <close> = room.studio:hurry() -- luacheck: ignore
      local client <close> = room:client()
      assert.is_true(omni.work { client = client, directory = room.folder .. "/other", once = true })
      local job = room:job "job:1"
      assert.same({ "done", 2, 80, 2 }, { job.state, job.finished, job.spent.credits, room.studio:submits() })
    end)
  end)

  it("whose fiber is cancelled puts its job back, too", function()
    open({ seconds = 1000 }, function(room)
      assert(room:submit(board_text "a"))
      local fiber = omni.spawn(function() return room:work() end)
      studio.become(function() return room.studio:submits() == 1 end)
      fiber:cancel()
      studio.become(function() return room:job("job:1").state == "waiting" end)
    end)
  end)

  it("stops within seconds when its job is cancelled, and submits nothing more", function()
    open({ seconds = 1000, in_flight = 1 }, function(room)
      assert(room:submit(board_text("a", "b")))
      assert(room:submit(board_text "c"))
      local states = {}
      local fiber <close> = omni.spawn(function()
        return room:work { jobs = 1, on_event = function(event)
          if event.event == "job" then states[#states + 1] = event.job .. " " .. event.state end
        end }
      end)
      studio.become(function() return room.studio:submits() == 1 end)
      for name = 1, 2 do assert.is_true(omni.cancel_job("job:" .. name, { client = room.studio_client })) end
      assert.is_true(fiber:join())
      assert.same({ "job:1 running", "job:1 lost" }, states)
      assert.same({ "cancelled", "cancelled", 1 }, { room:job("job:1").state, room:job("job:2").state, room.studio:submits() })
      for name, code in pairs { ["job:1"] = "invalid_input", ["job:99"] = "not_found", ["x"] = "not_found", ["job:-1"] = "not_found" } do
        local done, problem = omni.cancel_job(name, { client = room.studio_client })
        assert.is_nil(done)
        assert.equal(code, problem.code)
      end
    end)
  end)

  it("waits for jobs, and runs those of its own service only", function()
    open({}, function(room)
      local worker
      local fiber <close> = omni.spawn(function()
        return room:work { once = false, on_start = function(started) worker = started end }
      end)
      studio.become(function() return worker end)
      assert(room.studio_client:ledger():ask("add_job", { service = "other", board = "x", manifest = "", budget = 1 }))
      assert(room:submit(board_text "a"))
      local fetched = assert(omni.fetch_job("job:2", { client = room.studio_client, directory = room.folder .. "/out" }))
      assert.equal("done", fetched.state)
      assert.equal("waiting", room:job("job:1").state)
      worker:stop()
      assert.is_true(fiber:join())
    end)
  end)

  it("that somebody waits for reports its end, or that it isn't over in time", function()
    open({}, function(room)
      assert(room:submit(board_text "a"))
      local job, problem = omni.fetch_job("job:1", { client = room.studio_client, directory = room.folder .. "/out", timeout = 0 })
      assert.is_nil(job)
      assert.same({ "timeout", "omni.fetch_job" }, { problem.code, problem.call })
      job, problem = omni.fetch_job("job:7", { client = room.studio_client, directory = room.folder .. "/out" })
      assert.is_nil(job)
      assert.equal("not_found", problem.code)
    end)
  end)
end)
