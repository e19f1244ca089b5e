-- SPDX-License-Identifier: MIT
-- Untrusted boards in the program: what --trust and --set allow, and Ctrl-C while a board loads.
local cjson = require "cjson"
local env = require "helper.env"
local program = require "helper.program"

describe("omni plan, with somebody else's board", function()
  local files

  before_each(function() files = env.directory() end)
  after_each(function() files:close() end)

  local SCENE <const> = '\nreturn storyboard { title = os.getenv "TITLE", cut = false, scene "a" { prompt = "x" } }'
  local function write(text) return env.write(files:file "film.lua", text .. SCENE) end
  local function plan(path, ...)
    return program.run({ "plan", path, "--sandbox", ... }, {
      environment = { CRUN_API_KEY = "ak_" .. ("0123456789abcdef"):rep(2), TITLE = "from outside" }, directory = files.path,
    })
  end

  it("runs no program that the board wants to run, and says which option would allow it", function()
    local result = plan(write 'os.execute("echo stolen: $CRUN_API_KEY > stolen.txt")')
    assert.equal(2, result.code)
    assert.matches("^omni: .*film.lua:1: os.execute isn't available to a board: .*; %-%-trust .* allows it\n$", result.err)
    assert.equal("", result.out)
    assert.same({ "film.lua" }, files:names())
  end)

  it("runs the program with --trust", function()
    local result = plan(write 'assert(os.execute "echo ran > ran.txt")', "--trust")
    assert.equal(0, result.code, result.err)
    assert.equal("ran\n", env.read(files:file "ran.txt"))
  end)

  it("hides the environment, and gives the board the values of --set", function()
    local path = write ""
    local function title(...)
      local result = plan(path, "--json", ...)
      assert.equal(0, result.code, result.err)
      local found = cjson.decode(result.out).title
      return found ~= cjson.null and found or nil
    end
    assert.is_nil(title())
    assert.equal("a=b c", title("--set", "OTHER=1", "--set", "TITLE=a=b c"))
    assert.equal("from outside", title "--trust")
    assert.equal("", title("--trust", "--set", "TITLE="))
    for _, wrong in ipairs { "TITLE", "=x", "" } do
      local result = plan(path, "--set", wrong)
      assert.equal(2, result.code)
      assert.matches("%-%-set: expected NAME=VALUE, got '" .. wrong .. "'", result.err)
    end
  end)

  it("prints the board's output on stderr, without control characters", function()
    local result = plan(write 'print("one", 2, nil)\nprint "\\27[2Jthree"', "--json")
    assert.equal("one 2 nil\n?[2Jthree\n", result.err)
    assert.equal("plan", cjson.decode(result.out).event)
  end)

  it("can be interrupted by Ctrl-C while the board loops", function()
    local child = program.start({ "plan", write "while true do end" }, { directory = files.path })
    local children = ("/proc/%s/task/%s/children"):format(child.pid, child.pid)
    env.become(function() return env.read(children):find "%d" end)
    local board = env.read(children):match "%d+"
    child:signal "INT"
    local result = child:finish()
    assert.equal(130, result.code)
    assert.equal("omni: interrupted: nothing was submitted\n", result.err)
    assert.is_nil(env.read("/proc/" .. board .. "/stat"))
  end)

  it("can be interrupted by Ctrl-C while a trusted board loops, even if the board catches errors", function()
    local text = 'io.open("started", "w"):close()\n'
      .. 'coroutine.wrap(function() while true do pcall(function() while true do end end) end end)()'
    local child = program.start({ "plan", write(text), "--trust" }, { directory = files.path })
    env.become(function() return env.read(files:file "started") end)
    child:signal "INT"
    local result = child:finish()
    assert.equal(130, result.code)
    assert.equal("omni: interrupted: nothing was submitted\n", result.err)
  end)
end)
