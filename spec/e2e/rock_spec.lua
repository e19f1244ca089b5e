-- SPDX-License-Identifier: MIT
-- Installation by LuaRocks and by make: builds a copy of this tree and installs it into new trees, without a rocks server.
local env = require "helper.env"
local version = require "omni.version"

local rockspec <const> = ("rockspec/omni-%s-1.rockspec"):format(version)

describe("the version", function()
  it("is the same in the rockspec and in the changelog's first entry", function()
    assert.equal(rockspec .. "\n", env.output("ls rockspec/*.rockspec"))
    local fields = {}
    assert(loadfile(rockspec, "t", fields))()
    assert.equal(version .. "-1", fields.version)
    assert.equal("v" .. version, fields.source.tag)
    assert.equal(version, env.read("CHANGELOG.md"):match("\n## ([%w.]+)"))
  end)
end)

if not os.execute("command -v luarocks >/dev/null") then
  it("the rock", function() pending("luarocks isn't installed: nothing about the rock was tried") end)
  return
end

local directory, source, tree, said

-- Runs a shell command with an environment of PATH and the given NAME=value only.
local function clean(words, command, from)
  return env.output(("cd %s && env -i PATH=%s HOME=%s %s %s 2>&1"):format(env.quote(from or directory.path),
    env.quote(os.getenv("PATH")), env.quote(directory.path), words, command))
end

-- Runs luarocks as the README says for Debian, but without a server.
local function luarocks(into, command, from)
  return clean("LUAROCKS_CONFIG=" .. env.quote(directory:file "config.lua"),
    ("luarocks --lua-version=5.4 --tree=%s %s"):format(env.quote(into), command), from)
end

-- Runs plain Lua, which finds omni's modules in that tree only.
local function plain(into, arguments)
  local share, lib = into .. "/share/lua/5.4/?", into .. "/lib/lua/5.4/?.so;;"
  return clean(("LUA_PATH=%s LUA_CPATH=%s"):format(env.quote(("%s.lua;%s/init.lua;;"):format(share, share)), env.quote(lib)),
    env.plain_lua .. " " .. arguments)
end

-- Returns the sorted files below a directory; "" if it doesn't exist.
local function files(path, below)
  return env.output(("cd %s 2>/dev/null && find %s -type f | LC_ALL=C sort || true"):format(env.quote(path), below))
end

setup(function()
  directory = env.directory()
  source, tree = directory:file "source", directory:file "tree"
  env.output(("mkdir %s && tar c --exclude='*.omni' Makefile LICENSE *.md csrc docs examples lua rockspec | tar x -C %s")
    :format(env.quote(source), env.quote(source)))
  env.write(directory:file "config.lua", env.read("rockspec/debian.lua")
    .. 'rocks_servers = {}\nvariables = { CFLAGS = "-O0 -fPIC" }\n') -- the compiler takes most of the time
  said = luarocks(tree, "make", source)
end)

teardown(function() directory:close() end)

