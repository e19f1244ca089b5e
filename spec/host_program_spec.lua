-- SPDX-License-Identifier: MIT
-- omni as a library in a program with unusual signal handlers, limits and threads: omni changes none of them, and works nevertheless.
local answers = require "helper.answers"
local env = require "helper.env"
local hostile = require "helper.hostile"

local files, server

before_each(function() files = env.directory() end)
after_each(function()
  if server then server:close() end
  server = nil
  files:close()
end)

-- Runs a Lua program in plain Lua, whose process a line of Python has prepared; returns what it prints, and its exit code.
local function host(prepare, text, ...)
  env.write(files:file "host.lua", text)
  env.write(files:file "host.py", "import os, resource, signal, sys\n" .. prepare .. "\nos.execvp(sys.argv[1], sys.argv[1:])\n")
  local words = { env.quote(env.lua), env.quote(files:file "host.lua") }
  for _, word in ipairs { ... } do words[#words + 1] = env.quote(word) end
  local pipe = assert(io.popen(("exec python3 %s %s 2>&1"):format(env.quote(files:file "host.py"), table.concat(words, " "))))
  local out = pipe:read "a"
  local _, how, code = pipe:close()
  return out, how == "exit" and code or -code
end

-- A program that downloads a task's file; it has no ledger.
local DOWNLOAD <const> = [[
  local omni = require "omni"
  local client <close> = assert(omni.client { base_url = arg[1], api_key = "ak_" .. ("0"):rep(32), ledger = false, retry_for = 1 })
  local path, problem = assert(client:query(arg[2])):save(arg[3])
  print(path, problem and problem.code, problem and problem.message)
]]

describe("in a host program", function()
  it("that ignores SIGCHLD, omni draws and probes clips, and notices a program that fails silently", function()
    env.write(files:file "ffmpeg", [[#!/bin/sh
case " $* " in *' -h full '*) printf '\nlibx264 AVOptions:\n';; *) exit 7;; esac
]])
    os.execute("chmod +x " .. env.quote(files:file "ffmpeg"))
    local out, code = host("signal.signal(signal.SIGCHLD, signal.SIG_IGN)", [[
      local omni, film, media = require "omni", require "omni.film", require "omni.sandbox.drawing"
      local result = omni.process { "sh", "-c", "exit 3" }
      print(result.exit or result.signal or "unknown")
      local clip = assert(media.clip({ prompt = "a", seconds = 0.2, resolution = "480p" }, arg[1] .. "/a.mp4"))
      print(film.probe(clip).seconds > 0, film.last_frame(clip, arg[1] .. "/a.png") ~= nil)
      print(film.cut { clips = { { path = clip }, { path = clip } }, output = arg[1] .. "/film.mp4" } ~= nil)
    ]], files.path)
    assert.equal(0, code, out)
    assert.matches("^[u3][^\n]*\ntrue\ttrue\ntrue\n$", out) -- 3 where what runs Lua for us has undone it (checked runs)
    out = host(("signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.environ['PATH'] = %q + ':' + os.environ['PATH']"):format(files.path), [[
      print(select(2, require("omni.sandbox.drawing").clip({ prompt = "a", seconds = 0.2 }, arg[1] .. "/b.mp4")).message)
    ]], files.path)
    assert.matches("can't draw a clip", out)
  end)

  it("that would die of a file size limit, a download that is too large is an error", function()
    server = hostile.start()
    server:script {
      { target = "TaskInfo", turns = { { answers.success(server.url .. "/clip.mp4") } } },
      { target = "/", turns = { { hostile.file { body = ("x"):rep(200000), etag = '"v1"' } } } },
    }
    local out, code = host("signal.signal(signal.SIGXFSZ, signal.SIG_DFL); resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))",
      DOWNLOAD, server.url, answers.ID, files:file "clip.mp4")
    assert.equal(0, code, out)
    assert.matches("^nil\tio\t.*File too large", out)
  end)

  it("that would die of a broken pipe, a peer that hangs up is an error", function()
    server = hostile.start()
    local turns = {}
    for i = 1, 20 do turns[i] = { hostile.reset() } end
    server:script { { target = "/", turns = turns } }
    local out, code = host("signal.signal(signal.SIGPIPE, signal.SIG_DFL)", [[
      local omni, post, server = require "omni", require "omni.http.webhook", require "omni.http.server"
      omni.run(function()
        local sender <close> = post.open()
        for _ = 1, 20 do sender:post(arg[1], ("x"):rep(2000000), "text/plain") end
        local own <close> = assert(server.serve({}, function() return 200, nil, ("x"):rep(2000000) end))
        for _ = 1, 20 do
          local result = omni.process { "sh", "-c", "exec curl -s --max-time 20 '" .. own.url .. "' | head -c 1 >/dev/null" }
          assert(result.exit == 0)
        end
      end)
      print "alive"
    ]], server.url .. "/a")
    assert.same({ "alive\n", 0 }, { out, code })
  end)

  it("no signal handler changes, and no thread of omni receives a signal", function()
    local out = host("", [[
      local function lines(path, what)
        local found = {}
        for line in io.lines(path) do -- the 31 of the system; others are the C library's own
          if line:find(what) then found[#found + 1] = tonumber(line:match "%x+$", 16) & 0x7fffffff end
        end
        return table.concat(found, " ")
      end
      local before = lines("/proc/self/status", "^Sig[BIC]")
      local omni, core = require "omni", require "omni.core"
      local sandbox <close> = assert(omni.sandbox { seconds = 0.05, clips = "builtin" })
      local client <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, ledger = arg[1] })
      assert(assert(client:submit { prompt = "a" }):await())
      assert(omni.process { "true" })
      print(before == lines("/proc/self/status", "^Sig[BIC]"))
      local status = io.popen("cat /proc/$PPID/task/*/status"):read "a"
      local threads, blocked = 0, 0
      for mask in status:gmatch "SigBlk:\t(%x+)" do
        threads = threads + 1
        if tonumber(mask, 16) & 0x4002 == 0x4002 then blocked = blocked + 1 end -- INT and TERM
      end
      print(threads > 1, blocked == threads - 1)
    ]], files:file "ledger.db")
    assert.equal("true\ntrue\ttrue\n", out)
  end)
end)
