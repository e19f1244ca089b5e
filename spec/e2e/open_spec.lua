-- SPDX-License-Identifier: MIT
-- `omni open BOARD`, with a fake desktop program that records its arguments.
local env = require "helper.env"
local program = require "helper.program"

describe("omni open", function()
  local files

  before_each(function()
    files = env.directory()
    env.write(files:file "film.lua", 'return storyboard { cut = { output = "night.mp4" }, scene "a" { prompt = "a", duration = 4 } }')
    env.output(("cd %s && mkdir -p film.omni/sandbox bin"):format(env.quote(files.path)))
    env.write(files:file "bin/xdg-open", ('#!/bin/sh\necho "$# $1 ${CRUN_API_KEY-no key}" >> %s\n'):format(env.quote(files:file "opened")))
    env.output("chmod +x " .. env.quote(files:file "bin/xdg-open"))
  end)
  after_each(function() files:close() end)

  local function open(words, path)
    table.insert(words, 1, "open")
    return program.run(words, { directory = files.path, environment = {
      PATH = path or files:file "bin" .. ":" .. os.getenv "PATH", CRUN_API_KEY = "ak_" .. ("s"):rep(32),
    } })
  end
  local function opened() return (env.read(files:file "opened"):match "([^\n]*)\n$") end

  it("opens the film, or the report if there is no film, and passes the key to no program", function()
    env.write(files:file "film.omni/report.html", "report")
    local result = open { "film.lua" }
    assert.same({ 0, "film.omni/report.html", "" }, { result.code, result.lines[1], result.err })
    assert.equal(("1 %s no key"):format(files:file "film.omni/report.html"), opened())
    env.write(files:file "film.omni/night.mp4", "film")
    assert.equal("film.omni/night.mp4", open({ "film.lua" }).lines[1])
    assert.equal("film.omni/report.html", open({ "film.lua", "--report" }).lines[1])
    env.write(files:file "film.omni/sandbox/night.mp4", "film")
    assert.equal("film.omni/sandbox/night.mp4", open({ "film.lua", "--sandbox" }).lines[1])
  end)

  it("says what is missing, and which command makes it", function()
    local result = open { "film.lua", "--film" }
    assert.same({ 1, "omni: there is no film.omni/night.mp4\n  to make it:  omni run film.lua\n" }, { result.code, result.err })
    assert.matches("there is no film.omni/sandbox/report.html\n  to make it:  omni run film.lua %-%-sandbox\n",
      open({ "film.lua", "--sandbox" }).err)
    env.write(files:file "film.omni/sandbox/night.mp4", "film")
    assert.matches("\n  there is a rehearsal:  omni open film.lua %-%-sandbox\n$", open({ "film.lua" }).err)
    env.write(files:file "bad.lua", "return 1")
    assert.equal(2, open({ "bad.lua" }).code)
  end)

  it("prints the path even if no program can open the file", function()
    env.write(files:file "film.omni/report.html", "report")
    local result = open({ "film.lua" }, "/nonexistent")
    assert.same({ 1, "film.omni/report.html" }, { result.code, result.lines[1] })
    assert.matches("xdg%-open isn't installed", result.err)
  end)
end)