-- Returns the files of omni below share/lua/5.4: those of the source, and the types that the build writes.
local function installed_files()
  local list = {}
  for name in (files(source .. "/lua", "omni") .. "omni/types/library/omni.lua\n"):gmatch "[^\n]+" do list[#list + 1] = name .. "\n" end
  table.sort(list)
  return table.concat(list)
end

-- The C modules; the ledger in PostgreSQL is built only where libpq is.
local has_libpq = os.execute "pkg-config --exists libpq"
local modules = ("omni/core.so\n%somni/ledger_sqlite.so\nomni/listener.so\n"):format(has_libpq and "omni/ledger_postgresql.so\n" or "")

describe("the rock", function()
  it("has a rockspec without errors", function()
    luarocks(tree, "lint source/" .. rockspec)
  end)

  it("is built and installed offline by luarocks make: the program, the C modules, every Lua file, and nothing else", function()
    assert.truthy(said:find(("omni %s-1 is now installed"):format(version), 1, true), said)
    assert.equal(installed_files(), files(tree .. "/share/lua/5.4", "omni"))
    assert.equal(modules, files(tree .. "/lib/lua/5.4", "omni"))
    assert.equal("./omni\n", files(tree .. "/bin", "."))
    assert.equal("lua\n", env.output("ls " .. env.quote(tree .. "/share")))
    assert.equal(files(source, "docs"), files(("%s/lib/luarocks/rocks-5.4/omni/%s-1"):format(tree, version), "docs"))
  end)

  it("has the layout of an addon for the Lua language server: config.json, and library/ with the types of the module omni", function()
    local types = tree .. "/share/lua/5.4/omni/types/"
    assert.equal("omni", require("omni.json").decode(env.read(types .. "config.json")).name)
    assert.matches("^%-%-%-@meta omni\n.*\nreturn omni\n$", env.read(types .. "library/omni.lua"))
  end)

  it("gives plain Lua everything that the README's example needs", function()
    local found = plain(tree, [[-e 'require "omni" print(package.searchpath("omni.core", package.cpath))']])
    assert.equal(tree .. "/lib/lua/5.4/omni/core.so\n", found)
    local shot = plain(tree, env.quote(source .. "/examples/dawn.lua"))
    assert.truthy(shot:find("saved\tdawn.mp4", 1, true), shot)
    assert.equal("ftyp", env.read(directory:file "dawn.mp4"):sub(5, 8))
  end)

  it("contains a program that runs a storyboard by itself", function()
    env.write(directory:file "board.lua", 'return storyboard { title = "One", cut = false, scene "a" { prompt = "A boat." } }')
    assert.equal("omni " .. version .. "\n", clean("", "tree/bin/omni --version"))
    local shot = clean("PATH=/nonexistent", env.quote(tree .. "/bin/omni") .. " run board.lua --sandbox --seconds 0.1")
    assert.truthy(shot:find("1 of 1 scenes done", 1, true), shot)
  end)

  it("can be packed, installed elsewhere from that pack, and removed completely", function()
    luarocks(tree, "pack omni")
    local other = directory:file "other tree"
    luarocks(other, "install ./omni-*.rock")
    assert.equal(version .. "\n", plain(other, [[-e 'print(require "omni".version)']]))
    assert.equal("omni " .. version .. "\n", clean("", "'other tree/bin/omni' --version"))
    luarocks(other, "remove omni")
    assert.equal("./lib/luarocks/rocks-5.4/manifest\n", files(other, "."))
  end)
end)

describe("make", function()
  it("does and prints nothing the second time", function()
    assert.equal("", clean("", "make -C source --no-print-directory build"))
  end)

  it("installs the rock's files below DESTDIR and PREFIX, with the man page and completions where shells look for them", function()
    clean("", "make -C source install DESTDIR=" .. env.quote(directory:file "a package") .. " PREFIX=/usr")
    local usr = directory:file "a package/usr"
    assert.matches("\n%.TH OMNI 1 ", env.read(usr .. "/share/man/man1/omni.1"))
    for path, arguments in pairs {
      ["share/bash-completion/completions/omni"] = "completion bash",
      ["share/zsh/site-functions/_omni"] = "completion zsh",
      ["share/fish/vendor_completions.d/omni.fish"] = "completion fish",
    } do
      local printed = clean("", "'a package/usr/bin/omni' " .. arguments)
      assert.is_true(#printed > 500, path)
      assert.equal(printed, env.read(usr .. "/" .. path), path)
    end
    assert.equal("bin\nlib\nshare\n", env.output("ls " .. env.quote(usr)))
    assert.equal("bash-completion\nfish\nlua\nman\nzsh\n", env.output("ls " .. env.quote(usr .. "/share")))
    assert.equal(files(tree .. "/share/lua/5.4", "omni"), files(usr .. "/share/lua/5.4", "omni"))
    assert.equal(modules, files(usr .. "/lib/lua/5.4", "omni"))
    assert.equal(version .. "\n", plain(usr, [[-e 'print(require "omni".version)']]))
    assert.equal("omni " .. version .. "\n", clean("", "'a package/usr/bin/omni' --version"))
  end)
end)
