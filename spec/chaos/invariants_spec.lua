-- SPDX-License-Identifier: MIT
-- The checks of `make chaos` notice each thing that may not happen.

local asked = require "helper.ledger"
local cjson = require "cjson"
local core = require "omni.core"
local env = require "helper.env"
local invariants = require "chaos.invariants"
local omni = require "omni"
local program = require "helper.program"

local KEY <const> = "ak_" .. ("5ec2e7"):rep(5) .. "00"

describe("the checks of chaos", function()
  local folder, state, pristine, bytes_of

  setup(function()
    folder = env.directory()
    local path = folder:file "ledger.db"
    omni.run(function()
      local sandbox <close> = assert(omni.sandbox { key = KEY, seconds = 0.05, clips = "builtin" })
      local client <close> = assert(omni.client { base_url = sandbox.url, api_key = KEY, ledger = path, poll_min = 0.02, poll_max = 0.1 })
      local board = omni.storyboard { defaults = { duration = 4 }, omni.scene "a" { prompt = "a" }, omni.scene "b" { prompt = "b" } }
      assert(omni.run_storyboard(board, { client = client, directory = folder:file "out", budget = 80 }))
      assert(client:submit { prompt = "lost", duration = 4 })
      state = { charges = sandbox:ledger().tasks, ledger = path, folder = folder.path, keys = { KEY }, truth = {},
        budgets = { { name = "the board", credits = 80, contains = function(prompt) return #prompt == 1 end } },
        films = { { path = folder:file "out/film.mp4", media = folder:file "out/media", clips = 2 } } }
      for _, task in ipairs(sandbox.service.tasks.in_order) do state.truth[task.id] = core.sha256(env.read(task.files.mp4)) end
    end)
    asked.sqlite3(path, "UPDATE submit SET state = 'unknown', task_id = NULL WHERE input LIKE '%lost%'; PRAGMA journal_mode = DELETE;")
    state.shown = program.run({ "status", "--json", "--ledger", path }).out
    bytes_of = {}
    for _, file in ipairs(env.lines(("find %s -type f"):format(env.quote(folder.path)))) do bytes_of[file] = env.read(file) end
    pristine = state
  end)
  teardown(function() folder:close() end)
  before_each(function() state = setmetatable({ charges = { table.unpack(pristine.charges) } }, { __index = pristine }) end)
  after_each(function()
    for _, file in ipairs(env.lines(("find %s -type f"):format(env.quote(folder.path)))) do os.remove(file) end
    for file, bytes in pairs(bytes_of) do env.write(file, bytes) end
  end)

  local function check(with_films)
    if not with_films then state.films = {} end -- ffprobe takes most of the time
    return invariants.check(state)
  end

  it("find nothing wrong when all is well, also with an unknown row that is shown", function()
    local violations, checked = check(true)
    assert.same({}, violations)
    assert.matches("^3 charges, 3 rows, %d+ files, 1 films, %d+ KB searched$", checked)
  end)

  local function sql(text) return function() asked.sqlite3(state.ledger, text) end end
  local function clip(scene) return env.lines(("ls %s/out/media/%s-*.mp4"):format(folder.path, scene))[1] end
  local function charge_again(changes)
    local copy = cjson.decode(cjson.encode(state.charges[1]))
    for name, value in pairs(changes) do copy[name] = value end
    table.insert(state.charges, copy)
  end

  local mutations <const> = {
    { "a row is lost", sql "DELETE FROM file; DELETE FROM submit WHERE input LIKE '%\"a\"%'", "has no row, and none is unknown" },
    { "a row loses its task id", sql "UPDATE submit SET task_id = NULL WHERE input LIKE '%\"a\"%'", "has no row" },
    { "an unknown row is lost", sql "DELETE FROM submit WHERE state = 'unknown'", "none is unknown: lost" },
    { "an unknown row isn't shown", function() state.shown = '{"unknown":[]}' end, "row 3 is unknown, and isn't shown" },
    { "a row is there twice", sql("INSERT INTO submit (account, model, input, state, session, task_id, intended_at) SELECT account, model,"
      .. " input, state, session, task_id, intended_at FROM submit WHERE id = 1"), "has 2 rows" },
    { "a row has the task of another submit", sql "UPDATE submit SET input = '{\"prompt\":\"c\"}' WHERE id = 1", "row of another submit" },
    { "a charged row says refused", sql "UPDATE submit SET state = 'refused' WHERE id = 1", "says refused" },
    { "a failed task is taken for a success", function() charge_again { task_id = "x", status = "failed", input = { prompt = "c" } }
      asked.sqlite3(state.ledger, "INSERT INTO submit (account, model, input, state, session, task_id, intended_at) SELECT account, model,"
      .. " '{\"prompt\":\"c\"}', state, session, 'x', 0 FROM submit WHERE id = 1") end, "success in the ledger, but failed" },
    { "the ledger has an invented task", sql "UPDATE submit SET task_id = 'invented' WHERE id = 1", "doesn't exist: invented" },
    { "a success is submitted again", function() charge_again { task_id = "x" } end, "paid twice: [ab] %(%S+ was success" },
    { "a budget is passed", function() charge_again { task_id = "x", input = { prompt = "z" } } end, "board was 80, spent are 120" },
    { "a file is lost", function() os.remove(clip "a") end, "a file is missing" },
    { "a file is cut off", function() env.write(clip "a", env.read(clip "a"):sub(1, -2)) end, "a file has changed" },
    { "a file is another task's", function()
      state.truth = { [state.charges[1].task_id] = "0", [state.charges[2].task_id] = "0" }
    end, "isn't the clip of task" },
    { "a half file has a final name", function() env.write(folder:file "out/media/c-1.mp4", "half") end, "isn't the clip of any task" },
    { "the film lacks a clip", function() env.write(folder:file "out/film.mp4", env.read(clip "a")) end, "film of 2 clips has %d+ frames" },
    { "the film can't be read", function() env.write(folder:file "out/film.mp4", "") end, "a film can't be read" },
    { "the ledger has another film", sql "UPDATE film SET sha256 = 'x'", "isn't the one in the ledger" },
    { "a log has a key", function() env.write(folder:file "a.log", "key: " .. KEY) end, "an API key is in %S+a.log" },
    { "a log has an error within omni", function() env.write(folder:file "a.log", "x: attempt to index a nil value") end,
      "a.log: x: attempt to index" },
  }
  for _, mutation in ipairs(mutations) do
    it("notice that " .. mutation[1], function()
      mutation[2]()
      local violations = table.concat(check(mutation[1]:find "film"), "\n")
      assert.matches(mutation[3], violations)
    end)
  end
end)
