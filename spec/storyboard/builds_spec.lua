-- SPDX-License-Identifier: MIT
-- Storyboards as builds: which scenes are made again after a change, and which aren't.

local core = require "omni.core"
local directories = require "omni.storyboard.run.output_lock"
local env = require "helper.env"
local media = require "omni.sandbox.drawing"
local omni = require "omni"
local start = require("omni.storyboard.run").start
local studio = require "helper.studio"

local statuses = studio.statuses

-- A board of the given scenes: name → fields.
local function board_of(scenes, more)
  local fields = more or {}
  for i, scene in ipairs(scenes) do fields[i] = omni.scene(scene[1])(scene[2]) end
  fields.defaults = fields.defaults or { duration = 4 }
  return omni.storyboard(fields)
end

local function chain(first_prompt)
  return board_of {
    { "dawn", { prompt = first_prompt or "dawn" } },
    { "noon", { prompt = "noon", continues = "dawn" } },
    { "dusk", { prompt = "dusk", first_frame = omni.last_frame "noon" } },
    { "storm", { prompt = "storm" } },
  }
end

local function actions(plan) return studio.statuses(plan) end

-- The stamps of all files below a directory: what was written again has another one.
local function stamps(directory)
  local found = {}
  for path in env.output("find " .. env.quote(directory) .. " -name '*.mp4' -o -name '*.jpg' -o -name '*.png'"):gmatch("[^\n]+") do
    found[path] = core.stat(path).stamp
  end
  return found
end

-- Makes all that the ledger knows so many days older.
local function age(s, days)
  s.client:close()
  local seconds = days * 86400
  env.output(("sqlite3 %s 'UPDATE submit SET intended_at = intended_at - %d, ended_at = ended_at - %d, completed_at = completed_at - %d'")
    :format(env.quote(s.directory .. "/ledger.db"), seconds, seconds, seconds))
  s.client = s:new_client()
end

