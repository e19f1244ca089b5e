-- SPDX-License-Identifier: MIT
-- Files that another program may control: omni opens them without waiting, and only if they are regular files.
local core = require "omni.core"
local env = require "helper.env"
local omni = require "omni"
local preloaded = require "helper.preloaded"

local directory

local function file(name) return directory:file(name) end

local function make(command) assert(os.execute(("cd %s && %s"):format(env.quote(directory.path), command))) end

describe("a foreign file", function()
  before_each(function() directory = env.directory() end)
  after_each(function() directory:close() end)

  local function refused(why, path, mode)
    local opened, message, number = core.open(path, mode)
    assert.is_nil(opened)
    assert.equal(path .. ": " .. why, message)
    assert.equal("integer", math.type(number))
  end

  it("is read like any file in Lua", function()
    env.write(file "text", "one\ntwo\n")
    local opened <close> = assert(core.open(file "text"))
    assert.equal("file", io.type(opened))
    assert.equal("one", opened:read "l")
    assert.equal("two\n", opened:read "a")
  end)

  it("is refused with a reason, and without waiting, when it isn't a regular file", function()
    make "mkfifo pipe && ln -s pipe link && mkdir folder && ln -s loop loop"
    refused("it is not a regular file", file "pipe")
    refused("it is not a regular file", file "link")
    refused("it is not a regular file", "/dev/zero")
    refused("it is not a regular file", "/dev/tty")
    refused("it is a folder, not a file", file "folder")
    refused("it is a symbolic link that can't be followed", file "loop")
    refused("No such file or directory", file "none")
  end)

  it("is created only where nothing exists, not even a link", function()
    local made <close> = assert(core.open(file "new", "x"))
    assert(made:write "text")
    assert(made:close())
    assert.equal("text", env.read(file "new"))
    refused("File exists", file "new", "x")
    make "ln -s nowhere link && mkfifo pipe"
    refused("File exists", file "link", "x")
    refused("it is not a regular file", file "pipe", "x")
    assert.equal("text", env.read(file "new"))
  end)

  it("can't have a path with a NUL, or an unknown mode", function()
    assert.has_error(function() core.open("a\0b") end)
    assert.has_error(function() core.open(file "a", "w") end)
  end)

  it("is never replaced by a rename", function()
    env.write(file "one", "one")
    env.write(file "two", "two")
    local fine, message, number = core.rename_new(file "one", file "two")
    assert.same({ nil, 17 }, { fine, number })
    assert.matches("/two: File exists$", message)
    make "ln -s nowhere link"
    assert.is_nil(core.rename_new(file "one", file "link"))
    assert.is_true(core.rename_new(file "one", file "three"))
    assert.same({ "link", "three", "two" }, directory:names())
  end)

  it("can't replace a lock's file", function()
    make "mkfifo lock && mkdir folder"
    local lock, message = core.lock(file "lock")
    assert.is_nil(lock)
    assert.matches("it is not a regular file", message)
    assert.is_nil(core.lock(file "folder"))
  end)

  it("is never waited for: as certificates, as keys, as a ledger's session", function()
    make "mkfifo pipe && mkdir -p .crun && mkfifo -m 600 .crun/.env ledger.db-alive"
    local none, why = omni.client { base_url = "https://127.0.0.1:1", api_key = ("k"):rep(20), ca_file = file "pipe" }
    assert.is_nil(none)
    assert.matches("certificates of the option ca_file can't be used: .*/pipe is a pipe", tostring(why))
    local code = 'print(select(2, require "omni".client { base_url = "http://127.0.0.1:1" }))'
    local told = env.output(("env -u CRUN_API_KEY -u CRUN_API_KEYS -u XDG_CONFIG_HOME HOME=%s timeout 60 %s -e %s 2>&1"):format(
      env.quote(directory.path), env.lua, env.quote(code)))
    assert.matches("%.env: it is not a regular file", told)
    local client <close> = omni.client { base_url = "http://127.0.0.1:1", api_key = ("k"):rep(20), ledger = file "ledger.db",
      retry_for = 0 }
    local task, err = client:submit { prompt = "x" }
    assert.same({ nil, "ledger_failed" }, { task, err.code })
    assert.matches("it is not a regular file", err.message)
  end)
end)

describe("a file system", function()
  before_each(function() directory = env.directory() end)
  after_each(function() directory:close() end)

  -- Lua code in a process where these calls fail with the given errno values: "renameat2=ENOSYS link=EPERM", for example.
  local function with(failing, code)
    local c = { "#include <errno.h>\n#include <stdio.h>\n#include <unistd.h>" }
    local results <const> = {
      link = "int link(const char *from, const char *to)", fsync = "int fsync(int fd)",
      renameat2 = "int renameat2(int from, const char *path, int to, const char *new_path, unsigned flags)",
    }
    for name, errno in failing:gmatch "(%w+)=(%w+)" do c[#c + 1] = ("%s { return errno = %s, -1; }"):format(results[name], errno) end
    local whole = ("local core, folder = require 'omni.core', %q %s"):format(directory.path, code)
    return preloaded.output(table.concat(c, "\n"), ("%s -e %s"):format(env.lua, env.quote(whole)))
  end

  local RENAME <const> = [[
    print(core.rename_new(folder .. "/from", folder .. "/to"))
    print(select(3, core.rename_new(folder .. "/second", folder .. "/to")))]]

  for _, failing in ipairs { "renameat2=ENOSYS", "renameat2=EINVAL link=EPERM", "renameat2=EINVAL link=EMLINK" } do
    it("may be unable to rename without replacing: " .. failing, function()
      env.write(file "from", "first")
      env.write(file "second", "second")
      assert.equal("true\n17\n", with(failing, RENAME)) -- EEXIST
      assert.equal("first", env.read(file "to"))
      assert.same({ "second", "to" }, directory:names())
    end)
  end

  it("reports that it can't rename", function()
    env.write(file "from", "first")
    assert.equal("nil\n5\n", with("renameat2=EIO", [[
      local renamed, _, number = core.rename_new(folder .. "/from", folder .. "/to")
      print(renamed) print(number)]]))
    assert.same({ "from" }, directory:names())
  end)

  it("may be unable to sync a folder", function()
    assert.equal("true\n", with("fsync=EINVAL", [[print(core.make_directory(folder .. "/new"))]]))
    assert.same({ "new" }, directory:names())
  end)

  it("has no new folder that couldn't be synced", function()
    assert.equal("nil\n5\n", with("fsync=EIO", [[
      local made, _, number = core.make_directory(folder .. "/new")
      print(made) print(number)]]))
    assert.same({}, directory:names())
  end)
end)
