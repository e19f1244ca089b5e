-- SPDX-License-Identifier: MIT
local env = require "helper.env"
local program = require "helper.program"

describe("omni lua", function()
  local files, script

  before_each(function()
    files = env.directory()
    script = files:file "script.lua"
  end)
  after_each(function() files:close() end)

  local function run(text, ...)
    env.write(script, text)
    local arguments = { "lua", ... }
    return program.run(arguments)
  end

  it("runs a script in the loop, with omni and the board's words as globals, and with its arguments", function()
    local result = run([[
      omni.sleep(0.001)
      assert(require "omni" == omni and omni.storyboard == storyboard and omni.scene == scene)
      print(arg[0], #arg, ...)
    ]], script, "--json", "-x", "two words", "--")
    assert.same({ 0, script .. "\t4\t--json\t-x\ttwo words\t--", "" }, { result.code, result.out, result.err })
  end)

  it("with --sandbox makes a film without a key, a network or a change of the script", function()
    local path = files:file "film.mp4"
    local result = run([[
      local client = assert(omni.client())
      local task = assert(client:submit { prompt = "A paper boat", duration = 4 })
      assert(task:await())
      print(task.status, task.credits, (assert(task:save(...))))
    ]], "--sandbox", "--seconds", "0.05", script, path)
    assert.same({ 0, "success\t40\t" .. path }, { result.code, result.out })
    assert.equal("ftyp", env.read(path):sub(5, 8))
  end)

  it("uses --base-url as the client's default", function()
    local service = program.service()
    env.write(script, "print(assert(omni.client()):balance())")
    local result = program.run({ "lua", "--base-url", service.url, script }, { environment = { CRUN_API_KEY = service.key } })
    assert.equal("10000", result.out)
    service.stop()
  end)

  it("loads C modules of the system, and keeps Lua's own search for modules", function()
    local result = run('print(require "cjson".encode { 1 }, type(require "cqueues"), type(require "luv"))', script)
    assert.same({ 0, "[1]\ttable\ttable" }, { result.code, result.out })
  end)

  it("waits for every fiber that the script has spawned", function()
    local result = run("omni.spawn(function() omni.sleep(0.01) print 'late' end) print 'early'", script)
    assert.same({ "early", "late" }, result.lines)
  end)

  it("reads a script from stdin", function()
    local result = program.run({ "lua", "-", "a" }, { input = "print(..., arg[0])" })
    assert.same({ 0, "a\t-" }, { result.code, result.out })
  end)

  it("prints a script's error with its place and traceback, and exits with 1", function()
    local result = run("local function inner() error 'boom' end\ninner()", script)
    assert.equal(1, result.code)
    assert.equal(1, (result.err:find("omni: " .. script .. ":1: boom\n", 1, true)))
    assert.is_truthy(result.err:find(script .. ":2: in ", 1, true))
    result = run("omni.spawn(function() error 'in a fiber' end)\nomni.sleep(0.01)", script)
    assert.equal(1, result.code)
    assert.matches(":1: in a fiber", result.err)
  end)

  it("prints the message of an error value, and exits with the code that the script chooses", function()
    local result = run('assert(omni.client { api_key = "a\\nb" })', script)
    assert.equal(1, result.code)
    assert.matches("^omni: the API key can't be used", result.err)
    assert.equal(7, run("os.exit(7)", script).code)
  end)

  it("refuses a missing script, and a file that isn't Lua text, as a misuse", function()
    assert.equal(2, program.run({ "lua", "/nonexistent.lua" }).code)
    local result = run("x = = 1", script)
    assert.same({ 2, "" }, { result.code, result.out })
    assert.is_truthy(result.err:find(script .. ":1:", 1, true))
    assert.equal(2, run(string.dump(load "return 1"), script).code)
  end)

  it("at Ctrl-C waits for sent submits, prints the tasks in flight, and exits with 130", function()
    env.write(script, [[
      local client = assert(omni.client())
      local task = assert(client:submit { prompt = "one" })
      omni.spawn(function() task:await() end)
      omni.spawn(function() client:submit { prompt = "slow" } print "not to be seen" end)
      omni.sleep(0.05)
      io.stdout:write(task.id, "\n"):flush()
    ]])
    local child = program.start { "lua", "--sandbox", "--seconds", "100", "--fault", "slow:on=submit,match=slow,delay=0.4", script }
    local id = child:wait_for("%x+%-%x+")
    child:signal("INT")
    local result = child:finish()
    assert.same({ 130, id }, { result.code, result.out })
    assert.is_truthy(result.err:find("task " .. id, 1, true))
    assert.equal(2, select(2, result.err:gsub("\n  task ", "")))
  end)

  it("at the second Ctrl-C ends at once", function()
    env.write(script, "io.stdout:write('ready\\n'):flush() while true do end")
    local child = program.start { "lua", script }
    child:wait_for("ready")
    child:signal("INT")
    child:signal("TERM")
    assert.equal(130, child:finish().code)
  end)
end)
