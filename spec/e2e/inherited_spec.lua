-- SPDX-License-Identifier: MIT
-- What the program inherits: signals, descriptors, limits, the umask, the module path of Lua.
local env = require "helper.env"
local program = require "helper.program"

local files

before_each(function() files = env.directory() end)
after_each(function() files:close() end)

-- Runs a shell command in a new folder, with "$OMNI" as the program, without a key and a home folder.
local function shell(command, environment)
  local words = { OMNI = program.binary, HOME = files.path, PATH = os.getenv "PATH", XDG_STATE_HOME = files:file "state" }
  for name, value in pairs(environment or {}) do words[name] = value end
  local list = {}
  for name, value in pairs(words) do list[#list + 1] = env.quote(name .. "=" .. value) end
  local pipe = assert(io.popen(("cd %s && env -i %s sh -c %s 2>err"):format(env.quote(files.path), table.concat(list, " "),
    env.quote(command))))
  local out = pipe:read "a"
  local _, how, code = pipe:close()
  return { code = how == "exit" and code or -code, out = out, err = env.read(files:file "err") }
end

-- Runs a line of Python that changes its process, and then a program in that process.
local function python(line, arguments, environment)
  return shell(("python3 -c 'import os, signal, sys, resource; %s; os.execv(sys.argv[1], sys.argv[1:])' \"$OMNI\" %s")
    :format(line, arguments), environment)
end

describe("the program started", function()
  it("with SIGCHLD ignored still gets ffmpeg's exit code", function()
    env.write(files:file "film.lua", 'return storyboard { cut = false, scene "a" { prompt = "A boat." } }')
    env.write(files:file "ffmpeg", [[#!/bin/sh
case " $* " in *" -h full "*) printf "\nlibx264 AVOptions:\n";; *) exit 7;; esac
]])
    os.execute("chmod +x " .. env.quote(files:file "ffmpeg"))
    local result = python("signal.signal(signal.SIGCHLD, signal.SIG_IGN)", "run film.lua --sandbox --seconds 0.05",
      { PATH = files.path .. ":" .. os.getenv "PATH" })
    assert.matches("exit code 7", result.err .. result.out)
  end)

  it("with every signal blocked can still be interrupted", function()
    env.write(files:file "s.lua", "io.stdout:write('ready\\n'):flush() omni.loop.park()")
    local result = shell([[
      python3 -c 'import os, signal, sys
signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals()); os.execv(sys.argv[1], sys.argv[1:])' "$OMNI" lua s.lua > out &
      until grep -q ready out 2>/dev/null; do :; done
      kill -TERM $!
      wait $!]])
    assert.equal(130, result.code, result.err)
  end)

  it("with a limit on the size of files reports a file that is too large, and continues", function()
    env.write(files:file "large.lua", [[
      local file = io.open("large", "w")
      file:setvbuf "no"
      print((select(2, file:write(("x"):rep(30000000)))))
    ]])
    local result = shell('ulimit -f 40000; "$OMNI" lua large.lua')
    assert.same({ 0, "File too large\n" }, { result.code, result.out })
    result = shell('ulimit -f 10; "$OMNI" status') -- too small even for the modules in the program
    assert.equal(1, result.code)
    assert.matches("can't start: .*File too large\n.*ulimit %-f", result.err)
  end)

  it("passes none of this to the programs that it starts: they die of a broken pipe and of a signal", function()
    env.write(files:file "s.lua", [[
      local how, code = select(2, os.execute "kill -PIPE $$")
      print(how, code)
      local child = assert(omni.process({ "sh", "-c", "kill -XFSZ $$" }))
      print(child.signal)
    ]])
    local result = python("signal.pthread_sigmask(signal.SIG_BLOCK, [13, 25])", "lua s.lua")
    assert.same({ 0, "signal\t13\n25\n" }, { result.code, result.out })
  end)

  it("passes none of its descriptors to programs that a script starts", function()
    env.write(files:file "s.lua", [[
      local client <close> = assert(omni.client { ledger = "ledger.db" })
      assert(client:submit { prompt = "a" })
      os.execute "sh list"
    ]])
    -- Without the socket pair by which libcurl wakes itself, and which child processes inherit.
    env.write(files:file "list", [[
      for file in /proc/$$/fd/*; do
        name=$(readlink $file) || continue # the shell's own, for this list
        inode=${name#socket:[}
        [ "$inode" = "$name" ] || grep -q " ${inode%]} " /proc/net/tcp /proc/net/tcp6 || continue
        echo "$file ${name%%:*}"
      done | sed 's/.*fd.//; /list$/d']])
    local expected = shell("sh list").out -- with the descriptors that the shell inherits from this process
    assert.equal(expected, shell('"$OMNI" lua --sandbox s.lua').out)
  end)

  it("with closed descriptors never opens a file with their numbers", function()
    env.write(files:file "s.lua", [[
      local file = assert(io.open("kept", "w"))
      print "to stdout"
      io.stderr:write "to stderr\n"
      file:write "kept"
      file:close()
    ]])
    local result = shell '"$OMNI" lua s.lua <&- >&- 2>&-'
    assert.equal(1, result.code) -- nobody can see the output
    assert.equal("kept", env.read(files:file "kept"))
    assert.equal(2, shell('"$OMNI" lua - <&-').code) -- stdin is closed
    assert.equal(0, shell('"$OMNI" lua s.lua 2>&-').code)
  end)

  it("with a umask that removes the owner's permissions creates files and folders that it can use", function()
    env.write(files:file "film.lua", 'return storyboard { cut = false, scene "a" { prompt = "A boat." } }')
    local result = shell('umask 0777; PATH=/nonexistent "$OMNI" run film.lua --sandbox --seconds 0.05')
    assert.equal(0, result.code, result.err)
    assert.equal("700\n", env.output("stat -c %a " .. env.quote(files:file "film.omni")))
  end)
end)

describe("the program's modules", function()
  -- The working directory contains modules that must not run.
  local function traps()
    for _, name in ipairs { "cjson", "argparse", "omni", "inspect" } do
      env.write(files:file(name .. ".lua"), 'io.open("ran", "w"):close()')
    end
  end

  it("don't come from the working directory", function()
    traps()
    for _, path in ipairs { "", "./?.lua", "?.lua;;" } do
      local result = shell('"$OMNI" status', path ~= "" and { LUA_PATH = path, LUA_PATH_5_4 = path } or nil)
      assert.equal(0, result.code, result.err)
    end
    assert.is_nil(env.read(files:file "ran"))
  end)

  it("don't come from the paths of LUA_PATH and LUA_CPATH for another Lua, and LUA_INIT isn't run", function()
    local result = shell('"$OMNI" status', { LUA_PATH = "/opt/torch/share/lua/5.1/?.lua", LUA_CPATH = "/opt/torch/lib/lua/5.1/?.so",
      LUA_INIT = "os.exit(9)", LUA_INIT_5_4 = "os.exit(9)" })
    assert.equal(0, result.code, result.err)
  end)

  it("may come from a folder in LUA_PATH if the system doesn't have them", function()
    env.output(("mkdir %s"):format(env.quote(files:file "rocks")))
    env.write(files:file "rocks/extra.lua", "return 'extra'")
    env.write(files:file "s.lua", "print(require 'extra', package.path:find('//', 1, true))")
    local result = shell('"$OMNI" lua s.lua', { LUA_PATH = files:file "rocks/?.lua" })
    assert.same({ 0, "extra\tnil\n" }, { result.code, result.out })
  end)

  it("leave a script its own modules: beside it, in the working directory, and in LUA_PATH", function()
    env.output(("mkdir %s %s"):format(env.quote(files:file "scripts"), env.quote(files:file "lib")))
    env.write(files:file "scripts/beside.lua", "return 'beside'")
    env.write(files:file "lib/named.lua", "return 'named'")
    env.write(files:file "here.lua", "return 'here'")
    env.write(files:file "scripts/s.lua", "print(require 'beside', require 'named', require 'here')")
    local result = shell('"$OMNI" lua scripts/s.lua', { LUA_PATH = "lib/?.lua;;" })
    assert.matches("^beside\t.*named.*here", result.out)
    assert.equal(0, result.code, result.err)
  end)
end)
