-- SPDX-License-Identifier: MIT
local core = require "omni.core"
local env = require "helper.env"
local err = require "omni.error"
local loop = require "omni.loop"
local preloaded = require "helper.preloaded"
local process = require "omni.process"

-- Steps a process until it has ended, through its pollable methods.
local function finish(p)
  local ready = core.poll_set()
  ready:add(p:pollfd())
  local deadline = core.now() + env.seconds(20)
  while not p:step() do
    assert(core.now() < deadline, "it doesn't end")
    ready:wait(p:timeout() or env.seconds(20), {})
  end
  ready:close()
  return p:result()
end

local function run(argv, options)
  local p <close> = assert(core.process(argv, options))
  return finish(p)
end

local function sh(script, options) return run({ "sh", "-c", script }, options) end

-- Returns the first output of a program that still runs.
local function first_output(p)
  local ready, text = core.poll_set(), ""
  ready:add(p:pollfd())
  repeat
    ready:wait(p:timeout() or env.seconds(20), {})
    assert(not p:step(), "it ended too early")
    text = text .. p:read()
  until text:find "\n"
  ready:close()
  return text
end

-- Returns whether a process with this number exists, zombies included.
local function exists(pid) return sh("kill -0 " .. pid).exit == 0 end

-- Starts a program that keeps running; returns its number and its child's.
local function runs_on()
  local p = assert(core.process({ "sh", "-c", "sleep 1000 & echo $$ $!; wait" }, { stdout = "pipe" }))
  local pid, child = first_output(p):match "(%d+) (%d+)"
  assert(exists(pid) and exists(child))
  return p, pid, child
end

-- Waits until a grandchild is dead: somebody else reaps it, so a zombie counts.
local function dies(pid)
  local deadline = core.now() + env.seconds(5)
  repeat
    local status = env.read("/proc/" .. pid .. "/stat")
    if not status or status:match "%) (%a)" == "Z" then return true end
  until core.now() > deadline
  return false
end

