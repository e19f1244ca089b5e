-- SPDX-License-Identifier: MIT
-- The files of a run: a clip that can't be decoded is fetched again and never paid again, and a user's own files are never lost.
local core = require "omni.core"
local env = require "helper.env"
local faults = require "omni.sandbox.faults"
local files = require "omni.storyboard.run.scene_files"
local omni = require "omni"
local studio = require "helper.studio"

local statuses = studio.statuses

local function board() return studio.board "a" end

local function sqlite3(s, sql)
  s.client:close()
  env.output(("sqlite3 %s %s"):format(env.quote(s.directory .. "/ledger.db"), env.quote(sql)))
  s.client = s:new_client()
end

-- Makes bytes that nothing can decode the ones that the ledger has recorded for a clip.
local function record_bytes(s, path, bytes)
  env.write(path, bytes)
  sqlite3(s, ("UPDATE file SET sha256 = '%s'; DELETE FROM digest"):format(core.sha256(bytes)))
end

local BROKEN <const> = "\0\0\0\20ftypisom\0\0\2\0isom" .. ("\1\2\3"):rep(1000)
local PAGE <const> = "<!DOCTYPE html><html>Sign in</html>"

-- The names in a folder that match a pattern.
local function names(folder, pattern)
  local found = {}
  for name in env.output("ls -A " .. env.quote(folder)):gmatch "[^\n]+" do
    if name:find(pattern) then found[#found + 1] = name end
  end
  return found
end

describe("a clip that can't be decoded, although its bytes are the recorded ones,", function()
  for what, bytes in pairs { ["a film of nonsense"] = BROKEN, ["a page of HTML"] = PAGE } do
    it(("(%s) is fetched again within the run, and nothing is submitted"):format(what), function()
      studio.open({ films = true }, function(s)
        local first = assert(s:run(board()))
        local path, film = first.scenes[1].file, env.read(first.film.path)
        local good = env.read(path)
        record_bytes(s, path, bytes)
        assert.same({ "reuse" }, statuses(assert(s:plan(board()))))
        local summary = assert(s:run(board()))
        assert.is_nil(summary.film_error)
        -- It was cut again; or it is the film of the first run, if the clip was whole again before the cut looked at it.
        assert.is_true(summary.film.made or env.read(summary.film.path) == film)
        assert.equal(good, env.read(path))
        assert.equal(1, s:submits())
        assert.equal(bytes, env.read((path:gsub("%.mp4$", " (older 1).mp4"))))
        assert.same({ "reused" }, statuses(assert(s:run(board()))))
      end)
    end)
  end

  it("is fetched by the next run if this one can't fetch it, and keeps its name until then", function()
    studio.open({ films = true, faults = { "garbage:on=media,skip=1,first=1" } }, function(s)
      local path = assert(s:run(board())).scenes[1].file
      local good = env.read(path)
      record_bytes(s, path, BROKEN)
      local summary = assert(s:run(board()))
      assert.equal("unreadable_clip", summary.film_error.code)
      assert.equal(BROKEN, env.read(path))
      local plan = assert(s:plan(board()))
      assert.same({ "fetch" }, statuses(plan))
      assert.matches("can't be decoded", plan.scenes[1].why)
      assert.is_truthy(assert(s:run(board())).film)
      assert.equal(good, env.read(path))
      assert.equal(1, s:submits())
    end)
  end)

  it("is fetched again before its last frame is drawn", function()
    studio.open({ films = true }, function(s)
      local function pair(prompt)
        return omni.storyboard { defaults = { duration = 4 }, omni.scene "a" { prompt = "a" },
          omni.scene "b" { prompt = prompt, first_frame = omni.last_frame "a" } }
      end
      local path = assert(s:run(pair "b")).scenes[1].file
      local good = env.read(path)
      sqlite3(s, ("UPDATE file SET sha256 = '%s' WHERE path LIKE '%%/a-%%'; DELETE FROM digest"):format(core.sha256(BROKEN)))
      env.write(path, BROKEN)
      core.remove((path:gsub("%.mp4$", ".last.png")))
      assert.same({ "fetched", "fetched" }, statuses(assert(s:run(pair "b, at night"))))
      assert.equal(good, env.read(path))
      assert.equal(3, s:submits())
    end)
  end)

  it("isn't fetched forever if the service sends the same bytes, nor if it is a picture or a sound", function()
    local folder <close> = env.directory()
    local path, saves = env.write(folder:file "clip.mp4", BROKEN), 0
    local task = { id = "t", key = { account = "x" }, media = { "u" } }
    function task:save(to) -- luacheck: ignore self
      saves = saves + 1
      return to
    end
    local run = { ledger = {}, client = {} }
    function run.ledger:ask() return {} end -- luacheck: ignore self
    function run.ledger:digest(file) return core.sha256(env.read(file)) end -- luacheck: ignore self
    local record = { scene = "a", file = path, task = task, planned = {} }
    local fine, err = files.fetch_again(run, record)
    assert.is_nil(fine)
    assert.matches("the same bytes again", err.message)
    assert.equal(1, saves)
    for _, bytes in ipairs { "\x89PNG\r\n\x1A\n", "ID3\4\0" } do
      env.write(path, bytes)
      assert.is_nil(files.fetch_again(run, record))
    end
    assert.equal(1, saves)
  end)
end)

describe("a clip that is cut short while its length is shortened, too,", function()
  it("is downloaded again", function()
    studio.open({ faults = { "media-short:first=1" } }, function(s)
      local summary = assert(s:run(board()))
      assert.same({ "fetched" }, statuses(summary))
      assert.equal(core.stat(s.sandbox.service.tasks.in_order[1].files.mp4).size, core.stat(summary.scenes[1].file).size)
      assert.equal(1, s:submits())
    end)
  end)

  it("is a failed download if it stays so; the next run fetches it, at no cost", function()
    studio.open({ faults = { "media-short" } }, function(s)
      local client <close> = s:new_client { retry_for = 0.1 }
      local summary = assert(s:run(board(), { client = client }))
      assert.same({ "failed" }, statuses(summary))
      local problem = summary.scenes[1].error
      assert.equal("network", problem.code)
      assert.matches("^the downloaded film is incomplete: it ends in the middle of its box '%w+'$", problem.message)
      assert.matches("it is paid for: the next run fetches it again", problem.hint)
      assert.same({}, names(s.directory .. "/media", "mp4"))
      s.sandbox.service.faults = assert(faults.open {})
      assert.same({ "fetch" }, statuses(assert(s:plan(board()))))
      assert.same({ "fetched" }, statuses(assert(s:run(board()))))
      assert.equal(1, s:submits())
    end)
  end)
end)

describe("a page instead of a clip", function()
  it("is a failed download, which the next run repeats, and no clip", function()
    studio.open({ faults = { "garbage:on=media,first=1" } }, function(s)
      local summary = assert(s:run(board()))
      assert.same({ "failed" }, statuses(summary))
      assert.equal("not_media", summary.scenes[1].error.code)
      assert.same({}, names(s.directory .. "/media", "mp4"))
      assert.same({ "fetch" }, statuses(assert(s:plan(board()))))
      assert.same({ "fetched" }, statuses(assert(s:run(board()))))
      assert.equal(1, s:submits())
    end)
  end)
end)

describe("a user's file", function()
  it("is renamed for the film, the report and a poster, and kept; omni's own files are replaced", function()
    studio.open({ films = true }, function(s)
      local function there(name) return s.directory .. "/" .. name end
      env.write(there "film.mp4", "my film")
      env.write(there "report.html", "my report")
      local summary = assert(s:run(board()))
      assert.equal("my film", env.read(there "film (older 1).mp4"))
      assert.equal("my report", env.read(there "report (older 1).html"))
      local poster = summary.scenes[1].file:gsub("%.mp4$", ".jpg")
      env.write(poster, "my picture")
      assert(os.execute("touch -d '1 hour ago' " .. env.quote(poster)))
      assert(s:run(studio.board("a", "b")))
      assert.equal("my picture", env.read((poster:gsub("%.jpg$", " (older 1).jpg"))))
      assert.same({ "film (older 1).mp4", "film.mp4" }, names(s.directory, "^film"))
      assert.same({ "report (older 1).html", "report.html" }, names(s.directory, "^report"))
    end)
  end)

  it("that was made by omni and changed later counts as the user's", function()
    studio.open({ films = true }, function(s)
      local film = s.directory .. "/film.mp4"
      assert(s:run(board()))
      local mine = env.read(film) .. "mine"
      env.write(film, mine)
      assert(s:run(board()))
      assert.equal(mine, env.read(s.directory .. "/film (older 1).mp4"))
    end)
  end)

  it("keeps its name if the clip with this name can't be fetched", function()
    studio.open({ faults = { "media-expired:skip=1,first=2" } }, function(s)
      local path = assert(s:run(board())).scenes[1].file
      env.write(path, "mine")
      sqlite3(s, "DELETE FROM file; DELETE FROM digest")
      assert.same({ "failed" }, statuses(assert(s:run(board()))))
      assert.equal("mine", env.read(path))
      assert.same({}, names(s.directory .. "/media", "older"))
    end)
  end)

  it("in a folder with the name of a part folder isn't touched", function()
    studio.open({ films = true }, function(s)
      local folder = s.directory .. "/film.mp4.part"
      assert(core.make_directory(folder))
      env.write(folder .. "/1.mov", "mine")
      local summary = assert(s:run(board()))
      assert.equal("cut_failed", summary.film_error.code)
      assert.matches("isn't one of omni's work folders", summary.film_error.message)
      assert.equal("mine", env.read(folder .. "/1.mov"))
    end)
  end)
end)

describe("a board's file", function()
  it("that isn't media makes its scene invalid before anything is paid, whatever its name", function()
    studio.open({}, function(s)
      local path = env.write(s.directory .. "/keeper.png", '{"password":"secret"}')
      local plan = assert(s:plan(omni.storyboard { omni.scene "a" { prompt = "a", duration = 4, references = { omni.file(path) } } }))
      assert.same({ "invalid" }, statuses(plan))
      assert.equal("invalid_input", plan.scenes[1].error.code)
      assert.matches("keeper.png: is JSON; these can be uploaded", plan.scenes[1].why)
      assert.is_nil(plan.scenes[1].why:find("secret", 1, true))
    end)
  end)

  it("that is a FIFO is refused without waiting for its other end", function()
    studio.open({}, function(s)
      local path = s.directory .. "/keeper.png"
      assert(os.execute("mkfifo " .. env.quote(path)))
      local plan = assert(s:plan(omni.storyboard { omni.scene "a" { prompt = "a", duration = 4, references = { omni.file(path) } } }))
      assert.same({ "invalid" }, statuses(plan))
    end)
  end)
end)
