-- SPDX-License-Identifier: MIT
-- Boards against a sandbox in this process: over real sockets, into real files, with a ledger on disk.

local core = require "omni.core"
local env = require "helper.env"
local errors = require "omni.error"
local mime = require "mime"
local omni = require "omni"
local studio = require "helper.studio"

local board_of, statuses = studio.board, studio.statuses

local function of_scenes(events)
  local seen = {}
  for _, event in ipairs(events) do
    if event.scene then seen[#seen + 1] = event.event end
  end
  return seen
end

describe("running a board", function()
  it("fetches each scene's clip, submits each scene once, reports the cost, and cuts the film", function()
    studio.open({ films = true }, function(s)
      local summary = assert(s:run(board_of("dusk", "a/b")))
      assert.same({ "fetched", "fetched" }, statuses(summary))
      assert.matches("^" .. s.directory:gsub("%p", "%%%0") .. "/media/a%-b%-%x+%.mp4$", summary.scenes[2].file)
      assert.is_true(core.stat(summary.scenes[1].file).size > 0)
      local ledger = s.sandbox:ledger()
      assert.equal(2, ledger.submits)
      assert.equal(ledger.charged, summary.credits)
      assert.equal(ledger.tasks[1].credits, summary.scenes[1].credits)
      assert.is_false(summary.interrupted)
      assert.equal(s.directory .. "/film.mp4", summary.film.path)
      assert.is_true(core.stat(summary.film.path).size > 0)
      local picture = env.read(s.directory .. "/media/film.jpg")
      assert.is_truthy(env.read(s.directory .. "/report.html"):find('poster="data:image/jpeg;base64,' .. mime.b64(picture), 1, true))
    end)
  end)

  it("reports each change of a scene's state, in order, with its task", function()
    studio.open({ seconds = 0.3 }, function(s)
      assert(s:run(board_of "dusk"))
      assert.same({ "submitting", "pending", "running", "fetching", "fetched" }, of_scenes(s.events))
      assert.is_nil(s.events[1].task_id)
      for i = 2, 5 do assert.is_string(s.events[i].task_id) end
      assert.equal("dusk", s.events[5].scene)
      assert.equal(1, #s.events[5].files)
    end)
  end)

  it("reports that it waits for another run in its directory, and that it waits no longer", function()
    studio.open({}, function(s)
      local run, folder = s:begin(board_of "dusk")
      run:join()
      s.events = {}
      local second = omni.spawn(function() return s:run(board_of "dusk") end)
      studio.become(function() return s.events[1] ~= nil end)
      local wait = s.events[1]
      assert.same({ "wait", "lock", s.directory }, { wait.event, wait.kind, wait.directory })
      folder:close()
      second:join()
      assert.same({ "wait_over", "lock", wait.wait }, { s.events[2].event, s.events[2].kind, s.events[2].wait })
      local last, ended = s.events[#s.events - 2], s.events[#s.events - 1]
      assert.same({ "wait", "report", "wait_over", last.wait, "report" },
        { last.event, last.kind, ended.event, ended.wait, s.events[#s.events].event })
    end)
  end)

  it("has at most as many scenes in flight as `jobs`", function()
    studio.open({}, function(s)
      assert(s:run(board_of("a", "b", "c", "d", "e"), { jobs = 2 }))
      local flying, most = 0, 0
      for _, event in ipairs(s.events) do
        if event.event == "submitting" then flying = flying + 1 end
        if event.event == "fetching" then flying = flying - 1 end
        most = math.max(most, flying)
      end
      assert.equal(2, most)
    end)
  end)

  it("continues with the others if a scene fails, and says why it failed", function()
    studio.open({ faults = { 'fail:match=bad,reason="too dark"', "no-media:match=empty" } }, function(s)
      local summary = assert(s:run(board_of("bad", "good", "empty")))
      assert.same({ "failed", "fetched", "failed" }, statuses(summary))
      assert.equal("generation_failed", summary.scenes[1].error.code)
      assert.matches("too dark", summary.scenes[1].error.message)
      assert.equal("broken_result", summary.scenes[3].error.code)
      assert.is_string(summary.scenes[1].task_id)
      assert.is_nil(summary.film)
      assert.equal("film_incomplete", summary.film_error.code)
      assert.matches('"bad", "empty"', summary.film_error.message)
    end)
  end)

  it("with fail_fast submits nothing more after a scene has failed", function()
    studio.open({ faults = { "fail:match=bad" } }, function(s)
      local summary = assert(s:run(board_of("bad", "b"), { fail_fast = true, jobs = 1 }))
      assert.same({ "failed", "refused" }, statuses(summary))
      assert.matches('scene "bad"', summary.scenes[2].error.message)
      assert.equal(1, s:submits())
    end)
  end)

  it("never submits a scene again whose submit has an unknown outcome, nor does a later run", function()
    studio.open({ faults = { "drop-after:on=submit,match=lost" } }, function(s)
      local summary = assert(s:run(board_of("lost", "good")))
      assert.same({ "unknown", "fetched" }, statuses(summary))
      assert.equal("submit_unknown", summary.scenes[1].error.code)
      assert.equal(2, s:submits())
      summary = assert(s:run(board_of("lost", "good")))
      assert.same({ "unknown", "reused" }, statuses(summary))
      assert.matches("it may have cost about 40 sandbox credits; balance 10000 before", summary.scenes[1].error.message)
      assert.equal(2, s:submits())
    end)
  end)

  it("submits such a scene once more if a person says so", function()
    studio.open({ faults = { "drop-after:on=submit,first=1" } }, function(s)
      assert.same({ "unknown" }, statuses(assert(s:run(board_of "lost"))))
      assert.same({ "fetched" }, statuses(assert(s:run(board_of "lost", { resubmit = { "lost" } }))))
      assert.equal(2, s:submits())
    end)
  end)

  it("shows its plan to a hook: true is consent, false submits nothing, nil leaves it to budget and yes", function()
    studio.open({}, function(s)
      local shown, steps = nil, {}
      local function options(answer, problem)
        return {
          before_plan = function() steps[#steps + 1] = "before_plan" end,
          on_plan = function(plan, refusal)
            steps[#steps + 1], shown = "on_plan", { plan.submits, plan.credits, refusal and refusal.code }
            return answer, problem
          end,
          on_start = function(run) steps[#steps + 1] = type(run.interrupt) end,
        }
      end
      local board, why = board_of("a", "b"), errors.new { code = "no_consent", message = "not today" }
      assert.equal(why, select(2, s:run(board, options(false, why))))
      assert.same({ 2, 80 }, shown)
      assert.equal("no_consent", select(2, s:run(board, options(false))).code)
      local refused = options(true)
      refused.budget = 79
      assert.equal("over_budget", select(2, s:run(board, refused)).code) -- whatever the hook says
      assert.same({ 2, 80, "over_budget" }, shown)
      local early = options(true)
      early.before_plan = function() return why end
      assert.equal(why, select(2, s:run(board, early)))
      assert.equal(0, s:submits())
      steps = {}
      assert.same({ "fetched", "fetched" }, statuses(assert(s:run(board, options(true)))))
      assert.same({ "before_plan", "on_plan", "function" }, steps)
      assert.equal(2, s:submits())
    end)
  end)

  it("submits no scene that no longer fits the budget", function()
    studio.open({}, function(s)
      local summary = s:begin(board_of("a", "b", "c"), { budget = 80 }):join()
      assert.same({ "fetched", "fetched", "refused" }, statuses(summary))
      assert.equal("over_budget", summary.scenes[3].error.code)
      assert.equal(80, s.sandbox:ledger().charged)
    end)
  end)

  it("submits nothing if the plan exceeds the budget, the balance or the board's own budget", function()
    studio.open({ credits = 100 }, function(s)
      assert.equal("over_budget", select(2, s:run(board_of("a", "b"), { budget = 79 })).code)
      assert.equal("insufficient_credits", select(2, s:run(board_of("a", "b", "c"))).code)
      local board = omni.storyboard { budget = 79, omni.scene "a" { prompt = "a" }, omni.scene "b" { prompt = "b" } }
      assert.equal("over_budget", select(2, s:run(board)).code)
      assert.equal(0, s:submits())
    end)
  end)

  it("counts the earlier cost of the board against the board's own budget", function()
    studio.open({}, function(s)
      local function board(...)
        local fields = { budget = 100 }
        for i, name in ipairs { ... } do fields[i] = omni.scene(name) { prompt = name, duration = 4 } end
        return omni.storyboard(fields)
      end
      assert(s:run(board("a", "b")))
      local _, err = s:run(board("a", "c"))
      assert.equal("over_budget", err.code)
      assert.matches("80 are spent", err.message)
      assert.equal(80, s.sandbox:ledger().charged)
    end)
  end)

  it("counts an unknown outcome as spent", function()
    studio.open({ faults = { "drop-after:on=submit,match=lost" } }, function(s)
      assert.same({ "unknown", "refused" }, statuses(s:begin(board_of("lost", "b"), { budget = 79, jobs = 1 }):join()))
      assert.equal(40, s.sandbox:ledger().charged)
    end)
  end)

  it("submits nothing with an unknown price if there is a budget", function()
    studio.open({ faults = { "status-505:on=estimate" } }, function(s)
      assert.equal("price_unknown", select(2, s:run(board_of "a", { budget = 1000 })).code)
      assert.equal(0, s:submits())
      assert.same({ "fetched" }, statuses(assert(s:run(board_of "a"))))
    end)
  end)

  it("stops submitting when the credits are used up, and reports the balance", function()
    studio.open({ credits = 50 }, function(s)
      local summary = s:begin(board_of("a", "b", "c"), { jobs = 1 }):join()
      assert.same({ "fetched", "failed", "refused" }, statuses(summary))
      assert.equal("insufficient_credits", summary.scenes[2].error.code)
      assert.matches("the account has 10", summary.scenes[2].error.hint)
      assert.matches('scene "b"', summary.scenes[3].error.message)
      assert.equal(1, s:submits())
    end)
  end)

  it("never overwrites a file that no run has made", function()
    studio.open({}, function(s)
      local path = assert(s:run(board_of "a")).scenes[1].file
      env.write(path, "mine")
      local summary = assert(s:run(board_of "a"))
      assert.same({ "fetched" }, statuses(summary))
      assert.equal("mine", env.read((path:gsub("%.mp4$", " (older 1).mp4"))))
      assert.equal("ftyp", env.read(path):sub(5, 8))
    end)
  end)

  it("submits nothing if its files can't be written", function()
    studio.open({}, function(s)
      local summary, problem = s:run(board_of "a", { directory = "/proc/nowhere" })
      assert.is_nil(summary)
      assert.equal("io", problem.code)
      assert.equal(0, s:submits())
    end)
  end)

  it("that is interrupted reports the tasks in flight and submits nothing more; the next run continues", function()
    studio.open({ seconds = 1 }, function(s)
      local run, folder
      local pending = 0
      run, folder = s:begin(board_of("a", "b", "c"), {
        jobs = 2,
        on_event = function(event)
          s.events[#s.events + 1] = event
          if event.event == "pending" then pending = pending + 1 end
          if pending == 2 then omni.spawn(function() run:interrupt() end) end
        end,
      })
      local summary = run:join()
      folder:close()
      assert.is_true(summary.interrupted)
      assert.same({ "interrupted", "interrupted", "waiting" }, statuses(summary))
      assert.equal(s.sandbox:ledger().tasks[1].task_id, summary.scenes[1].task_id)
      assert.equal(2, s:submits())
      summary = assert(s:run(board_of("a", "b", "c")))
      assert.same({ "fetched", "fetched", "fetched" }, statuses(summary))
      assert.equal("resume", summary.scenes[1].action)
      assert.equal(3, s:submits())
    end)
  end)

  it("can be interrupted from its own on_event at each status of a scene", function()
    for status, ended in pairs { submitting = "waiting", pending = "interrupted", running = "interrupted", fetching = "interrupted",
      fetched = "fetched" } do
      studio.open({ seconds = status == "running" and 60 or 0.05 }, function(s)
        local run
        run = s:begin(board_of "a", { on_event = function(event)
          if event.event == status then run:interrupt() end
        end })
        local summary = run:join()
        assert.same({ ended }, statuses(summary), status)
        assert.is_true(summary.interrupted)
        assert.equal(status == "submitting" and 0 or 1, s:submits())
      end)
    end
  end)

  it("can be interrupted from its own on_event while it makes the film and the report", function()
    for _, place in ipairs { "cutting", "film", "report" } do
      studio.open({ seconds = 0.05 }, function(s)
        local run
        run = s:begin(board_of "a", { on_event = function(event)
          if event.event == place then run:interrupt() end
        end })
        local summary = run:join()
        assert.same({ "fetched" }, statuses(summary), place)
        assert.equal(place ~= "report", summary.interrupted) -- after the report, nothing is left to be stopped
      end)
    end
  end)

  it("that is interrupted waits for the response to a sent submit, which contains the task id", function()
    studio.open({ seconds = 60, faults = { "slow:on=submit,delay=0.2" } }, function(s)
      local run
      run = s:begin(board_of "a", {
        on_event = function(event)
          if event.event ~= "submitting" then return end
          omni.spawn(function()
            while s:submits() == 0 do omni.sleep(0.01) end
            run:interrupt()
          end)
        end,
      })
      local summary = run:join()
      assert.same({ "interrupted" }, statuses(summary))
      assert.equal(s.sandbox:ledger().tasks[1].task_id, summary.scenes[1].task_id)
    end)
  end)

  it("that is interrupted doesn't repeat a submit that was refused for the moment", function()
    for _, when in ipairs { "while the answer comes", "while it waits" } do
      studio.open({ faults = { "slow:on=submit,delay=0.1", "status-429:on=submit,first=1,retry_after=1" } },
        function(s)
          local run
          run = s:begin(board_of "a", {
            on_event = function(event)
              if event.event ~= "submitting" then return end
              omni.spawn(function()
                omni.sleep(when == "while it waits" and 0.5 or 0.05)
                run:interrupt()
              end)
            end,
          })
          assert.same({ "waiting" }, statuses(run:join()), when)
          assert.equal(0, s:submits())
        end)
    end
  end)

  it("checks before each submit whether it is interrupted", function()
    studio.open({}, function(s)
      local summary = assert(s:run(board_of("a", "b"), { interrupted = function() return true end }))
      assert.same({ "waiting", "waiting" }, statuses(summary))
      assert.equal(0, s:submits())
    end)
  end)

  it("raises the error of on_event, after sent submits have been answered", function()
    studio.open({}, function(s)
      local fine, problem = pcall(s.run, s, board_of("a", "b"), { on_event = function() error("mine") end })
      assert.is_false(fine)
      assert.matches("mine", tostring(problem))
    end)
  end)

  it("refuses unknown options, and to spend without consent", function()
    assert.has_error(function() omni.run_storyboard(board_of "a", { client = {}, directory = "x", job = 1 }) end)
    assert.has_error(function() omni.run_storyboard(board_of "a", { directory = "x" }) end)
    assert.has_error(function() omni.run_storyboard(board_of "a", { client = {}, directory = "x", budget = -1 }) end)
  end)

  it("spends nothing of a real account without a budget or a yes", function()
    studio.open({ key = "ak_" .. ("r"):rep(32) }, function(s)
      local client <close> = assert(omni.client {
        base_url = s.sandbox.url, api_key = s.sandbox.key, poll_min = 0.02, ledger = s.directory .. "/real.db",
      })
      local given, yes = { client = client, directory = s.directory }, { client = client, directory = s.directory, yes = true }
      local _, err = omni.run_storyboard(board_of "a", given)
      assert.equal("no_consent", err.code)
      assert.matches("about 40 credits", err.message)
      assert.equal(0, s:submits())
      assert.same({ "fetched" }, statuses(assert(omni.run_storyboard(board_of "a", yes))))
      assert.same({ "reused" }, statuses(assert(omni.run_storyboard(board_of "a", given)))) -- costs nothing: nothing to ask
    end)
  end)
end)
