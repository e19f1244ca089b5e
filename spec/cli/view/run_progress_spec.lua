-- SPDX-License-Identifier: MIT
local cjson = require "cjson"
local core = require "omni.core"
local err = require "omni.error"
local progress = require "omni.cli.view.run_progress"
local screen = require "helper.screen"
local sink = require("helper.screen").sink
local words = require "omni.storyboard.language"

local function board_of(...)
  local scenes = { title = "Night" }
  for i, name in ipairs { ... } do scenes[i] = words.scene(name) { prompt = "x" } end
  return words.storyboard(scenes)
end

-- Returns a plan that submits every scene, except those in `actions`.
local function plan_of(board, actions, prices)
  local plan = { board = board, scenes = {}, by_name = {}, counts = {} }
  for index, scene in ipairs(board.scenes) do
    local action = actions and actions[scene.name] or "submit"
    local entry = { scene = scene.name, index = index, action = action, selected = action ~= "left" }
    entry.credits = prices and prices[scene.name]
    plan.scenes[index], plan.by_name[scene.name] = entry, entry
  end
  return plan
end

local function opened(options)
  local out, time = sink(), 0
  local columns = options.columns
  local shown = progress.open {
    json = options.json, plan = plan_of(options.board, options.actions, options.prices), sandbox = options.sandbox, out = out,
    colour = options.colour, columns = function() return columns end, rows = function() return options.rows or 24 end,
    now = function() return time end, typical = options.typical,
  }
  return {
    out = out, shown = shown,
    at = function(seconds) time = seconds end,
    resize = function(n) columns = n end,
    event = function(name, index, fields)
      local event = { event = name, scene = index and options.board.scenes[index].name, index = index }
      for key, value in pairs(fields or {}) do event[key] = value end
      shown:event(event)
    end,
  }
end

-- Returns the text of a drawing, without cursor movements and colours.
local function plain(text)
  return (text:gsub("\27%[[%d;]*%a", ""):gsub("\r", ""))
end

local evil = "a\27[2Jb\u{9b}c"

