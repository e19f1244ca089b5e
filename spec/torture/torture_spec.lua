-- SPDX-License-Identifier: MIT
-- A sample of `make torture` and of what `make prove` loses power in: a few scenarios, with a fault at some of their calls.

local env = require "helper.env"
local postgresql = require "helper.postgresql"

if env.is_slow then return pending "the sanitizers and valgrind have allocators of their own" end

describe("when memory runs out", function()
  local directory, library

  setup(function()
    directory = env.directory()
    library = directory:file "faults.so"
    env.output(("%s -std=c11 -D_GNU_SOURCE -O1 -fPIC -shared -fvisibility=hidden -fno-builtin $(pkg-config --cflags lua5.4) -o %s"
      .. " spec/torture/*.c -ldl"):format(os.getenv "CC" or "cc", env.quote(library)))
  end)
  teardown(function() directory:close() end)

  -- Runs a program with the preloaded library, and fails with what it printed unless all is well.
  local function run(settings, name)
    local pipe = assert(io.popen(("%s LUA_CPATH='%s/?.so;%s' LD_PRELOAD=%s %s spec/torture/%s.lua 2>&1"):format(settings, directory.path,
      os.getenv "LUA_CPATH", library, env.plain_lua, name)))
    local said = pipe:read("a")
    assert.is_true(pipe:close(), said)
  end
  local function tortured(scenarios, modes, stride)
    run(("TORTURE_SCENARIOS='%s' TORTURE_MODES='%s' TORTURE_STRIDE=%d"):format(scenarios, modes, stride), "run")
  end

  it("the loop ends fibers that it can't run, and goes on", function() tortured("loop", "lua-more", 41) end)
  it("a submit is never lost, and never sent again", function() tortured("submit", "lua-more c-more", 149) end)
  it("a download is whole or isn't there", function() tortured("save", "lua-once c-once", 151) end)
  it("a submit that could not be recorded keeps no other one waiting", function() tortured("submit_idempotent", "lua-once", 109) end)
  it("after a loss of power, no task is lost, no file is broken, and nothing is paid for twice", function()
    run("POWER_RUNS=9 POWER_STATES=5", "power_loss")
  end)
  it("a ledger in PostgreSQL goes on, and no submit stays behind that nobody sent", function()
    if not postgresql.is_there then return pending "PostgreSQL isn't installed" end
    tortured("database_intend", "c-once", 5)
    tortured("database_open", "c-once", 67)
  end)
  it("the ledger and the server go on", function() tortured("ledger_accept serve_get", "lua-more c-once", 211) end)
end)
