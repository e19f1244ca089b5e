-- SPDX-License-Identifier: MIT
-- Two runs at once, budgets, and full disks: nothing is paid twice, or without a row in the ledger.

local asked = require "helper.ledger"
local core = require "omni.core"
local env = require "helper.env"
local omni = require "omni"
local program = require "helper.program"

local function board_text(names, more)
  local lines = { "return storyboard {", "  defaults = { duration = 4 }," .. (more or "") }
  for _, name in ipairs(names) do lines[#lines + 1] = ('  scene "%s" { prompt = "%s" },'):format(name, name) end
  return table.concat(lines, "\n") .. "\n}\n"
end

describe("omni run", function()
  local service, folder, environment

  local function open(...)
    service = program.service { ... }
    folder = env.directory()
    environment = { HOME = folder.path, CRUN_BASE_URL = service.url, CRUN_API_KEY = service.key }
  end
  after_each(function()
    service.stop()
    folder:close()
  end)

  local function ledger() return service.ledger() end
  local function run(...)
    return assert(omni.process({ program.binary, "run", ... }, { environment = environment, stdout = "pipe" }))
  end
  -- Runs several commands at the same time. Returns their results.
  local function together(...)
    local commands, results = { ... }, {}
    omni.run(function()
      local fibers = {}
      for i, words in ipairs(commands) do fibers[i] = omni.spawn(function() return run(table.unpack(words)) end) end
      results = { omni.join(table.unpack(fibers)) }
    end)
    return results
  end

  it("twice at once in one folder: the second run waits for the first, and finds everything done", function()
    open("--seconds", "0.3")
    local board, out = env.write(folder:file "board.lua", board_text { "a", "b", "c" }), folder:file "out"
    local results = together({ board, "--yes", "--out", out }, { board, "--yes", "--out", out })
    assert.same({ 0, 0 }, { results[1].exit, results[2].exit }, results[1].stderr .. results[2].stderr)
    assert.equal(3, ledger().submits)
    assert.matches("another omni run", results[1].stderr .. results[2].stderr)
  end)

  it("twice at once in two folders with one ledger: each scene is charged once, and both folders get it", function()
    open("--seconds", "0.3", "--fault", "slow:on=submit,delay=0.2")
    local board, one = env.write(folder:file "board.lua", board_text { "a", "b", "c" }), asked.new(folder:file "ledger.db")
    local results = together({ board, "--yes", "--ledger", one, "--out", folder:file "x" },
      { board, "--yes", "--ledger", one, "--out", folder:file "y" })
    assert.same({ 0, 0 }, { results[1].exit, results[2].exit }, results[1].stdout .. results[2].stdout)
    assert.equal(3, ledger().submits)
    for _, out in ipairs { "x", "y" } do assert.is_truthy(core.stat(folder:file(out) .. "/film.mp4"), out) end
  end)

  for _, jobs in ipairs { "1", "3", "8" } do
    it("never spends more than its budget, with " .. jobs .. " in flight and submits that fail in every way", function()
      open("--seconds", "0.05", "--fault", "drop-after:on=submit,chance=0.2", "--fault", "status-429:on=submit,chance=0.2,retry_after=0",
        "--fault", "fail:chance=0.2", "--fault", "slow:on=submit,chance=0.5,delay=0.03", "--seed", jobs)
      local names = {}
      for i = 1, 8 do names[i] = "s" .. i end
      local board, out, one = env.write(folder:file "board.lua", board_text(names)), folder:file "out", asked.new(folder:file "l.db")
      run(board, "--budget", "320", "--out", out, "--jobs", jobs, "--ledger", one)
      assert.is_true(ledger().charged <= 320)
      local before = ledger().charged
      run(board, "--budget", "40", "--out", out, "--jobs", jobs, "--ledger", one)
      assert.is_true(ledger().charged <= before + 40)
    end)
  end

  describe("on a disk of its own", function()
    local mounted

    -- Mounts a small file system. Returns false without the permission to.
    local function mount(size)
      local path = folder:file "small"
      assert(core.make_directory(path))
      mounted = os.execute(("mount -t tmpfs -o size=%s tmpfs %s 2>/dev/null"):format(size, env.quote(path))) and path
      return mounted
    end
    after_each(function()
      if mounted then os.execute("umount " .. env.quote(mounted)) end
      mounted = nil
    end)

    -- Fills it completely.
    local function fill(path)
      os.execute(("dd if=/dev/zero of=%s bs=1k 2>/dev/null"):format(env.quote(path .. "/filler")))
    end

    it("that is full: omni submits nothing without a row in the ledger", function()
      open("--seconds", "0.1")
      if not mount("400k") then return pending("no file system can be mounted here (not root)") end
      local board = env.write(folder:file "board.lua", board_text { "a", "b" })
      fill(mounted)
      local result = run(board, "--yes", "--ledger", mounted .. "/ledger.db", "--out", folder:file "out")
      assert.is_true(result.exit ~= 0)
      assert.matches("ledger", result.stderr)
      assert.equal(0, ledger().submits)
      os.remove(mounted .. "/filler")
      assert.equal(0, run(board, "--yes", "--ledger", mounted .. "/ledger.db", "--out", folder:file "out").exit)
      assert.equal(2, ledger().submits)
    end)

    it("that can't store a clip: omni says so, and a later run fetches the clip without a submit", function()
      open("--seconds", "0.1")
      if not mount("200k") then return pending("no file system can be mounted here (not root)") end
      local board, one = env.write(folder:file "board.lua", board_text { "a" }), folder:file "ledger.db"
      assert(core.make_directory(mounted .. "/media"))
      fill(mounted)
      local result = run(board, "--yes", "--ledger", one, "--out", mounted)
      assert.equal(1, result.exit, result.stdout .. result.stderr)
      assert.matches("a: failed: .*[Nn]o space", result.stdout)
      assert.equal(1, ledger().submits)
      os.remove(mounted .. "/filler")
      result = run(board, "--yes", "--ledger", one, "--out", mounted)
      assert.equal(0, result.exit, result.stdout .. result.stderr)
      assert.equal(1, ledger().submits)
    end)
  end)

  it("submits nothing if the ledger can't be written", function()
    open("--seconds", "0.1")
    local board = env.write(folder:file "board.lua", board_text { "a" })
    for _, path in ipairs { "/proc/nothing/ledger.db", folder.path } do
      local result = run(board, "--yes", "--ledger", path, "--out", folder:file "out")
      assert.is_true(result.exit ~= 0)
      assert.matches("ledger", result.stderr)
    end
    env.write(folder:file "bytes.db", ("not a database "):rep(500))
    os.execute("chmod 600 " .. env.quote(folder:file "bytes.db"))
    assert.is_true(run(board, "--yes", "--ledger", folder:file "bytes.db", "--out", folder:file "out").exit ~= 0)
    assert.equal(0, ledger().submits)
  end)
end)
