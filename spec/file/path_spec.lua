-- SPDX-License-Identifier: MIT
-- A second name for a file: a link, or a copy where there can be no link. Making folders.
local core = require "omni.core"
local env = require "helper.env"
local lfs = require "lfs"
local omni = require "omni"
local paths = require "omni.file.path"

describe("a second name for a file", function()
  local files

  before_each(function() files = env.directory() end)
  after_each(function() files:close() end)

  it("is a link to the same file", function()
    env.write(files:file "a", "text")
    assert(paths.duplicate(files:file "a", files:file "b"))
    assert.equal(lfs.attributes(files:file "a", "ino"), lfs.attributes(files:file "b", "ino"))
  end)

  it("is a whole copy on another file system, and never replaces a file", function()
    local other = "/dev/shm"
    if lfs.attributes(files.path, "dev") == lfs.attributes(other, "dev") then other = "build" end
    if lfs.attributes(files.path, "dev") == (lfs.attributes(other, "dev") or lfs.attributes(files.path, "dev")) then
      return pending "there is only one file system"
    end
    local source = ("%s/omni.%s"):format(other, core.token(8))
    local remove <close> = setmetatable({}, { __close = function() os.remove(source) end }) -- luacheck: ignore 211
    env.write(source, ("text"):rep(9))
    omni.run(function()
      assert(paths.duplicate(source, files:file "copy"))
      assert.equal(("text"):rep(9), env.read(files:file "copy"))
      local fine, problem = paths.duplicate(source, files:file "copy")
      assert.same({ nil, "io" }, { fine, problem.code })
      assert.matches("File exists", problem.message)
    end)
    assert.same({ "copy" }, files:names())
  end)

  it("isn't made for a file that can't be copied whole", function()
    omni.run(function()
      local fine, problem = paths.duplicate(files:file "none", files:file "copy")
      assert.same({ nil, "io" }, { fine, problem.code })
      assert.matches("can't copy .*/none to .*No such file", problem.message)
    end)
    assert.same({}, files:names())
  end)
end)

describe("folders", function()
  it("are made with their parents, but not below a file", function()
    local files <close> = env.directory()
    assert(paths.make_directories(files:file "a/b/c/"))
    assert(paths.make_directories(files:file "a/b"))
    env.write(files:file "file", "")
    local fine, why = paths.make_directories(files:file "file/x/y")
    assert.is_nil(fine)
    assert.matches("Not a directory", why)
  end)
end)