describe("progress on a terminal", function()
  it("shows each scene's state, time and credits in one line, and a line for the whole run", function()
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
    assert.matches("0 of 2 done · 0 sandbox credits of about 8 · 1:05", term:line(4))
    p.at(70)
    p.event("fetched", 1, { credits = 4, file = "x.mp4", files = { "x.mp4" } })
    p.at(90)
    p.shown:tick()
    term:feed(p.out.take())
    assert.matches("^  dusk +fetched +1:10  4 sandbox credits$", term:line(2))
    assert.matches("1 of 2 done · 4 sandbox credits of about 8 · 1:30", term:line(4))
    assert.equal("", term:line(5))
  end)

  it("shows how long similar scenes take while a scene is in progress", function()
    local p = opened { board = board_of("dusk", "dawn"), columns = 80, typical = { dusk = { seconds = 90 } } }
    local term = screen.new(80)
    p.event("submitting", 1)
    p.event("submitting", 2)
    p.at(42)
    p.shown:tick()
    term:feed(p.out.take())
    assert.matches("^  dusk +submitting +0:42 of about 1:30$", term:line(2))
    assert.matches("^  dawn +submitting +0:42$", term:line(3))
    p.event("fetched", 1, { credits = 4, file = "x", files = { "x" } })
    p.resize(60)
    p.shown:tick()
    term:feed(p.out.take())
    assert.matches("^  dusk +fetched +0:42  4 credits$", term:line(2))
  end)

  it("has room for names, times and credits in 60 columns, and for task ids in 200", function()
    for _, columns in ipairs { 60, 200 } do
      local name, id = "黎明の灯台の長い影", "3ab310e8-f978-4834-a5d4-799d92339c5d"
      local p = opened { board = board_of(name, "b"), columns = columns, typical = { [name] = { seconds = 90 } } }
      local term = screen.new(columns)
      p.event("submitting", 1)
      p.event("pending", 1, { task_id = id })
      p.event("fetched", 2, { credits = 12.5, file = "x", files = { "x" } })
      p.at(7)
      p.shown:tick()
      term:feed(p.out.take())
      assert.is_truthy(term:line(2):find("  " .. name .. "  pending ", 1, true), term:line(2))
      assert.is_truthy(term:line(2):find(columns == 60 and "0:07/~1:30" or "0:07 of about 1:30", 1, true), term:line(2))
      assert.equal(columns == 200, term:line(2):find(id, 1, true) ~= nil)
      assert.is_truthy(term:line(3):find("12.5 credits", 1, true))
      assert.equal("", term:line(5))
    end
  end)

  it("shows the current waits above the line for the whole run, and never takes more rows than there are", function()
    local waits = { "the service asks to wait, 0:15 left", "no response from the service for 0:08" }
    for rows = 1, 9 do
      local time, out = 0, sink()
      local shown = progress.open {
        plan = plan_of(board_of("dusk", "dawn", "noon")), out = out, columns = function() return 80 end, rows = function() return rows end,
        now = function() return time end,
        waits = { lines = function(_, _, most) return table.move(waits, 1, math.max(0, math.min(2, most)), 1, {}) end },
      }
      shown:tick()
      out.take()
      shown:wait()
      shown:tick()
      local text = plain(out.take())
      assert.is_true(select(2, text:gsub("\n", "")) < math.max(2, rows), ("%d rows:\n%s"):format(rows, text))
      if rows > 5 then assert.matches("\n  the service asks to wait, 0:15 left\n  no response .*\n  0 of 3 done", text) end
    end
  end)

  it("keeps the ends of long names, which tell them apart, at any width", function()
    for _, columns in ipairs { 50, 80, 200 } do
      local board = board_of("storm over the lighthouse, first take", "storm over the lighthouse, second take")
      local p = opened { board = board, columns = columns }
      p.event("pending", 1, { task_id = ("t"):rep(36) })
      p.shown:tick()
      local text = plain(p.out.take())
      assert.matches("[^\n]*st take +pending", text)
      assert.matches("[^\n]*nd take +waiting", text)
      assert.equal(columns == 200, text:find(("t"):rep(36), 1, true) ~= nil)
    end
  end)

  it("folds many reused scenes into one line, and leaves out scenes that the run doesn't touch", function()
    local board, actions = board_of("a", "b", "c", "d", "e", "f"), { a = "reuse", b = "reuse", c = "reuse", d = "reuse", f = "left" }
    local p = opened { board = board, columns = 80, actions = actions }
    local term = screen.new(80)
    p.event("submitting", 5)
    p.shown:tick()
    term:feed(p.out.take())
    assert.matches("^  e +submitting", term:line(2))
    assert.equal("  4 reused", term:line(3))
    assert.matches("^  4 of 5 done", term:line(4))
    actions.d = "submit"
    p = opened { board = board, columns = 80, actions = actions }
    p.shown:tick()
    assert.matches("\n  a +reused\n", plain(p.out.take()))
  end)

  it("shows the time since the submit of a task that was already in flight", function()
    local board = board_of "dusk"
    local plan, time, out = plan_of(board, { dusk = "resume" }), 1000, sink()
    plan.scenes[1].row = { intended_at = os.time() - 3600, estimate = 40 }
    local shown = progress.open { plan = plan, out = out, columns = function() return 80 end, rows = function() return 24 end,
      now = function() return time end }
    shown:event { event = "pending", scene = "dusk", index = 1, task_id = "t" }
    local text = plain(out.take())
    assert.matches("dusk +pending +1:00:0[01]  t\n", text)
    assert.matches("0 credits of about 40", text)
  end)

  it("shows the cut with a bar, and without one in a narrow terminal", function()
    for _, columns in ipairs { 80, 36 } do
      local p = opened { board = board_of "dusk", columns = columns }
      p.event("cutting", nil, { file = "film.mp4", fraction = 0 })
      p.at(6)
      p.event("cutting", nil, { file = "film.mp4", fraction = 0.5 })
      p.shown:tick()
      local bar = columns == 80 and "%[##########          %] " or ""
      assert.matches("\n  film  cutting  " .. bar .. " 50%%  0:06\n", plain(p.out.take()))
      p.event("film", nil, { file = "film.mp4", seconds = 4, made = true })
      p.shown:tick()
      assert.not_matches("cutting", plain(p.out.take()))
    end
  end)

  it("is redrawn in place, changes nothing above, and leaves nothing behind", function()
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
    p.shown:close()
    term:feed(p.out.take())
    assert.same({ "$ omni run", "" }, { term:line(1), term:line(2) })
    assert.equal(2, term.row)
  end)

  it("is drawn once for events that come together, and shows all of them at the next tick", function()
    local names = {}
    for i = 1, 200 do names[i] = "s" .. i end
    local p = opened { board = board_of(table.unpack(names)), columns = 80 }
    p.shown:tick()
    p.out.take()
    for i = 1, 200 do p.event("fetched", i, { credits = 1, file = "x", files = { "x" } }) end
    assert.equal("", p.out.take())
    p.shown:tick()
    assert.matches("200 of 200 done", p.out.take())
    p.shown:tick()
    assert.equal("", p.out.take())
  end)

  it("never writes a line as wide as the terminal, even if it is narrow and names are wide", function()
    for _, columns in ipairs { 1, 5, 12, 20, 33, 60, 80, 200 } do
      local p = opened { board = board_of("黎明黎明黎明黎明黎明黎明黎明", "été", ("x"):rep(100)), columns = columns, colour = true,
        typical = { ["été"] = { seconds = 4000 } } }
      p.event("submitting", 1)
      p.event("running", 1, { task_id = ("t"):rep(36) })
      p.event("fetched", 2, { credits = 12.5, file = "x", files = { "x" } })
      p.event("cutting", nil, { file = "film.mp4", fraction = 0.3 })
      p.shown:tick()
      for line in plain(p.out.take()):gmatch("[^\n]+") do
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
    p.at(1)
    p.shown:tick()
    term:feed(p.out.take())
    assert.equal("first", term:line(1))
    assert.matches("^Night", term:line(2))
    assert.matches("^  dusk", term:line(3))
  end)

  it("shows the scenes in flight if there are more scenes than rows", function()
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
    assert.matches("20 of 30 done", text)
  end)

  it("never draws more lines than the terminal has rows, and keeps the last ones", function()
    for rows = 1, 6 do
      local p = opened { board = board_of("dawn", "noon", "dusk"), columns = 80, rows = rows }
      p.event("submitting", 2)
      p.shown:event { event = "cutting", fraction = 0.5 }
      p.out.take()
      p.shown:tick()
      local text = p.out.take()
      local lines = select(2, text:gsub("\n", ""))
      assert.is_true(lines < math.max(2, rows), ("%d lines in %d rows"):format(lines, rows))
      assert.matches("0 of 3 done", text)
    end
  end)

  it("has colours only on request", function()
    for _, colour in ipairs { true, false } do
      local p = opened { board = board_of "dusk", columns = 80, colour = colour }
      p.event("failed", 1, { error = err.new { code = "x", message = "y" } })
      p.shown:tick()
      assert.equal(colour, p.out.take():find("\27%[[%d;]*m") ~= nil)
    end
  end)

  it("never passes a title's control characters to the terminal", function()
    local board = board_of "a"
    board.title, board.scenes[1].name = evil, evil
    local p = opened { board = board, columns = 80 }
    p.shown:tick()
    assert.is_nil(p.out.take():find("\27[2J", 1, true))
  end)
end)

