-- SPDX-License-Identifier: MIT
-- The time line of report.html: which scene ran when.

local page_of = require "helper.report_page"
local sessions = require "omni.report.sessions"

local T, has, has_not, render, scene_of, seen = page_of.T, page_of.has, page_of.has_not, page_of.render, page_of.scene_of, page_of.seen

describe("the time line", function()
  local function kinds(scene, now)
    local track = sessions.track(scene, now or T + 1000)
    if not track then return nil end
    local said = {}
    for index, phase in ipairs(track.phases) do said[index] = ("%s %d-%d"):format(phase.kind, phase.from - T, phase.to - T) end
    return table.concat(said, ", ")
  end

  it("distinguishes submitting, generating and waiting to be fetched", function()
    local times = { intended = T, accepted = T + 2, completed = T + 100, fetched = T + 110 }
    assert.equal("sent 0-40, run 40-100, ready 100-110", kinds { status = "fetched", times = times, seconds = 60 })
    assert.equal("sent 0-2, run 2-100, ready 100-110", kinds { status = "fetched", times = times })
    assert.equal("sent 0-2, run 2-100, ready 100-110", kinds { status = "fetched", times = times, seconds = 500 })
    assert.equal("sent 0-2, run 2-110", kinds { status = "fetched", times = { intended = T, accepted = T + 2, fetched = T + 110 } })
    assert.equal("", kinds { status = "unknown", times = { intended = T } })
    assert.is_nil(kinds { status = "waiting" })
  end)

  it("shows running tasks as unfinished", function()
    assert.equal("sent 0-2, open 2-1000", kinds { status = "interrupted", times = { intended = T, accepted = T + 2 } })
  end)

  it("never runs backwards, whatever the service's clock says", function()
    for _, completed in ipairs { T - 5000, T + 5000 } do
      local times = { intended = T, accepted = T + 2, completed = completed, fetched = T + 110 }
      local track = sessions.track({ status = "fetched", times = times, seconds = 60 }, T + 1000)
      local at = T
      for _, phase in ipairs(track.phases) do
        assert.equal(at, phase.from)
        assert.is_true(phase.to > phase.from)
        at = phase.to
      end
      assert.equal(T + 110, at)
    end
  end)

  it("leaves out invalid times", function()
    for _, wrong in ipairs { 0 / 0, math.huge, -math.huge, -1, 0, 1e300, "soon" } do
      assert.is_nil(kinds { status = "fetched", times = { intended = wrong, accepted = wrong, completed = wrong, fetched = wrong } })
      local page = render { scene_of { times = { intended = T, completed = wrong }, seconds = tonumber(wrong) } }
      has_not(page, "nan")
      has_not(page, "inf%")
    end
  end)

  it("ends a session after half an hour without a running scene, and begins with the latest session", function()
    local function shot(at) return { status = "fetched", times = { intended = T + at, accepted = T + at + 1, fetched = T + at + 60 } } end
    local list = sessions.sessions({ shot(0), shot(90000), shot(1700), shot(90030) }, T + 100000)
    local found = {}
    for index, session in ipairs(list) do
      local rows = {}
      for n, row in ipairs(session.rows) do rows[n] = row.index end
      found[index] = ("%d-%d: %s"):format(session.from - T, session.to - T, table.concat(rows, " "))
    end
    assert.same({ "90000-90090: 2 4", "0-1760: 1 3" }, found)
  end)

  it("doesn't extend a session to the next morning because a finished clip wasn't fetched", function()
    local list = sessions.sessions({
      { status = "fetched", times = { intended = T, accepted = T + 1, completed = T + 100, fetched = T + 30000 } },
      { status = "fetched", times = { intended = T + 30000, accepted = T + 30001, completed = T + 30100, fetched = T + 30110 } },
    }, T + 31000)
    assert.equal(2, #list)
    assert.equal(110, list[1].to - list[1].from)
    assert.equal(100, list[2].to - list[2].from)
    assert.same({ 2, 1 }, { #list[1].rows, #list[2].rows })
  end)

  it("puts bars at the right places, and says the same in words", function()
    local page = render {
      scene_of { times = { intended = T, accepted = T + 1, completed = T + 50, fetched = T + 60 }, seconds = 49 },
      scene_of { name = "late", times = { intended = T + 50, accepted = T + 51, completed = T + 100, fetched = T + 100 }, seconds = 49 },
    }
    local bars = {}
    for x, width in page:match("<tbody>(.-)</tbody>"):gmatch('class="phase run"[^>]* width="([%d.]+)%%" x="([%d.]+)%%"') do
      bars[#bars + 1] = { x = tonumber(width), width = tonumber(x) }
    end
    assert.equal(2, #bars)
    assert.is_true(math.abs(bars[1].width - bars[2].width) < 0.1)
    assert.is_true(math.abs((bars[2].x - bars[1].x) / bars[1].width - 50 / 49) < 0.02)
    has(seen(page), "dawn Done 14:05:00 14:05:50 14:06:00 49 s")
    for _, tick in ipairs { "14:05:00", "14:05:30", "14:06:00", "14:06:30" } do has(page:match("<thead>.-</thead>"), ">" .. tick .. "<") end
  end)

  it("has few ticks for seconds, days and centuries", function()
    for _, span in ipairs { 0, 1, 7, 59, 600, 5000, 86400, 1e6, 1e9 } do
      local page = render { scene_of { times = { intended = T, fetched = T + span, accepted = T } } }
      local _, ticks = page:match("<thead>(.-)</thead>"):gsub("<text", "")
      assert.is_true(ticks >= 1 and ticks <= 7, ("%g s: %d"):format(span, ticks))
    end
  end)

  it("is left out if no time is known", function()
    assert.is_nil(render({ scene_of() }):find('id="timeline"', 1, true))
  end)
end)
