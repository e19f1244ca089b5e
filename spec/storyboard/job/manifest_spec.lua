-- SPDX-License-Identifier: MIT
-- Which files a job has, and that no list of files from elsewhere leads out of a worker's folder.

local env = require "helper.env"
local file_list = require "omni.storyboard.job.file_list"
local json = require "omni.json"
local load_contained = require("omni.storyboard.language.load").load_contained
local loop = require "omni.loop"
local manifests = require "omni.storyboard.job.manifest"
local paths = require "omni.file.path"
local studio = require "helper.studio"

local PNG <const> = "\x89PNG\r\n\x1A\n" .. ("a picture "):rep(10)
local sha256 <const> = ("a"):rep(64)

describe("a path from another machine", function()
  it("stays within its folder", function()
    for given, expected in pairs { ["a"] = "a", ["./a//b.lua"] = "a/b.lua", ["a/./b"] = "a/b", [" "] = " ", ["..a/b.."] = "..a/b..",
      ["ä"] = "ä" } do
      assert.equal(expected, paths.contained(given))
    end
    for _, given in ipairs { "", ".", "./", "/a", "//a", "..", "../a", "a/..", "a/../b", "a/", "a\nb", "a\0b", "\xff", ("a"):rep(256),
      ("a/"):rep(600) .. "a" } do
      assert.is_nil(paths.contained(given), given)
    end
  end)
end)

describe("a list of files", function()
  local function file(more)
    local all = { path = "a", sha256 = sha256, size = 1 }
    for name, value in pairs(more or {}) do all[name] = value end
    return all
  end

  it("is refused if a file isn't one that may be written", function()
    assert.same({ file(), file { path = "b/c" } }, file_list.check { file(), file { path = "b/c" } })
    for _, bad in ipairs { { path = "../a" }, { path = "/etc/passwd" }, { path = "a//b" }, { path = "a/" }, { path = 1 }, { path = "" },
      { sha256 = "x" }, { sha256 = "../" .. ("a"):rep(61) }, { sha256 = 1 }, { size = -1 }, { size = 1.5 }, { size = "1" } } do
      assert.is_nil(file_list.check { file(bad) }, json.canonical(bad))
    end
    for _, bad in ipairs { { file(), file() }, { "a" }, "a", 1, true } do assert.is_nil(file_list.check(bad)) end
    assert.is_nil(file_list.check(nil))
  end)

  it("belongs to a manifest that names the board among them", function()
    local good = { board = "a", set = { A = "b" }, files = { file() } }
    assert.same(good, manifests.read(json.canonical(good)))
    for _, bad in ipairs { { board = "b" }, { board = 1 }, { set = { A = 1 } }, { set = "x" }, { files = {} },
      { files = { file { path = "../a" } } } } do
      local given = { board = "a", set = {}, files = { file() } }
      for name, value in pairs(bad) do given[name] = value end
      local read, problem = manifests.read(json.canonical(given))
      assert.is_nil(read, json.canonical(given))
      assert.equal("invalid_board", problem.code)
    end
    for _, text in ipairs { "", "x", "[]", "3", '"a"', "null", ("["):rep(10000) } do assert.is_nil(manifests.read(text)) end
  end)
end)

describe("the files of a job", function()
  local directory
  before_each(function()
    directory = env.directory()
    env.output(("mkdir -p %s %s"):format(env.quote(directory:file "films/lib"), env.quote(directory:file "films/media")))
    env.write(directory:file "films/lib/shots.lua", "return { 'a prompt' }")
    env.write(directory:file "films/prompts.txt", "the pier\n")
    env.write(directory:file "films/unused.lua", "")
    env.write(directory:file "films/media/hero.png", PNG)
    env.write(directory:file "films/secret.txt", "SECRET")
    env.write(directory:file "outside.png", PNG)
  end)
  after_each(function() directory:close() end)

  local function load_text(text)
    env.write(directory:file "films/film.lua", text)
    return loop.drive(load_contained, directory:file "films/film.lua", {})
  end

  it("are the board, the files that it opens, and the media that it names", function()
    local board = assert(load_text [[
      local shots, more = require "lib.shots", io.open("./prompts.txt"):read "l"
      io.open "missing.txt"
      return storyboard { references = { hero = file "media/hero.png", none = file "missing.png", secret = file "secret.txt" },
        scene "a" { prompt = shots[1] .. more, references = "hero" } }]])
    assert.same({ ["lib/shots.lua"] = "opened", ["prompts.txt"] = "opened", ["media/hero.png"] = "named", ["missing.png"] = "named",
      ["secret.txt"] = "named" }, board.files)
    studio.open({}, function(s)
      env.output("mkdir " .. env.quote(directory:file "store"))
      local client <close> = s:new_client { ledger = directory:file "l.db", store = directory:file "store" }
      local text = assert(manifests.put(board, { A = "b" }, client:ledger(), client.store))
      local manifest, names = assert(manifests.read(text)), {}
      for i, file in ipairs(manifest.files) do
        names[i] = file.path
        assert.is_true(client.store:has(file.sha256, file.size))
      end
      assert.same({ "film.lua", { A = "b" } }, { manifest.board, manifest.set })
      assert.same({ "film.lua", "lib/shots.lua", "media/hero.png", "prompts.txt" }, names)
      assert(file_list.get(client:ledger(), client.store, directory:file "copy", manifest.files))
      assert.same({ "film.lua", "lib", "lib/shots.lua", "media", "media/hero.png", "prompts.txt" },
        env.lines(("cd %s && find * | LC_ALL=C sort"):format(env.quote(directory:file "copy"))))
      env.write(directory:file "films/film.lua", "return 1")
      assert.equal("file_changed", select(2, manifests.put(board, {}, client:ledger(), client.store)).code)
    end)
  end)

  it("can't be outside of the board's folder, and the error names the line", function()
    for _, path in ipairs { "../outside.png", directory:file "outside.png", directory:file "films/media/hero.png",
      "lib/../media/hero.png" } do
      local board, problem = load_text(('return storyboard {\n scene "a" { prompt = "x", first_frame = file %q } }'):format(path))
      assert.is_nil(board, path)
      assert.matches("film.lua:2: file: a job has only the files in the board's folder", problem.message, 1, true)
    end
    local board, problem = load_text(('io.open(%q)\nreturn storyboard { scene "a" { prompt = "x" } }'):format(
      directory:file "films/prompts.txt"))
    assert.is_nil(board)
    assert.matches("a job must open files by a path within the board's folder", problem.message, 1, true)
  end)
end)
