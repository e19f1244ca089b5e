-- SPDX-License-Identifier: MIT
-- A board's file: an ordinary Lua program that returns a storyboard.
local core = require "omni.core"
local env = require "helper.env"
local err = require "omni.error"
local scripted = require "helper.scripted"
local load_board = require("omni.storyboard.language.load").load

-- The built tree, for a program that runs elsewhere.
local root = env.output("pwd"):gsub("\n", "")
local paths = ('LUA_PATH="%s/lua/?.lua;%s/lua/?/init.lua;;" LUA_CPATH="%s"'):format(root, root,
  (os.getenv("LUA_CPATH") or "build/lib/?.so;;"):gsub("^build", root .. "/build"))

describe("a board's file", function()
  local path

  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  local function board_of(text)
    local file <close> = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
    return load_board(path)
  end

  local function wrong(text)
    local board, bad = board_of(text)
    assert.is_nil(board)
    assert.is_true(err.is(bad))
    assert.equal("invalid_board", bad.code)
    return bad
  end

  it("finds the words without a require", function()
    local board = assert(board_of 'return storyboard { title = "T", scene "a" { prompt = "x" } }')
    assert.equal("T", board.title)
    assert.equal(path .. ":1", board.scenes[1].where)
  end)

  it("is ordinary Lua: loops, locals, the standard library, a first line for the shell", function()
    local board = assert(board_of [[
#!/usr/bin/env -S omni run
local shots = {}
for i, place in ipairs { "pier", "tower" } do
  shots[#shots + 1] = scene(("%d %s"):format(i, place)) { prompt = place:upper() }
end
return storyboard { shots }
]])
    assert.equal("2 tower", board.scenes[2].name)
    assert.equal("TOWER", board.scenes[2].input.prompt)
    assert.equal(path .. ":4", board.scenes[2].where)
  end)

  it("finds every word of the language", function()
    local board = assert(board_of [[
return storyboard {
  references = { keeper = file "keeper.png" },
  scene "a" { prompt = "x", references = { "keeper", url "https://e.org/a.png" } },
  scene "b" { prompt = "x", first_frame = last_frame "a", video = clip "a" },
  type(windows) == "function" and {},
}]])
    assert.same({ "a" }, board.scenes[2].builds_on)
    assert.is_nil(rawget(_G, "windows"))
  end)

  it("names files relative to its own folder, wherever omni runs", function()
    local directory <close> = env.directory()
    os.execute(("mkdir %s %s"):format(env.quote(directory:file "films"), env.quote(directory:file "links")))
    local text = 'return storyboard { scene "a" { prompt = "x", references = { file "k.png", file "/else/k.png" } } }'
    env.write(directory:file "films/board.lua", text)
    os.execute(("ln -s ../films %s"):format(env.quote(directory:file "links/here")))
    local folder = core.real_path(directory.path) .. "/films"
    for _, name in ipairs { "films/board.lua", "films/../films/./board.lua", "links/here/board.lua" } do
      local board = assert(load_board(directory:file(name)))
      assert.equal(folder .. "/board.lua", board.path)
      assert.equal(folder .. "/k.png", board.scenes[1].input.img_urls[1].path)
      assert.equal("/else/k.png", board.scenes[1].input.img_urls[2].path)
    end
    local said = env.output(([[cd %s && %s %s -e 'local b = require("omni.storyboard.language.load").load "board.lua"
      print(b.path, b.scenes[1].where)']]):format(env.quote(folder), paths, env.lua))
    assert.equal(folder .. "/board.lua\tboard.lua:1\n", said)
  end)

  it("that uses a word wrongly is refused, with file and line", function()
    for text, what in pairs {
      ["file(5)"] = "file: the path must be a string, not a number",
      ["file ''"] = "file: the path must be a string, not an empty string",
      ["url 'keeper.png'"] = "url: must be a public http%(s%) URL",
      ["last_frame()"] = "last_frame: the scene's name must be a string, not nothing",
    } do
      local bad = wrong(("\nreturn storyboard {\n scene 'a' { prompt = 'x', first_frame = %s } }"):format(text))
      assert.equal(1, (bad.message:find(path .. ":3: ", 1, true)), bad.message)
      assert.matches(what, bad.message)
    end
  end)

  it("keeps its globals to itself", function()
    assert(board_of 'leaked = 1; string_was = string; return storyboard { scene "a" { prompt = "x" } }')
    assert.is_nil(rawget(_G, "leaked"))
    assert.is_nil(rawget(_G, "storyboard"))
  end)

  it("with a syntax error is refused, with file and line", function()
    assert.equal(1, (wrong("x = 1\nreturn storyboard {").message:find(path .. ":2: ", 1, true)))
  end)

  it("that fails while it runs is refused, with file and line", function()
    assert.equal(1, (wrong("\n\nlocal x = nil .. 'a'").message:find(path .. ":3: ", 1, true)))
    os.remove(path)
    path = path .. ("x"):rep(80)
    assert.equal(1, (wrong("x = = 1").message:find(path .. ":1: ", 1, true)))
    assert.equal(1, (wrong("\n\nlocal x = nil .. 'a'").message:find(path .. ":3: ", 1, true)))
    assert.equal(path .. ": no place", wrong("error('no place', 0)").message)
    assert.equal(path .. ": raised a table", wrong("error({})").message)
  end)

  it("with an invalid scene is refused, with the scene's line; without a line, with its name", function()
    local bad = wrong('return storyboard {\n scene "a" { prompt = "x" },\n scene "b" { prompt = "x", duration = 5 } }')
    assert.equal(1, (bad.message:find(path .. ':3: scene "b": ', 1, true)))
    assert.equal("duration", bad.field)
    assert.equal(1, (wrong('return storyboard {}').message:find(path .. ":1: ", 1, true)))
  end)

  it("that returns something else is refused, with a hint what to write", function()
    for _, text in ipairs { "", "return 5", "return {}", 'return scene "a" { prompt = "x" }' } do
      local bad = wrong(text)
      assert.matches("instead of a storyboard", bad.message)
      assert.matches("return storyboard", bad.hint)
    end
  end)

  it("is checked against the service's schema of its model if possible, else against omni's rules", function()
    local text = 'return storyboard { scene "a" { prompt = "x", duration = 12 } }'
    assert.matches("duration: must be 4, 6, 8 or 10, not 12", wrong(text).message)
    local told = {
      model = "google/gemini-omni",
      input_schema = { type = "object", properties = { prompt = { type = "string" }, duration = { type = "integer", maximum = 12 } } },
    }
    scripted.open(function(target) return target:find("google/gemini-omni", 1, true) and told or nil end, function(client, asked)
      env.write(path, text)
      assert.equal(12, assert(load_board(path, { client = client })).scenes[1].input.duration)
      env.write(path, (text:gsub("12", "13")))
      local board, bad = load_board(path, { client = client })
      assert.is_nil(board)
      assert.matches('scene "a": duration: must be 12 or less, not 13', bad.message)
      assert.same({ "GET /api/v1/client/job/Models/google/gemini-omni" }, asked)
    end)
  end)

  it("can't be compiled code", function()
    assert.matches(": .*binary chunk", wrong(string.dump(load "return 1")).message)
  end)

  it("that doesn't exist, or is a directory, is refused", function()
    local _, bad = load_board(path .. ".missing")
    assert.matches("No such file", bad.message)
    _, bad = load_board("/")
    assert.matches("^can.t read the board: / is a folder; a board must be a file", bad.message)
  end)

  it("must be named by a string", function()
    assert.has_error(function() load_board(nil) end, "omni.load_storyboard: expected a path, got nil")
  end)
end)
