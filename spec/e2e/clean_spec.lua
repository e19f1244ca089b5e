-- SPDX-License-Identifier: MIT
-- `omni clean BOARD` removes what runs have written and the board doesn't use any more, and nothing else.
local env = require "helper.env"
local program = require "helper.program"

local text <const> = [[return storyboard { defaults = { duration = 4 }, cut = { output = os.getenv "OUT" or "film.mp4" },
  scene "dusk" { prompt = os.getenv "PROMPT" or "dusk" },
  scene "dawn" { prompt = "dawn", first_frame = os.getenv "FRAME" and file(os.getenv "FRAME") },
}]]

describe("omni clean", function()
  local files, service
  local changed <const> = { "--set", "PROMPT=another", "--set", "OUT=other.mp4" }

  before_each(function()
    files = env.directory()
    env.write(files:file "board.lua", text)
    service = program.real_service()
    service.environment.XDG_STATE_HOME = files:file "state"
  end)
  after_each(function()
    service.stop()
    files:close()
  end)

  local function omni(command, ...)
    local words = { command, "board.lua", ... }
    if command == "run" then table.move({ "--listen", "0" }, 1, 2, #words + 1, words) end -- a callback ends the wait for a task at once
    return program.run(words, { environment = service.environment, directory = files.path })
  end
  local function there()
    local names = {}
    for _, path in ipairs(env.lines("cd " .. env.quote(files:file "board.omni") .. " && find . -name '*.mp4' -o -name '*.jpg' | sort")) do
      names[#names + 1] = (path:gsub("^%./", ""):gsub("%-%x+%.", "."))
    end
    table.sort(names)
    return names
  end
  local function run_twice()
    assert.equal(0, omni("run", "--yes").code)
    assert.equal(0, omni("run", "--yes", table.unpack(changed)).code)
    env.write(files:file "board.omni/media/mine.mp4", "a file of mine")
  end

  it("removes old films and posters, and keeps what is paid for and what is in use", function()
    run_twice()
    local result = omni("clean", "--yes", table.unpack(changed))
    assert.equal(0, result.code, result.err)
    assert.matches("board%.omni/film%.mp4  a film\n.*board%.omni/media/dusk%-%x+%.jpg  a poster\n"
      .. ".*board%.omni/media/film%.jpg  a poster\n3 files to remove, ", result.out)
    assert.matches("\nkept: 1 clip of earlier versions, [%d.]+ kB, which were paid for; to remove them, too: %-%-all", result.out)
    assert.same({ "media/dawn.jpg", "media/dawn.mp4", "media/dusk.jpg", "media/dusk.mp4", "media/dusk.mp4", "media/mine.mp4",
      "media/other.jpg", "other.mp4" },
      there())
    assert.equal("nothing to remove", omni("clean", "--yes", table.unpack(changed)).lines[1])
    assert.same({ 0, 3 }, { omni("run", "--yes").code, service.submits() }) -- the old version costs nothing: its clip is still here
  end)

  it("with --all removes old clips, too, but no file with other bytes", function()
    run_twice()
    local old = env.output("ls " .. files:file "board.omni/media/dusk-*.mp4")
    assert.equal(0, omni("clean", "--yes", "--all").code) -- the first version is in use now
    assert.same({ "film.mp4", "media/dawn.jpg", "media/dawn.mp4", "media/dusk.jpg", "media/dusk.mp4", "media/film.jpg", "media/mine.mp4" },
      there())
    for path in old:gmatch "[^\n]+" do
      if env.read(path) then env.write(path, "changed by hand") end
    end
    old = env.output("ls " .. files:file "board.omni/media/dusk-*.mp4")
    local result = omni("clean", "--yes", "--all", table.unpack(changed))
    assert.is_nil(result.out:find "dusk%-%x+%.mp4")
    assert.equal("changed by hand", env.read((old:match "[^\n]+")))
  end)

  it("asks, and removes nothing without a terminal to ask on", function()
    run_twice()
    local before = there()
    local result = omni("clean", table.unpack(changed))
    assert.same({ 3, "omni: nothing was removed: there is no terminal to ask on\n  give --yes\n" }, { result.code, result.err })
    assert.same(before, there())
  end)

  it("removes nothing while a scene's inputs are missing, since the clip of that scene may be in use", function()
    run_twice()
    local before = there()
    local result = omni("clean", "--yes", "--all", "--set", "FRAME=missing.png")
    assert.equal(2, result.code)
    assert.matches('scene "dawn": .*missing%.png.*\n  nothing was removed', result.err)
    assert.same(before, there())
  end)

  it("cleans the folder of rehearsals, clips included", function()
    -- Without ffmpeg, which would take most of the time, the sandbox has its own small clips, and there are no posters and no film.
    env.write(files:file "board.lua", (text:gsub("cut = %b{}", "cut = false")))
    assert.equal(0, program.run({ "run", "board.lua", "--sandbox", "--seconds", "0.05" }, { directory = files.path }).code)
    assert.same({ "sandbox/media/dawn.mp4", "sandbox/media/dusk.mp4" }, there())
    local result = omni("clean", "--sandbox", "--yes", table.unpack(changed))
    assert.matches('a clip of scene "dusk"', result.out)
    assert.same({ "sandbox/media/dawn.mp4" }, there())
  end)
end)
