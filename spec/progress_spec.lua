-- SPDX-License-Identifier: MIT
local cjson = require "cjson"
local core = require "omni.core"
local err = require "omni.error"
local progress = require "omni.cli.progress"
local screen = require "helper.screen"
local summary = require "omni.cli.summary"
local words = require "omni.storyboard"

-- Something to write to, which keeps it.
local function sink()
  local parts = {}
  return {
    write = function(_, ...)
      for _, part in ipairs { ... } do parts[#parts + 1] = part end
    end,
    flush = function() end,
    take = function()
      local text = table.concat(parts)
      parts = {}
      return text
    end,
  }
end

local function board_of(...)
  local scenes = { title = "Night" }
  for i, name in ipairs { ... } do scenes[i] = words.scene(name) { prompt = "x" } end
  return words.storyboard(scenes)
end

local function opened(options)
  local out, time = sink(), 0
  local columns = options.columns
  local shown = progress.open {
    json = options.json, board = options.board, sandbox = options.sandbox, prices = options.prices, out = out,
    colour = options.colour, columns = function() return columns end, rows = function() return options.rows or 24 end,
    now = function() return time end,
  }
  return {
    out = out, shown = shown,
    at = function(seconds) time = seconds end,
    resize = function(n) columns = n end,
    event = function(name, index, fields)
      local event = { event = name, scene = options.board.scenes[index].name, index = index }
      for key, value in pairs(fields or {}) do event[key] = value end
      shown:event(event)
    end,
  }
end

local evil = "a\27[2Jb\u{9b}c"

describe("progress on a terminal", function()
  it("shows each scene's state, time and credits in one line, and a line for the whole", function()
    local p = opened { board = board_of("dusk", "dawn"), columns = 80, sandbox = true, prices = { dusk = 4, dawn = 4 } }
    local term = screen.new(80)
    p.event("submitting", 1)
    p.event("pending", 1, { task_id = "t" })
    p.at(65)
    p.event("running", 1, { task_id = "t" })
    term:feed(p.out.take())
    assert.matches("^Night", term:line(1))
    assert.matches("^  dusk +running +1:05  t$", term:line(2)) -- the task id, until it is over
    assert.matches("^  dawn +waiting", term:line(3))
    assert.matches("0 of 2 fetched · 0 sandbox credits of about 8 · 1:05", term:line(4))
    p.at(70)
    p.event("fetched", 1, { credits = 4, file = "x.mp4", files = { "x.mp4" } })
    p.at(90)
    p.shown:tick()
    term:feed(p.out.take())
    assert.matches("^  dusk +fetched +1:10 +4 credits", term:line(2))
    assert.matches("1 of 2 fetched · 4 sandbox credits", term:line(4))
    assert.equal("", term:line(5))
  end)

  it("is redrawn in place, above it nothing changes, and it leaves nothing behind", function()
    local p = opened { board = board_of("dusk", "dawn"), columns = 80 }
    local term = screen.new(80)
    term:feed("$ omni run\n")
    for second = 1, 20 do
      p.at(second)
      p.shown:tick()
    end
    term:feed(p.out.take())
    assert.equal("$ omni run", term:line(1))
    assert.matches("^Night", term:line(2))
    assert.equal(6, term.row)
    assert.equal(1, term.column)
    p.shown:finish()
    term:feed(p.out.take())
    assert.same({ "$ omni run", "" }, { term:line(1), term:line(2) })
    assert.equal(2, term.row)
  end)

  it("never writes a line that is as wide as the terminal, be it narrow and the names wide", function()
    for _, columns in ipairs { 1, 5, 12, 20, 33, 80 } do
      local p = opened { board = board_of("黎明黎明黎明黎明黎明黎明黎明", "été", ("x"):rep(100)), columns = columns, colour = true }
      p.event("submitting", 1)
      p.event("running", 1, { task_id = "t" })
      p.event("fetched", 2, { credits = 12.5, file = "x", files = { "x" } })
      for line in p.out.take():gsub("\27%[[%d;]*%a", ""):gsub("\r", ""):gmatch("[^\n]+") do
        assert.is_true(core.columns(line) < math.max(columns, 2), ("%d: %s"):format(columns, line))
      end
    end
  end)

  it("stays in place when the terminal becomes narrower", function()
    local p = opened { board = board_of("dusk", "dawn"), columns = 80 }
    local term = screen.new(80)
    term:feed("first\n")
    p.shown:tick()
    term:feed(p.out.take())
    term:resize(20)
    p.resize(20)
    p.shown:tick()
    term:feed(p.out.take())
    assert.equal("first", term:line(1))
    assert.matches("^Night", term:line(2))
    assert.matches("^  dusk", term:line(3))
  end)

  it("shows what is in flight when there are more scenes than rows", function()
    local names = {}
    for i = 1, 30 do names[i] = "scene " .. i end
    local p = opened { board = board_of(table.unpack(names)), columns = 80, rows = 10 }
    for i = 1, 20 do p.event("fetched", i, { credits = 1, file = "x", files = { "x" } }) end
    p.event("submitting", 25)
    p.out.take()
    p.shown:tick()
    local text = p.out.take()
    local lines = select(2, text:gsub("\n", ""))
    assert.is_true(lines < 10, lines .. " lines")
    assert.matches("scene 25 +submitting", text)
    assert.matches("20 of 30 fetched", text)
  end)

  it("has colours only when they are wanted", function()
    for _, colour in ipairs { true, false } do
      local p = opened { board = board_of "dusk", columns = 80, colour = colour }
      p.event("failed", 1, { error = err.new { code = "x", message = "y" } })
      assert.equal(colour, p.out.take():find("\27%[[%d;]*m") ~= nil)
    end
  end)

  it("never passes on what a title says to the terminal", function()
    local board = board_of "a"
    board.title, board.scenes[1].name = evil, evil
    local p = opened { board = board, columns = 80 }
    p.shown:tick()
    assert.is_nil(p.out.take():find("\27[2J", 1, true))
  end)
end)

describe("progress elsewhere", function()
  it("is one plain line for each change of state", function()
    local p = opened { board = board_of("dusk", "dawn"), sandbox = true }
    p.event("submitting", 1)
    p.event("pending", 1, { task_id = "t1" })
    p.shown:tick()
    p.event("fetched", 1, { task_id = "t1", credits = 4, file = "out/dusk.mp4", files = { "out/dusk.mp4" } })
    p.event("failed", 2, { task_id = "t2", error = err.new { code = "generation_failed", message = "no " .. evil, status = 501 } })
    p.shown:finish()
    assert.equal("dusk: submitting\ndusk: pending (task t1)\ndusk: fetched: 4 sandbox credits, out/dusk.mp4\n"
      .. "dawn: failed: no a?[2Jb?c (status 501)\n", p.out.take())
  end)
end)

describe("progress as JSON", function()
  it("is one object a line, with its fields in one order", function()
    local p = opened { board = board_of "dusk", json = true }
    p.event("pending", 1, { task_id = "t1", estimate = 4 })
    p.event("failed", 1, { task_id = "t1", error = err.new { code = "generation_failed", message = "no\nway", status = 501 } })
    p.shown:tick()
    local lines = {}
    for line in p.out.take():gmatch("[^\n]+") do lines[#lines + 1] = line end
    assert.equal(2, #lines)
    assert.matches('^{"event":"pending","time":%d+,"scene":"dusk","index":1,"task_id":"t1","estimate":4}$', lines[1])
    local failed = cjson.decode(lines[2])
    assert.same({ code = "generation_failed", message = "no way", status = 501 }, failed.error)
  end)
end)

describe("the summary", function()
  local function record(fields)
    fields.index = 1
    return fields
  end

  it("says what each scene cost, where its files are, and what to do about the others", function()
    local out = sink()
    summary.write(out, { title = "Night", credits = 10, scenes = {
      record { scene = "a", status = "fetched", credits = 6, files = { "m/a.mp4", "m/a-2.mp4" }, file = "m/a.mp4" },
      record { scene = "b", status = "failed", credits = 4,
        error = err.new { code = "generation_failed", message = "bad luck", hint = "change the prompt", task_id = "t2" } },
      record { scene = "c", status = "unknown", estimate = 4,
        error = err.new { code = "submit_unknown", message = "no answer", hint = "look" } },
      record { scene = "d", status = "interrupted", task_id = "t4" },
      record { scene = "e", status = "waiting" },
    } }, { sandbox = true })
    local text = out.take()
    for _, wanted in ipairs { "Night: 1 of 5 scenes done, 10 sandbox credits", "a  6 sandbox credits  m/a.mp4\n", "m/a-2.mp4",
      "bad luck (task t2), 4 sandbox credits", "change the prompt", "unknown  no answer", "look\n",
      "about 4 sandbox credits may have been charged", "d  interrupted  task t4\n", "e  not submitted" } do
      assert.is_truthy(text:find(wanted, 1, true), wanted .. " is missing in\n" .. text)
    end
  end)

  it("says how to come back to what goes on at the service", function()
    local out = sink()
    local scenes = { record { scene = "d", status = "interrupted", task_id = "t4" } }
    summary.write(out, { credits = 0, interrupted = true, scenes = scenes }, {})
    assert.matches('omni.client{}:task%("t4"%):await%(%):save%(', out.take())
  end)

  it("puts paths on lines of their own in a narrow terminal", function()
    local out = sink()
    local scenes = { record { scene = "a", status = "fetched", credits = 6, files = { "some/path/a.mp4" } } }
    summary.write(out, { credits = 6, scenes = scenes }, { columns = 20 })
    assert.matches("\n  a  6 credits\n    some/path/a.mp4\n$", out.take())
  end)

  it("has the exit code of what needs a person most", function()
    local function code(interrupted, ...)
      local scenes = {}
      for i, status in ipairs { ... } do scenes[i] = { status = status } end
      return summary.exit_code { scenes = scenes, interrupted = interrupted }
    end
    assert.equal(0, code(false, "fetched", "fetched"))
    assert.equal(3, code(false, "fetched", "refused"))
    assert.equal(1, code(false, "refused", "failed"))
    assert.equal(4, code(false, "failed", "unknown", "refused"))
    assert.equal(130, code(true, "unknown", "interrupted"))
  end)
end)