describe("a board that is run again", function()
  it("submits, fetches and cuts nothing if nothing has changed", function()
    studio.open({ films = true }, function(s)
      assert.same({ "fetched", "fetched", "fetched", "fetched" }, statuses(assert(s:run(chain()))))
      assert.equal(4, s:submits())
      local before = stamps(s.directory)
      s.events = {}
      local plan = assert(s:plan(chain()))
      assert.same({ "reuse", "reuse", "reuse", "reuse" }, actions(plan))
      assert.equal(0, plan.credits)
      local summary = assert(s:run(chain()))
      assert.same({ "reused", "reused", "reused", "reused" }, statuses(summary))
      assert.is_false(summary.film.made)
      assert.equal(4, s:submits())
      assert.same(before, stamps(s.directory))
      local usual = { reused = 1, film = 1, report = 1, wait = 1, wait_over = 1 }
      for _, event in ipairs(s.events) do assert.is_truthy(usual[event.event], event.event) end
    end)
  end)

  it("after one changed prompt, submits that scene and the scenes that build on it, and says why", function()
    studio.open({}, function(s)
      assert(s:run(chain()))
      local plan = assert(s:plan(chain "dawn, with mist"))
      assert.same({ "submit", "wait", "wait", "reuse" }, actions(plan))
      assert.equal("prompt changed", plan.scenes[1].why)
      assert.same({ "dawn" }, plan.scenes[2].waits_for)
      assert.same({ "noon" }, plan.scenes[3].waits_for)
      assert.equal(120, plan.credits)
      local summary = assert(s:run(chain "dawn, with mist"))
      assert.same({ "fetched", "fetched", "fetched", "reused" }, statuses(summary))
      assert.equal(7, s:submits())
      assert.same({ "reuse", "reuse", "reuse", "reuse" }, actions(assert(s:plan(chain())))) -- what was paid for before is still there
    end)
  end)

  it("says which field has changed", function()
    studio.open({}, function(s)
      assert(s:run(board_of { { "a", { prompt = "a" } } }))
      local plan = assert(s:plan(board_of { { "a", { prompt = "a", duration = 8, resolution = "1080p" } } }))
      assert.equal("duration: 4 → 8, resolution: added (1080p)", plan.scenes[1].why)
    end)
  end)

  it("makes nothing again if scenes are renamed or moved, or a default changes that they override", function()
    studio.open({ films = true, clips = media.available() }, function(s)
      assert(s:run(board_of({ { "a", { prompt = "a", duration = 6 } }, { "b", { prompt = "b", duration = 6 } } })))
      local summary = assert(s:run(board_of({ { "two", { prompt = "b", duration = 6 } }, { "one", { duration = 6, prompt = "a" } } },
        { defaults = { duration = 10 }, title = "Another" })))
      assert.same({ "reused", "reused" }, statuses(summary))
      assert.is_true(summary.film.made or media.available() == "builtin") -- its clips are in another order
      assert.equal(2, s:submits())
    end)
  end)

  it("makes another take, and returns to the first one at no cost", function()
    studio.open({}, function(s)
      local function board(take) return board_of { { "a", { prompt = "a", take = take } } } end
      local first = assert(s:run(board())).scenes[1].file
      local plan = assert(s:plan(board(2)))
      assert.same({ "submit", "take 2" }, { plan.scenes[1].action, plan.scenes[1].why })
      assert.not_equal(first, assert(s:run(board(2))).scenes[1].file)
      assert.equal(first, assert(s:run(board(1))).scenes[1].file)
      assert.equal(2, s:submits())
    end)
  end)

  it("with redo makes the next take of a scene, and keeps using it", function()
    studio.open({}, function(s)
      local board = studio.board("a", "b")
      local first = assert(s:run(board)).scenes[1].file
      local again = assert(s:run(board, { redo = { "a" } }))
      assert.same({ "fetched", "reused" }, statuses(again))
      local later = assert(s:run(board))
      assert.same({ "reused", "reused" }, statuses(later))
      assert.equal(again.scenes[1].file, later.scenes[1].file)
      assert.not_equal(first, later.scenes[1].file)
      assert.equal(3, s:submits())
      local pinned = board_of { { "a", { prompt = "a", take = 1 } } }
      assert.equal("invalid_input", select(2, s:run(pinned, { redo = { "a" } })).code)
    end)
  end)

  it("with redo makes one take, however often that run is interrupted and started again", function()
    studio.open({}, function(s)
      local board = studio.board("a", "b")
      assert(s:run(board))
      local run, folder
      run, folder = s:begin(board, {
        on_event = function(event)
          if event.event == "fetched" then omni.spawn(function() run:interrupt() end) end
        end,
      }, { redo = { "a" } })
      run:join()
      folder:close()
      assert.same({ "reused", "reused" }, statuses(assert(s:run(board, { redo = { "a" } }))))
      assert.equal(3, s:submits())
      assert.same({ "fetched", "reused" }, statuses(assert(s:run(board, { redo = { "a" } })))) -- that one had come to its end
      assert.equal(4, s:submits())
    end)
  end)

  it("with `only`, makes one scene and the scenes on which it builds", function()
    studio.open({}, function(s)
      local summary = assert(s:run(chain(), { only = { "noon" } }))
      assert.same({ "fetched", "fetched", "waiting", "waiting" }, statuses(summary))
      assert.is_nil(summary.film)
      assert.equal(2, s:submits())
      assert.equal("invalid_input", select(2, s:plan(chain(), { only = { "nono" } })).code)
    end)
  end)

  it("submits a failed scene again, and says that it failed", function()
    studio.open({ faults = { 'fail:first=1,reason="too dark"' } }, function(s)
      assert.same({ "failed" }, statuses(assert(s:run(studio.board "a"))))
      local plan = assert(s:plan(studio.board "a"))
      assert.equal("submit", plan.scenes[1].action)
      assert.matches("failed before: .*too dark", plan.scenes[1].why)
      assert.same({ "fetched" }, statuses(assert(s:run(studio.board "a"))))
    end)
  end)

  it("leaves out scenes that build on a failed one, and makes them later", function()
    studio.open({ faults = { "fail:match=dawn,first=1" } }, function(s)
      local summary = assert(s:run(chain()))
      assert.same({ "failed", "blocked", "blocked", "fetched" }, statuses(summary))
      assert.equal("builds_on_missing", summary.scenes[2].error.code)
      assert.same({ "fetched", "fetched", "fetched", "reused" }, statuses(assert(s:run(chain()))))
      assert.equal(5, s:submits())
    end)
  end)
end)

