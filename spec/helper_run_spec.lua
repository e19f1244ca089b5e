-- SPDX-License-Identifier: MIT
-- spec/helper/run: it runs spec files side by side, each in a process of its own.

local env = require "helper.env"

describe("the runner of specs", function()
  local files

  before_each(function()
    files = env.directory()
    env.output("mkdir " .. env.quote(files:file "specs"))
  end)
  after_each(function() files:close() end)

  local function spec(name, body) env.write(files:file("specs/" .. name .. "_spec.lua"), body) end

  -- Its command, for the spec files of this test or for other places.
  local function command(places)
    return ("CC=cc LUA=%s spec/helper/run test %s %s"):format(env.quote(env.plain_lua),
      env.quote("../" .. ("../"):rep(20) .. files:file "build"), places or env.quote(files:file "specs"))
  end

  -- Runs it: its lines, its exit status.
  local function run(places)
    local pipe = assert(io.popen(command(places) .. " 2>&1"))
    local lines = {}
    for line in pipe:lines() do lines[#lines + 1] = line end
    local _, _, status = pipe:close()
    return lines, status or 0
  end

  local function await_end(pid)
    repeat until not env.is_alive(pid)
  end

  it("ends with the sum of all files, and shows one line for a file that passes", function()
    spec("one", 'it("a", function() end) it("b", function() end) print "chatter"')
    spec("two", 'it("c", function() end) pending "d"')
    local lines, status = run()
    assert.same({ "3 passed, 0 failed, 1 skipped", 0 }, { lines[#lines], status })
    assert.equal(4, #lines, table.concat(lines, "\n"))
    local text = table.concat(lines, "\n")
    assert.matches("one_spec.lua: 2 passed, 0 failed\n", text, 1, true)
    assert.matches("two_spec.lua: 1 passed, 0 failed, 1 skipped\n", text, 1, true)
  end)

  it("prints the whole output of a file that failed, and fails", function()
    spec("good", 'it("a", function() end)')
    spec("bad", 'print "chatter" it("b", function() assert.equal(1, 2) end)')
    local lines, status = run()
    assert.same({ "1 passed, 1 failed", 1 }, { lines[#lines], status })
    assert.matches("\nchatter\n.*Failure.*bad_spec.lua @ 1", table.concat(lines, "\n"))
  end)

  it("counts a file that dies, or ends without its summary, as a failure", function()
    spec("killed", 'it("a", function() os.execute("kill -9 $PPID") end)')
    spec("ended", 'it("b", function() os.exit(0) end)')
    spec("late", 'it("c", function() end) setmetatable({}, { __gc = function() os.exit(3) end })')
    spec("broken", "it(")
    local lines, status = run()
    assert.same({ "1 passed, 4 failed", 1 }, { lines[#lines], status })
    assert.matches("late_spec.lua: 1 passed, 0 failed, but it ended with status 3", table.concat(lines, "\n"), 1, true)
  end)

  it("refuses paths that don't exist, and paths without specs", function()
    assert.not_equal(0, select(2, run(env.quote(files:file "nowhere"))))
    assert.not_equal(0, select(2, run()))
  end)

  it("runs the files in processes of their own, with their own folders, and removes what they leave", function()
    for _, name in ipairs { "one", "two" } do
      spec(name, ([[it("a", function()
        local out = assert(io.open(%q, "w"))
        out:write(os.getenv "TMPDIR", "\n", os.getenv "XDG_STATE_HOME", "\n")
        local pipe = io.popen "sleep 1000 </dev/null >/dev/null 2>&1 & echo $!; trap '' INT; kill -INT $$; echo alive"
        out:write(pipe:read "a")
        assert(out:close())
        local file = assert(io.open(os.getenv "TMPDIR" .. "/left", "w"))
        file:close()
      end)]]):format(files:file(name)))
    end
    local lines, status = run()
    assert.same({ "2 passed, 0 failed", 0 }, { lines[#lines], status })
    local one, two = env.lines("cat " .. env.quote(files:file "one")), env.lines("cat " .. env.quote(files:file "two"))
    for i = 1, 3 do assert.not_equal(one[i], two[i]) end
    for _, left in ipairs { one, two } do
      assert.is_nil(io.open(left[1]))
      await_end(left[3])
    end
  end)

  it("starts first the file that was slowest last time", function()
    for _, name in ipairs { "a", "b", "c" } do
      spec(name, ('it("x", function() local f = io.open(%q, "a") f:write(%q) f:close() %s end)'):format(files:file "order", name,
        name == "b" and "os.execute 'sleep 0.3'" or ""))
    end
    env.output("JOBS=1 " .. command())
    os.remove(files:file "order")
    env.output("JOBS=1 " .. command())
    assert.matches("^b", env.read(files:file "order"))
  end)

  it("stops all files at Ctrl-C", function()
    spec("long", ('it("a", function() os.execute("echo $$ >%s; exec sleep 1000") end)'):format(files:file "pid"))
    local pipe = assert(io.popen("echo $$; exec env --default-signal=INT " .. command()))
    local runner = pipe:read "l"
    local sleeper
    repeat
      sleeper = (env.read(files:file "pid") or ""):match "(%d+)\n"
      assert(sleeper or env.is_alive(runner), "the runner ended before its spec began")
    until sleeper
    assert(os.execute("kill -INT " .. runner))
    pipe:read "a"
    assert.equal(130, select(3, pipe:close()))
    await_end(sleeper)
  end)
end)
