-- SPDX-License-Identifier: MIT
-- Builds the report's timeline: a table for each session, in which each scene has a row with bars and times. The bars' positions are SVG
-- attributes in percent, so the bars scale with the page. The bars need no inline styles, which the page's Content-Security-Policy forbids.

local core = require "omni.core"
local html = require "omni.report.html"
local scene_name = require "omni.report.scene_name"
local sessions = require "omni.report.sessions"
local times_of = require "omni.report.times"
local wording = require "omni.report.wording"

local h = html.tag

-- The height of each phase's bar, in a row that is 20 pixels high. Phases differ not only in colour, but also in shape.
local shapes = {
  sent = { height = 4, label = "submitted, pending" },
  run = { height = 14, label = "being generated" },
  open = { height = 14, label = "still running" },
  ready = { height = 4, label = "ready, not yet fetched" },
}
local order = { "sent", "run", "open", "ready" }

local steps = { 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400 }
-- maximum numbers of ticks on a scale; max_day_ticks applies to ticks that are at least a day apart, since their labels are longer
local max_ticks <const>, max_day_ticks <const> = 6, 3

-- Returns a function that converts a time to a percentage of the width, with space for marks at both ends. The second result contains the
-- scale's ticks.
local function scale(session)
  local span = math.max(session.to - session.from, 1)
  local from, to = session.from - 0.02 * span, session.from + 1.04 * span
  local step
  for _, candidate in ipairs(steps) do
    step = candidate
    if (to - from) / step <= (step < 86400 and max_ticks or max_day_ticks) then break end
  end
  while (to - from) / step > max_day_ticks and step >= 86400 do step = step * 2 end
  local ticks = {}
  for at = math.ceil(from / step) * step, to, step do ticks[#ticks + 1] = at end
  local function place(at) return (math.min(math.max(at, from), to) - from) / (to - from) * 100 end
  local part = step >= 86400 and "day_and_minute" or step < 60 and "second_of_day" or "minute_of_day"
  return { place = place, ticks = ticks, part = part }
end

local function percent(value) return core.format("%.2f%%", value) end

local function axis(along, id)
  local labels, lines = {}, {}
  for index, at in ipairs(along.ticks) do
    local x = percent(along.place(at))
    labels[index] = times_of.label(at, along.part, x, 13)
    lines[index] = h.line { x1 = x, x2 = x, y1 = 0, y2 = 20 }
  end
  return h.svg { class = "axis", aria_hidden = "true", height = 20, h.defs { h.g { id = id, class = "grid", lines } }, labels }
end

local function bar(along, phase, session)
  if phase.to < session.from or phase.from > session.to then return nil end
  local shape = shapes[phase.kind]
  local left = along.place(phase.from)
  return h.rect { class = "phase " .. phase.kind, x = percent(left), y = (20 - shape.height) / 2, height = shape.height,
    width = percent(math.max(along.place(phase.to) - left, 0.3)), rx = 2 }
end

-- Returns an element for a time of day; it also shows the date, unless the time is on the session's first day.
local function clock(at, session)
  return times_of.time(at, "second", session.from) or "–"
end

local function row(scene, shown, session, along, grid)
  local times, state = shown.track.times, wording.states[scene.status]
  local bars = {} -- this list has a hole for each phase that belongs to another session
  for index, phase in ipairs(shown.track.phases) do bars[index] = bar(along, phase, session) end
  local mark = shown.track.at >= session.from and shown.track.at <= session.to and h.svg {
    class = "mark " .. state.tone, x = percent(along.place(shown.track.at)), y = 3, width = 14, height = 14, overflow = "visible",
    h.use { href = "#i-" .. state.icon, x = next(bars) and 4 or -7, width = 14, height = 14 } }
  local begun = times.accepted or times.intended
  return h.tr {
    h.th { scope = "row", h.a { href = "#scene-" .. shown.index, scene_name.shortened(scene.name) } },
    h.td { class = "bars", h.svg { aria_hidden = "true", height = 20, h.use { href = "#" .. grid }, bars, mark } },
    h.td { state.word },
    h.td { clock(times.intended or times.accepted, session) },
    h.td { clock(times.completed, session) },
    h.td { clock(times.fetched, session) },
    h.td { wording.duration(wording.seconds_of(scene.seconds) or begun and times.completed and times.completed - begun) or "–" },
  }
end

local function chart(scenes, session, number)
  local along, grid = scale(session), "grid-" .. number
  local rows = {}
  for index, shown in ipairs(session.rows) do rows[index] = row(scenes[shown.index], shown, session, along, grid) end
  return h.div { class = "scroll", tabindex = 0, role = "region", aria_labelledby = "h-session-" .. number,
    h.table { class = "timeline",
      h.thead { h.tr {
        h.th { scope = "col", "Scene" },
        h.th { scope = "col", class = "bars", h.span { class = "hidden", "What ran when" }, axis(along, grid) },
        h.th { scope = "col", "State" }, h.th { scope = "col", "Submitted" }, h.th { scope = "col", "Done" },
        h.th { scope = "col", "Fetched" }, h.th { scope = "col", "Took" },
      } },
      h.tbody { rows },
    },
  }
end

local function heading(session, number)
  local same_minute = session.from // 60 == session.to // 60
  return h.h3 { id = "h-session-" .. number,
    times_of.time(session.from, "minute"), not same_minute and { " to ", times_of.time(session.to, "minute", session.from) },
    " ", times_of.zone(session.from) }
end

local function legend()
  local items = {}
  for index, kind in ipairs(order) do
    local shape = shapes[kind]
    items[index] = h.li {
      h.svg { aria_hidden = "true", width = 28, height = 20,
        h.rect { class = "phase " .. kind, x = 0, y = (20 - shape.height) / 2, width = 28, height = shape.height, rx = 2 } },
      shape.label }
  end
  return h.ul { class = "legend", items }
end

---Returns the page's timeline section, or nil if no scene has times.
---@param data table  of report.render
---@return table|nil
local function section(data)
  local list = sessions.sessions(data.scenes, data.made_at)
  if #list == 0 then return nil end
  local earlier = {}
  for index = 2, #list do
    earlier[#earlier + 1] = h.details { h.summary { heading(list[index], index),
      h.span { class = "soft", wording.count(#list[index].rows, "scene") } }, chart(data.scenes, list[index], index) }
  end
  return h.section { id = "timeline", aria_labelledby = "h-timeline",
    h.h2 { id = "h-timeline", "What ran when" },
    heading(list[1], 1),
    h.p { class = "sideways", "Scroll the table sideways to see all bars and times." },
    chart(data.scenes, list[1], 1),
    legend(),
    earlier,
  }
end

return { section = section }
