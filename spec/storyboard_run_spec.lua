-- SPDX-License-Identifier: MIT
-- Boards against a sandbox in this process: over real sockets, into real files.

local core = require "omni.core"
local omni = require "omni"
local start = require("omni.storyboard.run").start

local function board_of(...)
  local board = { defaults = { duration = 4 } }
  for i, name in ipairs { ... } do board[i] = omni.scene(name) { prompt = name } end
  return omni.storyboard(board)
end

-- Runs `body(run, sandbox, events)`; `run(board, options)` shoots into a directory of its own.
local function with_sandbox(given, body)
  given.seconds, given.clips = given.seconds or 0.05, "builtin"
  local directory = core.make_temporary_directory("omni-spec-")
  finally(function() os.execute("rm -r '" .. directory .. "'") end)
  omni.run(function()
    local sandbox <close> = assert(omni.sandbox(given))
    local client <close> = assert(omni.client {
      base_url = sandbox.url, api_key = sandbox.key, poll_min = 0.02, poll_max = 0.05, retry_for = 2, retry_min = 0.02,
    })
    local events = {}
    local function options(more)
      local all = { client = client, directory = directory, on_event = function(e) events[#events + 1] = e end }
      for name, value in pairs(more or {}) do all[name] = value end
      return all
    end
    body(function(board, more) return omni.run_storyboard(board, options(more)) end, sandbox, events, options, directory)
  end)
end

local function statuses(summary)
  local list = {}
  for i, scene in ipairs(summary.scenes) do list[i] = scene.status end
  return list
end

describe("running a board", function()
  it("fetches each scene's film, submits each once, and tells what it cost", function()
    with_sandbox({}, function(run, sandbox, _, _, directory)
      local summary = assert(run(board_of("dusk", "a/b")))
      assert.same({ "fetched", "fetched" }, statuses(summary))
      assert.equal(directory .. "/media/a-b.mp4", summary.scenes[2].file)
      assert.is_true(core.stat(summary.scenes[1].file).size > 0)
      local ledger = sandbox:ledger()
      assert.equal(2, ledger.submits)
      assert.equal(ledger.charged, summary.credits)
      assert.equal(ledger.tasks[1].credits, summary.scenes[1].credits)
      assert.is_false(summary.interrupted)
    end)
  end)

  it("tells of each change of a scene's state, in order, with its task", function()
    with_sandbox({ seconds = 0.3 }, function(run, _, events)
      assert(run(board_of "dusk"))
      local seen = {}
      for i, event in ipairs(events) do seen[i] = event.event end
      assert.same({ "submitting", "pending", "running", "fetching", "fetched" }, seen)
      assert.is_nil(events[1].task_id)
      for i = 2, 5 do assert.is_string(events[i].task_id) end
      assert.equal("dusk", events[5].scene)
      assert.equal(1, #events[5].files)
    end)
  end)

  it("has no more scenes in flight than jobs", function()
    with_sandbox({}, function(run, _, events)
      assert(run(board_of("a", "b", "c", "d", "e"), { jobs = 2 }))
      local flying, most = 0, 0
      for _, event in ipairs(events) do
        if event.event == "submitting" then flying = flying + 1 end
        if event.event == "fetched" then flying = flying - 1 end
        most = math.max(most, flying)
      end
      assert.equal(2, most)
    end)
  end)

  it("goes on with the others when a scene fails, and says why it failed", function()
    with_sandbox({ faults = { 'fail:match=bad,reason="too dark"', "no-media:match=empty" } }, function(run)
      local summary = assert(run(board_of("bad", "good", "empty")))
      assert.same({ "failed", "fetched", "failed" }, statuses(summary))
      assert.equal("generation_failed", summary.scenes[1].error.code)
      assert.matches("too dark", summary.scenes[1].error.message)
      assert.equal("broken_result", summary.scenes[3].error.code)
      assert.is_string(summary.scenes[1].task_id)
    end)
  end)

  it("never submits a scene again whose submit has an unknown outcome", function()
    with_sandbox({ faults = { "drop-after:on=submit,match=lost" } }, function(run, sandbox)
      local summary = assert(run(board_of("lost", "good")))
      assert.same({ "unknown", "fetched" }, statuses(summary))
      assert.equal("submit_unknown", summary.scenes[1].error.code)
      assert.equal(2, sandbox:ledger().submits)
    end)
  end)

  it("submits nothing that doesn't fit into the budget any more", function()
    with_sandbox({}, function(run, sandbox)
      local summary = assert(run(board_of("a", "b", "c"), { budget = 80 }))
      assert.same({ "fetched", "fetched", "refused" }, statuses(summary))
      assert.equal("over_budget", summary.scenes[3].error.code)
      assert.equal(80, sandbox:ledger().charged)
    end)
  end)

  it("counts an unknown outcome as spent", function()
    with_sandbox({ faults = { "drop-after:on=submit,match=lost" } }, function(run, sandbox)
      assert.same({ "unknown", "refused" }, statuses(assert(run(board_of("lost", "b"), { budget = 79, jobs = 1 }))))
      assert.equal(40, sandbox:ledger().charged)
    end)
  end)

  it("submits nothing of unknown price when there is a budget", function()
    with_sandbox({ faults = { "status-505:on=estimate" } }, function(run, sandbox)
      local summary = assert(run(board_of "a", { budget = 1000 }))
      assert.equal("price_unknown", summary.scenes[1].error.code)
      assert.equal(0, sandbox:ledger().submits)
      assert.same({ "fetched" }, statuses(assert(run(board_of "a"))))
    end)
  end)

  it("stops submitting when the account is empty, and says what it has", function()
    with_sandbox({ credits = 50 }, function(run, sandbox)
      local summary = assert(run(board_of("a", "b", "c"), { jobs = 1 }))
      assert.same({ "fetched", "failed", "refused" }, statuses(summary))
      assert.equal("insufficient_credits", summary.scenes[2].error.code)
      assert.matches("the account has 10", summary.scenes[2].error.hint)
      assert.matches('scene "b"', summary.scenes[3].error.message)
      assert.equal(1, sandbox:ledger().submits)
    end)
  end)

  it("keeps the films of an earlier run", function()
    with_sandbox({}, function(run)
      local path = assert(run(board_of "a")).scenes[1].file
      local file = assert(io.open(path, "wb"))
      file:write("paid for")
      file:close()
      assert.equal(path, assert(run(board_of "a")).scenes[1].file)
      local older <close> = assert(io.open((path:gsub("%.mp4$", " (older 1).mp4"))))
      assert.equal("paid for", older:read("a"))
      assert.is_true(core.stat(path).size > 8)
    end)
  end)

  it("submits nothing when its files can't be written", function()
    with_sandbox({}, function(run, sandbox)
      local summary, problem = run(board_of "a", { directory = "/proc/nowhere" })
      assert.is_nil(summary)
      assert.equal("io", problem.code)
      assert.equal(0, sandbox:ledger().submits)
    end)
  end)

  it("that is interrupted names what is in flight and submits nothing more", function()
    with_sandbox({ seconds = 60 }, function(_, sandbox, events, options)
      local run
      local pending = 0
      run = assert(start(board_of("a", "b", "c"), options {
        jobs = 2,
        on_event = function(event)
          events[#events + 1] = event
          if event.event == "pending" then pending = pending + 1 end
          if pending == 2 then omni.spawn(function() run:interrupt() end) end
        end,
      }))
      local summary = run:join()
      assert.is_true(summary.interrupted)
      assert.same({ "interrupted", "interrupted", "waiting" }, statuses(summary))
      assert.equal(sandbox:ledger().tasks[1].task_id, summary.scenes[1].task_id)
      assert.equal(2, sandbox:ledger().submits)
    end)
  end)

  it("that is interrupted hears a submit out, whose answer holds the task id", function()
    with_sandbox({ seconds = 60, faults = { "slow:on=submit,delay=0.2" } }, function(_, sandbox, _, options)
      local run
      run = assert(start(board_of "a", options {
        on_event = function(event)
          if event.event == "submitting" then omni.spawn(function() run:interrupt() end) end
        end,
      }))
      local summary = run:join()
      assert.same({ "interrupted" }, statuses(summary))
      assert.equal(sandbox:ledger().tasks[1].task_id, summary.scenes[1].task_id)
    end)
  end)

  it("that is interrupted doesn't try a submit again that was refused for the moment", function()
    for _, when in ipairs { "while the answer comes", "while it waits" } do
      with_sandbox({ faults = { "slow:on=submit,delay=0.1", "status-429:on=submit,first=1,retry_after=1" } },
        function(_, sandbox, _, options)
          local run
          run = assert(start(board_of "a", options {
            on_event = function(event)
              if event.event ~= "submitting" then return end
              omni.spawn(function()
                omni.sleep(when == "while it waits" and 0.5 or 0.05)
                run:interrupt()
              end)
            end,
          }))
          assert.same({ "waiting" }, statuses(run:join()), when)
          assert.equal(0, sandbox:ledger().submits)
        end)
    end
  end)

  it("asks before each submit whether it is interrupted", function()
    with_sandbox({}, function(run, sandbox)
      local summary = assert(run(board_of("a", "b"), { interrupted = function() return true end }))
      assert.same({ "waiting", "waiting" }, statuses(summary))
      assert.equal(0, sandbox:ledger().submits)
    end)
  end)

  it("raises what an event's function raises, after the submits on their way were heard", function()
    with_sandbox({}, function(run)
      local fine, problem = pcall(run, board_of("a", "b"), { on_event = function() error("mine") end })
      assert.is_false(fine)
      assert.matches("mine", tostring(problem))
    end)
  end)

  it("refuses options that it doesn't know", function()
    assert.has_error(function() start(board_of "a", { client = {}, directory = "x", job = 1 }) end)
    assert.has_error(function() start(board_of "a", { directory = "x" }) end)
  end)
end)
