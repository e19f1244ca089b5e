-- SPDX-License-Identifier: MIT
-- Submits with an unknown outcome: omni shows what it knows of them and never sends them again by itself; only a person decides.
local asked = require "helper.ledger"
local cjson = require "cjson"
local env = require "helper.env"
local hostile = require "helper.hostile"
local program = require "helper.program"

local BOARD = [[
return storyboard {
  title = "Night", defaults = { duration = 4 },
  scene "lost" { prompt = "lost" },
  scene "sea" { prompt = "sea", img_urls = { "https://example.com/sea.jpg" } },
  scene "dawn" { prompt = "dawn", continues = "lost" },
}
]]

describe("a submit with an unknown outcome", function()
  local files, board, out, service
  local ledger, is_given -- a ledger of another backend isn't in the output folder, and every command needs its name

  before_each(function()
    files = env.directory()
    board, out = env.write(files:file "board.lua", BOARD), files:file "out"
    ledger = asked.new(out .. "/ledger.db")
    is_given = ledger ~= out .. "/ledger.db"
  end)
  after_each(function()
    if service then service.stop() end
    service = nil
    files:close()
  end)

  local function omni(...) return program.run({ ... }, { environment = service.environment }) end
  -- Adds the ledger's name to words, if it isn't the usual one.
  local function with_ledger(...)
    if not is_given then return ... end
    return "--ledger", ledger, ...
  end
  local function run(...) return omni("run", board, "--yes", "--out", out, with_ledger(...)) end
  local function plan(...) return omni("plan", board, "--out", out, with_ledger(...)) end
  -- Starts a service that accepts those submits without a response, and runs the board once.
  local function lose(...)
    service = program.service { ... }
    local result = run()
    assert.equal(4, result.code, result.out .. result.err)
    return result
  end
  -- Returns the sandbox's task for a prompt.
  local function task_of(prompt)
    for _, task in ipairs(service.ledger().tasks) do
      if task.input.prompt == prompt then return task.task_id end
    end
  end
  -- The ledger's name in commands that omni prints.
  local function shown() return is_given and env.quote(ledger) or ledger end

  it("is shown with time, error, balance and the ways out; only scenes that build on it wait", function()
    local result = lose("--fault", "drop-after:on=submit,match=lost")
    local known = "\n +submitted 20%d%d%-%d%d%-%d%d [%d:]+; it may have cost about 40 sandbox credits; balance 10000 before, %d+ after"
    assert.matches("\n  lost  unknown  .*" .. known, result.out)
    assert.matches("\n  dawn  blocked  not submitted: it builds on scene \"lost\"", result.out)
    assert.matches("\n  sea   40 sandbox credits", result.out)
    assert.matches("and about 40 not yet reported", result.out)
    local given = is_given and " --ledger " .. shown() or ""
    for _, wanted in ipairs { ("omni run %s --out %s%s --adopt lost TASK_ID\n"):format(board, out, given),
      ("omni run %s --out %s%s --resubmit lost\n"):format(board, out, given), ("omni forget 1 --ledger %s\n"):format(shown()) } do
      assert.is_truthy(result.out:find(wanted, 1, true), wanted .. " is missing in\n" .. result.out)
    end
    assert.equal(2, service.submits())
    local report = env.read(out .. "/report.html"):gsub("<[^>]*>", ""):gsub("&#39;", "'"):gsub("&amp;", "&") -- with the same commands
    for command in result.out:gmatch ":  (omni [^\n]+)" do assert.is_truthy(report:find(command, 1, true), command) end

    local again = run()
    assert.equal(4, again.code)
    local function times(text) return select(2, again.out:gsub(text, "")) end
    assert.same({ 1, 1, 2 }, { times "%-%-adopt lost", times "%-%-resubmit lost", times "balance 10000 before" }) -- plan, summary
    assert.matches("\nlost: unknown\ndawn: blocked\n", again.out)
    assert.equal(2, service.submits())
    local planned = plan()
    assert.equal(4, planned.code)
    assert.matches("\n  %? unknown  lost +submitted .*it may have cost about 40 sandbox credits; balance 10000 before, %d+ after",
      planned.out)
    assert.is_truthy(planned.out:find("--resubmit lost\n", 1, true))
    assert.matches('\n  > wait     dawn +new; blocked by "lost"\n', planned.out)
    assert.matches("1 to reuse, 1 unknown, 1 blocked: nothing to pay", planned.out)
    local event = cjson.decode(plan("--json").lines[1])
    assert.same({ "unknown", 1, 4 }, { event.scenes[1].action, event.scenes[1].submit, event.exit })
    assert.same({ "lost" }, event.scenes[3].blocked_by)
  end)

  it("in a rehearsal has the rehearsal's command as its way out, on the terminal and in the report", function()
    local result = program.run({ "run", board, "--sandbox", "--seconds", "0.05", "--out", out, "--fault",
      "drop-after:on=submit,match=lost" }, { environment = program.tools })
    assert.equal(4, result.code)
    local command = ("omni run %s --sandbox --out %s"):format(board, out)
    assert.is_truthy(result.out:find("submit it once more:  " .. command .. "\n", 1, true), result.out)
    assert.is_nil(result.out:find "%-%-resubmit" or result.out:find "%-%-adopt")
    local report = env.read(out .. "/report.html"):gsub("<[^>]*>", "")
    assert.is_truthy(report:find("submit it once more: " .. command, 1, true))
    assert.is_nil(report:find "%-%-resubmit" or report:find "%-%-adopt")
  end)

  it("is sent again by --resubmit, after the usual consent; the scenes that build on it follow", function()
    lose("--fault", "drop-after:on=submit,match=lost,first=1")
    local refused = omni("run", board, "--out", out, with_ledger("--resubmit", "lost"))
    assert.equal(3, refused.code)
    assert.matches("no terminal to ask on", refused.err)
    local planned = plan("--resubmit", "lost")
    assert.same({ 0 }, { planned.code })
    assert.matches("%+ submit   lost  40 sandbox credits  submitted again on request: submitted ", planned.out)
    assert.equal(2, service.submits())
    local result = run("--resubmit", "lost")
    assert.same({ 0, 4 }, { result.code, service.submits() })
    -- Once the outcome is known, --resubmit says that there is nothing to submit again.
    result = run("--resubmit", "lost")
    assert.same({ 0, 4 }, { result.code, service.submits() })
    assert.matches('^omni: %-%-resubmit: the outcome of scene "lost" isn\'t unknown', result.err)
  end)

  it("gets the task that a person has found by --adopt; omni fetches the task and doesn't pay again", function()
    lose("--fault", "drop-after:on=submit,match=lost,first=1")
    local id = task_of "lost"
    local result = run("--adopt", "lost", id)
    assert.same({ 0, 3 }, { result.code, service.submits() })
    assert.matches("\n  ~ fetch    lost", result.out)
    assert.matches("3 of 3 scenes done, 40 sandbox credits", result.out)
    assert.matches("\n  lost  paid for before  ", result.out)
    assert.matches("the board has cost 120 sandbox credits so far\n?$", result.out)
    assert.equal(0, run("--adopt", "lost", id).code) -- the same command once more
    assert.equal(3, service.submits())
  end)

  it("gets a task whose input has the service's defaults, unless such a field names a file", function()
    env.write(board, 'return storyboard { cut = false, scene "a" { prompt = "one", img_urls = { "https://example.com/a.png" } } }')
    local server <close> = hostile.start()
    local echo = '{"code":200,"message":"success","data":{"task_id":"lost-1","status":"%s","credits":60,'
      .. '"param":{"model":"google/gemini-omni","input":{"prompt":"%s","img_urls":["https://example.com/a.png"%s],%s}},"result":null}}'
    local function adopt(status, prompt, urls, more)
      local told = echo:format(status or "running", prompt or "", urls or "", more or "")
      server:script {
        { method = "GET", target = "TaskInfo", turns = { { hostile.json(told) } } },
        { method = "POST", target = "EstimateTask", turns = { { hostile.json '{"code":200,"data":{"estimated_credits":60}}' } } },
        { method = "POST", target = "CreateTask", turns = { { hostile.close() } } },
        GET = { { hostile.json('{"code":404,"message":"no"}', "404 No") } },
      }
      return program.run({ "run", board, "--out", out, "--ledger", files:file "l.db", "--budget", "100",
        table.unpack(prompt and { "--adopt", "a", "lost-1" } or {}) }, { environment = {
          CRUN_BASE_URL = server.url, CRUN_API_KEY = "ak_" .. ("x"):rep(32),
        } })
    end
    assert.equal(4, adopt().code)
    local defaults = '"duration":4,"resolution":"720p","negative_prompt":"","options":{"fast":false,"list":[1,2]},"seed":null'
    for message, answer in pairs {
      ["prompt: the task has two, the scene one"] = { "failed", "two", "", defaults },
      ["img_urls%[2%]: the task has https://example.com/b.png, the scene none"] = {
        "failed", "one", ',"https://example.com/b.png"', defaults },
      ["video: the task has .*, the scene none"] = { "failed", "one", "", '"video":{"url":"https://example.com/v.mp4"}' },
    } do
      local result = adopt(table.unpack(answer))
      assert.equal(3, result.code)
      assert.matches(message, result.err)
    end
    local result = adopt("failed", "one", "", defaults)
    assert.not_equal(3, result.code)
    assert.matches("the generation failed", result.out .. result.err)
  end)

  it("gets no other task: with another model or input, in another row, or unknown to the service", function()
    lose("--fault", "drop-after:on=submit,first=2") -- lost and sea
    local function refused(code, message, scene, id)
      local result = run("--adopt", scene, id)
      assert.equal(code, result.code, result.out .. result.err)
      assert.matches(message, result.err)
      assert.equal("", result.out)
    end
    refused(3, 'scene "lost": img_urls: the task has %["https://example.com/sea.jpg"%], the scene none; '
      .. "prompt: the task has sea, the scene lost %(task", "lost", task_of "sea")
    refused(3, "no such task", "lost", "00000000-0000-0000-0000-000000000000")
    refused(2, "task_id: must be", "lost", "not an id")
    -- The same input, given to another model.
    local other = omni("lua", env.write(files:file "other.lua", [[
      print(assert(omni.client()):submit({ prompt = "lost", duration = 4 }, { model = "kling/v3" }).id)
    ]]))
    refused(3, "model: the task has kling/v3, the scene google/gemini%-omni", "lost", other.lines[1])
    -- A task in the ledger, of another scene.
    assert.equal(4, run("--adopt", "lost", task_of "lost").code)
    refused(3, 'the ledger already has it, as number %d, scene "lost"', "sea", task_of "lost")
    refused(2, 'scene "lost" has no submit with an unknown outcome', "lost", task_of "sea")
    assert.equal(4, service.submits()) -- the two, the other model's, and dawn
  end)

  it("whose row was lost also gets its task by --adopt, if omni would submit the scene with the same input", function()
    service = program.service {}
    assert.equal(0, run().code)
    env.output("rm -r " .. env.quote(out))
    if is_given then ledger = asked.new() end
    local result = run("--adopt", "sea", task_of "lost")
    assert.equal(3, result.code, result.out .. result.err)
    assert.matches('can\'t be that of scene "sea": img_urls: the task has none, the scene %["https://example.com/sea.jpg"%]; '
      .. "prompt: the task has lost, the scene sea", result.err)
    result = run("--adopt", "lost", "00000000-0000-0000-0000-000000000000")
    assert.equal(3, result.code)
    assert.matches("no such task", result.err)
    assert.equal(3, service.submits())

    local adopted = { "--adopt", "lost", task_of "lost", "--adopt", "sea", task_of "sea", "--adopt", "dawn", task_of "dawn" }
    result = run(table.unpack(adopted))
    assert.same({ 0, 3 }, { result.code, service.submits() }, result.out .. result.err)
    for _, scene in ipairs { "lost", "sea ", "dawn" } do assert.matches("\n  ~ fetch    " .. scene, result.out) end
    assert.matches("the board has cost 120 sandbox credits so far\n?$", result.out)
    assert.equal(0, run(table.unpack(adopted)).code) -- the same command once more
    result = run("--adopt", "lost", task_of "sea")
    assert.equal(2, result.code)
    assert.matches('scene "lost" has no submit with an unknown outcome: it is done %(task ', result.err)
    assert.equal(3, service.submits())
  end)

  it("whose row was lost gets no task that the ledger has for another scene, and neither does an equal scene", function()
    service = program.service {}
    env.write(board, 'return storyboard { scene "one" { prompt = "x", take = 1 }, scene "two" { prompt = "x", take = 2 } }')
    assert.equal(0, run("--only", "one").code)
    local result = run("--adopt", "two", task_of "x")
    assert.equal(3, result.code)
    assert.matches('the ledger already has it, as number 1, scene "one"', result.err)
    env.write(board, 'return storyboard { scene "three" { prompt = "y" }, scene "four" { prompt = "y" } }')
    result = run("--adopt", "four", task_of "x")
    assert.equal(2, result.code)
    assert.matches('scene "four" equals scene "three": adopt the task for that scene', result.err)
    assert.equal(1, service.submits())
  end)

  it("gets no task of another service", function()
    env.write(board, 'return storyboard { scene "lost" { prompt = "lost" } }')
    local one = is_given and ledger or files:file "one.db"
    service = program.real_service { faults = { "drop-after:on=submit" } }
    assert.equal(4, run("--ledger", one).code)
    local id = task_of "lost"
    service.stop()
    service = program.real_service()
    local result = run("--ledger", one, "--adopt", "lost", id)
    assert.not_equal(0, result.code)
    assert.equal(0, service.submits())
  end)

  it("is given up by omni forget; the scene then counts as new", function()
    lose("--fault", "drop-after:on=submit,match=lost,first=1")
    local function forget(...) return omni("forget", "--ledger", ledger, ...) end
    local result = forget "1"
    assert.equal(3, result.code)
    assert.matches('^1: scene "lost" of board.lua, submitted .*: it may have been charged %(about 40 sandbox credits%)\n', result.err)
    assert.matches("nothing was changed: there is no terminal to ask on\n.*%-%-yes", result.err)
    for _, wrong in ipairs { "7", "0", "-1", "1.0", "x y" } do
      result = forget("1", "--yes", "--", wrong)
      assert.equal(2, result.code, wrong)
      assert.matches("isn't a submit in this ledger; nothing was changed", result.err)
    end
    local shown_to_user = program.on_terminal({ "forget", "1", "--ledger", ledger }, { input = "n\n" })
    assert.equal(3, shown_to_user.code)
    assert.matches("Forget it%? %[y/N%]", shown_to_user.out)
    assert.equal(4, plan().code)

    result = forget("1", "--yes")
    assert.same({ 0, "forgot 1" }, { result.code, result.out })
    assert.matches("\n  %+ submit   lost  40 sandbox credits  forgotten before\n", plan().out)
    assert.equal(2, service.submits())
    result = run()
    assert.same({ 0, 4 }, { result.code, service.submits() })
    assert.equal(2, forget("1", "--yes").code)
  end)
end)

describe("omni forget", function()
  it("gives up a task in flight by its id, and says that the task is charged", function()
    local files <close> = env.directory()
    local board, service = env.write(files:file "board.lua", BOARD), program.service { "--seconds", "100" }
    local child = program.start({ "run", board, "--yes", "--jobs", "1" }, { environment = service.environment })
    local id = child:wait_for("lost: pending"):match("task ([%x-]+)")
    child:signal("INT")
    assert.equal(130, child:finish().code)
    local result = program.run { "forget", id, "--yes", "--ledger", files:file "board.omni/ledger.db" }
    service.stop()
    assert.equal(0, result.code)
    local said = ('1: scene "lost" of board.lua, task %s: it goes on at the service and is charged'):format(id)
    assert.is_truthy(result.err:find(said, 1, true), result.err)
  end)

  it("without a ledger says that there is none, and creates none", function()
    local files <close> = env.directory()
    local result = program.run { "forget", "1", "--yes", "--ledger", files:file "ledger.db" }
    assert.equal(2, result.code)
    assert.matches("there is no ledger at .*ledger.db", result.err)
    assert.same({}, files:names())
  end)
end)
