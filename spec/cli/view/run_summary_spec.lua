-- SPDX-License-Identifier: MIT
-- The plan before a run, and the summary after it; both are tables of scenes.
local core = require "omni.core"
local err = require "omni.error"
local planned = require "omni.cli.view.plan"
local sink = require("helper.screen").sink
local summary = require "omni.cli.view.run_summary"

local given = { board = "night's film.lua", only = {}, out = "-out" }

-- Returns a plan of these entries, with default values for the rest.
local function plan_of(entries, more)
  local plan = { board = { title = "Night" }, scenes = entries, by_name = {}, counts = {}, credits = 0, complete = true, submits = 0,
    spent = { credits = 0, estimated = 0 } }
  for index, entry in ipairs(entries) do
    entry.index, entry.selected = index, entry.selected ~= false
    plan.by_name[entry.scene] = entry
    plan.counts[entry.action] = (plan.counts[entry.action] or 0) + 1
    if entry.pays then plan.submits = plan.submits + 1 end
  end
  for name, value in pairs(more or {}) do plan[name] = value end
  return plan
end

describe("a plan on the screen", function()
  local function shown(plan, options)
    local out = sink()
    options.given, options.ledger = options.given or given, "/l/ledger.db"
    planned.write(out, plan, options)
    return out.take()
  end
  local night = plan_of({
    { scene = "dusk", action = "submit", why = "prompt changed", pays = true, credits = 40 },
    { scene = "night", action = "wait", why = "new", waits_for = { "dusk" }, pays = true },
    { scene = "it's", action = "unknown", why = "submitted 2026-11-23 07:01:02; no answer", row = { id = 7 } },
    { scene = "dawn", action = "wait", why = "new", waits_for = { "dusk", "it's" }, blocked = true },
    { scene = "noon", action = "reuse", files = { "noon.mp4" } },
    { scene = "sea", action = "invalid", why = "can't read sea.png" },
    { scene = "sky", action = "resume", why = "its task is in flight", task_id = "t" },
    { scene = "twin", action = "wait", why = 'equal to scene "dusk"', duplicate_of = "dusk", waits_for = { "dusk" } },
    { scene = "left", action = "submit", why = "new", selected = false },
  }, { credits = 40, complete = false, balance = 100, spent = { credits = 12.5, estimated = 3 },
    error = err.new { code = "network", message = "no price" } })

  it("shows each scene's action, reason or predecessor, and price; then the sum", function()
    local text = shown(night, { budget = 50 })
    for _, line in ipairs {
      "  + submit   dusk        40 credits  prompt changed\n",
      '  > wait     night    price unknown  new; after "dusk"\n',
      "  ? unknown  it's                    submitted 2026-11-23 07:01:02; no answer\n",
      "  > wait     dawn                    new; blocked by \"it's\"\n",
      "  = reuse    noon\n",
      "  ! invalid  sea                     can't read sea.png\n",
      "  ~ resume   sky                     its task is in flight\n",
      '  > wait     twin                    equal to scene "dusk"\n',
      "  - left     1 scene                 not among --only\n",
      "1 to submit, 1 to submit after others, 1 equal to another, 1 in flight, 1 to reuse, 1 unknown, 1 blocked, 1 invalid, "
        .. "1 not among --only: more than 40 credits (not every price is known: no price)\n",
      "the account has 100 credits; the board has cost 12.5 credits so far, and about 3 not yet reported; the run's budget is 50 credits\n",
    } do
      assert.is_truthy(text:find(line, 1, true), line .. " is missing in\n" .. text)
    end
  end)

  it("shows the ways out of an unknown outcome as commands, quoted for a shell", function()
    local text = shown(night, {})
    for _, command in ipairs {
      [[omni run 'night'\''s film.lua' --out=-out --adopt 'it'\''s' TASK_ID]],
      [[omni run 'night'\''s film.lua' --out=-out --resubmit 'it'\''s']],
      "omni forget 7 --ledger /l/ledger.db",
    } do
      assert.is_truthy(text:find(command .. "\n", 1, true), command .. " is missing in\n" .. text)
    end
    local flag = shown(plan_of { { scene = "-x", action = "unknown", why = "?", row = { id = 1 } } }, {})
    assert.is_truthy(flag:find("--adopt=-x TASK_ID\n", 1, true), flag)
  end)

  it("folds many reused scenes into one line on request", function()
    local entries = {}
    for i = 1, 4 do entries[i] = { scene = "s" .. i, action = "reuse", files = { "x" } } end
    assert.matches("\n  = reuse    4 scenes\n4 to reuse: nothing to pay\n", shown(plan_of(entries), { fold = true }))
    assert.matches("\n  = reuse    s4\n", shown(plan_of(entries), {}))
  end)

  it("fits into every terminal: text that has no room beside the others goes below", function()
    local wide = plan_of({
      { scene = "黎明の灯台の長い影がのびる朝の海", action = "submit", pays = true, credits = 40,
        why = "img_urls[2]: the file's content changed, duration: 6 → 8, 黎明の灯台の長い影がのびる朝の海" },
      { scene = ("x"):rep(100), action = "wait", waits_for = { "a" }, pays = true, why = ("y"):rep(150) },
    }, { credits = 40, balance = 100 })
    for _, columns in ipairs { 20, 33, 60, 80, 200 } do
      local text = shown(wide, { columns = columns, colour = true }):gsub("\27%[[%d;]*m", "")
      for line in text:gmatch("[^\n]+") do
        assert.is_true(core.columns(line) < math.max(columns, 34), ("%d: %s"):format(columns, line))
      end
      if columns >= 60 then
        assert.matches("40 credits", text)
        local below = text:gsub("\n +", "")
        assert.is_truthy(below:find("duration: 6 → 8", 1, true), text)
        assert.is_truthy(below:find(("y"):rep(20), 1, true))
      end
    end
  end)

  it("never passes a name's control characters to the terminal", function()
    local plan = plan_of { { scene = "a\27[2J", action = "unknown", why = "b\27[2J", row = { id = 1 } } }
    local text = shown(plan, { columns = 80, colour = true })
    assert.is_nil(text:find("\27[2J", 1, true))
  end)
end)

describe("the summary", function()
  local function written(options, summarized, entries)
    local out = sink()
    for index, scene in ipairs(summarized.scenes) do
      scene.index, entries[index] = index, entries[index] or { scene = scene.scene, action = "submit" }
    end
    options.given = options.given or given
    summarized.estimated = summarized.estimated or 0
    summarized.spent = summarized.spent or { credits = 0, estimated = 0 }
    summary.write(out, plan_of(entries), summarized, options)
    return out.take()
  end

  it("shows each scene's cost and files, or what to do; the film and the whole cost", function()
    local text = written({ sandbox = true, given = { board = "b.lua", sandbox = true } }, {
      title = "Night", credits = 10, estimated = 9, spent = { credits = 30, estimated = 4 },
      film = { path = "film.mp4", seconds = 12.3456, made = true }, report = "report.html", scenes = {
      { scene = "a", status = "fetched", credits = 6, files = { "m/a.mp4", "m/a-2.mp4" }, file = "m/a.mp4",
        warnings = { "it is short" } },
      { scene = "b", status = "failed", credits = 4,
        error = err.new { code = "generation_failed", message = "bad luck", hint = "change the prompt", task_id = "t2" } },
      { scene = "c", status = "unknown", estimate = 4, error = err.new { code = "submit_unknown", message = "no answer" } },
      { scene = "d", status = "interrupted", task_id = "t4", estimate = 5 },
      { scene = "e", status = "waiting" },
      { scene = "f", status = "blocked", error = err.new { code = "builds_on_missing", message = "it builds on c" } },
      { scene = "g", status = "reused", files = { "m/g.mp4" } },
      { scene = "h", status = "waiting" },
    } }, { [8] = { scene = "h", action = "submit", selected = false } })
    for _, wanted in ipairs { "Night: 2 of 7 scenes done, 10 sandbox credits, and about 9 not yet reported\n",
      "a  6 sandbox credits  m/a.mp4\n", "m/a-2.mp4", "warning: it is short\n",
      "bad luck (task t2), 4 sandbox credits\n", "change the prompt",
      "c  unknown  no answer\n", "may have been accepted and charged", "d  interrupted  task t4\n", "e  not submitted\n",
      "f  blocked  it builds on c\n", "g  reused  m/g.mp4\n", "  1 scene not among --only\n", "film    film.mp4 (12.35 s)\n",
      "report  report.html\n",
      "the board has cost 30 sandbox credits so far, and about 4 not yet reported\n" } do
      assert.is_truthy(text:find(wanted, 1, true), wanted .. " is missing in\n" .. text)
    end
  end)

  it("shows what is known of an unknown outcome, and the ways out of it", function()
    local seven = os.time { year = 2026, month = 11, day = 23, hour = 7 }
    local row = { id = 3, intended_at = seven, estimate = 40, balance_before = 100, balance_after = 60 }
    local text = written({ ledger = "/l/ledger.db" }, { credits = 0, scenes = {
      { scene = "c", status = "unknown", estimate = 40, error = err.new { code = "submit_unknown", message = "no answer" } },
    } }, { { scene = "c", action = "submit", row = row } })
    for _, wanted in ipairs { "submitted 2026-11-23 07:00:00; it may have cost about 40 credits; balance 100 before, 60 after\n",
      "--adopt c TASK_ID\n", "--resubmit c\n", "omni forget 3 --ledger /l/ledger.db\n" } do
      assert.is_truthy(text:find(wanted, 1, true), wanted .. " is missing in\n" .. text)
    end
  end)

  it("wraps its lines at words, but no command and no path", function()
    local scenes = {
      { scene = "a", status = "failed", error = err.new { code = "x", message = ("word "):rep(40) .. "end" } },
      { scene = "b", status = "unknown", error = err.new { code = "submit_unknown", message = "no answer" } },
      { scene = "c", status = "fetched", credits = 1, files = { ("long/"):rep(12) .. "c.mp4" } },
    }
    for _, columns in ipairs { 50, 80, 200 } do
      local text = written({ columns = columns, ledger = "/l/ledger.db", sandbox = true }, {
        title = ("word "):rep(12) .. "end", credits = 1, scenes = scenes, interrupted = true, estimated = 160,
        spent = { credits = 1000, estimated = 160 }, film_error = err.new { code = "x", message = ("film "):rep(30) .. "end" },
      }, {})
      for line in text:gmatch "[^\n]+" do
        local is_whole = line:find("omni run", 1, true) or line:find("long/", 1, true)
        assert.is_true(is_whole ~= nil or core.columns(line) < columns, columns .. ": " .. line)
      end
      assert.matches("a  failed%s+word word", text)
      assert.is_truthy(text:find(("long/"):rep(12) .. "c.mp4\n", 1, true))
      assert.is_truthy(text:find("submit it once more:  omni run 'night'\\''s film.lua' --out=-out --resubmit b\n", 1, true), text)
    end
  end)

  it("says once why several scenes weren't submitted, and names them", function()
    local function refused(name)
      return { scene = name, status = "refused", error = err.new { code = "generation_failed", cause = {},
        message = 'not submitted, because scene "a" failed' } }
    end
    local scenes = { { scene = "a", status = "failed", error = err.new { code = "generation_failed", message = "bad luck" } },
      refused "b", refused "c", refused "d" }
    local words = { board = "b.lua", fail_fast = true }
    local text = written({ given = words }, { credits = 0, scenes = scenes }, {})
    local said = '  3 scenes  refused  not submitted, because scene "a" failed (--fail-fast)\n            "b", "c", "d"\n'
    assert.is_truthy(text:find(said, 1, true), text)
    table.remove(scenes)
    text = written({ given = words }, { credits = 0, scenes = scenes }, {})
    assert.is_truthy(text:find('  c  refused  not submitted, because scene "a" failed (--fail-fast)\n', 1, true), text)
  end)

  it("keeps the ends of long names, which tell them apart", function()
    local scenes = {}
    for i, last in ipairs { "first take", "second take" } do
      scenes[i] = { scene = "the storm over the lighthouse at night, " .. last, status = "waiting" }
    end
    for _, columns in ipairs { 50, 80, 200 } do
      local text = written({ columns = columns }, { credits = 0, scenes = scenes }, {})
      assert.matches("st take +not submitted\n", text)
      assert.matches("nd take +not submitted\n", text)
    end
    local piped = written({}, { credits = 0, scenes = scenes }, {})
    assert.matches("the storm over the lighthouse at night, second take  not submitted\n", piped)
  end)

  it("shows the command that continues after an interruption, without options for one run only", function()
    local scenes = { { scene = "d", status = "interrupted", task_id = "t4" } }
    local words = { board = "b.lua", ledger = "l.db", only = { "d" }, redo = { "d" }, resubmit = { "x" }, adopt = { { "y", "t" } } }
    local text = written({ given = words }, { credits = 0, interrupted = true, scenes = scenes }, {})
    assert.matches("go on at the service, and are charged\n", text)
    assert.matches("nothing is paid for twice:\n  omni run b.lua %-%-ledger l.db %-%-only d\n", text)
  end)

  it("folds many reused scenes into one line", function()
    local scenes = {}
    for i = 1, 12 do scenes[i] = { scene = "s" .. i, status = "reused", files = { "x" } } end
    local text = written({}, { credits = 0, scenes = scenes, film = { path = "f.mp4", seconds = 4, made = false } }, {})
    assert.equal("12 of 12 scenes done, 0 credits\n"
      .. "  12 reused\nfilm    f.mp4 (4 s, as it was)\nthe board has cost 0 credits so far\n", text)
  end)

  it("puts paths on lines of their own in a narrow terminal", function()
    local scenes = { { scene = "a", status = "fetched", credits = 6, files = { "some/path/a.mp4" } } }
    assert.matches("\n  a  6 credits\n    some/path/a.mp4\nthe board", written({ columns = 20 }, { credits = 6, scenes = scenes }, {}))
  end)

  it("has the exit code of the result that needs a person most", function()
    local function code(more, ...)
      local summarized = { scenes = {} }
      for name, value in pairs(more) do summarized[name] = value end
      for i, status in ipairs { ... } do summarized.scenes[i] = { status = status } end
      return summary.exit_code(summarized)
    end
    assert.equal(0, code({}, "fetched", "reused"))
    assert.equal(3, code({}, "fetched", "refused"))
    assert.equal(3, code({}, "refused", "blocked"))
    assert.equal(1, code({}, "refused", "failed"))
    assert.equal(4, code({}, "failed", "unknown", "refused", "blocked"))
    assert.equal(130, code({ interrupted = true }, "unknown", "interrupted"))
    assert.equal(1, code({ film_error = { code = "unreadable_clip" } }, "fetched"))
    assert.equal(1, code({ report_error = { code = "io" } }, "fetched"))
    assert.equal(0, code({ film_error = { code = "film_incomplete" } }, "fetched", "waiting")) -- --only
  end)
end)
