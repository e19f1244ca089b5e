-- SPDX-License-Identifier: MIT
-- Output arrives complete, or the exit code says that it didn't; stderr then has the id of a paid task.
local env = require "helper.env"
local program = require "helper.program"

-- Runs a shell command with "$OMNI" as the program, in a new folder.
local function shell(command, environment)
  local files <close> = env.directory()
  local words = { OMNI = program.binary, HOME = files.path, XDG_STATE_HOME = files:file "state", CRUN_API_KEY = "", CRUN_BASE_URL = "" }
  for name, value in pairs(environment or {}) do words[name] = value end
  local list = {}
  for name, value in pairs(words) do list[#list + 1] = env.quote(name .. "=" .. value) end
  env.write(files:file "film.lua", 'return storyboard { cut = false, scene "a" { prompt = "A boat." } }')
  local pipe = assert(io.popen(("cd %s && env %s bash -c %s 2>err"):format(env.quote(files.path), table.concat(list, " "),
    env.quote(command))))
  local out = pipe:read "a"
  local _, how, code = pipe:close()
  return { code = how == "exit" and code or -code, out = out, err = env.read(files:file "err") }
end

describe("output that can't be written to stdout", function()
  local commands = { "--version", "--help", "help run", "status", "status --json", "completion bash", "completion zsh", "init other.lua",
    "plan film.lua --sandbox", "plan film.lua --sandbox --json", "run film.lua --sandbox --seconds 0.05 --json" }

  it("is reported, and the exit code isn't 0, for every command", function()
    for _, command in ipairs(commands) do
      local result = shell(('PATH=/nonexistent "$OMNI" %s >/dev/full'):format(command))
      assert.equal(1, result.code, command)
      assert.matches("can't write to stdout: No space left on device\n$", result.err, command)
    end
    assert.equal(1, shell('"$OMNI" status >&-').code)
  end)

  it("doesn't change an exit code other than 0", function()
    assert.equal(2, shell('"$OMNI" status --nonsense >/dev/full').code)
  end)

  it("is also reported for a script that ends with os.exit", function()
    assert.equal(1, shell([["$OMNI" lua - >/dev/full <<<'print "a" os.exit(0)']]).code)
  end)

  it("changes only the exit code if the reader of the pipe has gone", function()
    local result = shell('exec 3> >(:); wait $!; "$OMNI" help run >&3') -- a pipe whose reader is gone
    assert.same({ 141, "" }, { result.code, result.err })
  end)

  it("ends a command that would otherwise run forever", function()
    local result = shell([[PATH=/nonexistent "$OMNI" lua - <<<'print "first" while true do io.write("more\n") omni.sleep(0) end' |
      { read -r line; echo "$line"; }; echo "${PIPESTATUS[0]}"]])
    assert.equal("first\n141\n", result.out)
  end)
end)

describe("the id of a task that was paid for", function()
  local service

  setup(function() service = program.service() end)
  teardown(function() service.stop() end)

  it("is printed on stderr if stdout can't be written", function()
    for _, command in ipairs { ">/dev/full", "--json >/dev/full", ">&-", ">&3" } do
      local result = shell(('exec 3> >(:); wait $!; "$OMNI" submit --prompt "A boat." --yes %s'):format(command), service.environment)
      assert.not_equal(0, result.code, command)
      assert.matches("task %x+%-%x+", result.err, command)
    end
  end)

  it("is printed on stderr if a script couldn't print it", function()
    local result = shell([["$OMNI" lua - >/dev/full <<<'print(assert(assert(omni.client()):submit { prompt = "A boat." }).id)']],
      service.environment)
    assert.equal(1, result.code)
    assert.matches("in flight, and charged.*\n  task [%x-]+\n", result.err)
  end)
end)

describe("a non-blocking pipe", function()
  -- Python starts the program with such a pipe, of the smallest size, and does the rest.
  local function python(lines, ...)
    local files <close> = env.directory()
    env.write(files:file "it.py", "import fcntl, os, subprocess, sys\n" .. lines)
    return env.output(("python3 %s %s %s"):format(env.quote(files:file "it.py"), env.quote(program.binary), table.concat({ ... }, " ")))
  end

  it("gets the whole output of stdout and stderr", function()
    local printed = python([[
for number in 1, 2:
    r, w = os.pipe()
    fcntl.fcntl(w, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(w, False)
    script = "for i = 1, 20000 do io.%s:write(i, '\\n') end" % {1: "stdout", 2: "stderr"}[number]
    child = subprocess.Popen([sys.argv[1], "lua", "-"], stdin=subprocess.PIPE, **{{1: "stdout", 2: "stderr"}[number]: w})
    child.stdin.write(script.encode())
    child.stdin.close()
    os.close(w)
    text = b""
    while True:
        part = os.read(r, 512)
        if not part: break
        text += part
    print(child.wait(), text == b"".join(b"%d\n" % i for i in range(1, 20001)))
]])
    assert.equal("0 True\n0 True\n", printed)
  end)

  it("as stdin is read to its end", function()
    assert.equal("0 b'20000\\n'\n", python([[
r, w = os.pipe()
os.set_blocking(r, False)
child = subprocess.Popen([sys.argv[1], "lua", "-"], stdin=r, stdout=subprocess.PIPE)
os.close(r)
os.write(w, b"local n = 0 ")
for i in range(20000): os.write(w, b"n = n + 1 ")
os.write(w, b"print(n)")
os.close(w)
print(child.wait(), child.stdout.read())
]]))
  end)
end)
