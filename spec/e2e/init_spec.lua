-- SPDX-License-Identifier: MIT
-- `omni init`: the first board, and the next commands, which this spec runs.
local env = require "helper.env"
local program = require "helper.program"

local KEY <const> = "ak_" .. ("5ec2e7"):rep(5) .. "00"

describe("omni init", function()
  local files

  before_each(function() files = env.directory() end)
  after_each(function() files:close() end)

  local function init(...) return program.run({ "init", ... }, { directory = files.path }) end

  it("writes film.lua, and prints how to rehearse it, give a key, plan and run it", function()
    local result = init()
    assert.same({ 0, "" }, { result.code, result.err })
    assert.same({ "film.lua" }, files:names())
    assert.equal("wrote film.lua: a film of three scenes, for you to change", result.lines[1])
    for _, text in ipairs { "omni run film.lua --sandbox", "There is no API key.", "export CRUN_API_KEY=", "~/.crun/.env",
      "~/.config/omni/keys", "omni plan film.lua", "omni run film.lua --budget 200", "omni doctor" } do
      assert.truthy(result.out:find(text, 1, true), text)
    end
  end)

  it("writes a board that runs unchanged, and whose second run does nothing", function()
    init()
    local function run()
      return program.run({ "run", "film.lua", "--sandbox", "--seconds", "0.05" }, { directory = files.path, environment = program.tools })
    end
    local first = run()
    assert.equal(0, first.code, first.out .. first.err)
    assert.truthy(first.out:find("3 of 3 scenes done", 1, true), first.out)
    assert.equal("ftyp", env.read(files:file "film.omni/sandbox/film.mp4"):sub(5, 8))
    local second = run()
    assert.equal(0, second.code)
    assert.truthy(second.out:find("3 to reuse", 1, true), second.out)
  end)

  it("accepts another name, even one with special characters, and quotes it in the printed commands", function()
    local result = init "my first film.lua"
    assert.equal(0, result.code)
    local command = result.out:match "\n  (omni run [^\n]* %-%-sandbox)\n"
    assert.equal("omni run 'my first film.lua' --sandbox", command)
    assert.equal(0, program.run({ "plan", "my first film.lua", "--sandbox" }, { directory = files.path }).code)
  end)

  it("never replaces anything: a file, a folder, a dangling link", function()
    env.write(files:file "film.lua", "mine")
    env.output(("cd %s && mkdir folder && ln -s nowhere link && ln -s film.lua other"):format(env.quote(files.path)))
    for _, name in ipairs { "film.lua", "folder", "link", "other" } do
      local result = init(name)
      assert.same({ 2, "" }, { result.code, result.out }, name)
      assert.truthy(result.err:find(("omni: %s exists already; nothing was written"):format(name), 1, true), result.err)
    end
    assert.equal("mine", env.read(files:file "film.lua"))
    assert.same({ "film.lua", "folder", "link", "other" }, files:names())
  end)

  it("says why a board can't be written, and leaves nothing behind", function()
    local result = init "nowhere/film.lua"
    assert.same({ 1, "" }, { result.code, result.out })
    assert.matches("^omni: can't write nowhere/film.lua: .*No such file or directory", result.err)
    assert.equal(2, init("").code)
    assert.same({}, files:names())
  end)

  it("prints the source and the fingerprint of a key, and never the key", function()
    local result = program.run({ "init" }, { directory = files.path, environment = { CRUN_API_KEY = KEY } })
    assert.equal(0, result.code)
    assert.matches("\nomni has an API key:\n  key %x%x%x%x%x%x%x%x%x%x%x%x, from CRUN_API_KEY\n", result.out)
    assert.falsy(result.out:find(KEY:sub(1, 12), 1, true))
    assert.falsy(result.out:find("export CRUN_API_KEY", 1, true))
  end)

  it("says why it ignores a key", function()
    env.output(("cd %s && mkdir -p home/.crun"):format(env.quote(files.path)))
    local path = env.write(files:file "home/.crun/.env", "CRUN_API_KEY=" .. KEY .. "\n")
    env.output("chmod 644 " .. env.quote(path))
    local result = program.run({ "init" }, { directory = files.path, environment = { HOME = files:file "home" } })
    assert.equal(0, result.code)
    assert.truthy(result.out:find(path .. " can be read by other users", 1, true), result.out)
    assert.falsy(result.out:find(KEY:sub(1, 12), 1, true))
  end)

  it("writes settings and the types of a board's words for editors, when asked", function()
    env.output("mkdir " .. env.quote(files:file "films"))
    local result = init("films/film.lua", "--editor")
    assert.equal(0, result.code, result.err)
    assert.same({ ".luarc.json", ".omni", "film.lua" }, env.lines("ls -A " .. env.quote(files:file "films")))
    local settings = require("omni.core").json.decode(env.read(files:file "films/.luarc.json"))
    assert.same({ ".omni" }, settings["workspace.library"])
    local types = env.read(files:file "films/.omni/board.d.lua")
    assert.equal(env.read "lua/omni/types/board.d.lua", types)
    assert(load(types))
    assert.equal(0, program.run({ "plan", "films/film.lua", "--sandbox" }, { directory = files.path }).code)
  end)

  it("keeps an editor's existing settings, and prints what to add", function()
    env.write(files:file ".luarc.json", "{}")
    local result = init "--editor"
    assert.equal(0, result.code, result.err)
    assert.equal("{}", env.read(files:file ".luarc.json"))
    assert.truthy(result.out:find('"workspace.library": [".omni"]', 1, true), result.out)
  end)
end)