describe("progress without a terminal", function()
  it("is one plain line for each change of state; reused scenes appear only in the plan", function()
    local p = opened { board = board_of("dusk", "dawn", "noon"), sandbox = true }
    p.event("submitting", 1)
    p.event("pending", 1, { task_id = "t1" })
    p.shown:wait("the service asks to wait, 0:15 left", {})
    p.shown:wait_over {}
    p.event("reused", 3, { task_id = "t0", file = "n.mp4", files = { "n.mp4" } })
    p.event("fetched", 1, { task_id = "t1", credits = 4, file = "out/dusk.mp4", files = { "out/dusk.mp4" } })
    p.event("failed", 2, { task_id = "t2", error = err.new { code = "generation_failed", message = "no " .. evil, status = 501 } })
    p.event("warning", 1, { task_id = "t1", file = "out/dusk.mp4", message = "it's short " .. evil })
    p.event("cutting", nil, { file = "out/film.mp4", fraction = 0 })
    p.event("cutting", nil, { file = "out/film.mp4", fraction = 0.4 })
    p.event("film", nil, { file = "out/film.mp4", seconds = 4, made = true })
    p.event("report", nil, { file = "out/report.html" })
    p.shown:close()
    assert.equal("dusk: submitting\ndusk: pending (task t1)\nthe service asks to wait, 0:15 left\n"
      .. "dusk: fetched: 4 sandbox credits, out/dusk.mp4\n"
      .. "dawn: failed: no a?[2Jb?c (status 501)\ndusk: warning: it's short a?[2Jb?c\n"
      .. "film: cutting\nfilm: out/film.mp4\nreport: out/report.html\n", p.out.take())
  end)
end)

describe("progress as JSON", function()
  local function lines_of(out)
    local lines = {}
    for line in out.take():gmatch("[^\n]+") do lines[#lines + 1] = line end
    return lines
  end

  it("is one object a line, with its fields in a fixed order", function()
    local p = opened { board = board_of "dusk", json = true }
    p.event("pending", 1, { task_id = "t1", estimate = 4 })
    p.event("failed", 1, { task_id = "t1", error = err.new { code = "generation_failed", message = "no\nway", status = 501 } })
    p.event("cutting", nil, { file = "f.mp4", fraction = 0.25 })
    p.event("film", nil, { file = "f.mp4", seconds = 4.5, made = false })
    p.event("warning", 1, { task_id = "t1", file = "d.mp4", message = "it's short" })
    local lines = lines_of(p.out)
    assert.equal(5, #lines)
    assert.matches('^{"event":"warning","time":%d+,"scene":"dusk","index":1,"task_id":"t1","file":"d.mp4","message":"it\'s short"}$',
      lines[5])
    assert.matches('^{"event":"pending","time":%d+,"scene":"dusk","index":1,"task_id":"t1","estimate":4}$', lines[1])
    local failed = cjson.decode(lines[2])
    assert.same({ code = "generation_failed", message = "no way", status = 501 }, failed.error)
    assert.matches('^{"event":"cutting","time":%d+,"file":"f.mp4","fraction":0.25}$', lines[3])
    assert.matches('^{"event":"film","time":%d+,"file":"f.mp4","seconds":4.5,"made":false}$', lines[4])
  end)

  it("is valid UTF-8 whatever a path contains", function()
    local p = opened { board = board_of "dusk", json = true }
    p.event("film", nil, { file = "f\xff.mp4", seconds = 1, made = true })
    assert.equal("f\u{FFFD}.mp4", cjson.decode(lines_of(p.out)[1]).file)
  end)
end)