describe("a program", function()
  it("gets its arguments unchanged, without a shell", function()
    local odd = { "a b", "", "'\"`$HOME`", "*", "line\nbreak", "\\", "-n", ";ls", "日本\xff", "$(id)" }
    local result = run({ "printf", "%s|", table.unpack(odd) }, { stdout = "pipe" })
    assert.equal(table.concat(odd, "|") .. "|", result.stdout)
  end)

  it("has an exit code in its result", function()
    assert.same({ exit = 0, stdout = "", stderr = "" }, run { "true" })
    assert.same({ exit = 7, stdout = "", stderr = "" }, sh "exit 7")
  end)

  it("has the signal that ended it in its result", function()
    assert.same({ signal = 15, stdout = "", stderr = "" }, sh "kill -TERM $$")
  end)

  it("by default has its stderr captured and its stdout discarded", function()
    local script = "echo out; echo err >&2"
    assert.same({ exit = 0, stdout = "", stderr = "err\n" }, sh(script))
    assert.same({ exit = 0, stdout = "out\n", stderr = "" }, sh(script, { stdout = "pipe", stderr = "null" }))
  end)

  it("can inherit our stdout and stderr", function()
    local code = [[
      local core = require "omni.core"
      local ours = { stdout = "inherit", stderr = "inherit" }
      local p <close> = core.process({ "sh", "-c", "echo out; echo err >&2" }, ours)
      repeat until p:step()
    ]]
    local both = { stdout = "pipe", stderr = "pipe" }
    assert.same({ exit = 0, stdout = "out\n", stderr = "err\n" }, run({ env.lua, "-e", code }, both))
  end)

  it("has an empty stdin", function()
    assert.same({ exit = 0, stdout = "", stderr = "" }, run({ "cat" }, { stdout = "pipe" }))
  end)

  it("runs in the given directory", function()
    assert.equal("/usr\n", run({ "pwd" }, { directory = "/usr", stdout = "pipe" }).stdout)
  end)

  it("has our environment, overridden by the given one", function()
    local result = sh('echo "$HOME $SPEC_ONE"', { stdout = "pipe", environment = { SPEC_ONE = "a = 'b'\n" } })
    assert.equal(os.getenv "HOME" .. " a = 'b'\n\n", result.stdout)
    assert.equal("/other\n", sh('echo "$HOME"', { stdout = "pipe", environment = { HOME = "/other" } }).stdout)
  end)

  it("gets no secret of our environment, unless the caller passes it", function()
    local code = [[
      local core = require "omni.core"
      local function run(environment)
        local p <close> = core.process({ "env" }, { stdout = "inherit", environment = environment })
        repeat until p:step()
      end
      run()
      run { GIVEN_TOKEN = "given", CRUN_API_KEY = "given" }
    ]]
    local secrets = { CRUN_API_KEY = "x", CRUN_API_KEYS = "x", CRUN_BASE_URL = "x", OPENAI_API_KEY = "x", openai_apikey = "x",
      GH_TOKEN = "x", Client_Secret = "x", PGPASSWORD = "x", AWS_CREDENTIALS = "x", SSH_PASSPHRASE = "x",
      https_proxy = "http://user:x@proxy:80", DATABASE = "postgres://x@host/db" }
    local environment = { PLAIN = "kept", http_proxy = "http://proxy:80/a@b" }
    for name, value in pairs(secrets) do environment[name] = value end
    local words = { "env" }
    for name, value in pairs(environment) do words[#words + 1] = name .. "=" .. value end
    local told = "\n" .. run(table.move({ env.lua, "-e", code }, 1, 3, #words + 1, words), { stdout = "pipe" }).stdout
    for name in pairs(secrets) do assert.is_nil(told:find("\n" .. name .. "=[^g]"), name) end
    local _, plain = told:gsub("\nPLAIN=kept\n", "\n")
    local _, proxy = told:gsub("\nhttp_proxy=http://proxy:80/a@b\n", "\n")
    local _, given = told:gsub("=given\n", "")
    assert.same({ 2, 2, 2 }, { plain, proxy, given })
  end)

  it("is searched in its own PATH", function()
    local directory <close> = env.directory()
    local path = env.write(directory:file "spec-program", "#!/bin/sh\nexit 0\n")
    os.execute("chmod +x " .. env.quote(path))
    assert.is_nil((core.process { "spec-program" }))
    assert.equal(0, run({ "spec-program" }, { environment = { PATH = directory.path } }).exit)
  end)

  it("has a process group of its own, so that Ctrl-C in the terminal is ours alone", function()
    local result = sh("read pid name state parent group rest < /proc/$$/stat; echo $$ $group", { stdout = "pipe" })
    local pid, group = result.stdout:match "(%d+) (%d+)"
    assert.equal(pid, group)
  end)

  it("has no descriptor of ours", function()
    local file <close> = assert(io.open("/dev/null"))
    local other <close> = assert(core.process({ "sleep", "1000" }, { stdout = "pipe" }))
    local result = run({ "ls", "/proc/self/fd" }, { stdout = "pipe" })
    assert.equal("0\n1\n2\n3\n", result.stdout) -- 3 is the directory that ls reads
    assert.is_truthy(file and other)
  end)

  it("has default signal dispositions and an empty mask, whatever ours are", function()
    local code = [[
      local core = require "omni.core"
      local p <close> = core.process({ "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status" }, { stdout = "inherit" })
      repeat until p:step()
    ]]
    local start = "trap '' USR1 PIPE; exec \"$0\" -e \"$1\""
    local told = run({ "sh", "-c", start, env.lua, code }, { stdout = "pipe" }).stdout
    local blocked, ignored = told:match "^SigBlk:\t(%x+)\nSigIgn:\t(%x+)\n$"
    assert.equal(0, tonumber(blocked, 16))
    assert.equal(0, tonumber(ignored, 16) & 0x7fffffff) -- above are the C library's own
  end)
end)

describe("a program that can't be started", function()
  it("is named in the error", function()
    local p, message = core.process { "no such\27 program" }
    assert.is_nil(p)
    assert.equal("can't start 'no such? program': no such program", message)
  end)

  it("is an error when it isn't executable", function()
    local p, message = core.process { "/dev/null" }
    assert.is_nil(p)
    assert.equal("can't start '/dev/null': Permission denied", message)
  end)

  it("is an error when its directory can't be entered", function()
    local p, message = core.process({ "true" }, { directory = "/nowhere" })
    assert.is_nil(p)
    assert.equal("can't enter directory '/nowhere': No such file or directory", message)
  end)

  it("is an error when there are no descriptors left", function()
    local no_pipe <const> = "#include <errno.h>\nint pipe2(int ends[2], int flags) { return errno = EMFILE, -1; }"
    local code <const> = "print(select(2, require('omni.core').process { 'true' }))"
    assert.equal("can't start 'true': Too many open files\n", preloaded.output(no_pipe, ("%s -e %s"):format(env.lua, env.quote(code))))
  end)

  it("leaves no descriptor and no zombie behind", function()
    local code = [[
      local core = require "omni.core"
      local function descriptors()
        local count = 0
        for fd = 0, 99 do if core.stat("/proc/self/fd/" .. fd) then count = count + 1 end end
        return count
      end
      local before = descriptors()
      for _ = 1, 20 do assert(not core.process { "no such program" }) end
      for _ = 1, 20 do local p <close> = assert(core.process { "true" }) end
      for _ = 1, 20 do local p <close> = assert(core.process({ "sleep", "1000" }, { stdout = "pipe" })) end
      io.write(descriptors() - before, " ")
      io.flush()
      os.execute("grep -ls \"^PPid:[^0-9]*$PPID$\" /proc/[0-9]*/status | wc -l") -- the shell itself is one
    ]]
    assert.equal("0 1\n", run({ env.lua, "-e", code }, { stdout = "pipe" }).stdout)
  end)
end)

describe("on an older kernel, which has no close_range,", function()
  it("a program inherits no descriptors, and a board can be loaded", function()
    local directory <close> = env.directory()
    env.write(directory:file "film.lua", [[return storyboard { scene "a" { prompt = "A boat.", duration = 4 } }]])
    local no_close_range <const> = [[
      #include <dlfcn.h>
      #include <errno.h>
      #include <stdarg.h>
      #include <sys/syscall.h>
      long syscall(long number, ...) {
        if (number == SYS_close_range) return errno = ENOSYS, -1;
        long given[6];
        va_list list;
        va_start(list, number);
        for (int i = 0; i < 6; i++) given[i] = va_arg(list, long);
        va_end(list);
        return ((long (*)(long, ...))dlsym(RTLD_NEXT, "syscall"))(number, given[0], given[1], given[2], given[3], given[4], given[5]);
      }
    ]]
    local code <const> = ([[
      local omni = require "omni"
      local opened <close> = io.open "/dev/null"
      print(omni.process({ "ls", "/proc/self/fd" }, { stdout = "pipe" }).stdout)
      print(assert(omni.load_storyboard(%q)).scenes[1].name)
    ]]):format(directory:file "film.lua")
    assert.equal("0\n1\n2\n3\n\na\n", preloaded.output(no_close_range, ("%s -e %s"):format(env.lua, env.quote(code)))) -- 3 is ls's own
  end)
end)

describe("memory", function()
  it("beyond a program's limit isn't available to it", function()
    local code = "print((pcall(string.rep, 'x', 400 << 20)))"
    local function run_with(most) return run({ env.plain_lua, "-e", code }, { stdout = "pipe", max_memory = most }).stdout end
    assert.equal("false\n", run_with(200 << 20))
    assert.equal("true\n", run_with(2000 << 20))
  end)
end)

describe("output", function()
  it("of any size on both pipes never blocks the program", function()
    local size = 3000000
    local script = ("head -c %d /dev/zero & head -c %d /dev/zero >&2; wait"):format(size, size)
    local result = sh(script, { stdout = "pipe", max_output = 2 * size })
    assert.same({ 0, size, size }, { result.exit, #result.stdout, #result.stderr })
  end)

  it("that is too large keeps its last bytes", function()
    local all = sh("seq 1 200000", { stdout = "pipe", max_output = 2000000 }).stdout
    assert.equal(1288895, #all)
    for _, most in ipairs { 0, 1, 10, 65536, 100000 } do
      local result = sh("seq 1 200000; seq 1 1000 >&2", { stdout = "pipe", max_output = most })
      assert.is_true(all:sub(#all - most + 1) == result.stdout)
      assert.equal(math.min(most, 3893), #result.stderr)
    end
  end)

  it("is at most one mebibyte by default", function()
    assert.equal(1048576, #sh("head -c 3000000 /dev/zero", { stdout = "pipe" }).stdout)
  end)

  it("can be read while the program runs, each part once", function()
    local p <close> = assert(core.process({ "sh", "-c", "echo one; sleep 1000" }, { stdout = "pipe" }))
    assert.equal("one\n", first_output(p))
    assert.equal("", p:read())
    assert.is_nil(p:result())
  end)

  it("of a remaining grandchild isn't awaited", function()
    local began = core.now()
    local result = sh("sleep 5 & echo $!", { stdout = "pipe" })
    sh("kill " .. result.stdout)
    assert.is_truthy(result.stdout:find "^%d+\n$")
    assert.is_true(core.now() - began < 4)
  end)

  it("without end from a grandchild doesn't block us", function()
    local result = sh("echo y; yes & sleep 0.01; echo done >&2", { stdout = "pipe" }) -- yes ends by SIGPIPE
    assert.same({ 0, "done\n" }, { result.exit, result.stderr })
    assert.equal("y\n", result.stdout:sub(1, 2)) -- a busy machine may not come to more
  end)
end)

describe("a process that runs", function()
  it("doesn't wake the loop while nothing happens", function()
    local p <close> = assert(core.process { "sleep", "1000" })
    local ready = core.poll_set()
    ready:add(p:pollfd())
    assert.equal(0, ready:wait(0, {}))
    assert.is_false(p:step())
  end)

  it("is killed with its whole group, and then ends", function()
    local p <close>, _, child = runs_on()
    p:kill()
    assert.equal(9, finish(p).signal)
    p:kill() -- harmless
    assert.is_true(dies(child))
  end)

  it("is gone after close: no process, no zombie", function()
    local p, pid, child = runs_on()
    p:close()
    assert.is_false(exists(pid))
    assert.is_true(dies(child))
    p:close() -- harmless
    assert.is_true(p:step())
    assert.is_nil(p:timeout())
    assert.has_error(function() p:result() end, "the process is closed")
    assert.has_error(function() p:pollfd() end, "the process is closed")
  end)

  it("is gone after collection", function()
    local p, pid, child = runs_on()
    assert.is_false(p:step())
    p = nil -- luacheck: ignore
    collectgarbage()
    assert.is_false(exists(pid))
    assert.is_true(dies(child))
  end)

  it("dies with us, even by SIGKILL", function()
    local code = [[
      local core = require "omni.core"
      local p = core.process({ "sleep", "30" }, { stdout = "inherit", stderr = "null" })
      os.execute("kill -9 $PPID")
    ]]
    -- The pipe ends when the last process that holds it, the sleeping program, is dead.
    local began = core.now()
    local pipe = io.popen(("%s -e %s 2>&1"):format(env.lua, env.quote(code)))
    pipe:read("a")
    pipe:close()
    assert.is_true(core.now() - began < 20)
  end)
end)

describe("misuse of core.process", function()
  local wrong = {
    { "no arguments", "bad argument #1", function() core.process() end },
    { "an empty list", "must name a program", function() core.process {} end },
    { "a number as an argument", "an argument must be a string, not a number",
      function() core.process { "echo", 1 } end },
    { "a NUL in an argument", "an argument must not contain a NUL", function() core.process { "echo", "a\0b" } end },
    { "options that are no table", "bad argument #2", function() core.process({ "true" }, 1) end },
    { "an unknown option", "unknown option 'cwd'", function() core.process({ "true" }, { cwd = "/" }) end },
    { "an unknown stream", 'stdout must be "pipe", "null" or "inherit", not "file"',
      function() core.process({ "true" }, { stdout = "file" }) end },
    { "a stream of the wrong type", "stderr must be a string, not a boolean",
      function() core.process({ "true" }, { stderr = false }) end },
    { "a directory of the wrong type", "directory must be a string, not a number",
      function() core.process({ "true" }, { directory = 1 }) end },
    { "a NUL in the directory", "directory must not contain a NUL",
      function() core.process({ "true" }, { directory = "/\0" }) end },
    { "a negative limit", "max_output must be a whole number",
      function() core.process({ "true" }, { max_output = -1 }) end },
    { "a negative limit of memory", "max_memory must be a whole number",
      function() core.process({ "true" }, { max_memory = -1 }) end },
    { "a broken limit", "max_output must be a whole number",
      function() core.process({ "true" }, { max_output = 0.5 }) end },
    { "an environment that is no table", "environment must be a table",
      function() core.process({ "true" }, { environment = "A=b" }) end },
    { "a name with an equals sign", "'A=B' can't name an environment variable",
      function() core.process({ "true" }, { environment = { ["A=B"] = "c" } }) end },
    { "a value that is no string", "the value of an environment variable must be a string",
      function() core.process({ "true" }, { environment = { A = 1 } }) end },
    { "a list as an environment", "the name of an environment variable must be a string",
      function() core.process({ "true" }, { environment = { "A=b" } }) end },
  }
  for _, row in ipairs(wrong) do
    it("raises at " .. row[1], function()
      local fine, message = pcall(row[3])
      assert.is_false(fine)
      assert.is_truthy(message:find(row[2], 1, true), message)
    end)
  end
end)

describe("process.run", function()
  it("waits for the program while other fibers run", function()
    local order = {}
    loop.run(function()
      local other = loop.spawn(function()
        order[#order + 1] = "other"
      end)
      local result = assert(process.run({ "sh", "-c", "sleep 0.05; echo hi" }, { stdout = "pipe" }))
      order[#order + 1] = result.stdout
      other:join()
    end)
    assert.same({ "other", "hi\n" }, order)
  end)

  it("runs the loop itself outside of a fiber", function()
    assert.same({ exit = 3, stdout = "", stderr = "no\n" }, process.run { "sh", "-c", "echo no >&2; exit 3" })
  end)

  it("returns an error value when the program can't be started", function()
    local result, failure = process.run { "no such program" }
    assert.is_nil(result)
    assert.is_true(err.is(failure))
    assert.same({ "process_failed", "can't start 'no such program': no such program" }, { failure.code, failure.message })
  end)

  it("passes stdout on as it arrives", function()
    local directory <close> = env.directory()
    local parts = {}
    -- The program goes on only when it sees that its first line was taken.
    local script = ("echo one; while [ ! -e %s ]; do sleep 0.01; done; echo two"):format(env.quote(directory:file "go"))
    local result = process.run({ "sh", "-c", script }, { on_output = function(text)
      parts[#parts + 1] = text
      env.write(directory:file "go", "")
    end })
    assert.same({ "one\n", "two\n" }, parts)
    assert.equal("one\ntwo\n", result.stdout)
  end)

  it("kills the program when its fiber is cancelled", function()
    local pid
    loop.run(function()
      local started
      local me = loop.current()
      local fiber = loop.spawn(function()
        process.run({ "sh", "-c", "echo $$; exec sleep 1000" }, { on_output = function(text)
          pid, started = text:match "%d+", true
          loop.wake(me)
        end })
      end)
      repeat loop.park() until started
      assert.is_true(exists(pid))
      fiber:cancel()
    end)
    assert.is_false(exists(pid))
    assert.is_nil(loop:timeout()) -- nothing is left in the loop
  end)

  it("kills the program when on_output raises", function()
    local pid
    local fine, message = pcall(process.run, { "sh", "-c", "echo $$; exec sleep 1000" }, { on_output = function(text)
      pid = text:match "%d+"
      error("enough", 0)
    end })
    assert.is_false(fine)
    assert.is_truthy(tostring(message):find "enough")
    assert.is_false(exists(pid))
  end)

  it("raises for misuse at the caller's line", function()
    local function message_of(...) return select(2, pcall(process.run, ...)) end
    local function says(text, ...)
      local message = message_of(...)
      assert.is_truthy(message:find(text, 1, true), message)
    end
    says("did you mean 'directory'?", { "true" }, { directry = "/" })
    says('on_output needs stdout = "pipe"', { "true" }, { on_output = print, stdout = "null" })
    says("must name a program", {})
    says("must not contain a NUL", { "a\0" })
    local _, message = pcall(function() process.run { 1 } end)
    assert.is_truthy(message:find "process_spec%.lua:%d+: process: an argument must be a string")
  end)
end)