describe("files of an earlier run", function()
  it("that are missing or changed are fetched again without a submit; a changed file stays beside", function()
    studio.open({}, function(s)
      local path = assert(s:run(studio.board "a")).scenes[1].file
      local bytes = env.read(path)
      os.remove(path)
      local plan = assert(s:plan(studio.board "a"))
      assert.equal("fetch", plan.scenes[1].action)
      assert.matches("is missing; the service keeps it until about %d", plan.scenes[1].why)
      assert.same({ "fetched" }, statuses(assert(s:run(studio.board "a"))))
      assert.equal(bytes, env.read(path))
      env.write(path, "edited")
      assert.matches("was changed", assert(s:plan(studio.board "a")).scenes[1].why)
      assert.same({ "fetched" }, statuses(assert(s:run(studio.board "a"))))
      assert.equal(bytes, env.read(path))
      assert.equal("edited", env.read((path:gsub("%.mp4$", " (older 1).mp4"))))
      assert.equal(1, s:submits())
    end)
  end)

  it("are requested for as long as the service may have them, and their scenes are never submitted again", function()
    studio.open({}, function(s)
      local path = assert(s:run(studio.board "a")).scenes[1].file
      os.remove(path)
      age(s, 20)
      local plan = assert(s:plan(studio.board "a"))
      assert.equal("fetch", plan.scenes[1].action)
      assert.same({ "fetched" }, statuses(assert(s:run(studio.board "a"))))
      assert.equal(1, s:submits())
    end)
  end)

  it("are uploaded for another scene that builds on them, if their own URL may have expired", function()
    studio.open({}, function(s)
      local first = { "a", { prompt = "a" } }
      local function second(name) return { name, { prompt = name, continues = "a" } } end
      assert(s:run(board_of { first, second "b" }))
      age(s, 13)
      assert(s:run(board_of { first, second "b", second "c" }))
      local tasks = s.sandbox:ledger().tasks
      assert.matches("/media/" .. tasks[1].task_id, tasks[2].input.video_list[1].url, 1, true)
      assert.matches("/files/", tasks[3].input.video_list[1].url, 1, true)
    end)
  end)

  it("are found after the folder was moved", function()
    studio.open({}, function(s)
      s.directory = s.directory .. "/before"
      assert(s:run(studio.board "a"))
      local moved = s.directory:gsub("before$", "after")
      s.client:close() -- the ledger is in that folder
      assert(os.rename(s.directory, moved))
      local client <close> = s:new_client()
      s.directory, s.client = moved, client
      local summary = assert(s:run(studio.board "a"))
      assert.same({ "reused" }, statuses(summary))
      assert.equal(moved .. "/media/", summary.scenes[1].file:match("^.*/"))
      assert.equal(1, s:submits())
    end)
  end)

  it("are used by an equal scene of another board, too", function()
    studio.open({}, function(s)
      assert(s:run(studio.board "a"))
      local first = s.directory
      s.directory = first .. "/other"
      s.client.ledger_path = first .. "/ledger.db"
      local summary = assert(s:run(board_of { { "b", { prompt = "a" } } }))
      assert.same({ "reused" }, statuses(summary))
      assert.equal(s.directory .. "/media/", summary.scenes[1].file:match("^.*/"))
      assert.equal(1, s:submits())
    end)
  end)
end)

describe("a board with equal scenes", function()
  it("pays for one of them, and says so", function()
    studio.open({}, function(s)
      local board = board_of { { "a", { prompt = "x" } }, { "b", { prompt = "x" } } }
      local plan = assert(s:plan(board))
      assert.same({ "submit", "wait" }, actions(plan))
      assert.matches('equal to scene "a"', plan.scenes[2].why)
      assert.equal(40, plan.credits)
      local summary = assert(s:run(board))
      assert.same({ "fetched", "reused" }, statuses(summary))
      assert.equal(1, s:submits())
      assert.same({ "reuse", "reuse" }, actions(assert(s:plan(board))))
    end)
  end)
end)

