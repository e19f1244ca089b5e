-- SPDX-License-Identifier: MIT
local core = require "omni.core"
local digest = require "omni.file.digest"
local env = require "helper.env"
local err = require "omni.error"
local loop = require "omni.loop"

local function sha256sum(path) return env.output("sha256sum < " .. env.quote(path)):match "^%x+" end

-- Makes a sparse file of that many zero bytes.
local function hollow(path, bytes)
  env.output(("truncate -s %d %s"):format(bytes, env.quote(path)))
  return path
end

local function refused(message, path)
  local found, failure = digest.file(path)
  assert.is_nil(found)
  assert.is_true(err.is(failure))
  assert.same({ "io", ("can't read %s: %s"):format(path, message) }, { failure.code, failure.message })
end

describe("core.sha256", function()
  it("is the SHA-256 of any bytes", function()
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", core.sha256 "")
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", core.sha256 "abc")
    local directory <close> = env.directory()
    for _, text in ipairs { "\0", "a\0b", "\xff\n", ("x"):rep(100000) } do
      assert.equal(sha256sum(env.write(directory:file "f", text)), core.sha256(text))
    end
  end)

  it("raises for a value that isn't a string", function() assert.has_error(function() core.sha256 {} end) end)
end)

describe("the digest of a file", function()
  it("has the SHA-256 of its bytes, its size and its stamp, for any size", function()
    local directory <close> = env.directory()
    for _, size in ipairs { 0, 1, 64, 262143, 262144, 262145, 1000000 } do
      local path = env.write(directory:file "f", ("%08x"):rep(size // 8 + 1):gsub("%%08x", "abcdefg\0"):sub(1, size))
      assert.same({ sha256 = sha256sum(path), size = size, stamp = core.stat(path).stamp }, digest.file(path))
    end
    local path = hollow(directory:file "large", 16 << 20)
    assert.same({ sha256 = sha256sum(path), size = 16 << 20, stamp = core.stat(path).stamp }, digest.file(path))
  end)

  it("is the same under another name", function()
    local directory <close> = env.directory()
    local path, link = env.write(directory:file "f", "text"), directory:file "link"
    env.output(("ln -s f %s"):format(env.quote(link)))
    assert.same(digest.file(path), digest.file(link))
  end)

  it("exists only for files: a device, a pipe or a folder isn't even opened", function()
    local directory <close> = env.directory()
    env.output("mkfifo " .. env.quote(directory:file "pipe"))
    for _, path in ipairs { "/dev/zero", "/dev/tty", directory:file "pipe" } do refused("it is not a regular file", path) end
    refused("it is a folder, not a file", directory.path)
    refused("No such file or directory", directory:file "none")
    refused("Not a directory", env.write(directory:file "f", "") .. "/x")
  end)

  it("raises without a path", function()
    for _, path in ipairs { 7, {}, "", "a\0b" } do
      local fine, problem = pcall(function() digest.file(path) end)
      assert.is_false(fine)
      assert.truthy(problem:find "^spec/file/digest_spec.lua:%d+: digest.file: expected a path")
    end
    assert.error_matches(function() core.digest "a\0b" end, "must not contain a NUL")
  end)

  it("fails when the file can't be read to its end", function()
    refused("Input/output error", "/proc/self/mem")
  end)

  it("lets other fibers run; many digests run at once, and each gets its own result", function()
    local directory <close> = env.directory()
    local paths, turns, done = {}, 0, false
    for i = 1, 40 do paths[i] = env.write(directory:file(tostring(i)), ("text %d "):format(i):rep(i * 1000)) end
    local large = hollow(directory:file "large", 128 << 20)
    local found = {}
    loop.run(function()
      loop.spawn(function()
        while not done do
          loop.sleep(0.001)
          turns = turns + 1
        end
      end)
      local fibers = { loop.spawn(digest.file, large) }
      for i, path in ipairs(paths) do fibers[i + 1] = loop.spawn(function() found[i] = digest.file(path).sha256 end) end
      loop.join(table.unpack(fibers))
      done = true
    end)
    for i, path in ipairs(paths) do assert.equal(sha256sum(path), found[i]) end
    assert.is_true(turns >= 5, "only " .. turns)
  end)
end)

describe("a file that changes while it is read", function()
  -- Returns the result for a file of 64 MiB that `change` modifies during the reading.
  local function read_during(change)
    local directory <close> = env.directory()
    local ready <const> = core.poll_set()
    for try = 1, 50 do
      local path = hollow(directory:file(tostring(try)), 64 << 20)
      local job <close> = assert(core.digest(path))
      change(path)
      if not job:step() then -- else it was quicker than the change
        assert.is_nil(job:result())
        ready:add(job:pollfd())
        while not job:step() do ready:wait(env.seconds(30), {}) end
        ready:close()
        return job:result()
      end
    end
    error "it was never slow enough"
  end

  it("has no digest if it grew, was truncated, or was written to", function()
    local function write(mode) return function(path) assert(io.open(path, mode)):write("more"):close() end end
    for _, mode in ipairs { "a", "w", "r+" } do
      local found, message = read_during(write(mode))
      assert.same({ nil, "the file changed while it was read" }, { found, message }, mode)
    end
  end)

  it("has its own digest or none when another file replaces it, but never the other file's", function()
    local before
    local found, message = read_during(function(path)
      before = core.stat(path).stamp
      assert(os.rename(env.write(path .. ".new", "text"), path)) -- touches the file that is replaced, too
    end)
    assert.truthy(message == "the file changed while it was read" or found.stamp == before)
  end)
end)

describe("a digest that nobody waits for any more", function()
  it("is stopped, and leaves no thread and no descriptor", function()
    local directory <close> = env.directory()
    local path = hollow(directory:file "f", 64 << 30)
    local function held() return env.output "ls /proc/$PPID/fd /proc/$PPID/task | wc -l" end
    collectgarbage()
    local before, start = held(), core.now()
    local function is_gone() -- a thread that has ended may be seen a moment longer
      local deadline = core.now() + env.seconds(5)
      while held() ~= before do assert(core.now() < deadline, "something stays") end
    end
    local job = core.digest(path)
    assert.not_equal(before, held())
    job:close()
    job:close()
    is_gone()
    assert.error_matches(function() job:result() end, "the digest is closed")
    job = core.digest(path) -- luacheck: ignore
    job = nil
    collectgarbage()
    collectgarbage()
    is_gone()
    loop.run(function()
      local fibers = {}
      for i = 1, 12 do fibers[i] = loop.spawn(digest.file, path) end -- some of them stand in line
      loop.sleep(0.01)
      for i = 12, 2, -1 do fibers[i]:cancel() end
      fibers[1]:cancel()
    end)
    is_gone()
    assert.equal(core.sha256 "text", digest.file(env.write(directory:file "small", "text")).sha256) -- the line is empty again
    assert.is_true(core.now() - start < env.seconds(10)) -- reading it all would take minutes
  end)
end)

describe("the stamp of a file", function()
  it("changes only when the file is written to, touched or replaced", function()
    local directory <close> = env.directory()
    local path = env.write(directory:file "f", "text")
    env.output("touch -d @1000000000.5 " .. env.quote(path))
    local seen, first = {}, core.stat(path).stamp
    assert.equal(first, core.stat(path).stamp)
    assert.equal("text", env.read(path))
    assert.equal(first, core.stat(path).stamp)
    seen[first] = true
    local function is_new()
      local stamp = core.stat(path).stamp
      assert.is_nil(seen[stamp], stamp)
      seen[stamp] = true
    end
    env.write(path, "TEXT")
    is_new()
    env.output("touch -d @1000000000.5 " .. env.quote(path)) -- the old time and size, but not the old ctime
    is_new()
    env.write(path, "TEXT more")
    is_new()
    env.write(directory:file "other", "TEXT more")
    env.output(("touch -r %s %s"):format(env.quote(path), env.quote(directory:file "other")))
    assert(os.rename(directory:file "other", path))
    is_new()
  end)
end)
