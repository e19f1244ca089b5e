-- SPDX-License-Identifier: MIT
-- A method that raised because memory ran out leaked what it had acquired in C: bodies, URLs, open files.

local env = require "helper.env"

-- How much more memory may be in use than after another run, in bytes. What leaks here is larger.
local slack <const> = 100000

if env.is_slow then return pending "the sanitizers and valgrind have allocators of their own, and find leaks by themselves" end

describe("a method that raises because memory has run out, at any allocation,", function()
  local directory, program

  setup(function()
    directory = env.directory()
    program = directory:file "oom"
    local libraries = "$(pkg-config --cflags lua5.4) -Wl,-E $(pkg-config --variable=libdir lua5.4)/liblua5.4.a -lm -ldl"
    env.output(("%s -O1 -o %s spec/helper/oom.c %s"):format(os.getenv "CC" or "cc", env.quote(program), libraries))
  end)
  teardown(function() directory:close() end)

  local function leaves_nothing(code, ...)
    local file = env.write(directory:file "code.lua", code:format(...))
    local lines = env.lines(env.quote(program) .. " " .. env.quote(file))
    assert.is_true(#lines > 1, "too few allocations were refused: " .. #lines)
    local least, descriptors = math.huge, nil
    for _, line in ipairs(lines) do least = math.min(least, tonumber(line:match "^%d+")) end
    for number, line in ipairs(lines) do
      local bytes, open = line:match "^(%d+) (%d+)$"
      descriptors = descriptors or open
      assert.equal(descriptors, open, "descriptors after run " .. number)
      assert.is_true(tonumber(bytes) < least + slack, ("%s bytes after run %d, %d after others"):format(bytes, number, least))
    end
  end

  it("leaks nothing of a request", function()
    local path = directory:file "file"
    env.write(path, ("x"):rep(1000))
    for _, call in ipairs {
      'http:submit("o", large)', 'http:call("o", "POST", "/x", large)', 'http:post("o", url, large, "text/plain")',
      'http:query("o", "abc")', ('http:upload("o", url .. "?" .. large, %q, "image/png")'):format(path),
      ('http:download("o", url .. "?" .. large, %q, 0)'):format(directory:file "got"),
      'http:upload("o", url, "/nowhere", "image/png")', 'http:download("o", url, "/nowhere/x", 0)',
    } do
      leaves_nothing([[
        local core = require "omni.core"
        local large, url = ("x"):rep(200000), "http://127.0.0.1:9/"
        local http = core.client { base_url = url, api_key = ("k"):rep(32), allow_private_networks = true }
        local function act() return %s end
        arm(true)
        pcall(act)
        arm(false)
        http:close()
      ]], call)
    end
  end)

  it("leaks nothing of a client, a listener, a ledger, a digest, a process or a poll set", function()
    local path = directory:file "large"
    env.write(path, ("x"):rep(1000))
    for _, call in ipairs {
      'core.client { base_url = "http://127.0.0.1:9/", api_key = ("k"):rep(32), user_agent = ("x"):rep(200000) }',
      "listener.open {}", ("ledger.open(%q)"):format(directory:file "ledger.db"), ("core.digest(%q)"):format(path),
      'core.process({ "true" }, { stdout = "pipe" })', "core.poll_set()",
    } do
      leaves_nothing([[
        local core, listener, ledger = require "omni.core", require "omni.listener", require "omni.ledger_sqlite"
        local function act() return %s end
        arm(true)
        pcall(act)
        arm(false)
      ]], call)
    end
  end)

  it("leaks nothing of an answer or of a ledger's rows", function()
    leaves_nothing [[
      local core, listener = require "omni.core", require "omni.listener"
      local l = assert(listener.open {})
      local http = core.client { base_url = "http://127.0.0.1:" .. l:port(), api_key = ("k"):rep(32) }
      local x, request = http:call("o", "POST", "/x", ("x"):rep(200000)), nil
      repeat http:step() until l:step()
      local body, headers = ("y"):rep(200000), { ["X-A"] = 1, ["X-B"] = "b" }
      local function act()
        request = l:next()
        request:answer(200, headers, body)
      end
      arm(true)
      pcall(act)
      arm(false)
      if not request then request = l:next() end
      request:answer(200, nil, body)
      repeat http:step() l:step() until x:done()
      arm(true)
      pcall(x.result, x)
      arm(false)
      x:close()
      l:close()
      http:close()
    ]]
    leaves_nothing([[
      local ledger = require "omni.ledger_sqlite"
      local l = ledger.open(%q)
      local given = { account = "a", model = "m", input = ("x"):rep(200000), identity = "i" }
      arm(true)
      local fine = pcall(l.start, l, "o", "intend", given)
      arm(false)
      if not fine then l:start("o", "intend", given) end
      repeat until l:finished()
      l:start("o", "open")
      repeat until l:step()
      arm(true)
      pcall(l.finished, l)
      arm(false)
      l:close()
    ]], directory:file "other.db")
  end)
end)