describe("local files on a board", function()
  local PIXEL = "\137PNG\r\n\26\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\8\6\0\0\0\31\21\196\137\0\0\0\rIDATx\156c\252\207\192P\15\0\4\133\1\128"
    .. "\132\169\140!\0\0\0\0IEND\174B`\130"

  it("are uploaded once before the submit; a scene depends on their content, not on their path", function()
    studio.open({}, function(s)
      local function board(name)
        return board_of({ { "a", { prompt = "a", references = { "keeper" } } }, { "b", { prompt = "b", references = { "keeper" } } } },
          { references = { keeper = omni.file(s.directory .. "/" .. name) } })
      end
      env.write(s.directory .. "/one.png", PIXEL)
      env.write(s.directory .. "/two.png", PIXEL)
      assert.same({ "fetched", "fetched" }, statuses(assert(s:run(board "one.png"))))
      local tasks = s.sandbox:ledger().tasks
      assert.matches("^http://127", tasks[1].input.img_urls[1])
      assert.equal(tasks[1].input.img_urls[1], tasks[2].input.img_urls[1])
      assert.same({ "reused", "reused" }, statuses(assert(s:run(board "two.png"))))
      env.write(s.directory .. "/two.png", PIXEL .. "\0")
      local plan = assert(s:plan(board "two.png"))
      assert.same({ "submit", "submit" }, actions(plan))
      assert.matches("content changed", plan.scenes[1].why)
    end)
  end)

  it("are uploaded again if the service no longer has an earlier upload", function()
    studio.open({}, function(s)
      local function run(sandbox, ...)
        local client <close> = s:new_client { base_url = sandbox.url, ledger = s.directory .. "/ledger.db" }
        local scenes = {}
        for i, name in ipairs { ... } do scenes[i] = { name, { prompt = name, references = { omni.file(s.directory .. "/a.png") } } } end
        return statuses(assert(omni.run_storyboard(board_of(scenes), { client = client, directory = s.directory })))
      end
      env.write(s.directory .. "/a.png", PIXEL)
      assert.same({ "fetched" }, run(s.sandbox, "a"))
      local port = math.tointeger(tonumber(s.sandbox.url:match(":(%d+)$")))
      s.sandbox:close()
      local later <close> = assert(omni.sandbox { port = port, seconds = 0.05, clips = "builtin" })
      assert.same({ "reused", "fetched", "fetched" }, run(later, "a", "b", "c"))
      assert.equal(2, later:ledger().submits)
    end)
  end)

  it("that are missing make the scene invalid, and the run spends nothing", function()
    studio.open({}, function(s)
      local none = omni.file(s.directory .. "/none.png")
      local board = board_of { { "a", { prompt = "a", references = { none } } }, { "b", { prompt = "b" } } }
      local plan = assert(s:plan(board))
      assert.same({ "invalid", "submit" }, actions(plan))
      assert.matches("none.png", plan.scenes[1].why)
      local _, err = s:run(board)
      assert.equal("io", err.code)
      assert.matches('scene "a"', err.message)
      assert.equal(0, s:submits())
      assert.same({ "waiting", "fetched" }, statuses(assert(s:run(board, { only = { "b" } }))))
    end)
  end)
end)

describe("the ledger of a rehearsal", function()
  it("is in the output folder, and never contains real submits", function()
    studio.open({}, function(s)
      assert(s:run(studio.board "a"))
      assert.equal("rw-------", (env.output("stat -c %A " .. env.quote(s.directory .. "/ledger.db")):sub(2, 10)))
      local real <close> = assert(omni.client {
        base_url = s.sandbox.url, api_key = "ak_" .. ("r"):rep(32), ledger = s.directory .. "/ledger.db",
      })
      local _, err = omni.plan_storyboard(studio.board "a", { client = real, directory = s.directory })
      assert.equal("ledger_failed", err.code)
      assert.matches("never mixes", err.message)
      _, err = real:submit { prompt = "a" }
      assert.equal("ledger_failed", err.code)
      assert.equal(1, s:submits())
    end)
  end)

  it("knows that the tasks of an earlier sandbox ended with it", function()
    studio.open({ seconds = 60 }, function(s)
      local run, folder = s:begin(studio.board "a", { on_event = function(event)
        if event.event == "pending" then s.pending = true end
      end })
      repeat omni.sleep(0.01) until s.pending
      run:interrupt()
      run:join()
      folder:close()
      s.client:close()
      local sandbox <close> = assert(omni.sandbox { seconds = 0.05, clips = "builtin" })
      s.sandbox = sandbox
      local client <close> = s:new_client()
      s.client = client
      assert.same({ "fetched" }, statuses(assert(s:run(studio.board "a"))))
    end)
  end)
end)

describe("a board's own budget", function()
  it("also holds when two runs of the board spend at once", function()
    studio.open({ faults = { "slow:on=submit,delay=0.03" } }, function(s)
      local clients, plans = {}, {}
      for n = 1, 2 do -- both are planned before the first of them spends anything
        local scenes = {}
        for i = 1, 4 do scenes[i] = { ("%d-%d"):format(n, i), { prompt = ("%d-%d"):format(n, i) } } end
        local board = board_of(scenes, { budget = 160 })
        board.path = s.directory .. "/board.lua"
        clients[n] = s:new_client { ledger = s.directory .. "/ledger.db" }
        plans[n] = assert(omni.plan_storyboard(board, { client = clients[n], directory = s.directory .. "/" .. n }))
      end
      local function run(n)
        local folder <close> = assert(directories.open(s.directory .. "/" .. n))
        return start(plans[n], { client = clients[n], directory = folder, jobs = 2 }):join()
      end
      local first, second = omni.join(omni.spawn(run, 1), omni.spawn(run, 2))
      for _, client in ipairs(clients) do client:close() end
      local refused = 0
      for _, summary in ipairs { first, second } do
        for _, scene in ipairs(summary.scenes) do
          if scene.status == "refused" then
            refused = refused + 1
            assert.equal("over_budget", scene.error.code)
          end
        end
      end
      assert.equal(4, refused)
      assert.equal(160, s.sandbox:ledger().charged)
    end)
  end)
end)
